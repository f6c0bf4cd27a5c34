"""One thread that owns one resource."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Final, Self, TypeVar

logger = logging.getLogger(__name__)

PATIENCE_S: Final = 5.0  # how long a call that nobody wants any more is waited for
LAST_S: Final = 0.15  # the same, for a call that was cancelled twice
FINISH_S: Final = 120.0  # how long giving a resource back may take, such as signing a recording of hours

Result = TypeVar("Result")


class Worker:
    """Runs blocking calls one after the other on its own thread, so that the event loop stays free.

    A cancelled `run` waits for its call, so that whoever holds the worker can release the resource without a call
    still using it; but not for ever: a call that does not end is given up, at once where it is cancelled again. Its
    thread, a daemon, is left behind then, and what should `finish` the resource is done there should the call ever end.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: _Thread | None = None
        self._given_up: Future[Any] | None = None  # the call that nobody waits for any more

    async def __aenter__(self) -> Self:
        self._thread, self._given_up = _Thread(self._name), None
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        self._thread.end()
        if not self._stuck:
            self._thread.join(PATIENCE_S)  # idle by now, because run() waits for its call
        self._thread = None

    async def run(self, work: Callable[..., Result], *args: object) -> Result:
        """The result of work(*args), computed on the worker's thread; what it raises leaves here."""
        call = self._begun(work, args)
        done = asyncio.wrap_future(call)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            await self._outlive(call, done)
            raise

    async def finish(self, work: Callable[..., object], *args: object) -> None:
        """Does the last work, such as giving the resource back, also when this is cancelled; raises what it raises.

        It waits FINISH_S at most, and not at all behind a call that was given up.
        """
        call = self._begun(work, args)
        if self._stuck:
            logger.warning("%s does not come back from a call: it is left to itself", self._name)
            return
        done = asyncio.wrap_future(call)
        cancelled = await self._settled(done)
        if not done.done():
            logger.warning("%s does not come back from being given back: it is left to itself", self._name)
            self._give_up(call, done)
        elif not cancelled:
            done.result()
        elif (error := done.exception()) is not None:
            logger.warning("%s failed while it was being given back: %r", self._name, error)
        if cancelled:
            raise asyncio.CancelledError

    @property
    def _stuck(self) -> bool:
        return self._given_up is not None and not self._given_up.done()

    def _begun(self, work: Callable[..., Result], args: tuple[object, ...]) -> "Future[Result]":
        if self._thread is None:
            raise RuntimeError(f"worker {self._name!r} is used outside `async with`")
        return self._thread.submit(work, args)

    async def _settled(self, done: "asyncio.Future[Any]") -> bool:
        """Waits until it is done, FINISH_S at most; whether it was cancelled meanwhile."""
        loop, cancelled = asyncio.get_running_loop(), False
        deadline = loop.time() + FINISH_S
        while not done.done() and (left := deadline - loop.time()) > 0:
            try:
                await asyncio.wait([done], timeout=left)
            except asyncio.CancelledError:
                cancelled = True
        return cancelled

    async def _outlive(self, call: "Future[Result]", done: "asyncio.Future[Result]") -> None:
        """Waits for a call that nobody wants any more; a call that has not begun never begins."""
        call.cancel()
        for patience in (PATIENCE_S, LAST_S):
            try:
                await asyncio.wait([done], timeout=patience)
                break
            except asyncio.CancelledError:
                continue
        if not done.done():
            self._give_up(call, done)
        elif not done.cancelled() and (error := done.exception()) is not None:
            logger.warning("%s failed while it was being cancelled: %r", self._name, error)

    def _give_up(self, call: "Future[Any]", done: "asyncio.Future[Any]") -> None:
        self._given_up = call
        if call.running():  # a call that waits for its turn may be what gives the resource back
            done.cancel()  # or its end would be told to a loop that may be closed by then


class _Thread(threading.Thread):
    """Does what is submitted, in order, until it is told to end. A daemon: it may hang in a driver."""

    def __init__(self, name: str) -> None:
        super().__init__(name=f"{name}_0", daemon=True)
        self._calls: SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[object, ...]] | None] = SimpleQueue()

    def submit(self, work: Callable[..., Result], args: tuple[object, ...]) -> "Future[Result]":
        call: Future[Result] = Future()
        self._calls.put((call, work, args))
        return call

    def end(self) -> None:
        self._calls.put(None)

    def run(self) -> None:
        while (given := self._calls.get()) is not None:
            _do(*given)
            del given  # nothing is kept while nothing is done


def _do(call: "Future[Result]", work: Callable[..., Result], args: tuple[object, ...]) -> None:
    if not call.set_running_or_notify_cancel():
        return
    try:
        result = work(*args)
    except BaseException as error:  # whatever it is, it belongs to whoever waits
        call.set_exception(error)
    else:
        call.set_result(result)
