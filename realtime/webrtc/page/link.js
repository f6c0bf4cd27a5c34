// One peer connection, as both ways of use need it: gathered, connected, lost.

import { Problem } from "./problems.js";

const GATHERING_MS = 1500; // candidates that take longer are left out
const CONNECTING_MS = 12_000;
const SILENT_MS = 3000; // a break this short heals by itself

/** @typedef {{lost: Promise<Problem>, close: () => void}} Link  lost: why it ended, once it has */

/** Makes the offer and waits for its candidates. @param {RTCPeerConnection} peer @returns {Promise<string>} */
export async function gatheredOffer(peer) {
  await peer.setLocalDescription(await peer.createOffer());
  await Promise.race([until(peer, "icegatheringstatechange", () => peer.iceGatheringState === "complete"), pause(GATHERING_MS)]);
  return peer.localDescription?.sdp ?? "";
}

/** Waits until media can flow. Raises a Problem. @param {RTCPeerConnection} peer @param {AbortSignal} signal */
export async function connected(peer, signal) {
  const settled = () => ["connected", "failed", "closed"].includes(peer.connectionState);
  await Promise.race([until(peer, "connectionstatechange", settled), pause(CONNECTING_MS), aborted(signal)]);
  signal.throwIfAborted();
  if (peer.connectionState !== "connected") throw new Problem("no-path");
}

/** Resolves when a connection that stood has ended. @param {RTCPeerConnection} peer @returns {Promise<Problem>} */
export async function lost(peer) {
  const is = (/** @type {RTCPeerConnectionState} */ state) => peer.connectionState === state;
  do {
    await until(peer, "connectionstatechange", () => !is("connected"));
    const settled = until(peer, "connectionstatechange", () => !is("disconnected"));
    await Promise.race([settled, pause(SILENT_MS)]);
  } while (is("connected"));
  return new Problem("lost");
}

/** Shows each frame as soon as it has come. @param {RTCRtpReceiver & {playoutDelayHint?: number}} receiver */
export function showAtOnce(receiver) {
  if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
  if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
}

/** @param {number} milliseconds @returns {Promise<void>} */
export function pause(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

/** @param {AbortSignal} signal @returns {Promise<void>} */
export function aborted(signal) {
  if (signal.aborted) return Promise.resolve();
  return new Promise((done) => signal.addEventListener("abort", () => done(), { once: true }));
}

/** @param {EventTarget} target @param {string} event @param {() => boolean} holds @returns {Promise<void>} */
function until(target, event, holds) {
  return new Promise((done) => {
    const look = () => {
      if (!holds()) return;
      target.removeEventListener(event, look);
      done();
    };
    target.addEventListener(event, look);
    look();
  });
}
