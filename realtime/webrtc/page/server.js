// The server's HTTP interface, with the token: settings, identities, offers, watching.

import { Problem } from "./problems.js";

/**
 * @typedef {{ice_servers: RTCIceServer[], needs_token: boolean, version: string, width: number, height: number, fps: number}} Settings
 * @typedef {{name: string, kind: string, licence: string, thumbnail?: string | null}} Identity
 * @typedef {{sdp: string, session: string, whep: string}} Answer
 */

export class Server {
  /** @param {string} token  empty: none */
  constructor(token) {
    this.token = token;
  }

  /** @returns {Promise<Settings>} */
  async settings() {
    return (await this.#call("/api/settings")).json();
  }

  /** @returns {Promise<Identity[]>} */
  async identities() {
    return (await this.#call("/api/identities")).json();
  }

  /** A picture by its path. It is fetched, not linked, because a link cannot carry the token. @param {string} path */
  async picture(path) {
    return createImageBitmap(await (await this.#call(path)).blob());
  }

  /** The last picture of a session, with content credentials. @param {string} session  its key */
  async snapshot(session) {
    return (await this.#call(`/offer/${encodeURIComponent(session)}/snapshot.png`)).blob();
  }

  /** @param {Record<string, string>} offer  SDP and wishes @param {AbortSignal} signal @returns {Promise<Answer>} */
  async offer(offer, signal) {
    const body = JSON.stringify({ type: "offer", ...offer });
    const headers = { "Content-Type": "application/json" };
    return (await this.#call("/offer", { method: "POST", body, headers, signal })).json();
  }

  /**
   * Asks to watch a session (WHEP). Gives the answer and the path of what was made.
   * @param {string} session @param {string} sdp @param {AbortSignal} signal
   */
  async watch(session, sdp, signal) {
    const path = `/whep/${encodeURIComponent(session)}`;
    const headers = { "Content-Type": "application/sdp" };
    const response = await this.#call(path, { method: "POST", body: sdp, headers, signal });
    return { sdp: await response.text(), resource: response.headers.get("Location") ?? "" };
  }

  /** Ends a session or a viewer; goes out even while the page closes. Nobody waits for it. @param {string} path */
  end(path) {
    this.#call(path, { method: "DELETE", keepalive: true }).catch(() => undefined);
  }

  /** @param {string} path @param {RequestInit} [request] @returns {Promise<Response>} */
  async #call(path, request = {}) {
    const headers = new Headers(request.headers);
    if (this.token) headers.set("Authorization", `Bearer ${this.token}`);
    const response = await fetch(path, { ...request, headers, cache: "no-store" }).catch((error) => {
      throw request.signal?.aborted ? error : new Problem("unreachable", String(error));
    });
    if (!response.ok) throw await refusal(response);
    return response;
  }
}

/** @type {Record<number, import("./problems.js").Kind>} */
const KINDS = { 401: "token", 403: "unusable", 404: "gone", 413: "unusable", 422: "unusable", 429: "too-many", 502: "unreachable", 503: "full", 504: "unreachable" };

/** @param {Response} response @returns {Promise<Problem>} */
async function refusal(response) {
  const said = await response.json().catch(() => ({}));
  const after = Number(response.headers.get("Retry-After")) || 0;
  return new Problem(KINDS[response.status] ?? "unknown", said.error ?? `status ${response.status}`, after);
}
