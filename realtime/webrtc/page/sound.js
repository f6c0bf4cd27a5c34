// The visitor's sound: a switch for sending it, off at first, and one for hearing what comes back.

import { openMicrophone } from "./camera.js";
import { asProblem, wordsFor } from "./problems.js";

export class Sound {
  /** @type {MediaStreamTrack | null} what is sent */
  track = null;

  /**
   * @param {Document} page
   * @param {(track: MediaStreamTrack | null) => Promise<void>} changed  called with what to send from now on
   * @param {(words: string) => void} say
   */
  constructor(page, changed, say) {
    const find = (/** @type {string} */ id) => /** @type {any} */ (page.getElementById(id));
    this.changed = changed;
    this.say = say;
    /** @type {HTMLInputElement} */ this.sends = find("microphone");
    /** @type {HTMLInputElement} */ this.hears = find("hear");
    /** @type {HTMLElement} */ this.hearRow = find("hear-row");
    /** @type {HTMLAudioElement} */ this.heard = find("heard");
    this.sends.addEventListener("change", () => this.#switch());
    this.hears.addEventListener("change", () => this.#settle());
    this.#settle();
  }

  /** @param {MediaStream} returned */
  hear(returned) {
    this.heard.srcObject = returned;
  }

  async #switch() {
    this.track?.stop();
    this.track = null;
    try {
      if (this.sends.checked) this.track = await openMicrophone();
    } catch (error) {
      this.sends.checked = false;
      this.say(wordsFor(asProblem(error)).text);
    }
    this.#settle();
    await this.changed(this.track);
  }

  /** Silent until the visitor wants it: beside an open microphone it would echo. */
  #settle() {
    this.hearRow.hidden = !this.sends.checked;
    this.heard.muted = !(this.sends.checked && this.hears.checked);
  }
}
