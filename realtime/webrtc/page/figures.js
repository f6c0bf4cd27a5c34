// The live figures: pictures a second, round trip, age of the picture, and their last minute as a graph.

import { Graph } from "./graph.js";
import { Measure } from "./measure.js";

const EVERY_MS = 1000;

export class Figures {
  #timer = 0;

  /** @param {Document} page */
  constructor(page) {
    this.fps = byId(page, "figure-fps");
    this.roundTrip = byId(page, "figure-round-trip");
    this.age = byId(page, "figure-age");
    this.detail = byId(page, "figure-detail");
    this.graph = new Graph(/** @type {HTMLCanvasElement} */ (byId(page, "graph")));
  }

  /** @param {RTCPeerConnection} peer @param {import("./control.js").Control | null} control  null: only watching */
  follow(peer, control) {
    this.rest();
    const measure = new Measure(peer);
    measure.take();
    this.#timer = setInterval(async () => this.#show(await measure.take(), control), EVERY_MS);
  }

  rest() {
    clearInterval(this.#timer);
    this.graph.clear();
    for (const place of [this.fps, this.roundTrip, this.age]) place.textContent = "–";
    this.detail.textContent = "";
  }

  /** @param {import("./measure.js").Measured} measured @param {import("./control.js").Control | null} control */
  #show(measured, control) {
    const roundTrip = control?.roundTrip ?? measured.roundTripMs;
    const inside = control?.stats?.age_ms;
    const known = roundTrip !== null && inside !== undefined;
    const age = known ? measured.sendMs + roundTrip + inside + measured.receiveMs : null;
    this.fps.textContent = measured.fps.toFixed(0);
    this.roundTrip.textContent = roundTrip === null ? "–" : roundTrip.toFixed(0);
    this.age.textContent = age === null ? "–" : age.toFixed(0);
    this.detail.textContent = described(measured);
    this.graph.add(age, roundTrip);
  }
}

/** @param {import("./measure.js").Measured} measured @returns {string} */
function described({ width, height, sentWidth, sentHeight, kbps, limit }) {
  const sent = sentWidth ? `sent ${sentWidth} × ${sentHeight}, ` : "";
  const limited = { cpu: ", held back by this computer’s speed", bandwidth: ", held back by the network" }[limit] ?? "";
  return `${sent}shown ${width} × ${height}, ${(kbps / 1000).toFixed(1)} Mbit/s${limited}`;
}

/** @param {Document} page @param {string} id */
function byId(page, id) {
  return /** @type {HTMLElement} */ (page.getElementById(id));
}
