"""The number in the picture is read back through codecs and scaling, and a damaged one is never taken for another."""

import fractions
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from aiortc.codecs.vpx import Vp8Decoder, Vp8Encoder
from aiortc.jitterbuffer import JitterFrame
from av import VideoFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stamp import COLUMNS, DARK, LIGHT, NUMBERS, ROWS, Picture, cells_of, number_of, pattern, read, write
from realtime.egress.label import Label
from tests.realtime.people import astronaut

ORDER = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_NEAREST)


def scene(number: int = 0, width: int = 640, height: int = 480) -> Picture:
    """The astronaut, brighter with each number, moving about; nothing of the strip lies on plain ground."""
    wide = cv2.resize(astronaut(1)[0], (width + 40, height), interpolation=cv2.INTER_AREA)
    shift = int(20 + 20 * np.sin(number / 5))
    return np.ascontiguousarray(wide[:, shift : shift + width])


def stamped(number: int, width: int = 640, height: int = 480) -> Picture:
    picture = scene(number, width, height)
    write(picture, number)
    return picture


@given(number=st.integers(0, 10 * NUMBERS))
@settings(deadline=None, max_examples=200)
def test_what_was_written_is_read_and_large_numbers_wrap(number: int) -> None:
    for shape in ((120, 160), (120, 160, 3), (61, 203, 3)):
        picture = np.full(shape, 90, np.uint8)
        write(picture, number)
        assert read(picture) == number % NUMBERS


def test_only_the_middle_of_the_top_edge_is_drawn_on() -> None:
    before = scene(1234)
    after = stamped(1234)
    touched = np.argwhere((before != after).any(axis=2))
    assert touched[:, 0].max() < 480 / 15
    assert touched[:, 1].min() >= 192
    assert touched[:, 1].max() < 448


def test_the_label_and_the_strip_do_not_meet() -> None:
    assert read(Label()(stamped(77))) == 77


@pytest.mark.parametrize("how", ORDER)
def test_it_survives_scaling_down_and_up(how: int) -> None:
    for number in (0, 1, 4711, NUMBERS - 1):
        small = cv2.resize(stamped(number), (480, 360), interpolation=how)
        large = cv2.resize(small, (640, 480), interpolation=how)
        assert read(np.asarray(small, np.uint8)) == number
        assert read(np.asarray(large, np.uint8)) == number


@pytest.mark.parametrize(("quality", "size"), [(40, (640, 480)), (25, (480, 360))])
def test_it_survives_a_coarse_jpeg(quality: int, size: tuple[int, int]) -> None:
    for number in range(0, NUMBERS, 5003):
        small = cv2.resize(stamped(number), size, interpolation=cv2.INTER_AREA)
        _, packed = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert read(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)) == number


def through_vp8(pictures: Iterator[Picture], bitrate: int) -> Iterator[Picture]:
    """The pictures as aiortc's encoder and decoder hand them on, at so many bits a second and 30 frames a second."""
    encoder, decoder = Vp8Encoder(), Vp8Decoder()
    encoder.target_bitrate = bitrate
    for index, picture in enumerate(pictures):
        frame = VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts, frame.time_base = index * 3000, fractions.Fraction(1, 90000)
        payloads, timestamp = encoder.encode(frame)
        data = b"".join(payload[4:] for payload in payloads)  # a descriptor of four bytes opens each packet
        for decoded in decoder.decode(JitterFrame(data=data, timestamp=timestamp)):
            assert isinstance(decoded, VideoFrame)
            yield np.asarray(decoded.to_ndarray(format="bgr24"), np.uint8)


@pytest.mark.parametrize("first", [0, NUMBERS - 15])
def test_it_survives_vp8_at_half_a_megabit_twice_with_scaling_between(first: int) -> None:
    """As a browser sends it, smaller than its camera, and the far end enlarges it: two encoders, two sizes."""
    numbers = range(first, first + 30)
    once = list(through_vp8((stamped(number) for number in numbers), 500_000))
    assert [read(picture) for picture in once] == [number % NUMBERS for number in numbers]
    small = (np.asarray(cv2.resize(one, (480, 360), interpolation=cv2.INTER_AREA), np.uint8) for one in once)
    twice = list(through_vp8(small, 500_000))
    large = [np.asarray(cv2.resize(one, (640, 480), interpolation=cv2.INTER_LINEAR), np.uint8) for one in twice]
    for pictures in (twice, large):
        assert [read(picture) for picture in pictures] == [number % NUMBERS for number in numbers]


def test_any_two_numbers_differ_in_at_least_six_cells() -> None:
    """The check bits are linear, so the distance of all pairs is that of each number to zero."""
    zero = pattern(0)
    assert min(int((pattern(number) != zero).sum()) for number in range(1, NUMBERS)) == 6


@given(number=st.integers(0, NUMBERS - 1), flipped=st.sets(st.integers(0, ROWS * COLUMNS - 1), min_size=1, max_size=5))
@settings(deadline=None, max_examples=300)
def test_up_to_five_flipped_cells_are_noticed(number: int, flipped: set[int]) -> None:
    cells = np.where(pattern(number), float(LIGHT), float(DARK))
    for index in flipped:
        cells.flat[index] = DARK + LIGHT - cells.flat[index]
    assert number_of(cells) is None


def test_a_picture_without_a_strip_and_one_that_blends_two_are_unread() -> None:
    assert read(scene()) is None
    assert read(np.zeros((480, 640, 3), np.uint8)) is None
    assert read(np.full((480, 640), 255, np.uint8)) is None
    blend = cv2.addWeighted(stamped(100), 0.5, stamped(101), 0.5, 0)
    assert read(np.asarray(blend, np.uint8)) is None
    assert read(np.asarray(cv2.blur(stamped(5), (61, 61)), np.uint8)) is None


def test_noise_is_never_taken_for_a_number() -> None:
    random = np.random.default_rng(0)
    read_back = [number_of(random.uniform(0, 255, (ROWS, COLUMNS))) for _ in range(2000)]
    assert sum(number is not None for number in read_back) == 0


def test_cells_are_those_of_the_luma_plane() -> None:
    picture = stamped(999)
    luma = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
    np.testing.assert_allclose(cells_of(picture), cells_of(luma), atol=1)
