"""Several sinks at once."""

import asyncio
import itertools
import threading
import time
from pathlib import Path

import pytest

from realtime.errors import EndOfStream, SinkError
from realtime.flow.pipeline import Pipeline
from realtime.sinks.fan_out import FanOut
from realtime.sinks.null import Null
from realtime.sinks.video_file import Recording
from tests.realtime.flow.things import Collector, FakeCamera, frame


async def test_recorded_frames_reach_every_sink_in_order() -> None:
    sinks = [Collector(), Collector(period=0.002), Collector(period=0.001)]
    async with FanOut([*sinks, Null()], live=False) as sink:
        await Pipeline(FakeCamera(map(frame, range(30)), live=False), [], sink).run()
    assert all(kept.numbers == list(range(30)) for kept in sinks)
    assert all(kept.entered and kept.left for kept in sinks)
    assert sink.dropped == (0, 0, 0, 0)


async def test_a_slow_sink_does_not_slow_the_others_when_live() -> None:
    quick, slow = Collector(), Collector(period=0.05)
    async with FanOut([slow, quick], live=True) as sink:
        pipeline = Pipeline(FakeCamera(map(frame, range(50)), period=0.005), [], sink)
        await pipeline.run()
    assert len(quick.frames) >= 40  # of 50: margin for a busy machine
    assert 2 <= len(slow.frames) < len(quick.frames)
    assert slow.numbers == sorted(set(slow.numbers))
    assert slow.numbers[-1] == quick.numbers[-1] == 49  # what is under way is delivered
    assert sink.dropped[0] == 50 - len(slow.frames) - pipeline.meters.report()["dropped"]


@pytest.mark.parametrize("live", [True, False])
async def test_what_one_sink_raises_leaves_the_run(live: bool) -> None:
    before = asyncio.all_tasks()
    good, bad = Collector(), Collector(fault=SinkError("out.mp4: no space left"), fault_at=3)
    with pytest.raises(SinkError, match="no space left"):
        async with FanOut([good, bad], live) as sink:
            await Pipeline(FakeCamera(map(frame, itertools.count()), live, 0.001), [], sink).run()
    assert len(bad.frames) == 3
    assert good.left_by is SinkError
    assert asyncio.all_tasks() <= before


async def test_a_fault_in_the_very_last_frame_is_not_lost() -> None:
    async def run() -> None:
        bad = Collector(fault=SinkError("too late"), fault_at=1)
        async with FanOut([Collector(), bad], live=True) as sink:
            await sink.write(frame(0))
            while not bad.frames:
                await asyncio.sleep(0.001)
            await sink.write(frame(1))

    with pytest.raises(SinkError, match="too late"):
        await run()


async def test_a_sink_that_wants_no_more_ends_all() -> None:
    other, closed = Collector(), Collector(fault=EndOfStream("the window was closed"), fault_at=4)
    async with FanOut([other, closed], live=True) as sink:
        await asyncio.wait_for(Pipeline(FakeCamera(map(frame, itertools.count()), period=0.001), [], sink).run(), 5)
    assert len(closed.frames) == 4
    assert other.left_by is None


async def test_a_sink_that_does_not_open_closes_those_that_did() -> None:
    first = Collector()
    with pytest.raises(SinkError, match="there is no folder"):
        async with FanOut([first, Recording(Path("nowhere/out.mp4"))], live=True):
            pytest.fail("opened")
    assert first.left_by is SinkError


async def test_cancelling_leaves_no_task_and_closes_the_sinks() -> None:
    before_tasks, before_threads = asyncio.all_tasks(), set(threading.enumerate())
    sinks = [Collector(period=5), Collector()]

    async def run() -> None:
        async with FanOut(sinks, live=True) as sink:
            await Pipeline(FakeCamera(map(frame, itertools.count()), period=0.001), [], sink).run()

    task = asyncio.create_task(run())
    await asyncio.sleep(0.05)
    began = time.perf_counter()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.perf_counter() - began < 1  # not the five seconds of the slow sink
    assert all(sink.left for sink in sinks)
    assert asyncio.all_tasks() <= before_tasks | {task}
    assert set(threading.enumerate()) <= before_threads


async def test_a_description_reaches_the_files(tmp_path: Path) -> None:
    import av

    recording = Recording(tmp_path / "out.mp4")
    sink = FanOut([Null(), recording], live=False)
    sink.describe({"comment": "AI-generated"})
    async with sink:
        await sink.write(frame(0))
    with av.open(tmp_path / "out.mp4") as container:
        assert container.metadata["comment"] == "AI-generated"
