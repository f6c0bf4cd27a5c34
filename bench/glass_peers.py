"""Peers of the benchmark, through aiortc: the visitor with the camera, and the far ends that are compared with."""

import asyncio
import time
from collections.abc import Callable
from fractions import Fraction
from types import TracebackType
from typing import Any, Final, Protocol, Self

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

from bench import stamp
from bench.glass_camera import Clock, Film
from bench.glass_numbers import RATE, Arrival, Run, Unwrap, settling
from realtime.errors import SourceLost
from realtime.flow.pipeline import Stage
from realtime.frame import Frame
from realtime.webrtc.engine import Engine
from realtime.webrtc.intake import make_prompt

TICKS: Final = 90_000  # a second of RTP's video clock
PATIENCE_S: Final = 30.0  # for the first frame that comes back


class FarEnd(Protocol):
    """What a visitor meets: realtime.webrtc.session.Session, or one of ours."""

    async def answer(self, offer: str) -> str:
        """SDP in, SDP out."""

    async def close(self) -> None:
        """Ends it."""


class CameraTrack(MediaStreamTrack):
    """The film, stamped, at the camera's speed, from when it is first read."""

    kind = "video"

    def __init__(self, film: Film) -> None:
        super().__init__()
        self._film = film
        self.clock: Clock | None = None  # from the first frame on

    async def recv(self) -> VideoFrame:
        """The next frame."""
        self.clock = self.clock or Clock()
        number = await self.clock.tick()
        frame = VideoFrame.from_ndarray(self._film.stamped(number), format="yuv420p")
        frame.pts, frame.time_base = round(number * TICKS / RATE), Fraction(1, TICKS)
        return frame


class Visitor:
    """Sends the camera and notes when each of its frames comes back; open between `async with` and its end."""

    def __init__(self, film: Film) -> None:
        self._camera = CameraTrack(film)
        self._peer = unassisted()
        self._peer.on("track", self._come)
        self._returned: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._peer.close()
        self._camera.stop()

    async def offer(self) -> str:
        """SDP of one video, VP8, there and back."""
        transceiver = self._peer.addTransceiver(self._camera, direction="sendrecv")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType in ("video/VP8", "video/rtx")])
        make_prompt(transceiver.receiver, "video")  # as a browser has it: aiortc's own adds a frame's time to all paths
        await self._peer.setLocalDescription(await self._peer.createOffer())
        return str(self._peer.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        """Connects."""
        await self._peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def watch(self, seconds: float) -> Run:
        """What came back until so many seconds after the path had settled. Raises SourceLost where nothing did."""
        arrivals: list[Arrival] = []
        unread: list[float] = []
        try:
            async with asyncio.timeout(PATIENCE_S) as patience:
                track = await self._returned
                count = Unwrap(stamp.NUMBERS)
                while True:
                    frame = await received(track)
                    seen_at = time.perf_counter()
                    number = stamp.read(luma_of(frame))
                    if number is None or self._camera.clock is None:
                        unread.append(seen_at)
                        continue
                    if not arrivals:
                        patience.reschedule(asyncio.get_running_loop().time() + settling(seconds) + seconds)
                    number = count(number)
                    arrivals.append(Arrival(number, self._camera.clock.captured_at(number), seen_at))
        except TimeoutError:
            if not arrivals:
                raise SourceLost(f"no frame with a number came back within {PATIENCE_S:g} s") from None
        except MediaStreamError:
            raise SourceLost(f"the far end stopped after {len(arrivals)} frames") from None
        return Run(tuple(arrivals), tuple(unread))

    def _come(self, track: MediaStreamTrack) -> None:
        if track.kind == "video" and not self._returned.done():
            self._returned.set_result(track)


class Unswapped(Engine):
    """An engine that changes nothing: the session around it sends back what came in, labelled."""

    def stages(self, develop: Callable[[Frame], Frame]) -> list[Stage[Any, Any]]:
        """The picture as it is."""
        return [Stage("develop", develop)]


class Naive:
    """The far end of many a demo: aiortc as it comes, and a track that does its work inside recv."""

    def __init__(self, work: Callable[[Frame], Frame]) -> None:
        self._work = work
        self._peer = unassisted()

    async def answer(self, offer: str) -> str:
        """SDP in, SDP out."""
        await self._peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        for transceiver in self._peer.getTransceivers():
            if transceiver.kind == "video":
                self._peer.addTrack(NaiveTrack(transceiver.receiver.track, self._work))
        await self._peer.setLocalDescription(await self._peer.createAnswer())
        return str(self._peer.localDescription.sdp)

    async def close(self) -> None:
        """Ends it."""
        await self._peer.close()


class NaiveTrack(MediaStreamTrack):
    """Works inside recv, on the event loop, on every frame that ever came."""

    kind = "video"

    def __init__(self, incoming: MediaStreamTrack, work: Callable[[Frame], Frame]) -> None:
        super().__init__()
        self._incoming = incoming
        self._work = work
        self._count = 0

    async def recv(self) -> VideoFrame:
        """The next frame, worked on. Raises MediaStreamError at the end."""
        frame = await received(self._incoming)
        image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
        done = self._work(Frame(image, self._count, time.perf_counter()))
        self._count += 1
        answer = VideoFrame.from_ndarray(done.image, format="bgr24")
        answer.pts, answer.time_base = frame.pts, frame.time_base
        return answer


def unassisted() -> RTCPeerConnection:
    """A peer that asks no server for its address: both ends are on this machine."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def received(track: MediaStreamTrack) -> VideoFrame:
    """The next frame of a video track. Raises MediaStreamError at the end."""
    frame = await track.recv()
    assert isinstance(frame, VideoFrame)
    return frame


def luma_of(frame: VideoFrame) -> stamp.Picture:
    """The brightness of a frame, without converting its colours where it has a plane of its own."""
    if frame.format.name not in ("yuv420p", "yuvj420p"):
        return np.asarray(frame.to_ndarray(format="gray"), np.uint8)
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]
