// Keeps one connection alive: opens it, and opens it anew with growing pauses when it is lost.

import { aborted, pause } from "./link.js";
import { Problem, asProblem } from "./problems.js";

const FIRST_PAUSE_S = 0.5;
const LONGEST_PAUSE_S = 15;
const STOOD_S = 10; // a connection that stood this long begins again with the shortest pause

/**
 * @template {import("./link.js").Link} L
 * @typedef {{
 *   connecting: (again: boolean) => void,
 *   live: (link: L) => void,
 *   waiting: (problem: Problem, seconds: number) => void,
 *   ended: (problem: Problem) => void,
 * }} Told
 */

/** @template {import("./link.js").Link} L */
export class Keeper {
  /** @type {AbortController | null} */
  #running = null;
  /** @type {L | null} */
  link = null;
  #wake = () => undefined;

  /** @param {(signal: AbortSignal) => Promise<L>} open @param {Told<L>} told */
  constructor(open, told) {
    this.open = open;
    this.told = told;
    addEventListener("online", () => this.tryNow());
  }

  get running() {
    return this.#running !== null;
  }

  start() {
    this.stop();
    this.#running = new AbortController();
    this.#run(this.#running.signal);
  }

  stop() {
    this.#running?.abort();
    this.#running = null;
    this.link?.close();
    this.link = null;
  }

  /** Cuts the pause short. */
  tryNow() {
    this.#wake();
  }

  /** @param {AbortSignal} signal */
  async #run(signal) {
    let seconds = FIRST_PAUSE_S;
    for (let stood = false; ; ) {
      this.told.connecting(stood);
      const began = performance.now();
      const { problem, was } = await this.#once(signal);
      if (signal.aborted) return;
      stood ||= was;
      if (!stood || !problem.passes) return this.#end(problem);
      if (was && performance.now() - began > STOOD_S * 1000) seconds = FIRST_PAUSE_S;
      await this.#wait(problem, Math.max(seconds, problem.after), signal);
      if (signal.aborted) return;
      seconds = Math.min(LONGEST_PAUSE_S, seconds * 2);
    }
  }

  /** One connection from its opening to its end. @param {AbortSignal} signal */
  async #once(signal) {
    try {
      const link = await this.open(signal);
      if (signal.aborted) return link.close(), { problem: new Problem("lost"), was: true };
      this.link = link;
      this.told.live(link);
      const problem = await Promise.race([link.lost, aborted(signal).then(() => new Problem("lost"))]);
      link.close();
      return { problem, was: true };
    } catch (error) {
      return { problem: asProblem(error), was: false };
    } finally {
      if (!signal.aborted) this.link = null;
    }
  }

  /** @param {Problem} problem @param {number} seconds @param {AbortSignal} signal */
  async #wait(problem, seconds, signal) {
    this.told.waiting(problem, seconds);
    const woken = new Promise((done) => (this.#wake = () => void done(undefined)));
    await Promise.race([pause(seconds * 1000), woken, aborted(signal)]);
  }

  /** @param {Problem} problem */
  #end(problem) {
    this.#running = null;
    this.told.ended(problem);
  }
}
