// The visitor in a browser: shows its camera and what comes back, and notes when each was shown and what the strip said.
"use strict";

// Median brightness of the middle of each cell of the strip, row by row; the place is that of bench/stamp.py.
function reader(strip) {
  const scale = 8;
  const canvas = document.createElement("canvas");
  canvas.width = strip.columns * scale;
  canvas.height = strip.rows * scale;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return (video) => {
    const [width, height] = [video.videoWidth, video.videoHeight];
    const source = [strip.left * width, 0, strip.wide * width, strip.high * height];
    context.drawImage(video, ...source, 0, 0, canvas.width, canvas.height);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const cells = [];
    for (let row = 0; row < strip.rows; row++)
      for (let column = 0; column < strip.columns; column++) {
        const seen = [];
        for (let y = scale / 4; y < (3 * scale) / 4; y++)
          for (let x = scale / 4; x < (3 * scale) / 4; x++) {
            const at = 4 * ((row * scale + y) * canvas.width + column * scale + x);
            seen.push(0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2]);
          }
        seen.sort((a, b) => a - b);
        cells.push(Math.round(seen[seen.length >> 1]));
      }
    return cells;
  };
}

// Calls seen([seconds, cells]) for each frame that the video presents.
function watch(video, strip, seen) {
  const read = reader(strip);
  const next = (now, metadata) => {
    seen([metadata.presentationTime / 1000, read(video)]);
    video.requestVideoFrameCallback(next);
  };
  video.requestVideoFrameCallback(next);
}

function shown(stream) {
  const video = document.createElement("video");
  video.muted = true;
  video.width = 320;
  video.srcObject = stream;
  document.body.append(video);
  video.play();
  return video;
}

function after(seconds) {
  return new Promise((done) => setTimeout(done, 1000 * seconds));
}

async function gathered(peer) {
  while (peer.iceGatheringState !== "complete") await after(0.02);
}

// Chromium begins with 0.3 Mbit/s and shrinks the picture until it trusts the line.
function quick(sdp, kbps) {
  const line = `x-google-start-bitrate=${kbps};x-google-min-bitrate=${kbps >> 1}`;
  const payload = /a=rtpmap:(\d+) VP8/i.exec(sdp)?.[1];
  if (!payload) return sdp;
  if (new RegExp(`a=fmtp:${payload} `).test(sdp))
    return sdp.replace(new RegExp(`(a=fmtp:${payload} [^\r\n]*)`), `$1;${line}`);
  return sdp.replace(new RegExp(`(a=rtpmap:${payload} VP8[^\r\n]*)`), `$1\r\na=fmtp:${payload} ${line}`);
}

async function connected(stream, kbps) {
  const peer = new RTCPeerConnection();
  const back = new Promise((come) => (peer.ontrack = (event) => come(event)));
  const transceiver = peer.addTransceiver(stream.getVideoTracks()[0], { direction: "sendrecv", streams: [stream] });
  const codecs = RTCRtpSender.getCapabilities("video").codecs;
  transceiver.setCodecPreferences(codecs.filter((codec) => ["video/VP8", "video/rtx"].includes(codec.mimeType)));
  await peer.setLocalDescription();
  await gathered(peer);
  const answer = await window.answer(peer.localDescription.sdp);
  await peer.setRemoteDescription({ type: "answer", sdp: quick(answer, kbps) });
  const parameters = transceiver.sender.getParameters();
  parameters.degradationPreference = "maintain-resolution";
  for (const encoding of parameters.encodings) encoding.maxBitrate = 1500 * kbps;
  await transceiver.sender.setParameters(parameters);
  const event = await back;
  event.receiver.jitterBufferTarget = 0;
  return [peer, new MediaStream([event.track])];
}

// What was shown, as [seconds, cells]: sent (the own camera) and returned, until `seconds` after the first came back.
async function visit({ width, height, rate, seconds, patience, kbps, strip }) {
  const wanted = { width, height, frameRate: rate };
  const stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
  const [sent, returned] = [[], []];
  watch(shown(stream), strip, (one) => sent.push(one));
  const [peer, back] = await connected(stream, kbps);
  const video = shown(back);
  watch(video, strip, (one) => returned.push(one));
  for (let waited = 0; !returned.length && waited < patience; waited += 0.1) await after(0.1);
  if (returned.length) await after(seconds);
  const size = [video.videoWidth, video.videoHeight];
  peer.close();
  stream.getTracks().forEach((track) => track.stop());
  return { sent, returned, size };
}
