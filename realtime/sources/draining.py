"""A source whose pictures one thread reads all the time, so that only the newest counts and no hang holds anybody."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from realtime.errors import SourceError, SourceLost
from realtime.flow.letterbox import Image
from realtime.frame import Frame
from realtime.sources.watch import Watch

logger = logging.getLogger(__name__)

GRACE_S: Final = 0.2  # how long closing waits for a read under way; then the thread is left behind


class Reader(Protocol):
    """What gives pictures; it blocks. All its calls come from one thread."""

    def next(self) -> tuple[Image, float] | None:
        """The next picture and when it was taken (seconds, time.perf_counter()); None where no more come.

        Raises EndOfStream where that is the end that was to be expected, SourceError for a fault.
        """

    def close(self) -> None:
        """Gives the device back."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a device may take, in seconds, before it counts as hanging."""

    opening: float = 20.0
    first: float = 10.0  # for the first picture: exposure settles, a stream waits for its first whole picture
    next: float = 3.0


class Draining:
    """A live source that opens in `async with`; `opened` opens the device, on the thread that then reads it.

    The thread reads whether or not anybody waits, and keeps the newest picture; a gap in the numbers says that others
    came in between. A device that does not answer is lost, and its thread, a daemon, is left behind; should it ever
    come back, it closes what it opened. One can be opened once.
    """

    live = True

    def __init__(
        self, name: str, opened: Callable[[], Reader], patience: Patience | None = None, watch: Watch | None = None
    ) -> None:
        """name is what the user knows the device by; watch, where given, sees every picture."""
        self.name = name
        self._take_hold = opened
        self._patience = patience or Patience()
        self._watch = watch
        self._waiting: asyncio.Future[None] | None = None  # of the one who waits for a change
        self._gone = threading.Event()  # nobody wants anything any more
        self._opened = False
        self._ended = False  # the thread is done
        self._fault: BaseException | None = None
        self._newest: Frame | None = None
        self._count = 0  # pictures that came

    async def __aenter__(self) -> Self:
        """Raises what opening raises, SourceError where it takes too long."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name=f"reader of {self.name}", daemon=True).start()
        try:
            if not await self._until(lambda: self._opened or self._ended, self._patience.opening):
                raise SourceError(f"{self.name} did not open within {self._patience.opening:g} s")
            if self._fault is not None and not self._opened:
                raise self._fault
        except BaseException:
            self._gone.set()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the device back, or leaves its thread behind where that does not come back soon."""
        self._gone.set()
        if not await self._until(lambda: self._ended, GRACE_S):
            logger.info("%s does not come back from a read: it is left to itself", self.name)

    async def read(self) -> Frame:
        """The newest picture, once there is one that was not read yet.

        Raises SourceError where the first never comes, SourceLost where they stop, EndOfStream at an end.
        """
        patience = self._patience.next if self._count else self._patience.first
        there = await self._until(lambda: self._newest is not None or self._ended, patience)
        if self._newest is not None:
            frame, self._newest = self._newest, None
            return frame
        if self._fault is not None:
            raise self._fault
        if self._count == 0:
            raise SourceError(f"{self.name} opened but gave no picture: another program may be using it")
        silence = "" if there else f": no picture for {patience:g} s"
        raise SourceLost(f"{self.name} stopped after {self._count} frames{silence}")

    async def _until(self, reached: Callable[[], bool], patience: float) -> bool:
        """Whether it is reached within so many seconds. Cancelling ends it at once."""
        deadline = self._loop.time() + patience
        while not reached():
            self._waiting = self._loop.create_future()
            # wait_for of Python 3.11.2 may swallow a cancellation that comes together with the result
            done, _ = await asyncio.wait([self._waiting], timeout=max(0.0, deadline - self._loop.time()))
            if not done:
                return reached()
        return True

    def _run(self) -> None:
        """The thread: opens, reads until nobody wants more, closes."""
        fault: BaseException | None = None
        try:
            reader = self._take_hold()
            try:
                self._tell(self._note_opened)
                self._drain(reader)
            finally:
                reader.close()
        except BaseException as error:  # whatever it is, it belongs to whoever waits
            fault = error
        self._tell(self._note_end, fault)

    def _drain(self, reader: Reader) -> None:
        while not self._gone.is_set():
            seen = reader.next()
            if seen is None or self._gone.is_set():
                return
            image, captured_at = seen
            if self._watch is not None:
                self._watch.see(image, captured_at)
            self._tell(self._note_picture, image, captured_at)

    def _tell(self, note: Callable[..., None], *what: object) -> None:
        """Has the event loop note something, if there still is one."""
        with suppress(RuntimeError):  # the loop is closed: this thread was left behind
            self._loop.call_soon_threadsafe(note, *what)

    def _note_opened(self) -> None:
        self._opened = True
        self._wake()

    def _note_picture(self, image: Image, captured_at: float) -> None:
        self._newest = Frame(image, self._count, captured_at)
        self._count += 1
        self._wake()

    def _note_end(self, fault: BaseException | None) -> None:
        self._ended, self._fault = True, fault
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
