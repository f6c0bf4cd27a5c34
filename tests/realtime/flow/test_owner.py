"""What opens and closes together with its thread."""

import asyncio
import threading
import time
from contextlib import AsyncExitStack

import pytest

from realtime.errors import SinkError, SourceError
from realtime.flow.owner import Owner


class Kitchen(Owner):
    """Lights the oven, then opens the tap; notes what happens, and on which thread."""

    def __init__(self, fault: BaseException | None = None, fault_at_end: BaseException | None = None) -> None:
        super().__init__("kitchen")
        self.happened: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.begun = threading.Event()
        self.slow_s = 0.0  # seconds that the tap takes
        self._fault = fault
        self._fault_at_end = fault_at_end

    async def _acquire(self, opening: AsyncExitStack) -> None:
        await self._worker.run(self._note, "oven lit")
        opening.push_async_callback(self._worker.run, self._note, "oven out")
        self.tap = await self._hold(opening, self._open_tap, self._close)

    async def cook(self) -> None:
        await self._worker.run(self._note, "cooked")

    def _open_tap(self) -> str:
        self.begun.set()
        time.sleep(self.slow_s)
        if self._fault is not None:
            raise self._fault
        self._note("tap opened")
        return "tap"

    def _close(self, what: str) -> None:
        self._note(f"{what} closed")
        if self._fault_at_end is not None:
            raise self._fault_at_end

    def _note(self, what: str) -> None:
        self.happened.append(what)
        self.threads.add(threading.current_thread())

    def is_left_clean(self) -> bool:
        return bool(self.threads) and not any(thread.is_alive() for thread in self.threads)


async def test_what_is_acquired_is_given_back_in_reverse_order_on_one_thread_that_ends() -> None:
    kitchen = Kitchen()
    async with kitchen as entered:
        assert entered is kitchen
        assert not kitchen.is_left_clean()
        await kitchen.cook()
    assert kitchen.happened == ["oven lit", "tap opened", "cooked", "tap closed", "oven out"]
    assert {thread.name.split("_")[0] for thread in kitchen.threads} == {"kitchen"}
    assert len(kitchen.threads) == 1
    assert kitchen.is_left_clean()


async def test_what_fails_half_way_is_undone_and_leaves_as_it_is() -> None:
    fault = SourceError("no water")
    kitchen = Kitchen(fault)
    with pytest.raises(SourceError) as caught:
        async with kitchen:
            pytest.fail("opened")
    assert caught.value is fault
    assert kitchen.happened == ["oven lit", "oven out"]
    assert kitchen.is_left_clean()


async def test_cancelling_while_it_opens_ends_with_the_call_under_way_and_gives_back_what_that_took() -> None:
    kitchen = Kitchen()
    kitchen.slow_s = 0.05
    opening = asyncio.create_task(kitchen.__aenter__())
    while not kitchen.begun.is_set():
        await asyncio.sleep(0.001)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert kitchen.happened == ["oven lit", "tap opened", "tap closed", "oven out"]
    assert kitchen.is_left_clean()


async def test_an_error_in_the_block_leaves_after_everything_was_given_back() -> None:
    kitchen = Kitchen()
    with pytest.raises(ZeroDivisionError):
        async with kitchen:
            raise ZeroDivisionError
    assert kitchen.happened[-2:] == ["tap closed", "oven out"]
    assert kitchen.is_left_clean()


async def test_what_fails_while_closing_leaves_after_the_rest_was_given_back() -> None:
    kitchen = Kitchen(fault_at_end=SinkError("the tap drips"))
    with pytest.raises(SinkError, match="the tap drips"):
        async with kitchen:
            await kitchen.cook()
    assert kitchen.happened[-2:] == ["tap closed", "oven out"]
    assert kitchen.is_left_clean()


async def test_it_works_only_while_it_is_open_and_can_be_opened_again() -> None:
    kitchen = Kitchen()
    for _ in range(2):
        async with kitchen:
            await kitchen.cook()
        with pytest.raises(RuntimeError, match="'kitchen' is used outside"):
            await kitchen.cook()
    assert kitchen.happened.count("tap closed") == 2
