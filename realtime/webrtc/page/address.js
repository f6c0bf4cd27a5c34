// What the page's address says after the #: the token, and which picture to watch.

/** @typedef {{token: string, watch: string}} Address */

/** @param {string} hash  as location.hash @returns {Address} */
export function readAddress(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  return { token: parts.get("token") ?? "", watch: parts.get("watch") ?? "" };
}

/**
 * The link under which somebody else sees a session's swapped picture. It carries the token, where there is one.
 * @param {string} origin @param {string} name  of the session @param {string} token @returns {string}
 */
export function watchLink(origin, name, token) {
  const parts = new URLSearchParams({ watch: name });
  if (token) parts.set("token", token);
  return `${origin}/#${parts}`;
}

/** Whether an address of this host is of use on this computer only. @param {string} host @returns {boolean} */
export function isLoopback(host) {
  return host === "localhost" || host.startsWith("127.") || host === "[::1]";
}
