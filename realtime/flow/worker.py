"""One thread that owns one resource."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Worker:
    """Runs blocking calls one after the other on its own thread, so that the event loop stays free.

    `run` returns only when its call has ended, also when it is cancelled: whoever holds the worker can then
    release the resource without a call still using it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> Self:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=self._name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        self._thread.shutdown(wait=True)  # idle by now, because run() waits for its call
        self._thread = None

    async def run(self, work: Callable[..., Result], *args: object) -> Result:
        """The result of work(*args), computed on the worker's thread; what it raises leaves here."""
        if self._thread is None:
            raise RuntimeError(f"worker {self._name!r} is used outside `async with`")
        call = self._thread.submit(work, *args)
        done = asyncio.wrap_future(call)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            await self._outlive(call, done)
            raise

    async def _outlive(self, call: "Future[Result]", done: "asyncio.Future[Result]") -> None:
        """Waits for a call that nobody wants any more; a call that has not begun never begins."""
        call.cancel()
        while not done.done():
            try:
                await asyncio.wait([done])
            except asyncio.CancelledError:
                continue  # cancelled once more: the call is still the one to wait for
        if not done.cancelled() and (error := done.exception()) is not None:
            logger.warning("%s failed while it was being cancelled: %r", self._name, error)
