"""From a source, through stages, to a sink."""

import asyncio
import itertools
import threading
import time
from dataclasses import replace

import pytest

from realtime.errors import EndOfStream, SinkError, SourceLost
from realtime.flow.meters import Meters
from realtime.flow.pipeline import Pipeline, Stage
from realtime.frame import Frame
from tests.realtime.flow.things import Collector, FakeCamera, frame


def same(item: Frame) -> Frame:
    return item


def slow(seconds: float) -> Stage[Frame, Frame]:
    def work(item: Frame) -> Frame:
        time.sleep(seconds)
        return item

    return Stage("slow", work)


async def test_recorded_frames_all_arrive_in_order_however_slow_the_stages() -> None:
    source, sink = FakeCamera(map(frame, range(40)), live=False), Collector(period=0.001)
    pipeline = Pipeline(source, [Stage("a", same), slow(0.003), Stage("b", same)], sink)
    await pipeline.run()
    report = pipeline.meters.report()
    assert sink.numbers == list(range(40))
    assert (report["frames_in"], report["frames_out"], report["dropped"]) == (40, 40, 0)


async def test_without_stages_frames_go_straight_to_the_sink() -> None:
    sink = Collector()
    await Pipeline(FakeCamera(map(frame, range(5)), live=False), [], sink).run()
    assert sink.numbers == [0, 1, 2, 3, 4]


async def test_live_frames_stay_in_order_and_every_drop_is_counted() -> None:
    source, sink = FakeCamera(map(frame, range(60)), period=0.002), Collector()
    pipeline = Pipeline(source, [slow(0.010), Stage("last", same)], sink)
    await pipeline.run()
    report = pipeline.meters.report()
    assert sink.numbers == sorted(set(sink.numbers))
    assert sink.numbers[-1] == 59  # the newest is never the one that is dropped
    assert report["dropped"] > 0
    assert report["frames_in"] == 60
    assert report["frames_out"] + report["dropped"] == 60
    assert report["frames_out"] == len(sink.numbers)


async def test_a_slow_sink_does_not_make_live_frames_grow_old() -> None:
    """A queue without bound would grow to 40 x (30 - 5) ms = 1 s, 500 ms in the middle; mailboxes hold one frame."""
    source, sink = FakeCamera(map(frame, range(40)), period=0.005), Collector(period=0.030)
    pipeline = Pipeline(source, [Stage("quick", same)], sink)
    await pipeline.run()
    assert pipeline.meters.report()["dropped"] > 20
    assert pipeline.meters.report()["age_ms"]["p50"] < 300  # two writes and a wait are 70 ms; margin for a busy machine


async def test_back_pressure_keeps_a_recorded_source_from_running_ahead() -> None:
    source, gate = FakeCamera(map(frame, range(50)), live=False), asyncio.Event()

    class Held(Collector):
        async def write(self, frame: Frame) -> None:
            await gate.wait()
            await super().write(frame)

    sink = Held()
    run = asyncio.create_task(Pipeline(source, [Stage("a", same), Stage("b", same)], sink).run())
    # one in the sink, one in each of three mailboxes, one in the hands of each of the two stages and of the reader
    async with asyncio.timeout(10):
        while source.given < 7:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    assert source.given == 7
    gate.set()
    await run
    assert sink.numbers == list(range(50))


async def test_a_gap_in_the_numbers_counts_as_drops_at_the_source() -> None:
    source, sink = FakeCamera(map(frame, [5, 6, 9, 10, 20]), live=False), Collector()
    pipeline = Pipeline(source, [], sink)
    await pipeline.run()
    report = pipeline.meters.report()
    assert (report["frames_in"], report["frames_out"], report["dropped"]) == (16, 5, 11)


async def test_stages_work_at_the_same_time_on_threads_of_their_own() -> None:
    """Two stages that only finish together: each waits for the other, on its own item."""
    together = threading.Barrier(2, timeout=5)
    threads: set[str] = set()

    def first(item: Frame) -> Frame:
        threads.add(threading.current_thread().name)
        if item.index == 1:
            together.wait()
        return item

    def second(item: Frame) -> Frame:
        threads.add(threading.current_thread().name)
        if item.index == 0:
            together.wait()
        return item

    sink = Collector()
    source = FakeCamera(map(frame, range(3)), live=False)
    await Pipeline(source, [Stage("first", first), Stage("second", second)], sink).run()
    assert sink.numbers == [0, 1, 2]
    assert len(threads) == 2


async def test_joined_stages_share_a_thread_and_are_metered_apart() -> None:
    threads: list[str] = []

    def note(item: Frame) -> Frame:
        threads.append(threading.current_thread().name)
        return item

    joined = Stage("swap", note).then(Stage("compose", note)).then(Stage("sharpen", note))
    meters = Meters()
    await Pipeline(FakeCamera(map(frame, range(3)), live=False), [joined], Collector(), meters).run()
    assert joined.name == "swap+compose+sharpen"
    assert len(set(threads)) == 1
    assert len(threads) == 9
    assert set(meters.report()["stages"]) == {"swap", "compose", "sharpen", "sink"}


def test_joined_work_is_one_call() -> None:
    half: Stage[int, float] = Stage("half", lambda number: number / 2)
    joined = half.then(Stage("text", str))
    assert joined.work(5) == "2.5"


class Unlucky(Exception):
    """What no caller expects."""


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("guilty", [0, 1])
async def test_what_a_stage_raises_leaves_run_as_it_is_where_there_is_no_patience(live: bool, guilty: int) -> None:
    def fail(item: Frame) -> Frame:
        if item.index >= 3:
            raise Unlucky(f"frame {item.index}") from KeyError("cause")
        return item

    works = [Stage("good", same), Stage("good", same)]
    works[guilty] = Stage("bad", fail)
    sink = Collector()
    with pytest.raises(Unlucky, match="frame") as caught:
        await Pipeline(FakeCamera(map(frame, itertools.count()), live, 0.001), works, sink, patience=1).run()
    assert isinstance(caught.value.__cause__, KeyError)
    assert sink.numbers == sorted(set(sink.numbers))
    assert set(sink.numbers) <= {0, 1, 2}


@pytest.mark.parametrize("live", [True, False])
async def test_what_a_sink_raises_leaves_run_as_it_is(live: bool) -> None:
    sink = Collector(fault=SinkError("out.mp4: no space left"), fault_at=2)
    with pytest.raises(SinkError, match="no space left"):
        await Pipeline(FakeCamera(map(frame, itertools.count()), live, 0.001), [Stage("a", same)], sink).run()
    assert len(sink.frames) == 2


@pytest.mark.parametrize("live", [True, False])
async def test_what_a_source_raises_leaves_run_as_it_is(live: bool) -> None:
    source = FakeCamera(map(frame, range(3)), live, 0.001, then=SourceLost("/dev/video0 stopped after 3 frames"))
    with pytest.raises(SourceLost, match="stopped after 3 frames"):
        await Pipeline(source, [Stage("a", same)], Collector()).run()


async def test_a_source_that_times_out_by_itself_is_a_fault_not_an_end() -> None:
    with pytest.raises(TimeoutError, match="the camera's own"):
        await Pipeline(FakeCamera([], then=TimeoutError("the camera's own")), [], Collector()).run(duration=5)


async def test_faults_at_the_same_time_are_noted_on_the_one_that_leaves() -> None:
    both = asyncio.Barrier(2)

    class Bad(Collector):
        async def write(self, frame: Frame) -> None:
            await both.wait()
            raise SinkError("the sink")

    class Worse(FakeCamera):
        async def read(self) -> Frame:
            if self.given:
                await both.wait()
                raise SourceLost("the source")
            return await super().read()

    with pytest.raises((SinkError, SourceLost)) as caught:
        await Pipeline(Worse([frame(0)]), [], Bad()).run()
    assert caught.value.__notes__[0].startswith("at the same time: S")


async def test_a_sink_that_wants_no_more_ends_the_run() -> None:
    for live in (True, False):
        sink = Collector(fault=EndOfStream("the window was closed"), fault_at=3)
        source = FakeCamera(map(frame, itertools.count()), live, 0.001)
        await asyncio.wait_for(Pipeline(source, [Stage("a", same)], sink).run(), 5)
        assert len(sink.frames) == 3


async def test_cancelling_in_mid_call_ends_within_that_call_and_leaves_nothing_behind() -> None:
    before_threads, before_tasks = set(threading.enumerate()), asyncio.all_tasks()
    began, release = threading.Event(), threading.Event()
    calls: list[int] = []

    def work(item: Frame) -> Frame:
        calls.append(item.index)
        began.set()
        release.wait(5)
        return item

    sink = Collector()
    pipeline = Pipeline(FakeCamera(map(frame, itertools.count()), live=False), [Stage("held", work)], sink)
    run = asyncio.create_task(pipeline.run())
    while not began.is_set():
        await asyncio.sleep(0.001)
    run.cancel()
    await asyncio.sleep(0.02)
    assert not run.done()  # a call cannot be broken off
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(run, 5)
    assert calls == [0]
    assert sink.frames == []
    assert set(threading.enumerate()) <= before_threads
    assert asyncio.all_tasks() <= before_tasks | {run}


@pytest.mark.parametrize("live", [True, False])
async def test_no_thread_or_task_is_left_after_the_end_or_a_fault(live: bool) -> None:
    before_threads, before_tasks = set(threading.enumerate()), asyncio.all_tasks()

    def fail(item: Frame) -> Frame:
        raise Unlucky

    await Pipeline(FakeCamera(map(frame, range(9)), live), [Stage("a", same), Stage("b", same)], Collector()).run()
    stages = [Stage("a", same), Stage("b", fail)]
    with pytest.raises(Unlucky):
        await Pipeline(FakeCamera(map(frame, range(9)), live), stages, Collector(), patience=1).run()
    assert set(threading.enumerate()) <= before_threads
    assert asyncio.all_tasks() <= before_tasks


async def test_stop_delivers_what_is_under_way() -> None:
    source, began, release = FakeCamera(map(frame, itertools.count()), live=False), threading.Event(), threading.Event()

    def work(item: Frame) -> Frame:
        began.set()
        release.wait(5)
        return item

    sink = Collector()
    pipeline = Pipeline(source, [Stage("held", work)], sink)
    run = asyncio.create_task(pipeline.run())
    while not began.is_set():
        await asyncio.sleep(0.001)
    async with asyncio.timeout(10):
        while source.given < 3:  # one frame is worked on, one waits and one is in the reader's hands
            await asyncio.sleep(0.001)
    pipeline.stop()
    release.set()
    await asyncio.wait_for(run, 5)
    assert source.given == 3
    assert sink.numbers == [0, 1, 2]


async def test_stop_ends_a_read_that_would_never_return() -> None:
    source, sink = FakeCamera([frame(0)], period=0.0), Collector()
    source.read = _then_forever(source)  # type: ignore[method-assign]
    pipeline = Pipeline(source, [], sink)
    run = asyncio.create_task(pipeline.run())
    await asyncio.sleep(0.02)
    assert not run.done()
    pipeline.stop()
    await asyncio.wait_for(run, 5)
    assert sink.numbers == [0]


def _then_forever(source: FakeCamera):  # type: ignore[no-untyped-def]
    read = source.read

    async def first_or_never() -> Frame:
        return await read() if source.given == 0 else await asyncio.Future()

    return first_or_never


async def test_stop_before_the_start_reads_nothing() -> None:
    source = FakeCamera(map(frame, range(3)), live=False)
    pipeline = Pipeline(source, [], Collector())
    pipeline.stop()
    await pipeline.run()
    assert source.given == 0


async def test_duration_ends_a_live_run_on_time() -> None:
    """Allowed: twice as long, for a busy machine."""
    source, sink = FakeCamera(map(frame, itertools.count()), period=0.01), Collector()
    began = time.perf_counter()
    await Pipeline(source, [Stage("a", same)], sink).run(duration=0.5)
    assert 0.5 <= time.perf_counter() - began < 1.0
    assert sink.numbers == sorted(set(sink.numbers))


async def test_duration_of_a_recording_is_measured_on_its_own_timeline() -> None:
    source = FakeCamera((frame(i, at=2.0 + i / 10) for i in itertools.count()), live=False, period=0.002)
    sink = Collector()
    await Pipeline(source, [], sink).run(duration=1.0)
    assert sink.numbers == list(range(10))


async def test_duration_of_a_recording_without_timeline_is_the_time_that_passes() -> None:
    source, sink = FakeCamera(map(frame, itertools.count()), live=False, period=0.005), Collector()
    began = time.perf_counter()
    await Pipeline(source, [], sink).run(duration=0.2)
    assert 0.2 <= time.perf_counter() - began < 1.0
    assert sink.numbers == list(range(len(sink.numbers)))


async def test_a_source_that_never_waits_does_not_starve_the_others() -> None:
    class Eager(FakeCamera):
        async def read(self) -> Frame:
            self.given += 1
            return frame(self.given)

    sink = Collector()
    pipeline = Pipeline(Eager([]), [Stage("a", same)], sink)
    await asyncio.wait_for(pipeline.run(duration=0.1), 5)
    assert len(sink.frames) > 3


async def test_age_is_taken_when_the_sink_has_taken_the_frame() -> None:
    birthday = time.perf_counter()
    source = FakeCamera([replace(frame(0), captured_at=birthday)], live=False)
    pipeline = Pipeline(source, [slow(0.05)], Collector(period=0.05))
    await pipeline.run()
    assert 100 <= pipeline.meters.report()["age_ms"]["max"] <= (time.perf_counter() - birthday) * 1000
    assert pipeline.meters.report()["stages"]["slow"]["p50"] >= 50
