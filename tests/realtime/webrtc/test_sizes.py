"""What an encoded picture announces is read without decoding it, whatever it holds."""

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from realtime.webrtc.sizes import H264_START, size_of, stands_alone

SIZES = [(64, 48), (640, 480), (1280, 720), (1922, 1082)]


def encoded(codec: str, width: int, height: int, **options: str) -> list[bytes]:
    """The packets of three grey pictures."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.bit_rate = 500_000
    context.framerate = 30  # type: ignore[assignment]  # PyAV takes whole numbers
    context.options = options
    packets = []
    for number in range(3):
        picture = av.VideoFrame.from_ndarray(np.full((height, width, 3), 90 + number, np.uint8), format="bgr24")
        picture.pts = number
        packets += context.encode(picture.reformat(format="yuv420p"))
    return [bytes(packet) for packet in [*packets, *context.encode(None)]]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_vp8_says_its_size_in_pictures_that_stand_alone(width: int, height: int) -> None:
    first, *others = encoded("libvpx", width, height, deadline="realtime")
    assert size_of(first) == (width, height)
    assert [size_of(other) for other in others] == [None] * len(others)
    assert stands_alone(first)
    assert not any(stands_alone(other) for other in others)


@pytest.mark.parametrize("profile", ["baseline", "high"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_h264_says_its_size_in_whole_blocks(profile: str, width: int, height: int) -> None:
    first = encoded("libx264", width, height, profile=profile, tune="zerolatency", preset="ultrafast")[0]
    assert size_of(first) == (-(-width // 16) * 16, -(-height // 16) * 16)
    assert stands_alone(first)


def test_interlaced_h264_counts_both_fields() -> None:
    first = encoded("libx264", 640, 480, tune="zerolatency", **{"x264-params": "tff=1"})[0]
    assert size_of(first) == (640, 480)


def test_a_scaled_vp8_header_says_the_size_without_the_scale() -> None:
    header = b"\x10\x00\x00\x9d\x01\x2a" + (16383 | 1 << 14).to_bytes(2, "little") + (9 | 2 << 14).to_bytes(2, "little")
    assert size_of(header) == (16383, 9)


@given(
    some.binary(max_size=200), some.sampled_from([b"", H264_START, H264_START + b"\x67", b"\x10\x00\x00\x9d\x01\x2a"])
)
def test_whatever_comes_is_read_or_left(data: bytes, start: bytes) -> None:
    size = size_of(start + data)
    assert size is None or min(size) >= 0
