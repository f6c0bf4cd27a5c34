"""Ends a run on Ctrl-C or when the system asks: tidily where that is possible, within a second where it is not."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

from realtime.leaving import INTERRUPTED, depart

logger = logging.getLogger(__name__)

GRACE_S: Final = 0.4  # for what is under way to be delivered
MORE_S: Final = 0.15  # for calls that were cancelled then to end
PATIENT_S: Final = 2.0  # for closing; then it is said that a second signal ends at once
LONGEST_S: Final = 150.0  # for closing, such as signing a recording of hours; then nothing is waited for
_KINDS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ended_by_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """The first Ctrl-C or SIGTERM calls stop in the event loop and is noted in the list; a second ends the process.

    So does time where the block has not ended LONGEST_S after the first. For the main thread, inside a running event
    loop.
    """
    loop = asyncio.get_running_loop()
    before = {kind: signal.getsignal(kind) for kind in _KINDS}
    seen: list[int] = []
    limits: list[threading.Timer] = []

    def end(kind: int, _: object) -> None:
        if seen:
            depart(INTERRUPTED + kind)
        seen.append(kind)
        limits.append(threading.Timer(LONGEST_S, depart, [INTERRUPTED + kind]))
        limits[0].daemon = True
        limits[0].start()
        loop.call_soon_threadsafe(stop)

    for kind in _KINDS:
        signal.signal(kind, end)
    try:
        yield seen
    finally:
        for kind in _KINDS:
            signal.signal(kind, before[kind])
        for limit in limits:
            limit.cancel()


class Ending:
    """How one run ends. A signal calls what `stopping` was given, so that what is under way is delivered.

    What has not ended after GRACE_S is cancelled, and calls that go on all the same are given up soon after that.
    Before and after `stopping`, while things are opened or closed, a signal cancels at once; what closes is finished.
    """

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None
        self._body: asyncio.Task[None] | None = None
        self._waiting: asyncio.Task[Any] | None = None  # the one in `of`
        self._pressing: asyncio.Task[None] | None = None  # kept, or it might be forgotten half-way

    async def of(self, body: Coroutine[Any, Any, None]) -> int:
        """Does the body; the signal that ended it, or 0. What the body raises leaves here."""
        with ended_by_signals(self._begin) as signals:
            self._waiting, self._body = asyncio.current_task(), asyncio.create_task(body)
            try:
                await self._body
            except asyncio.CancelledError:
                if not signals or (self._waiting is not None and self._waiting.cancelling()):
                    raise
            finally:
                if self._pressing is not None:
                    self._pressing.cancel()
        return signals[0] if signals else 0

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """Inside, a signal calls stop in the event loop before anything is cancelled."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def _begin(self) -> None:
        if self._stop is not None:
            self._stop()
        elif self._body is not None:
            self._body.cancel()
        self._pressing = asyncio.create_task(self._press())

    async def _press(self) -> None:
        await asyncio.sleep(GRACE_S)
        assert self._body is not None
        self._body.cancel()
        await asyncio.sleep(MORE_S)
        for task in asyncio.all_tasks() - {self._pressing, self._waiting}:
            task.cancel()
        await asyncio.sleep(PATIENT_S)
        logger.warning("files and devices are still being closed; Ctrl-C once more ends at once")
