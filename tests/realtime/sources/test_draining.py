"""One thread reads all the time; the newest counts, and what hangs is left behind."""

import asyncio
import threading
import time

import pytest

from realtime.errors import EndOfStream, SourceError, SourceLost, SourceMissing
from realtime.sources.draining import Draining, Patience
from tests.realtime.clips import read_all
from tests.realtime.sources.devices import LONG_S, Device

SHORT = Patience(opening=0.1, first=0.1, next=0.1)
MARGIN_S = 5.0  # what a slow machine may take for what needs no time


async def test_pictures_are_read_and_the_device_closed_on_one_thread_that_is_not_the_event_loops() -> None:
    device = Device()
    async with Draining("cam", lambda: device) as source:
        numbers = [(await source.read()).index for _ in range(5)]
    assert source.live
    assert numbers == sorted(set(numbers))
    assert device.closed.wait(MARGIN_S)
    assert len(device.threads) == 1
    assert threading.get_ident() not in device.threads


async def test_who_reads_slowly_gets_the_newest_and_a_gap_in_the_numbers() -> None:
    device = Device()
    async with Draining("cam", lambda: device) as source:
        first = await source.read()
        while device.given < first.index + 20:
            await asyncio.sleep(0.005)
        second = await source.read()
    assert second.index >= first.index + 15
    assert second.image[0, 0, 0] == (second.index + 1) % 256


async def test_a_picture_is_read_once() -> None:
    device = Device(pictures=1, then="hang")
    async with Draining("cam", lambda: device, SHORT) as source:
        assert (await source.read()).index == 0
        with pytest.raises(SourceLost, match=r"cam stopped after 1 frames: no picture for 0\.1 s"):
            await source.read()
    assert not device.closed.is_set()  # nobody closes it under the thread that reads it
    device.freed.set()
    assert device.closed.wait(MARGIN_S)


async def test_a_device_that_stops_is_lost_at_once() -> None:
    async with Draining("cam", lambda: Device(pictures=3, period=0.02)) as source:
        with pytest.raises(SourceLost, match=r"cam stopped after 3 frames$"):
            await read_all(source)


@pytest.mark.parametrize("then", ["none", "hang"])
async def test_a_device_that_never_gives_a_picture_is_no_loss_but_a_fault(then: str) -> None:
    device = Device(pictures=0, then=then)
    async with Draining("cam", lambda: device, SHORT) as source:
        with pytest.raises(SourceError, match="opened but gave no picture: another program may") as caught:
            await source.read()
    assert not isinstance(caught.value, SourceLost)
    device.freed.set()


@pytest.mark.parametrize("fault", [SourceError("broken"), EndOfStream("over"), ZeroDivisionError("a bug")])
async def test_what_the_reader_raises_leaves_as_it_is_after_the_last_picture(fault: Exception) -> None:
    async with Draining("cam", lambda: Device(pictures=1, then=fault)) as source:
        await source.read()
        with pytest.raises(type(fault)) as caught:
            await source.read()
    assert caught.value is fault


async def test_what_opening_raises_leaves_as_it_is() -> None:
    def nothing() -> Device:
        raise SourceMissing("there is no camera")

    with pytest.raises(SourceMissing, match="there is no camera"):
        async with Draining("cam", nothing):
            pass


async def test_opening_that_hangs_is_left_behind_and_closes_what_it_opened_after_all() -> None:
    freed, device = threading.Event(), Device()

    def slow() -> Device:
        freed.wait(LONG_S)
        return device

    with pytest.raises(SourceError, match=r"cam did not open within 0\.1 s"):
        async with Draining("cam", slow, SHORT):
            pass
    freed.set()
    assert device.closed.wait(MARGIN_S)
    assert device.given == 0


async def test_cancelling_ends_at_once_while_opening_hangs() -> None:
    freed = threading.Event()

    def slow() -> Device:
        freed.wait(LONG_S)
        return Device()

    opening = asyncio.create_task(Draining("cam", slow).__aenter__())
    await asyncio.sleep(0.02)
    opening.cancel()
    began = time.perf_counter()
    done, _ = await asyncio.wait([opening], timeout=MARGIN_S)
    assert done
    assert opening.cancelled()
    assert time.perf_counter() - began < 0.8 * MARGIN_S
    freed.set()


async def test_cancelling_a_read_and_closing_end_while_the_device_hangs() -> None:
    device = Device(pictures=0, then="hang")
    began = time.perf_counter()
    async with Draining("cam", lambda: device) as source:
        reading = asyncio.create_task(source.read())
        while not device.hanging.is_set():
            await asyncio.sleep(0.002)
        reading.cancel()
        await asyncio.wait([reading], timeout=MARGIN_S)
        assert reading.cancelled()
    assert time.perf_counter() - began < MARGIN_S
    device.freed.set()


async def test_a_cancelled_read_loses_nothing_for_the_next_one() -> None:
    device = Device(period=0.05)
    async with Draining("cam", lambda: device) as source:
        await source.read()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.0):
                await source.read()
        assert (await source.read()).index >= 1
