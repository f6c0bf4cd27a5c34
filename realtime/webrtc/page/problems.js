// What can go wrong, the words that tell the visitor, and whether trying again by itself makes sense.

/**
 * @typedef {"insecure" | "unsupported" | "no-camera" | "refused" | "busy-camera" | "camera-lost" | "microphone" |
 *   "token" | "full" | "too-many" | "unusable" | "gone" | "unreachable" | "no-path" | "lost" | "unknown"} Kind
 * @typedef {{title: string, text: string, retry: string}} Words  retry: what the button says; empty: no button
 */

export class Problem extends Error {
  /**
   * @param {Kind} kind
   * @param {string} [detail]  a sentence from the server or the browser
   * @param {number} [after]  seconds until trying again is welcome
   */
  constructor(kind, detail = "", after = 0) {
    super(detail || kind);
    this.kind = kind;
    this.detail = detail;
    this.after = after;
  }

  /** Whether it may be over in a while, so that a connection that once stood is tried again. */
  get passes() {
    return ["full", "too-many", "unreachable", "no-path", "lost"].includes(this.kind);
  }
}

/** @param {unknown} error @returns {Problem} */
export function asProblem(error) {
  return error instanceof Problem ? error : new Problem("unknown", String(error));
}

/** @param {Problem} problem @returns {Words} */
export function wordsFor(problem) {
  const { title, text, retry } = WORDS[problem.kind];
  const shown = SERVER_SAYS.includes(problem.kind) && problem.detail ? `${text} The server says: ${problem.detail}` : text;
  return { title, text: shown, retry };
}

/** @type {Kind[]} */
const SERVER_SAYS = ["unusable", "unknown"];

/** @type {Record<Kind, Words>} */
const WORDS = {
  insecure: {
    title: "The camera needs a secure address",
    text: "Browsers give the camera only to pages from https:// or from this computer itself. Open this page by https://, or at localhost.",
    retry: "",
  },
  unsupported: {
    title: "This browser cannot do it",
    text: "It has no WebRTC, or it is switched off. Current versions of Chromium, Firefox and Safari have it.",
    retry: "",
  },
  "no-camera": {
    title: "No camera was found",
    text: "Connect one, or switch it on, then try again.",
    retry: "Try again",
  },
  refused: {
    title: "The camera was not allowed",
    text: "Allow it in the browser, at the camera sign beside the address, then try again. Nothing has been sent.",
    retry: "Try again",
  },
  "busy-camera": {
    title: "The camera is busy",
    text: "Another program seems to use it. Close that program, or choose another camera, then try again.",
    retry: "Try again",
  },
  "camera-lost": {
    title: "The camera is gone",
    text: "It stopped while it was in use. Connect it again, or choose another one.",
    retry: "Try again",
  },
  microphone: {
    title: "No sound",
    text: "The microphone was not allowed or not found. The picture goes on without it.",
    retry: "",
  },
  token: {
    title: "This server asks for its token",
    text: "The address lacks the token, or it is a wrong one. Whoever runs the server sees it where it was started.",
    retry: "",
  },
  full: {
    title: "All places are taken",
    text: "This server shows as many people as it can at the same time. Try again in a moment.",
    retry: "Try again",
  },
  "too-many": {
    title: "That was too often",
    text: "Too many connections were asked for from here in a short time. Wait a moment, then try again.",
    retry: "Try again",
  },
  unusable: {
    title: "The server cannot use this connection",
    text: "It did not accept what this browser offered.",
    retry: "Try again",
  },
  gone: {
    title: "There is nothing to watch here",
    text: "This picture has ended, or the link is not complete. Ask for a new link.",
    retry: "Try again",
  },
  unreachable: {
    title: "The server does not answer",
    text: "It may have been stopped, or the network is away.",
    retry: "Try again",
  },
  "no-path": {
    title: "The picture finds no way through",
    text: "The server answers, but pictures do not reach it. A firewall may be in between; across networks, a TURN server helps.",
    retry: "Try again",
  },
  lost: {
    title: "The connection was lost",
    text: "It is made anew by itself.",
    retry: "Try now",
  },
  unknown: {
    title: "That did not work",
    text: "Something unexpected happened.",
    retry: "Try again",
  },
};
