"""Only so many compute at once, whoever has begun with a frame goes first, and who waits takes the newest one then."""

import asyncio
from functools import partial

import pytest

from realtime.flow.pipeline import Pipeline, Stage
from realtime.flow.turns import BEGUN, FRESH, Turns
from realtime.frame import Frame
from tests.realtime.flow.things import Collector, FakeCamera, frame


async def settled() -> None:
    """Whatever can go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


class Work:
    """Tasks that hold a turn until they are told to end, and what was seen of them."""

    def __init__(self, turns: Turns) -> None:
        self.began: list[str] = []
        self.at_once = self.most = 0
        self._turns = turns
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, order: int = FRESH) -> None:
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._hold(name, order))
        await settled()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await settled()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await settled()

    async def _hold(self, name: str, order: int) -> None:
        async with self._turns.at(order):
            self.began.append(name)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            try:
                await self._ends[name].wait()
            finally:
                self.at_once -= 1


async def test_no_more_than_so_many_hold_a_turn_at_once() -> None:
    work = Work(Turns(2))
    for name in "abcde":
        await work.come(name)
    for name in "abcde":
        await work.end(name)
    assert (work.began, work.most, work.at_once) == (list("abcde"), 2, 0)


async def test_work_on_a_frame_that_somebody_has_begun_with_goes_first() -> None:
    work = Work(Turns(1))
    for name, order in (("a", FRESH), ("b", FRESH), ("c", FRESH), ("d", BEGUN), ("e", BEGUN)):
        await work.come(name, order)
    for name in "adebc":
        await work.end(name)
    assert work.began == list("adebc")


@pytest.mark.parametrize("told", [False, True])
async def test_who_is_cancelled_while_waiting_leaves_the_turn_to_the_next(told: bool) -> None:
    work = Work(Turns(1))
    for name in "abc":
        await work.come(name)
    if told:  # the turn comes to b, who is cancelled before it can take it
        work._ends["a"].set()
        await asyncio.sleep(0)
    await work.cancel("b")
    await work.end("a")
    await work.end("c")
    await work.come("d")
    assert (work.began, work.most) == (list("acd"), 1)


async def test_a_stage_that_waited_for_its_turn_takes_the_newest_frame() -> None:
    turns, sink = Turns(1), Collector()
    camera = FakeCamera(map(frame, range(8)))
    taken: list[int] = []

    def work(item: Frame) -> Frame:
        taken.append(item.index)
        return item

    async with asyncio.timeout(10), turns.at(FRESH):
        stage = Stage("work", work, turn=partial(turns.at, FRESH))
        run = asyncio.create_task(Pipeline(camera, [stage], sink).run())
        while camera.given < 8:
            await asyncio.sleep(0.001)
        await settled()
        assert taken == []
    await run
    assert taken == sink.numbers == [7]
