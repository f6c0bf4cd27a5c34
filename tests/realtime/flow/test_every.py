"""What is looked after beside the frames is done again and again, on a thread of its own, and ends with them."""

import asyncio
import logging
import threading

import pytest

from realtime.flow.every import every


async def test_work_is_done_again_and_again_beside_the_event_loop_until_the_end() -> None:
    done: list[str] = []
    often = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        done.append(threading.current_thread().name)
        if len(done) == 3:
            loop.call_soon_threadsafe(often.set)

    async with every(0.001, "consent", work):
        await asyncio.wait_for(often.wait(), 10)
    count = len(done)
    await asyncio.sleep(0.02)
    assert len(done) == count
    assert {name.startswith("consent") for name in done} == {True}


async def test_work_that_fails_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    tried: list[int] = []

    def work() -> None:
        tried.append(1)
        raise ValueError("no disk")

    async with every(0.001, "consent", work), asyncio.timeout(10):
        while len(tried) < 3:
            await asyncio.sleep(0.001)
    (said,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert said.message == "consent could not be looked after, and is tried again"
