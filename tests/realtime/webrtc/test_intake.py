"""What comes in is drained at once, never piles up, and is developed when it is wanted."""

import asyncio
import threading
import time
from contextlib import suppress

import av
import numpy as np
import pytest
from aiortc import RTCPeerConnection
from aiortc.codecs.h264 import H264Encoder, h264_depayload
from aiortc.codecs.vpx import Vp8Encoder, vp8_depayload
from aiortc.mediastreams import VIDEO_TIME_BASE, MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import RtpPacket

from realtime.errors import EndOfStream
from realtime.frame import Frame
from realtime.webrtc.intake import (
    FORGET_S,
    MISSING_S,
    MOST_SIDE,
    MOST_WAITING,
    SOUND_PACKETS,
    Camera,
    Whole,
    fitting,
    make_prompt,
)
from realtime.webrtc.sizes import stands_alone
from tests.realtime.webrtc.people import demo


class Burst(MediaStreamTrack):
    """Pictures without a pause between them, as they wait in a queue; then silence, or the end."""

    kind = "video"

    def __init__(self, count: int, pause: float = 0.0, ends: bool = False) -> None:
        super().__init__()
        self.given = 0
        self._count = count
        self._pause = pause
        self._ends = ends

    async def recv(self) -> av.VideoFrame:
        if self.given == self._count:
            if self._ends:
                raise MediaStreamError
            await asyncio.Event().wait()
        await asyncio.sleep(self._pause)
        self.given += 1
        return demo(1)[0]


def packet(sequence: int, timestamp: int, last: bool, data: bytes) -> RtpPacket:
    made = RtpPacket(payload_type=97, marker=int(last), sequence_number=sequence % 65536, timestamp=timestamp)
    made._data = data  # type: ignore[attr-defined]
    return made


def given(buffer: Whole, *packets: RtpPacket) -> list[bytes]:
    frames = [buffer.add(one)[1] for one in packets]
    return [frame.data for frame in frames if frame is not None]


def test_a_picture_is_given_with_its_last_packet() -> None:
    buffer = Whole(512, True)
    assert given(buffer, packet(65535, 1, False, b"a")) == []
    assert given(buffer, packet(0, 1, True, b"b")) == [b"ab"]
    assert given(buffer, packet(1, 2, True, b"c")) == [b"c"]


def test_a_missing_packet_is_waited_for() -> None:
    buffer = Whole(512, True)
    assert given(buffer, packet(10, 1, True, b"a")) == [b"a"]
    assert given(buffer, packet(12, 2, True, b"c"), packet(13, 3, False, b"d")) == []
    assert given(buffer, packet(11, 2, False, b"b")) == [b"bc"]
    assert given(buffer, packet(14, 3, True, b"e")) == [b"de"]


def test_a_picture_whose_last_packet_does_not_say_so_is_given_with_the_next_one() -> None:
    buffer = Whole(512, True)
    assert given(buffer, packet(1, 1, False, b"a"), packet(2, 2, False, b"b")) == [b"a"]


def test_sound_is_given_at_once_and_a_lost_packet_holds_it_up_only_briefly() -> None:
    buffer = Whole(SOUND_PACKETS, False)
    assert given(buffer, *(packet(n, n * 960, False, b"%d" % n) for n in range(3))) == [b"0", b"1", b"2"]
    after = given(buffer, *(packet(n, n * 960, False, b"%d" % n) for n in range(4, 20)))
    assert after[0] == b"4"
    assert after[-1] in (b"16", b"17", b"18", b"19")


def vp8(width: int, height: int, alone: bool = True) -> bytes:
    """The head of a picture in VP8."""
    return (
        bytes([0x10 if alone else 0x11, 0, 0])
        + b"\x9d\x01\x2a"
        + b"".join(side.to_bytes(2, "little") for side in (width, height))
    )


def test_pictures_too_large_to_make_room_for_are_left_out_with_all_that_build_on_them() -> None:
    now = [0.0]
    buffer = Whole(512, True, clock=lambda: now[0])
    assert given(buffer, packet(1, 1, True, vp8(640, 480))) == [vp8(640, 480)]
    wanted, frame = buffer.add(packet(2, 2, True, vp8(MOST_SIDE + 1, 480)))
    assert (wanted, frame) == (True, None)  # a smaller one is asked for
    assert given(buffer, packet(3, 3, True, vp8(640, 480, alone=False))) == []
    assert given(buffer, packet(4, 4, True, vp8(480, MOST_SIDE))) == [vp8(480, MOST_SIDE)]


def test_where_the_decoder_is_too_slow_pictures_are_left_out_until_one_that_stands_alone() -> None:
    now, waiting = [0.0], [0]
    buffer = Whole(512, True, lambda: waiting[0], lambda: now[0])
    whole, change = b"\x10\x00\x00\x9d\x01\x2a", b"\x11\x00\x00\x00\x00\x00"

    def add(number: int, data: bytes) -> tuple[bool, bool]:
        asked, frame = buffer.add(packet(number, number, True, data))
        return asked, frame is not None

    assert add(0, whole) == (False, True)
    waiting[0] = MOST_WAITING
    assert add(1, change) == (False, False)
    assert add(2, whole) == (False, False)
    waiting[0] = 0
    assert add(3, change) == (True, False)
    assert add(4, change) == (False, False)  # it was asked for a moment ago
    now[0] = 1.0
    assert add(5, change) == (True, False)
    assert add(6, whole) == (False, True)
    assert add(7, change) == (False, True)


def test_nothing_waits_long_for_a_missing_packet() -> None:
    """Without end, as aiortc waits, the picture before the 512th packet would be given when it is three seconds old."""
    now = [0.0]
    buffer = Whole(512, True, clock=lambda: now[0])
    change = vp8(640, 480, alone=False)
    assert given(buffer, packet(0, 0, True, vp8(640, 480))) == [vp8(640, 480)]
    asked, oldest = [], 0.0
    for number in range(2, 60):  # packet 1 never comes; 30 pictures a second, one packet each
        now[0] = number / 30
        wanted, frame = buffer.add(packet(number, number * 3000, True, change))
        assert frame is None  # each builds on the one that is missing
        asked += [number] if wanted else []
        oldest = max([oldest, *(now[0] - buffer._arrived[place] for place in held(buffer))])
    assert oldest < MISSING_S
    assert asked == [10, 25, 41, 56]  # after a quarter of a second, then every half second
    assert given(buffer, packet(60, 60 * 3000, True, vp8(640, 480))) == [vp8(640, 480)]
    assert given(buffer, packet(61, 61 * 3000, True, change)) == [change]


def held(buffer: Whole) -> list[int]:
    """The places of the packets that wait."""
    return [place for place, one in enumerate(buffer._packets) if one is not None]


def test_a_packet_that_comes_in_time_brings_all_that_waited_for_it_at_once() -> None:
    now = [0.0]
    early: list[int] = []
    buffer = Whole(512, True, clock=lambda: now[0], more=lambda frame, _: early.append(frame.timestamp))
    change = vp8(640, 480, alone=False)
    assert given(buffer, packet(65_535, 0, True, vp8(640, 480))) == [vp8(640, 480)]
    assert given(buffer, *(packet(number, number, True, change) for number in (1, 2, 3))) == []
    now[0] = MISSING_S * 0.9
    _, frame = buffer.add(packet(0, 100, True, change))
    assert frame is not None
    assert [*early, frame.timestamp] == [100, 1, 2, 3]
    assert held(buffer) == []


def test_a_packet_that_comes_too_late_changes_nothing() -> None:
    now = [0.0]
    buffer = Whole(512, True, clock=lambda: now[0])
    change = vp8(640, 480, alone=False)
    assert given(buffer, packet(0, 0, True, vp8(640, 480)), packet(2, 2, True, change)) == [vp8(640, 480)]
    now[0] = 1.0
    assert given(buffer, packet(250, 3, True, change)) == []  # given up, with everything before
    for late in (1, 100, 249):
        assert buffer.add(packet(late, 1, True, vp8(640, 480))) == (False, None)
    assert given(buffer, packet(251, 4, True, vp8(640, 480))) == [vp8(640, 480)]
    now[0] += FORGET_S
    assert given(buffer, packet(65_000, 5, True, vp8(640, 480))) == [vp8(640, 480)]  # far behind: a new beginning


async def test_what_a_packet_completes_goes_to_the_decoder_in_order() -> None:
    """The receiver of aiortc takes one frame for each packet; the others go to its decoder by our own hand."""
    connection = RTCPeerConnection()
    receiver = connection.addTransceiver("video").receiver
    make_prompt(receiver, "video")
    inside = vars(receiver)  # under the names that its class gives what is private
    codec = inside["_RTCRtpReceiver__codecs"][97] = RTCRtpCodecParameters("video/VP8", 90_000, payloadType=97)
    inside["_RTCRtpReceiver__decoder_thread"] = threading.current_thread()  # none that would take them away
    for number in (0, 2, 3, 1):
        await receiver._handle_rtp_packet(spoken(number), arrival_time_ms=0)
    queue = inside["_RTCRtpReceiver__decoder_queue"]
    waiting = [queue.get_nowait() for _ in range(4)]
    assert [(of, frame.timestamp) for of, frame in waiting] == [(codec, number * 3000) for number in range(4)]
    assert queue.empty()
    await connection.close()


def spoken(number: int) -> RtpPacket:
    """One packet with a whole picture in VP8, as it comes from the network."""
    made = RtpPacket(payload_type=97, marker=1, sequence_number=number, timestamp=number * 3000)
    made.payload = b"\x10" + vp8(640, 480)
    return made


def test_a_large_picture_that_comes_slowly_is_not_given_up() -> None:
    now = [0.0]
    buffer = Whole(512, True, clock=lambda: now[0])
    for number in range(20):
        now[0] = number / 10
        wanted, frame = buffer.add(packet(number, 1, number == 19, b"a"))
        assert not wanted
    assert frame is not None
    assert frame.data == b"a" * 20


def test_pictures_that_stand_alone_are_told_from_others() -> None:
    for codec in (Vp8Encoder(), H264Encoder()):
        kinds = []
        for number, picture in enumerate(demo(6)):
            copy = av.VideoFrame.from_ndarray(picture.to_ndarray(), format="yuv420p")
            copy.pts, copy.time_base = number * 3000, VIDEO_TIME_BASE
            payloads, _ = codec.encode(copy, number == 3)
            read = h264_depayload if isinstance(codec, H264Encoder) else vp8_depayload
            kinds.append(stands_alone(b"".join(read(payload) for payload in payloads)))
        assert kinds == [True, False, False, True, False, False]


async def test_what_waits_is_drained_and_only_the_newest_is_read() -> None:
    track = Burst(500)
    async with Camera(track, 640, 360, 60) as camera:
        async with asyncio.timeout(10):
            while track.given < 500:
                await asyncio.sleep(0.01)
        first = await camera.read()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(camera.read(), 0.05)
    assert time.perf_counter() - first.captured_at < 5
    assert first.image.size == 0
    developed = camera.develop(first)
    assert developed.image.shape == (360, 640, 3)
    assert (developed.index, developed.captured_at) == (first.index, first.captured_at)


async def test_no_more_frames_are_read_than_were_asked_for() -> None:
    seen: list[Frame] = []
    async with Camera(Burst(60, pause=0.01, ends=True), 640, 360, 20) as camera:
        began = time.perf_counter()
        with suppress(EndOfStream):
            while True:
                seen.append(await camera.read())
        passed = time.perf_counter() - began
    assert len(seen) > 5
    assert len(seen) <= passed * 20 + 2
    assert [frame.index for frame in seen] == sorted({frame.index for frame in seen})


async def test_the_end_of_the_track_is_the_end_of_the_source() -> None:
    async with Camera(Burst(1, ends=True), 640, 360, 30) as camera:
        await camera.read()
        with pytest.raises(EndOfStream):
            await camera.read()


@pytest.mark.parametrize(
    ("size", "scale", "wanted"),
    [
        ((1280, 720), 1.0, (1280, 720)),
        ((640, 480), 1.0, (640, 480)),
        ((3840, 2160), 1.0, (1280, 720)),
        ((720, 1280), 1.0, (720, 1280)),
        ((2160, 3840), 1.0, (720, 1280)),
        ((641, 361), 1.0, (640, 360)),
        ((1280, 720), 0.5, (640, 360)),
        ((4000, 10), 1.0, (1280, 4)),
        ((1, 1), 1.0, (2, 2)),
    ],
)
def test_pictures_fit_and_keep_their_shape(size: tuple[int, int], scale: float, wanted: tuple[int, int]) -> None:
    assert fitting(*size, (1280, 720), scale) == wanted


async def test_a_tiny_picture_gets_room_for_the_label() -> None:
    tiny = av.VideoFrame.from_ndarray(np.full((2, 2, 3), 200, np.uint8), format="bgr24").reformat(format="yuv420p")

    class Tiny(Burst):
        async def recv(self) -> av.VideoFrame:
            await super().recv()
            return tiny

    async with Camera(Tiny(1), 640, 360, 30) as camera:
        assert camera.develop(await camera.read()).image.shape == (64, 64, 3)
