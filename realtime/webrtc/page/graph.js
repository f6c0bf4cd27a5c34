// A small graph of the last minute: the age of the picture as an area, the round trip as a line below it.

const KEPT = 60; // values, one a second
const LEAST_TOP_MS = 100; // the scale never shows less, so that calm looks calm

/** @typedef {{age: number | null, roundTrip: number | null}} Point */

export class Graph {
  /** @type {Point[]} */
  #points = [];

  /** @param {HTMLCanvasElement} canvas  its colours come from the style: --accent, --quiet, --line */
  constructor(canvas) {
    this.canvas = canvas;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  /** @param {number | null} age  ms @param {number | null} roundTrip  ms */
  add(age, roundTrip) {
    this.#points = [...this.#points, { age, roundTrip }].slice(-KEPT);
    this.#draw();
  }

  clear() {
    this.#points = [];
    this.#draw();
  }

  #draw() {
    const { canvas } = this;
    const scale = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    Object.assign(canvas, { width: width * scale, height: height * scale });
    const pen = canvas.getContext("2d");
    if (!pen) return;
    pen.scale(scale, scale);
    const style = getComputedStyle(canvas);
    const top = Math.max(LEAST_TOP_MS, ...this.#points.map((point) => Math.max(point.age ?? 0, point.roundTrip ?? 0))) * 1.1;
    const place = (/** @type {number} */ value) => height - 1 - (value / top) * (height - 2);
    this.#rule(pen, style, width, place);
    this.#curve(pen, width, height, place, "age", style.getPropertyValue("--accent"), true);
    this.#curve(pen, width, height, place, "roundTrip", style.getPropertyValue("--quiet"), false);
  }

  /** A fine line with its words at 100 ms. @param {CanvasRenderingContext2D} pen @param {CSSStyleDeclaration} style @param {number} width @param {(ms: number) => number} place */
  #rule(pen, style, width, place) {
    pen.fillStyle = style.getPropertyValue("--line");
    const at = Math.round(place(100));
    pen.fillRect(0, at, width, 1);
    pen.fillStyle = style.getPropertyValue("--quiet");
    pen.font = `11px ${style.fontFamily}`;
    pen.fillText("100 ms", 0, at > 40 ? at - 4 : at + 13);
  }

  /**
   * @param {CanvasRenderingContext2D} pen @param {number} width @param {number} height @param {(ms: number) => number} place
   * @param {"age" | "roundTrip"} name @param {string} colour @param {boolean} filled
   */
  #curve(pen, width, height, place, name, colour, filled) {
    const step = width / (KEPT - 1);
    const first = KEPT - this.#points.length;
    const known = this.#points.map((point, index) => ({ x: (first + index) * step, value: point[name] })).filter(({ value }) => value !== null);
    if (known.length < 2) return;
    pen.beginPath();
    known.forEach(({ x, value }) => pen.lineTo(x, place(value ?? 0)));
    Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: 1.5, lineJoin: "round" });
    pen.stroke();
    if (!filled) return;
    pen.lineTo(known[known.length - 1].x, height);
    pen.lineTo(known[0].x, height);
    pen.globalAlpha = 0.14;
    pen.fill();
    pen.globalAlpha = 1;
  }
}
