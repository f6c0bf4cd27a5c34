"""One thread for one resource."""

import asyncio
import logging
import threading
import time

import pytest

from realtime.flow.worker import Worker


async def test_calls_run_in_order_on_one_named_thread_of_their_own() -> None:
    order: list[int] = []

    def work(number: int) -> str:
        order.append(number)
        return threading.current_thread().name

    async with Worker("swap") as worker:
        names = await asyncio.gather(*(worker.run(work, number) for number in range(20)))
    assert order == list(range(20))
    assert len(set(names)) == 1
    assert names[0].startswith("swap")
    assert names[0] != threading.current_thread().name


async def test_the_event_loop_stays_free_during_a_call() -> None:
    async with Worker("slow") as worker:
        call = asyncio.create_task(worker.run(time.sleep, 0.1))
        ticks = 0
        while not call.done():
            await asyncio.sleep(0.005)
            ticks += 1
    assert ticks >= 3  # 20 without any other load


async def test_what_a_call_raises_leaves_run() -> None:
    def fail() -> None:
        raise ZeroDivisionError("seven by nothing")

    async with Worker("fails") as worker:
        with pytest.raises(ZeroDivisionError, match="seven by nothing"):
            await worker.run(fail)
        assert await worker.run(lambda: 5) == 5


async def until(event: threading.Event) -> None:
    async with asyncio.timeout(10):
        while not event.is_set():
            await asyncio.sleep(0.001)


async def test_cancelled_run_ends_when_its_call_has_ended() -> None:
    began, release, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        release.wait(5)
        ended.set()

    async with Worker("held") as worker:
        call = asyncio.create_task(worker.run(work))
        await until(began)
        call.cancel()
        await asyncio.sleep(0.02)
        assert not call.done()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert ended.is_set()


async def test_a_call_that_is_cancelled_twice_is_given_up_and_what_closes_comes_after_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    began, release, closed = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        release.wait(30)

    began_at = time.monotonic()
    async with Worker("held") as worker:
        call = asyncio.create_task(worker.run(work))
        await until(began)
        for _ in range(2):
            call.cancel()
            await asyncio.sleep(0.02)
        with pytest.raises(asyncio.CancelledError):
            await call
        await worker.finish(closed.set)
        assert not closed.is_set()
    assert time.monotonic() - began_at < 4  # 0.2 s on an idle machine; one that is cancelled once is waited for 5 s
    assert "held does not come back from a call" in caplog.text
    release.set()
    await until(closed)


async def test_a_call_that_does_not_end_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.flow.worker.PATIENCE_S", 0.05)
    began, release = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        release.wait(30)

    async with Worker("held") as worker:
        call = asyncio.create_task(worker.run(work))
        await until(began)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(call, 10)
    release.set()


async def test_the_last_work_is_done_although_it_is_cancelled() -> None:
    began, release, ended = threading.Event(), threading.Event(), threading.Event()

    def close() -> None:
        began.set()
        release.wait(5)
        ended.set()

    async with Worker("held") as worker:
        call = asyncio.create_task(worker.finish(close))
        await until(began)
        for _ in range(3):
            call.cancel()
            await asyncio.sleep(0.02)
        assert not call.done()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert ended.is_set()


async def test_what_the_last_work_raises_leaves_finish() -> None:
    def fail() -> None:
        raise ZeroDivisionError("seven by nothing")

    async with Worker("fails") as worker:
        with pytest.raises(ZeroDivisionError, match="seven by nothing"):
            await worker.finish(fail)


async def test_a_call_that_has_not_begun_never_begins_when_cancelled() -> None:
    release = threading.Event()
    seen: list[str] = []
    async with Worker("queue") as worker:
        first = asyncio.create_task(worker.run(release.wait, 5))
        second = asyncio.create_task(worker.run(seen.append, "second"))
        await asyncio.sleep(0.02)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        release.set()
        await first
    assert seen == []


async def test_a_fault_of_a_cancelled_call_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    began, release = threading.Event(), threading.Event()

    def fail() -> None:
        began.set()
        release.wait(5)
        raise ValueError("broken plate")

    async with Worker("kitchen") as worker:
        call = asyncio.create_task(worker.run(fail))
        while not began.is_set():
            await asyncio.sleep(0.001)
        call.cancel()
        release.set()
        with caplog.at_level(logging.WARNING), pytest.raises(asyncio.CancelledError):
            await call
    assert "kitchen failed while it was being cancelled: ValueError('broken plate')" in caplog.text


async def test_leaving_ends_the_thread() -> None:
    async with Worker("gone") as worker:
        thread = await worker.run(threading.current_thread)
        assert thread.is_alive()
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="'gone' is used outside"):
        await worker.run(print)
