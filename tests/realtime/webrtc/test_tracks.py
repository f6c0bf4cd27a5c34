"""What a track gives: the newest frame, once, with a timestamp that rises."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from realtime.flow.worker import Worker
from realtime.frame import Frame
from realtime.webrtc.bitrate import Limits, Rate
from realtime.webrtc.tracks import STEP, Ages, Picture, Screens, drawn

LIMITS = Limits(1_800_000, 300_000, 4_000_000)


def frame(index: int, at: float, size: tuple[int, int] = (64, 96)) -> Frame:
    return Frame(np.full((*size, 3), index % 256, np.uint8), index, at)


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    async with Worker("test") as opened:
        yield opened


@pytest.fixture
def picture(worker: Worker) -> Picture:
    return Picture(worker, Rate(LIMITS), 30, lambda _: None)


def luma(video: object) -> float:
    return float(video.to_ndarray(format="bgr24").mean())  # type: ignore[attr-defined]


async def test_the_newest_frame_takes_the_place_of_the_one_nobody_took(picture: Picture) -> None:
    for index in (10, 100, 200):
        picture.offer(frame(index, index / 30))
    assert luma(await picture.recv()) == pytest.approx(200, abs=3)
    assert picture.missed() == pytest.approx(2 / 3) or picture.missed() == 0.0


async def test_a_frame_is_given_once(picture: Picture) -> None:
    picture.offer(frame(10, 0.0))
    await picture.recv()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(picture.recv(), 0.05)


async def test_timestamps_follow_the_captures_and_rise_in_any_case(picture: Picture) -> None:
    stamps = []
    for at in (5.0, 5.1, 5.1, 5.05, 5.3):
        picture.offer(frame(1, at))
        stamps.append((await picture.recv()).pts)
    assert stamps == [0, 9000, 9000 + STEP, 9000 + 2 * STEP, 27_000]


async def test_a_track_that_ends_tells_whoever_waits(picture: Picture) -> None:
    waiting = asyncio.create_task(picture.recv())
    await asyncio.sleep(0)
    picture.stop()
    with pytest.raises(MediaStreamError):
        await waiting
    with pytest.raises(MediaStreamError):
        await picture.recv()


async def test_a_frame_counts_as_handed_over_when_the_next_one_is_asked_for(worker: Worker) -> None:
    sent: list[float] = []
    picture = Picture(worker, Rate(LIMITS), 30, sent.append)
    picture.offer(frame(1, 7.0))
    await picture.recv()
    assert sent == []
    picture.offer(frame(2, 8.0))
    await picture.recv()
    assert sent == [7.0]


async def test_who_comes_late_sees_the_last_frame_at_once() -> None:
    async with Screens(30) as screens:
        first = screens.added(Rate(LIMITS), lambda _: None)
        await screens.write(frame(50, 1.0))
        late = screens.added(Rate(LIMITS), lambda _: None)
        assert luma(await late.recv()) == pytest.approx(50, abs=3)
        screens.remove(late)
        await screens.write(frame(90, 2.0))
        assert luma(await first.recv()) == pytest.approx(90, abs=3)
        assert screens.pictures == (first,)
    with pytest.raises(MediaStreamError):
        await first.recv()


@pytest.mark.parametrize(("size", "scale", "wanted"), [((90, 160), 1.0, (90, 160)), ((90, 160), 0.75, (68, 120))])
def test_pictures_are_drawn_with_even_sides(size: tuple[int, int], scale: float, wanted: tuple[int, int]) -> None:
    video = drawn(np.full((*size, 3), (30, 120, 200), np.uint8), scale)
    assert (video.height, video.width) == wanted
    assert np.abs(video.to_ndarray(format="bgr24").reshape(-1, 3).mean(0) - (30, 120, 200)).max() < 4


def test_ages_are_those_of_the_last_second() -> None:
    now = [0.0]
    ages = Ages(lambda: now[0])
    assert ages.percentile(50) is None
    for step in range(100):
        now[0] = 10 + step / 100
        ages.note(now[0] - step / 1000)
    assert ages.percentile(50) == pytest.approx(0.05, abs=0.002)
    assert ages.percentile(100) == pytest.approx(0.099, abs=0.002)
    now[0] = 12.0
    assert ages.percentile(50) is None
    assert ages.percentile(50, 10) is not None
