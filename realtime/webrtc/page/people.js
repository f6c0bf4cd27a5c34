// The identities as thumbnails: a group of radio buttons, so that the keyboard's arrows choose among them.

/** @typedef {import("./server.js").Identity} Identity */

export class People {
  /** @type {Identity[]} */
  #identities = [];

  /**
   * @param {HTMLElement} place  a fieldset's list
   * @param {import("./server.js").Server} server
   * @param {(name: string) => void} chosen  called when the visitor chooses
   */
  constructor(place, server, chosen) {
    this.place = place;
    this.server = server;
    place.addEventListener("change", ({ target }) => chosen(/** @type {HTMLInputElement} */ (target).value));
  }

  /** @param {Identity[]} identities */
  show(identities) {
    this.#identities = identities;
    this.place.replaceChildren(...identities.map((identity) => this.#card(identity)));
  }

  /** The name that is chosen; empty: none. */
  get name() {
    return this.#choices().find((choice) => choice.checked)?.value ?? "";
  }

  /** @param {string} name */
  select(name) {
    for (const choice of this.#choices()) choice.checked = choice.value === name;
  }

  /** @returns {Identity | undefined} */
  get identity() {
    return this.#identities.find((identity) => identity.name === this.name);
  }

  #choices() {
    return /** @type {HTMLInputElement[]} */ ([...this.place.querySelectorAll("input")]);
  }

  /** @param {Identity} identity */
  #card(identity) {
    const card = document.createElement("label");
    card.className = "person";
    const choice = Object.assign(document.createElement("input"), { type: "radio", name: "identity", value: identity.name });
    const face = document.createElement("span");
    face.className = "face";
    face.textContent = identity.name.slice(0, 1).toUpperCase();
    face.setAttribute("aria-hidden", "true");
    const name = Object.assign(document.createElement("span"), { className: "name", textContent: called(identity.name) });
    card.append(choice, face, name);
    this.#draw(identity, face);
    return card;
  }

  /** Puts the picture in place of the letter, where there is one. @param {Identity} identity @param {HTMLElement} face */
  async #draw({ thumbnail }, face) {
    const picture = thumbnail ? await this.server.picture(thumbnail).catch(() => null) : null;
    if (!picture) return;
    const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
    canvas.getContext("2d")?.drawImage(picture, 0, 0);
    face.replaceChildren(canvas);
  }
}

/** A name as it is written on the page. @param {string} name */
export function called(name) {
  return name.slice(0, 1).toUpperCase() + name.slice(1);
}
