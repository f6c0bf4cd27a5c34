// What the visitor is told: the state in words, and a card over the picture where something has to be done.

import { wordsFor } from "./problems.js";

/** @typedef {"idle" | "asking" | "connecting" | "live" | "waiting" | "problem"} State */

export class View {
  #countdown = 0;
  #retry = () => undefined;

  /** @param {Document} page */
  constructor(page) {
    const find = (/** @type {string} */ id) => /** @type {any} */ (page.getElementById(id));
    this.body = page.body;
    /** @type {NodeListOf<HTMLButtonElement>} */ this.pictureButtons = page.querySelectorAll(".bar button:not(.stop)");
    /** @type {HTMLElement} */ this.status = find("status");
    /** @type {HTMLElement} */ this.welcome = find("welcome");
    /** @type {HTMLElement} */ this.busy = find("busy");
    /** @type {HTMLElement} */ this.message = find("message");
    /** @type {HTMLElement} */ this.title = find("message-title");
    /** @type {HTMLElement} */ this.text = find("message-text");
    /** @type {HTMLFormElement} */ this.tokenForm = find("token-form");
    /** @type {HTMLButtonElement} */ this.retryButton = find("retry");
    /** @type {HTMLElement} */ this.retryWords = find("retry-words");
    /** @type {HTMLElement} */ this.retryCount = find("retry-count");
    this.retryButton.addEventListener("click", () => this.#retry());
    this.tokenForm.addEventListener("submit", (event) => {
      event.preventDefault();
      enterToken(find("token").value);
    });
  }

  /** @param {State} state @param {string} words  what a screen reader says too */
  tell(state, words) {
    clearInterval(this.#countdown);
    this.body.dataset.state = state;
    if (this.status.textContent !== words) this.status.textContent = words;
    this.welcome.hidden = state !== "idle";
    this.busy.hidden = state !== "asking" && state !== "connecting";
    this.busy.textContent = words;
    this.message.hidden = state !== "waiting" && state !== "problem";
    for (const button of this.pictureButtons) button.disabled = state !== "live";
  }

  /** Something went wrong, and nothing more happens by itself. @param {import("./problems.js").Problem} problem @param {() => void} retry */
  problem(problem, retry) {
    const words = wordsFor(problem);
    this.#show(words.title, words.text, words.retry, retry);
    this.tokenForm.hidden = problem.kind !== "token";
    this.tell("problem", "Not connected");
    if (words.retry) this.retryButton.focus();
  }

  /** The connection is tried again by itself. @param {import("./problems.js").Problem} problem @param {number} seconds @param {() => void} tryNow */
  waiting(problem, seconds, tryNow) {
    const { title, text } = wordsFor(problem);
    this.#show(title, text, "Try now", tryNow);
    this.tell("waiting", "Connection lost, trying again");
    const due = performance.now() + seconds * 1000;
    const count = () => {
      const left = Math.max(0, Math.ceil((due - performance.now()) / 1000));
      this.retryCount.textContent = left > 0 ? `${left} s` : "";
    };
    count();
    this.#countdown = setInterval(count, 250);
  }

  /** @param {string} title @param {string} text @param {string} button @param {() => void} retry */
  #show(title, text, button, retry) {
    this.title.textContent = title;
    this.text.textContent = text;
    this.retryWords.textContent = button;
    this.retryCount.textContent = "";
    this.retryButton.hidden = !button;
    this.tokenForm.hidden = true;
    this.#retry = () => void retry();
  }
}

/** The page begins anew with the token in its address. @param {string} token */
function enterToken(token) {
  const parts = new URLSearchParams(location.hash.slice(1));
  parts.set("token", token.trim());
  const before = location.hash;
  location.hash = String(parts);
  if (location.hash === before) location.reload();
}
