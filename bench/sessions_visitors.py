"""Many visitors of one server, in a process of their own: each sends a film that was encoded before, and watches.

Encoding once for all of them leaves the cores to the server that is measured; a picture that stands alone comes once a
second, because a film cannot give one when it is asked for.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, astuple, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import aiohttp
import av
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import Packet, VideoFrame
from av.stream import Stream

from bench import stamp
from bench.glass_camera import Clock, Film
from bench.glass_numbers import RATE, Arrival, Unwrap, settling
from bench.glass_peers import PATIENCE_S, TICKS, luma_of, received, unassisted
from realtime.errors import LiveswapError, SourceLost
from realtime.webrtc.intake import make_prompt

BITS_PER_PIXEL: Final = 0.15  # of the film: about what a browser sends of a face
ALONE_EVERY: Final = 30  # frames between two that stand alone


@dataclass(frozen=True, slots=True)
class Asked:
    """What this process is to do."""

    address: str  # of the server
    clip: str
    width: int  # px
    height: int
    sessions: int
    seconds: float  # that are measured, after settling


@dataclass(slots=True)
class Seen:
    """What one visitor saw while it was measured."""

    first_s: float = 0.0  # from its offer to its first picture
    width: int = 0  # px, of the last picture that came back
    height: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    unread: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


def encoded(film: Film) -> tuple[bytes, ...]:
    """Each frame of one round of the film in VP8, stamped with its number."""
    rows, width = film.pictures[0].shape
    codec = av.CodecContext.create("libvpx", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = width, rows * 2 // 3, "yuv420p"
    codec.bit_rate = round(BITS_PER_PIXEL * codec.width * codec.height * RATE)
    codec.framerate, codec.time_base = Fraction(round(RATE)), Fraction(1, round(RATE))
    codec.gop_size = ALONE_EVERY
    codec.options = {"deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0", "auto-alt-ref": "0"}
    packets: list[bytes] = []
    for number in range(film.round):
        frame = VideoFrame.from_ndarray(film.stamped(number), format="yuv420p")
        frame.pts, frame.time_base = number, codec.time_base
        packets += [bytes(packet) for packet in codec.encode(frame)]
    assert len(packets) == film.round
    return tuple(packets)


class FilmTrack(MediaStreamTrack):
    """An encoded film round and round at the camera's speed, from when it is first read; every frame is sent."""

    kind = "video"

    def __init__(self, film: tuple[bytes, ...]) -> None:
        super().__init__()
        self._film = film
        self._next = 0
        self.clock: Clock | None = None  # from the first frame on

    async def recv(self) -> "Packet[Stream]":
        """The next frame."""
        self.clock = self.clock or Clock()
        number, self._next = self._next, self._next + 1
        await asyncio.sleep(max(0.0, self.clock.captured_at(number) - time.perf_counter()))
        packet: Packet[Stream] = Packet(self._film[number % len(self._film)])
        packet.pts, packet.time_base = round(number * TICKS / RATE), Fraction(1, TICKS)
        return packet


class Visitor:
    """One session: its film goes in, and what comes back is noted while it counts."""

    def __init__(self, film: tuple[bytes, ...], peer: RTCPeerConnection) -> None:
        self.seen = Seen()
        self.came = asyncio.Event()  # the first picture, or the end of hoping for it
        self.fault = ""
        self.counts = False  # whether what comes now is measured
        self._round = len(film)
        self._camera = FilmTrack(film)
        self._peer = peer
        self._began = time.perf_counter()
        self._watching: asyncio.Task[None] | None = None
        peer.on("track", self._come)

    async def enter(self, client: aiohttp.ClientSession, address: str) -> str:
        """Offers itself to the server; the session's key. Raises SourceLost."""
        transceiver = self._peer.addTransceiver(self._camera, direction="sendrecv")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType in ("video/VP8", "video/rtx")])
        make_prompt(transceiver.receiver, "video")
        await self._peer.setLocalDescription(await self._peer.createOffer())
        self._began = time.perf_counter()
        offer = {"type": "offer", "sdp": self._peer.localDescription.sdp}
        async with client.post(f"{address}/offer", json=offer) as answer:
            said = await answer.json()
            if answer.status != 200:
                raise SourceLost(f"the server answers an offer with {answer.status}: {said.get('error', said)}")
        await self._peer.setRemoteDescription(RTCSessionDescription(said["sdp"], "answer"))
        return str(said["session"])

    async def bytes_so_far(self) -> tuple[int, int]:
        """Sent and received, encryption included, IP and UDP headers not."""
        for one in (await self._peer.getStats()).values():
            if one.type == "transport":
                return one.bytesSent, one.bytesReceived
        return 0, 0

    async def leave(self) -> None:
        """Ends the connection."""
        await self._peer.close()
        self._camera.stop()
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    def _come(self, track: MediaStreamTrack) -> None:
        if track.kind == "video" and self._watching is None:
            self._watching = asyncio.create_task(self._watch(track))

    async def _watch(self, track: MediaStreamTrack) -> None:
        """Notes pictures until the far end stops."""
        count = Unwrap(self._round)
        with suppress(MediaStreamError):
            while True:
                frame = await received(track)
                seen_at = time.perf_counter()
                number = stamp.read(luma_of(frame))
                self.seen.width, self.seen.height = frame.width, frame.height
                if number is not None and self._camera.clock is not None:
                    if not self.came.is_set():  # the film may have gone round before anything came back
                        number += (self._camera.clock.newest - number) // self._round * self._round
                    number = count(number)
                    if self.counts:
                        captured_at = self._camera.clock.captured_at(number)
                        self.seen.arrivals.append(Arrival(number, captured_at, seen_at))
                    elif not self.came.is_set():
                        self.seen.first_s = seen_at - self._began
                        self.came.set()
                elif self.counts:
                    self.seen.unread += 1
        self.fault = "its pictures ended"
        self.came.set()


async def visit(asked: Asked) -> None:
    """All visitors, from the first offer to the last goodbye. Says when measuring begins and ends, and what was seen.

    Raises LiveswapError where a session is refused, stays dark or ends.
    """
    film = encoded(Film.load(Path(asked.clip), width=asked.width, height=asked.height))
    async with inside(asked, film) as visitors:
        await first_pictures(visitors)
        await asyncio.sleep(settling(asked.seconds))
        before = [await one.bytes_so_far() for one in visitors]
        say({"begin": time.process_time()})
        for one in visitors:
            one.counts = True
        await asyncio.sleep(asked.seconds)
        for one in visitors:
            one.counts = False
        say({"end": time.process_time()})
        for one, (sent, taken) in zip(visitors, before, strict=True):
            now_sent, now_taken = await one.bytes_so_far()
            one.seen.sent_bytes, one.seen.received_bytes = now_sent - sent, now_taken - taken
        if faults := [one.fault for one in visitors if one.fault]:
            raise SourceLost(f"{len(faults)} of {len(visitors)} sessions failed: {faults[0]}")
    said = [{**asdict(one.seen), "arrivals": [astuple(each) for each in one.seen.arrivals]} for one in visitors]
    say({"seen": said})


async def first_pictures(visitors: list[Visitor]) -> None:
    """Waits until each has seen a picture. Raises SourceLost."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            for one in visitors:
                await one.came.wait()
    except TimeoutError:
        dark = sum(not one.came.is_set() for one in visitors)
        raise SourceLost(f"{dark} of {len(visitors)} sessions gave no picture within {PATIENCE_S:g} s") from None


@asynccontextmanager
async def inside(asked: Asked, film: tuple[bytes, ...]) -> AsyncIterator[list[Visitor]]:
    """So many visitors, connected one after the other; all have left at the end. Raises SourceLost."""
    visitors: list[Visitor] = []
    async with AsyncExitStack() as leaving:
        client = await leaving.enter_async_context(aiohttp.ClientSession())
        for _ in range(asked.sessions):
            visitor = Visitor(film, unassisted())
            leaving.push_async_callback(visitor.leave)
            key = await visitor.enter(client, asked.address)
            leaving.push_async_callback(ended, client, f"{asked.address}/offer/{key}")
            visitors.append(visitor)
        yield visitors


async def ended(client: aiohttp.ClientSession, address: str) -> None:
    """Ends a session; one that is over already has ended."""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with client.delete(address, timeout=aiohttp.ClientTimeout(PATIENCE_S)):
            pass


def say(what: dict[str, Any]) -> None:
    """One line to whoever started this process."""
    print(json.dumps(what), flush=True)


def main() -> None:
    """The process: what is asked, as JSON."""
    try:
        with suppress(KeyboardInterrupt):  # whoever started us hears it too, and says so
            asyncio.run(visit(Asked(**json.loads(sys.argv[1]))))
    except LiveswapError as error:
        say({"error": str(error)})
    except (aiohttp.ClientError, OSError) as error:
        say({"error": f"the server cannot be reached: {error}"})


if __name__ == "__main__":
    main()
