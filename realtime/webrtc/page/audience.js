// Watch mode: somebody else's swapped picture, full size, with nothing of one's own.

import { Figures } from "./figures.js";
import { Keeper } from "./keeper.js";
import { Stage } from "./stage.js";
import { Watch } from "./watch.js";

export class Audience {
  /**
   * @param {Document} page @param {import("./server.js").Server} server @param {import("./view.js").View} view
   * @param {string} session  whose picture
   */
  constructor(page, server, view, session) {
    this.server = server;
    this.session = session;
    this.view = view;
    this.stage = new Stage(page);
    this.figures = new Figures(page);
    const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (page.getElementById(id));
    page.body.dataset.mode = "watch";
    page.title = "Watching – liveswap";
    find("notice").textContent = "The face you see was drawn by a computer, and is not what the camera saw.";
    this.soundButton = find("sound");
    this.soundButton.addEventListener("click", () => this.#switchSound());
    /** @type {Keeper<Watch>} */
    this.keeper = new Keeper((signal) => this.#open(signal), {
      connecting: (again) => view.tell("connecting", again ? "Connecting again…" : "Connecting…"),
      live: (watch) => this.#show(watch),
      waiting: (problem, seconds) => view.waiting(problem, seconds, () => this.keeper.tryNow()),
      ended: (problem) => view.problem(problem, () => this.start()),
    });
    addEventListener("pagehide", () => this.keeper.stop());
  }

  start() {
    this.keeper.start();
  }

  /** @param {AbortSignal} signal */
  async #open(signal) {
    const { ice_servers: iceServers } = await this.server.settings();
    return Watch.open({ server: this.server, iceServers, session: this.session }, signal);
  }

  /** @param {Watch} watch */
  #show(watch) {
    this.stage.show(watch.picture, () => this.view.tell("live", "Watching live"));
    this.figures.follow(watch.peer, null);
  }

  #switchSound() {
    const { swapped } = this.stage;
    swapped.muted = !swapped.muted;
    this.soundButton.setAttribute("aria-pressed", String(!swapped.muted));
  }
}
