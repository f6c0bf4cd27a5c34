// The picture: swapped and own camera, hold to compare, full screen.

export class Stage {
  /** @param {Document} page */
  constructor(page) {
    const find = (/** @type {string} */ id) => /** @type {any} */ (page.getElementById(id));
    /** @type {HTMLElement} */ this.frame = find("studio");
    /** @type {HTMLVideoElement} */ this.swapped = find("swapped");
    /** @type {HTMLVideoElement} */ this.own = find("own");
    /** @type {HTMLButtonElement} */ this.compareButton = find("compare");
    this.swapped.addEventListener("resize", () => this.#fit());
    holdable(this.compareButton, (held) => this.#compare(held));
    find("full-screen").addEventListener("click", () => this.fullScreen());
  }

  /** @param {MediaStreamTrack | null} camera */
  showOwn(camera) {
    this.own.srcObject = camera ? new MediaStream([camera]) : null;
  }

  /** Shows a stream once its first picture is there. @param {MediaStream | null} stream @param {() => void} [shown] */
  show(stream, shown) {
    this.swapped.srcObject = stream;
    if (!stream || !shown) return;
    const soonest = this.swapped.requestVideoFrameCallback?.bind(this.swapped);
    if (soonest) soonest(() => shown());
    else this.swapped.addEventListener("loadeddata", () => shown(), { once: true });
  }

  async fullScreen() {
    const { swapped } = this;
    if (document.fullscreenElement) await document.exitFullscreen();
    else if (this.frame.requestFullscreen) await this.frame.requestFullscreen().catch(() => undefined);
    else if ("webkitEnterFullscreen" in swapped) /** @type {any} */ (swapped).webkitEnterFullscreen(); // iPhones
  }

  /** @param {boolean} held */
  #compare(held) {
    this.frame.classList.toggle("comparing", held);
    this.compareButton.setAttribute("aria-pressed", String(held));
  }

  #fit() {
    const { videoWidth: width, videoHeight: height } = this.swapped;
    if (width && height) this.frame.style.setProperty("--ratio", `${width} / ${height}`);
  }
}

/** Tells when a button is held down and let go, by pointer or by keyboard. @param {HTMLButtonElement} button @param {(held: boolean) => void} told */
function holdable(button, told) {
  const isKey = (/** @type {KeyboardEvent} */ event) => event.key === " " || event.key === "Enter";
  button.addEventListener("pointerdown", () => told(true));
  for (const end of ["pointerup", "pointercancel", "pointerleave", "blur"]) button.addEventListener(end, () => told(false));
  button.addEventListener("keydown", (event) => isKey(event) && !event.repeat && told(true));
  button.addEventListener("keyup", (event) => isKey(event) && told(false));
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch is a hold
}

/** Saves a picture under the time of day. @param {Blob} blob */
export function save(blob) {
  const name = `liveswap ${new Date().toISOString().slice(0, 19).replaceAll(":", ".")}.png`;
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
