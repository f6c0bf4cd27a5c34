"""A lost source is opened again, and stand-ins keep the pace meanwhile."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from realtime.errors import EndOfStream, SettingsError, SourceError, SourceLost, SourceMissing
from realtime.flow.pipeline import Source
from realtime.frame import Frame
from realtime.sources.reopening import Reopening
from tests.realtime.flow.things import FakeCamera, frame

LOST = SourceLost("cam stopped after 3 frames")
QUICK = (0.02,)


def camera(count: int, then: BaseException = LOST) -> FakeCamera:
    """One that gives so many frames, and ends like that."""
    return FakeCamera([frame(index, size=(200, 100)) for index in range(count)], then=then)


def in_turn(*sources: Source | Exception) -> Callable[[], Source]:
    """What makes one after the other, or raises."""
    rest: Iterator[Source | Exception] = iter(sources)

    def make() -> Source:
        one = next(rest)
        if isinstance(one, Exception):
            raise one
        return one

    return make


async def read_until(source: Reopening, ends: Callable[[Frame], bool]) -> list[Frame]:
    """All frames up to the first one that is meant; five seconds at most."""
    frames = []
    async with asyncio.timeout(5):
        while True:
            frames.append(await source.read())
            if ends(frames[-1]):
                return frames


@pytest.mark.parametrize("how", ["card", "hold"])
async def test_stand_ins_come_until_the_source_is_back_and_numbers_and_times_go_on_rising(how: str) -> None:
    first, second = camera(3), camera(5)
    missing = SourceMissing("there is no camera")
    made = in_turn(first, missing, missing, camera(0, SourceError("busy")), second)
    async with Reopening(made, how, 100, QUICK) as source:
        before = [await source.read() for _ in range(3)]
        frames = before + await read_until(source, lambda one: not one.instead)
    stand_ins = [one for one in frames if one.instead]
    assert {one.instead for one in stand_ins} == {how}
    assert [one.index for one in frames] == list(range(len(frames)))
    assert np.diff([one.captured_at for one in frames[3:-1]]).min() > 0
    assert {one.image.shape for one in frames} == {(100, 200, 3)}
    assert stand_ins[0].image.max() > 150  # words
    assert first.left
    assert second.left
    assert frames[-1].image[0, 0, 0] == 0  # the new source's first picture


async def test_stand_ins_keep_the_rate() -> None:
    """At 50 a second, ten of them take 0.18 s; a machine that is slow may take longer, never shorter."""
    async with Reopening(in_turn(camera(1), camera(1)), "card", 50, (30.0,)) as source:
        await source.read()
        began = time.perf_counter()
        for _ in range(10):
            assert (await source.read()).instead
        assert time.perf_counter() - began >= 0.17


async def test_pauses_grow_and_stay_at_the_last() -> None:
    tried: list[float] = []
    first = camera(1)

    def made() -> Source:
        if not first.entered:
            return first
        tried.append(time.perf_counter())
        raise SourceMissing("away")

    async with Reopening(made, "card", 200, (0.01, 0.1)) as source:
        await read_until(source, lambda _: len(tried) == 3)
    first_gap, second_gap = np.diff(tried)
    assert first_gap >= 0.09
    assert second_gap >= 0.09


async def test_with_stop_a_loss_is_the_end() -> None:
    async with Reopening(in_turn(camera(1)), "stop") as source:
        await source.read()
        with pytest.raises(SourceLost, match="cam stopped"):
            await source.read()


async def test_what_was_never_there_is_not_waited_for() -> None:
    with pytest.raises(SourceMissing):
        async with Reopening(in_turn(SourceMissing("there is no camera"))):
            pass
    async with Reopening(in_turn(camera(0, SourceError("opened but gave no picture")))) as source:
        with pytest.raises(SourceError, match="gave no picture"):
            await source.read()


async def test_an_end_is_an_end() -> None:
    async with Reopening(in_turn(camera(1, EndOfStream("over")))) as source:
        await source.read()
        with pytest.raises(EndOfStream):
            await source.read()


async def test_a_second_loss_is_as_the_first() -> None:
    async with Reopening(in_turn(camera(1), camera(1), camera(1)), "card", 200, QUICK) as source:
        for _ in range(2):
            await read_until(source, lambda one: bool(one.instead))
            await read_until(source, lambda one: not one.instead)


async def test_ending_while_it_is_away_ends_the_search_and_closes_what_it_opened() -> None:
    hanging = FakeCamera([frame(0)], period=60.0)
    async with Reopening(in_turn(camera(1), hanging), "card", 200, (0.0,)) as source:
        await read_until(source, lambda one: hanging.entered and bool(one.instead))
    assert hanging.left


async def test_a_source_that_was_found_and_that_nobody_read_any_more_is_closed() -> None:
    second = camera(2)
    async with Reopening(in_turn(camera(1), second), "card", 200, (0.0,)) as source:
        await source.read()
        assert (await source.read()).instead
        async with asyncio.timeout(5):
            while not second.given:
                await asyncio.sleep(0.001)
    assert second.left


async def test_a_loss_and_the_return_are_logged_once_each(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "realtime"):
        async with Reopening(in_turn(camera(1), camera(1)), "hold", 200, QUICK) as source:
            await read_until(source, lambda one: bool(one.instead))
            await read_until(source, lambda one: not one.instead)
    assert len(caplog.messages) == 2
    assert caplog.messages[0] == "cam stopped after 3 frames; the last picture is held until it is back"
    assert "is back after" in caplog.messages[1]


def test_another_way_is_one_sentence() -> None:
    with pytest.raises(SettingsError, match="on_camera_lost is 'wait', wanted card, hold or stop"):
        Reopening(in_turn(), "wait")
