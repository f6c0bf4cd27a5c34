"""Keys that steer a run: 1 to 9 choose who everybody becomes, q ends it."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress

from realtime.errors import LiveswapError
from realtime.flow.worker import Worker
from realtime.leaving import terminal
from realtime.swap.identity import Shelf
from realtime.swap.swapper import Swapper

logger = logging.getLogger(__name__)

Press = Callable[[str], None]
Keyboard = Callable[[Press], AbstractContextManager[bool]]  # hands keys to press while inside; whether it can


class Controls:
    """What keys do: loads identities on a thread of its own, so that frames go on, and switches between two frames."""

    def __init__(self, swapper: Swapper, shelf: Shelf) -> None:
        self._swapper = swapper
        self._shelf = shelf
        self._stop: Callable[[], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wanted: str | None = None  # the newest choice that was not begun yet
        self._chosen = asyncio.Event()

    def press(self, key: str) -> None:
        """Does what the key means, soon; any thread may call it, and outside obeyed() nothing happens."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._take, key)

    @property
    def hint(self) -> str:
        """Which keys there are, for the operator."""
        return ", ".join((*(f"{key} {name}" for key, name in enumerate(self._shelf.names[:9], 1)), "q ends"))

    @asynccontextmanager
    async def obeyed(self, stop: Callable[[], None]) -> AsyncIterator[None]:
        """Keys have their effect while inside; stop is what q calls, in the event loop."""
        self._loop, self._stop = asyncio.get_running_loop(), stop
        async with Worker("identities") as worker:
            switching = asyncio.create_task(self._switch(worker))
            try:
                yield
            finally:
                self._loop = None
                switching.cancel()
                with suppress(asyncio.CancelledError):
                    await switching

    def _take(self, key: str) -> None:
        names = self._shelf.names
        if key == "q" and self._stop is not None:
            self._stop()
        elif key in tuple("123456789"):
            if int(key) > len(names):
                logger.warning("there is no identity %s: %s", key, self.hint)
                return
            self._wanted = names[int(key) - 1]
            self._chosen.set()

    async def _switch(self, worker: Worker) -> None:
        while True:
            await self._chosen.wait()
            self._chosen.clear()
            try:
                await worker.run(setattr, self._swapper, "identity", self._wanted)
            except LiveswapError as error:
                logger.warning("%s; it stays with %s", error, self._swapper.identity)


@contextmanager
def typed(press: Press) -> Iterator[bool]:
    """Hands on what is typed at the terminal, key by key, and leaves the terminal as it was, whatever ends the block.

    Inside a running event loop. Yields False and touches nothing where stdin is no terminal, where the terminal belongs
    to another program (this one was started with &), and on Windows, whose console works otherwise.
    """
    descriptor = terminal()
    if sys.platform == "win32" or descriptor is None:
        yield False
        return
    import termios  # which Windows lacks
    import tty

    loop = asyncio.get_running_loop()
    before = termios.tcgetattr(descriptor)

    def read() -> None:
        keys = os.read(descriptor, 64)
        if not keys:
            loop.remove_reader(descriptor)  # the terminal is gone
        for key in keys.decode("ascii", "ignore"):
            press(key)

    try:
        tty.setcbreak(descriptor)  # no line to finish, no echo; Ctrl-C is still a signal
        loop.add_reader(descriptor, read)
        yield True
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
