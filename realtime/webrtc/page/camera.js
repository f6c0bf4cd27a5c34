// The visitor's camera and microphone: opening them, naming them, and what their refusals mean.

import { Problem } from "./problems.js";

/** @typedef {{width: number, height: number, fps: number}} Size */

/** Raises a Problem where this page cannot have a camera at all. */
export function demandCamera() {
  if (!("RTCPeerConnection" in globalThis)) throw new Problem("unsupported");
  if (!globalThis.isSecureContext) throw new Problem("insecure");
  if (!navigator.mediaDevices?.getUserMedia) throw new Problem("unsupported");
}

/**
 * @param {string} device  an id from `cameras`; empty: the browser's choice
 * @param {Size} size @returns {Promise<MediaStreamTrack>}
 */
export async function openCamera(device, { width, height, fps }) {
  demandCamera();
  const video = {
    ...(device && { deviceId: { exact: device } }),
    width: { ideal: width },
    height: { ideal: height },
    frameRate: { ideal: fps },
  };
  const stream = await navigator.mediaDevices.getUserMedia({ video }).catch((error) => {
    throw new Problem(CAMERA_KINDS[error.name] ?? "unknown", error.message);
  });
  return stream.getVideoTracks()[0];
}

/** @returns {Promise<MediaStreamTrack>} */
export async function openMicrophone() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true }).catch((error) => {
    throw new Problem("microphone", error.message);
  });
  return stream.getAudioTracks()[0];
}

/** The cameras there are; they have names and ids once the visitor has allowed one. */
export async function cameras() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices.filter((device) => device.kind === "videoinput" && device.deviceId);
}

/** @type {Record<string, import("./problems.js").Kind>} */
const CAMERA_KINDS = {
  NotFoundError: "no-camera",
  OverconstrainedError: "no-camera",
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotReadableError: "busy-camera",
  AbortError: "busy-camera",
};
