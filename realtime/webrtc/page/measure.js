// Reads a connection's statistics: pictures a second, and where the time of a picture goes.

/**
 * @typedef {{fps: number, roundTripMs: number | null, sendMs: number, receiveMs: number, kbps: number,
 *   width: number, height: number, sentWidth: number, sentHeight: number, limit: string}} Measured
 *   sendMs: encoding and pacing; receiveMs: from the first packet of a picture to its decoding; limit: why it is sent
 *   smaller or less often: none, cpu, bandwidth or other
 */

export class Measure {
  #before = { at: 0, received: /** @type {any} */ ({}), sent: /** @type {any} */ ({}) };

  /** @param {RTCPeerConnection} peer */
  constructor(peer) {
    this.peer = peer;
  }

  /** What happened since the last time. @returns {Promise<Measured>} */
  async take() {
    const { received, sent, pair } = await this.#read();
    const before = this.#before;
    const now = performance.now();
    const seconds = (now - before.at) / 1000;
    this.#before = { at: now, received, sent };
    return {
      fps: rate(received, before.received, "framesDecoded", seconds),
      roundTripMs: pair.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000,
      sendMs:
        each(sent, before.sent, "totalEncodeTime", "framesEncoded") +
        each(sent, before.sent, "totalPacketSendDelay", "packetsSent"),
      receiveMs: each(received, before.received, "totalProcessingDelay", "framesDecoded"),
      kbps: (rate(received, before.received, "bytesReceived", seconds) * 8) / 1000,
      width: received.frameWidth ?? 0,
      height: received.frameHeight ?? 0,
      sentWidth: sent.frameWidth ?? 0,
      sentHeight: sent.frameHeight ?? 0,
      limit: sent.qualityLimitationReason ?? "none",
    };
  }

  async #read() {
    /** @type {Record<string, any>} */
    const found = { received: {}, sent: {}, pair: {} };
    for (const entry of (await this.peer.getStats()).values()) {
      if (entry.type === "inbound-rtp" && entry.kind === "video") found.received = entry;
      if (entry.type === "outbound-rtp" && entry.kind === "video") found.sent = entry;
      if (entry.type === "candidate-pair" && entry.nominated) found.pair = entry;
    }
    return found;
  }
}

/** How much a counter grew in a second. @param {any} now @param {any} before @param {string} name @param {number} seconds */
function rate(now, before, name, seconds) {
  return Math.max(0, ((now[name] ?? 0) - (before[name] ?? 0)) / seconds);
}

/** Milliseconds for each of what was counted. @param {any} now @param {any} before @param {string} total @param {string} count */
function each(now, before, total, count) {
  const grown = (now[count] ?? 0) - (before[count] ?? 0);
  return grown > 0 ? (1000 * ((now[total] ?? 0) - (before[total] ?? 0))) / grown : 0;
}
