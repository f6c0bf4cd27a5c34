"""The other end in tests: an aiortc peer with a clip for a camera, which keeps what comes back."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import av
import cv2
import numpy as np
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import VIDEO_TIME_BASE, MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

from realtime.__main__ import DEMO
from realtime.webrtc.intake import make_prompt
from realtime.webrtc.session import Session

Image = NDArray[np.uint8]
CLOCK = 90_000
PATIENCE = 30.0  # seconds that a test waits for what takes a second on an idle machine


@cache
def demo(count: int = 60, width: int = 640, height: int = 360) -> tuple[av.VideoFrame, ...]:
    """The first pictures of the bundled clip, made smaller, as encoders take them."""
    with av.open(str(DEMO)) as container:
        found = []
        for picture in container.decode(video=0):
            found.append(picture.reformat(width=width, height=height, format="yuv420p"))
            if len(found) == count:
                break
    return tuple(found)


class Clip(MediaStreamTrack):
    """Pictures as a camera gives them, at its rate and for ever."""

    kind = "video"

    def __init__(self, pictures: Sequence[av.VideoFrame], fps: float = 30.0) -> None:
        super().__init__()
        self.pictures = pictures
        self.fps = fps
        self.sent = 0
        self.began: float | None = None
        self._at = 0.0

    async def recv(self) -> av.VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        self.began = self.began or time.perf_counter()
        await asyncio.sleep(self.began + self._at - time.perf_counter())
        picture = self.pictures[self.sent % len(self.pictures)]
        copy = av.VideoFrame.from_ndarray(picture.to_ndarray(), format="yuv420p")  # encoders write to what they get
        copy.pts, copy.time_base = round(self._at * CLOCK), VIDEO_TIME_BASE
        self.sent += 1
        self._at += 1 / self.fps
        return copy


@dataclass
class Seen:
    """What came back over one track."""

    frames: list[tuple[float, Any]] = field(default_factory=list)  # (arrived at, frame)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def drain(self, track: MediaStreamTrack, keep: int = 1000) -> None:
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.frames.append((time.perf_counter(), frame))
                del self.frames[:-keep]
                self.arrived.set()

    async def until(self, count: int, patience: float = PATIENCE) -> None:
        """Waits for so many frames."""
        async with asyncio.timeout(patience):
            while len(self.frames) < count:
                self.arrived.clear()
                await self.arrived.wait()

    @property
    def images(self) -> list[Image]:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for _, frame in self.frames]


class Client:
    """A peer of our server."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.video, self.audio = Seen(), Seen()
        self.channel: RTCDataChannel | None = None
        self.said: list[dict[str, Any]] = []
        self._heard = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.connection.on("track", self._take)

    def open_control(self) -> None:
        self.channel = self.connection.createDataChannel("control")
        self.channel.on("message", self._note)

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def take(self, answer: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        for transceiver in self.connection.getTransceivers():
            if transceiver.receiver.track is not None:
                make_prompt(transceiver.receiver, transceiver.kind)

    async def connected(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.connection.connectionState != "connected":
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        await self.connection.close()
        await asyncio.gather(*self._tasks)

    def say(self, message: object) -> None:
        assert self.channel is not None
        self.channel.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def told(self, wanted: Callable[[dict[str, Any]], bool], patience: float = PATIENCE) -> dict[str, Any]:
        """The first message that is wanted; those before it, and it, are forgotten."""
        async with asyncio.timeout(patience):
            while True:
                for place, message in enumerate(self.said):
                    if wanted(message):
                        del self.said[: place + 1]
                        return message
                self._heard.clear()
                await self._heard.wait()

    async def told_of(self, kind: str) -> dict[str, Any]:
        return await self.told(lambda message: message["type"] == kind)

    def _note(self, message: str) -> None:
        self.said.append(json.loads(message))
        self._heard.set()

    def _take(self, track: MediaStreamTrack) -> None:
        seen = self.video if track.kind == "video" else self.audio
        self._tasks.append(asyncio.create_task(seen.drain(track)))


@asynccontextmanager
async def client(
    session: Session, *tracks: MediaStreamTrack, control: bool = True, back: bool = True, codec: str = ""
) -> AsyncIterator[Client]:
    """A client that sends its tracks into the session, connected; back: wants to see itself; codec: has only that."""
    one = Client()
    for track in tracks:
        if back:
            one.connection.addTrack(track)
        else:
            one.connection.addTransceiver(track, direction="sendonly")
    for transceiver in one.connection.getTransceivers():
        if codec and transceiver.kind == "video":
            known = RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences([one for one in known if one.mimeType == f"video/{codec}"])
    if control:
        one.open_control()
    try:
        await one.take(await session.answer(await one.offer()))
        await one.connected()
        yield one
    finally:
        for track in tracks:
            track.stop()
        await one.close()


@asynccontextmanager
async def watcher(session: Session, name: str = "viewer", sound: bool = False) -> AsyncIterator[Client]:
    """Somebody who watches the session, connected."""
    one = Client()
    one.connection.addTransceiver("video", direction="recvonly")
    if sound:
        one.connection.addTransceiver("audio", direction="recvonly")
    try:
        await one.take(await session.watch(name, await one.offer()))
        await one.connected()
        yield one
    finally:
        await one.close()


FACE = (slice(40, 260), slice(230, 410))  # where the clip's face is, in px of 640 x 360


@dataclass(frozen=True, slots=True)
class Looks:
    """How the clip's pictures look, by who is in them."""

    drawn: dict[str, list[Image]]

    def who(self, image: Image) -> str:
        """Whom a picture of the clip shows: the nearest of those drawn."""
        sized = cv2.resize(image, (640, 360))  # it is smaller under load
        seen = sized[FACE].astype(np.int16)
        far = {
            name: min(float(np.abs(seen - picture[FACE]).mean()) for picture in pictures)
            for name, pictures in self.drawn.items()
        }
        return min(far, key=lambda name: far[name])
