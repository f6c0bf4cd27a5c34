// One connection that sends the camera to the server and brings the swapped picture back.

import { connected, gatheredOffer, lost, showAtOnce } from "./link.js";
import { Control } from "./control.js";

/**
 * @typedef {{identity: string, no_face: string, label: string, style: string}} Wish
 * @typedef {{server: import("./server.js").Server, iceServers: RTCIceServer[], wish: Wish, fps: number,
 *   camera: MediaStreamTrack, sound: MediaStreamTrack | null}} Asked
 */

export class Live {
  /** @param {Asked} asked @param {AbortSignal} signal @returns {Promise<Live>} Raises a Problem. */
  static async open(asked, signal) {
    const live = new Live(asked);
    try {
      await live.#connect(asked, signal);
    } catch (error) {
      live.close();
      throw error;
    }
    return live;
  }

  /** @param {Asked} asked */
  constructor({ server, iceServers, wish, camera, sound }) {
    this.server = server;
    this.wish = wish;
    this.session = ""; // secret: who knows it may end the session
    this.name = ""; // for those who watch
    this.peer = new RTCPeerConnection({ iceServers });
    this.picture = new MediaStream();
    this.returnedSound = new MediaStream();
    this.peer.addEventListener("track", ({ track, receiver }) => {
      showAtOnce(receiver);
      (track.kind === "video" ? this.picture : this.returnedSound).addTrack(track);
    });
    this.control = new Control(this.peer.createDataChannel("control"));
    const streams = [new MediaStream()];
    this.video = this.peer.addTransceiver(camera, { direction: "sendrecv", streams });
    // Always there, so that the switch for sound needs no new connection.
    this.audio = this.peer.addTransceiver(sound ?? "audio", { direction: "sendrecv", streams });
    /** @type {Promise<import("./problems.js").Problem>} */
    this.lost = new Promise(() => undefined);
  }

  /** @param {Asked} asked @param {AbortSignal} signal */
  async #connect({ wish, fps }, signal) {
    const sdp = await gatheredOffer(this.peer);
    signal.throwIfAborted();
    const answer = await this.server.offer({ sdp, ...wish }, signal);
    this.session = answer.session;
    this.name = decodeURIComponent(answer.whep.split("/").pop() ?? "");
    // The answer also says at which bitrate Chromium begins to send.
    await this.peer.setRemoteDescription({ type: "answer", sdp: withSoundApart(answer.sdp) });
    await keepSharp(this.video.sender, fps);
    await connected(this.peer, signal);
    this.lost = Promise.race([lost(this.peer), this.control.lost]);
  }

  /** @param {MediaStreamTrack} track */
  async setCamera(track) {
    await this.video.sender.replaceTrack(track);
  }

  /** @param {MediaStreamTrack | null} track */
  async setSound(track) {
    await this.audio.sender.replaceTrack(track);
  }

  /** Ends it here and on the server. */
  close() {
    this.peer.close();
    if (this.session) this.server.end(`/offer/${encodeURIComponent(this.session)}`);
    this.session = "";
  }
}

/**
 * The answer with its sound in a stream of its own. In one stream, the browser holds each picture back until its sound
 * is due; here the sound is silent most of the time, and a fresh picture matters more.
 * @param {string} sdp @returns {string}
 */
function withSoundApart(sdp) {
  const [head, ...sections] = sdp.split(/(?=^m=)/m);
  const apart = sections.map((part) => (part.startsWith("m=audio") ? part.replace(/^a=msid:\S+/m, "a=msid:sound") : part));
  return [head, ...apart].join("");
}

/** Fewer pictures a second are better than smaller ones: the face needs its pixels. @param {RTCRtpSender} sender @param {number} fps */
async function keepSharp(sender, fps) {
  const parameters = sender.getParameters();
  Object.assign(parameters, { degradationPreference: "maintain-resolution" });
  for (const encoding of parameters.encodings ?? []) encoding.maxFramerate = fps;
  await sender.setParameters(parameters).catch(() => undefined); // browsers that lack one of these go on without
}
