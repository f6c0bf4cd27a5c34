"""Takes in what a peer sends: drained all the time, only the newest picture kept, developed when it is wanted."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import av
import numpy as np
from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_add, uint16_gt
from numpy.typing import NDArray

from realtime.errors import EndOfStream
from realtime.flow.letterbox import letterbox
from realtime.flow.mailbox import Mailbox
from realtime.frame import Frame
from realtime.webrtc.media import LEAST_SIDE
from realtime.webrtc.sizes import size_of, stands_alone

EARLY: Final = 0.3  # of the time between two frames, by which one may come too early and still count
MOST_WAITING: Final = 10  # encoded frames before a decoder that is too slow
MISSING_S: Final = 0.25  # a missing packet of a picture is waited for: the way there and back to the other continent
FORGET_S: Final = 2.0  # for so long after giving up, packets that come after all are left out
ASK_S: Final = 0.5  # between two wishes for a picture that stands alone, seconds
MOST_SIDE: Final = 4096  # px: of a picture that is decoded at all; a camera's largest is 3840
SOUND_PACKETS: Final = 4  # a missing packet of sound is waited for until so many came after it


class Whole(JitterBuffer):
    """Gives each encoded frame as soon as its last packet is there, and none that would have to wait for long.

    aiortc's own buffer waits for the first packet of the next frame, and for four more packets of sound: 33 and 80 ms
    late, and at one frame a second a whole second. For a missing packet it waits until 512 others have come, three
    seconds and more, and gives those that waited one by one with those that come; its decoders have queues without
    end, so where they are too slow, as for 4K on a busy machine, pictures would be later and later. Here what one
    packet completes is given at once, and pictures are left out, from when too many wait for the decoder, or one has
    waited for a packet for MISSING_S, until the next one that stands alone, which the peer is asked for. So are
    pictures that announce sides beyond MOST_SIDE, for which a decoder would make room of up to a gigabyte, and all
    that build on them.
    """

    def __init__(
        self,
        capacity: int,
        is_video: bool,
        waiting: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
        more: Callable[[JitterFrame, RtpPacket], None] | None = None,
    ) -> None:
        """waiting says how many frames the decoder has not begun with.

        more takes all but the last of the frames that one packet completes; without it they wait for further packets.
        """
        super().__init__(capacity, is_video=is_video)
        self._marked = is_video  # the last packet of a picture says so; sound is one packet each
        self._waiting = waiting
        self._clock = clock
        self._more = more
        self._skipping = False
        self._asked_at = -ASK_S
        self._newest = 0  # sequence number
        self._missing = False  # whether packets after a missing one are held
        self._arrived = [0.0] * capacity  # when each packet that is held came, seconds
        self._given_up_at = -FORGET_S

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Whether to ask for a picture that stands alone, and a frame that this packet completes."""
        number, now = packet.sequence_number, self._clock()
        if self._origin is None or uint16_gt(number, self._newest):
            self._newest = number
        elif now - self._given_up_at < FORGET_S and uint16_gt(self._origin, number):
            return False, None  # aiortc takes one that is far behind for a new beginning
        self._arrived[number % self.capacity] = now
        self._missing = False
        wanted, frame = super().add(packet)
        if frame is None:
            return self._give_up(now) or wanted, None
        slow = self._waiting() >= MOST_WAITING
        while self._more is not None and (following := self._remove_frame(number)) is not None:
            if self._passes(frame, slow):
                self._more(frame, packet)
            frame = following
        if self._passes(frame, slow):
            return wanted, frame
        return (self._marked and self._waiting() <= 1 and self._may_ask(now)) or wanted, None

    def _passes(self, frame: JitterFrame, slow: bool) -> bool:
        """Whether a frame is given on; slow says that too many wait for the decoder."""
        if self._marked and max(size_of(frame.data) or (0, 0)) > MOST_SIDE:
            self._skipping = True
        elif self._skipping:
            self._skipping = self._waiting() > 1 or (self._marked and not stands_alone(frame.data))
        else:
            self._skipping = slow
        return not self._skipping

    def _may_ask(self, now: float) -> bool:
        """Whether the last wish for a picture that stands alone is old enough for another one, which counts as made."""
        if now - self._asked_at < ASK_S:
            return False
        self._asked_at = now
        return True

    def _give_up(self, now: float) -> bool:
        """Lets everything go that has waited too long for a missing packet; whether to ask for a whole picture."""
        if not (self._marked and self._missing and now - self._oldest() >= MISSING_S):
            return False
        self.remove(self.capacity)
        self._origin = uint16_add(self._newest, 1)
        self._skipping, self._given_up_at = True, now
        return self._may_ask(now)

    def _oldest(self) -> float:
        """When the first packet that is held came."""
        places = ((self._origin + count) % self.capacity for count in range(self.capacity))  # type: ignore[operator]
        return next(self._arrived[place] for place in places if self._packets[place] is not None)

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        packets: list[RtpPacket] = []
        for count in range(self.capacity):
            packet = self._packets[(self._origin + count) % self.capacity]  # type: ignore[operator]  # add() sets it
            if packet is None:
                self._missing = uint16_gt(self._newest, uint16_add(self._origin, count))  # type: ignore[arg-type]
                return None
            if packets and packet.timestamp != packets[0].timestamp:  # a last packet that forgot to say so
                return self._taken(packets)
            packets.append(packet)
            if packet.marker or not self._marked:
                return self._taken(packets)
        return None

    def _taken(self, packets: list[RtpPacket]) -> JitterFrame:
        self.remove(len(packets))
        data = b"".join(packet._data for packet in packets)  # type: ignore[attr-defined]  # the receiver sets it
        return JitterFrame(data, packets[0].timestamp)


def make_prompt(receiver: RTCRtpReceiver, kind: str) -> None:
    """Gives a receiver that has not begun yet the buffer that does not wait. aiortc has no public way."""

    def part(name: str) -> Any:
        return getattr(receiver, f"_RTCRtpReceiver__{name}")

    def more(frame: JitterFrame, packet: RtpPacket) -> None:  # as the receiver does with the one that add() returns
        frame.timestamp = part("timestamp_mapper").map(frame.timestamp)
        queue.put((part("codecs")[packet.payload_type], frame))

    queue = part("decoder_queue")
    assert part("jitter_buffer") is not None
    video = kind == "video"
    buffer = Whole(512 if video else SOUND_PACKETS, video, queue.qsize, more=more)
    setattr(receiver, "_RTCRtpReceiver__jitter_buffer", buffer)  # noqa: B010  (not mangled as ours)


@dataclass(frozen=True, slots=True)
class Undeveloped(Frame):
    """A frame whose picture is still as the decoder left it; its image is empty."""

    picture: av.VideoFrame = field(kw_only=True)


class Camera:
    """The picture that a peer sends, as a live source between `async with` and its end."""

    live = True

    def __init__(
        self,
        track: MediaStreamTrack,
        width: int,
        height: int,
        fps: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Pictures leave develop() no larger than width x height px; no more than fps a second are read."""
        self.scale = 1.0  # of the largest size; may change at any time
        self.arrived_at: float | None = None  # when the last picture came, seconds
        self.size = (0, 0)  # width and height in px of the last picture that develop() made
        self._track = track
        self._most = max(width, height), min(width, height)
        self._interval = 1 / fps
        self._clock = clock
        self._box: Mailbox[tuple[av.VideoFrame, float]] = Mailbox(live=True)
        self._index = -1
        self._due = 0.0  # when the next picture may be read, seconds
        self._draining: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._draining = asyncio.create_task(self._drain(), name="camera")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._draining is not None
        self._draining.cancel()
        with suppress(asyncio.CancelledError):
            await self._draining

    async def read(self) -> Frame:
        """The newest picture, undeveloped. Raises EndOfStream where the peer sends no more."""
        await asyncio.sleep(max(0.0, self._due - EARLY * self._interval - self._clock()))
        picture, arrived_at = await self._box.take()
        self._due = max(self._due, self._clock() - self._interval) + self._interval
        self._index += 1
        return Undeveloped(_NOTHING, self._index, arrived_at, picture=picture)

    def develop(self, frame: Frame) -> Frame:
        """The frame with its picture in BGR, scaled down where it is too large; for a thread of its own."""
        assert isinstance(frame, Undeveloped)
        picture = frame.picture
        width, height = fitting(picture.width, picture.height, self._most, self.scale)
        image = np.asarray(picture.to_ndarray(format="bgr24", width=width, height=height), np.uint8)
        if min(width, height) < LEAST_SIDE:
            image = letterbox(image, max(width, LEAST_SIDE), max(height, LEAST_SIDE))
        self.size = image.shape[1], image.shape[0]
        return Frame(image, frame.index, frame.captured_at)

    async def _drain(self) -> None:
        """Reads the track all the time, because what waits there is never dropped."""
        with suppress(MediaStreamError, EndOfStream):
            while True:
                picture = await self._track.recv()
                self.arrived_at = self._clock()
                if isinstance(picture, av.VideoFrame):
                    await self._box.put((picture, self.arrived_at))
        self._box.close()


def fitting(width: int, height: int, most: tuple[int, int], scale: float = 1.0) -> tuple[int, int]:
    """The size in px, even on both sides, of a picture of width x height px within most (longer, shorter side).

    A picture that lies within is made no larger. scale makes most smaller.
    """
    longer, shorter = max(width, height), min(width, height)
    factor = min(1.0, most[0] * scale / longer, most[1] * scale / shorter)
    return max(2, round(width * factor / 2) * 2), max(2, round(height * factor / 2) * 2)


_NOTHING: Final[NDArray[np.uint8]] = np.zeros((0, 0, 3), np.uint8)
