// One connection that only watches the swapped picture of a session (WHEP).

import { connected, gatheredOffer, lost, showAtOnce } from "./link.js";

/** @typedef {{server: import("./server.js").Server, iceServers: RTCIceServer[], session: string}} Asked */

export class Watch {
  /** @param {Asked} asked @param {AbortSignal} signal @returns {Promise<Watch>} Raises a Problem. */
  static async open(asked, signal) {
    const watch = new Watch(asked);
    try {
      await watch.#connect(asked.session, signal);
    } catch (error) {
      watch.close();
      throw error;
    }
    return watch;
  }

  /** @param {Asked} asked */
  constructor({ server, iceServers }) {
    this.server = server;
    this.resource = "";
    this.picture = new MediaStream(); // with its sound
    this.peer = new RTCPeerConnection({ iceServers });
    this.peer.addEventListener("track", ({ track, receiver }) => {
      showAtOnce(receiver);
      this.picture.addTrack(track);
    });
    for (const kind of ["video", "audio"]) this.peer.addTransceiver(kind, { direction: "recvonly" });
    /** @type {Promise<import("./problems.js").Problem>} */
    this.lost = new Promise(() => undefined);
  }

  /** @param {string} session @param {AbortSignal} signal */
  async #connect(session, signal) {
    const sdp = await gatheredOffer(this.peer);
    signal.throwIfAborted();
    const answer = await this.server.watch(session, sdp, signal);
    this.resource = answer.resource;
    await this.peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    await connected(this.peer, signal);
    this.lost = lost(this.peer);
  }

  /** Ends it here and on the server. */
  close() {
    this.peer.close();
    if (this.resource) this.server.end(this.resource);
    this.resource = "";
  }
}
