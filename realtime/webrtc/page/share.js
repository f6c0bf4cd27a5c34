// The link under which others watch, shown while there is something to see.

import { isLoopback, watchLink } from "./address.js";

export class Share {
  /** @param {Document} page @param {string} token @param {(words: string) => void} say */
  constructor(page, token, say) {
    const find = (/** @type {string} */ id) => /** @type {any} */ (page.getElementById(id));
    this.token = token;
    this.say = say;
    /** @type {HTMLElement} */ this.place = find("share");
    /** @type {HTMLInputElement} */ this.link = find("watch-link");
    const reach = isLoopback(location.hostname) ? "It works on this computer" : "Whoever has it can watch";
    find("share-hint").textContent = `${reach}, for as long as you are live.${token ? " It carries the server’s token." : ""}`;
    find("copy").addEventListener("click", () => this.#copy());
  }

  /** @param {string} name  of the session */
  show(name) {
    this.link.value = watchLink(location.origin, name, this.token);
    this.place.hidden = false;
  }

  hide() {
    this.place.hidden = true;
  }

  async #copy() {
    this.link.select();
    await navigator.clipboard?.writeText(this.link.value).then(
      () => this.say("The link is copied"),
      () => this.say("Copy the chosen link by hand"),
    );
  }
}
