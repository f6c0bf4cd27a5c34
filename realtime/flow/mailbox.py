"""A place for one item between two loops."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from realtime.errors import EndOfStream

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds at most one item, for loops of one event loop.

    Live: the newer item takes the place of the one that nobody took.
    Recorded: whoever puts waits until there is room, so nothing is lost.
    """

    def __init__(self, live: bool) -> None:
        self._live = live
        self._slot: deque[T] = deque()  # none or one
        self._closed = False
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._slot)

    async def put(self, item: T) -> T | None:
        """Leaves the item; gives back the untaken one that it displaced (live), which is then lost.

        Raises EndOfStream where the mailbox is closed: nobody will take the item.
        """
        while self._slot and not self._live and not self._closed:
            await self._change()
        if self._closed:
            raise EndOfStream("this mailbox is closed")
        displaced = self._slot.pop() if self._slot else None
        self._slot.append(item)
        self._changed.set()
        return displaced

    async def filled(self) -> None:
        """Waits until there is an item, and leaves it. Raises EndOfStream once the mailbox is closed and empty."""
        while not self._slot:
            if self._closed:
                raise EndOfStream("this mailbox is closed and empty")
            await self._change()

    async def take(self) -> T:
        """The item, as soon as there is one. Raises EndOfStream once the mailbox is closed and empty."""
        await self.filled()
        item = self._slot.pop()
        self._changed.set()
        return item

    def close(self) -> None:
        """No more items: an item that waits can still be taken, a put that waits ends."""
        self._closed = True
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
