// The data channel: what the visitor chooses goes out, the session's state and numbers come in.

import { Problem } from "./problems.js";

const PING_MS = 1000;

/**
 * @typedef {{type: "state", identity: string, no_face: string, label: string, style: string, identities: string[]}} State
 * @typedef {{type: "stats", fps: number, age_ms: number, faces: number, viewers: number, width: number, height: number}} Stats
 */

/** Tells of "state", "stats" and "refused" by events whose detail is the message. */
export class Control extends EventTarget {
  /** @param {RTCDataChannel} channel */
  constructor(channel) {
    super();
    this.channel = channel;
    /** @type {number | null} milliseconds to the server and back */
    this.roundTrip = null;
    /** @type {Stats | null} */
    this.stats = null;
    channel.addEventListener("message", ({ data }) => this.#hear(JSON.parse(data)));
    channel.addEventListener("open", () => this.#pingOnAndOn());
    /** @type {Promise<Problem>} */
    this.lost = new Promise((tell) => channel.addEventListener("close", () => tell(new Problem("lost"))));
  }

  /** Asks at once, or as soon as the channel is open. @param {Partial<import("./live.js").Wish>} wish */
  set(wish) {
    const ask = () => this.#send({ type: "set", ...wish });
    if (this.channel.readyState === "connecting") this.channel.addEventListener("open", ask, { once: true });
    else ask();
  }

  /** @param {object} message */
  #send(message) {
    if (this.channel.readyState === "open") this.channel.send(JSON.stringify(message));
  }

  #pingOnAndOn() {
    const ping = () => this.#send({ type: "ping", at: performance.now() });
    const timer = setInterval(ping, PING_MS);
    this.channel.addEventListener("close", () => clearInterval(timer));
    ping();
  }

  /** @param {any} message */
  #hear(message) {
    if (message.type === "pong") this.roundTrip = performance.now() - message.at;
    if (message.type === "stats") this.stats = message;
    const name = message.type === "error" ? "refused" : message.type;
    this.dispatchEvent(new CustomEvent(name, { detail: message }));
  }
}
