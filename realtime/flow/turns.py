"""How many computations of one process go on at once, and who begins next."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

FRESH: Final = 1  # the order of work on a frame that nobody has begun with
BEGUN: Final = 0  # and on one that somebody has: it goes first


class Turns:
    """Lets so many loops of one event loop compute at once; the others wait their turn.

    More computations than cores do not get more done: each takes longer, so every frame is older when it is finished,
    and the event loop, one thread among many, gets so little that packets wait in the system until they are lost.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._numbers = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []  # a heap of (order, number, who is told)

    @asynccontextmanager
    async def at(self, order: int) -> AsyncIterator[None]:
        """A turn until the end; a lower order goes first, and whoever came first among equals."""
        await self._begin(order)
        try:
            yield
        finally:
            self._end()

    async def _begin(self, order: int) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        told = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (order, next(self._numbers), told))
        try:
            await told
        except asyncio.CancelledError:
            if told.done() and not told.cancelled():  # the turn came and cannot be taken
                self._end()
            raise

    def _end(self) -> None:
        """Hands the turn on to the next who still waits."""
        while self._waiting:
            _, _, told = heapq.heappop(self._waiting)
            if not told.done():
                told.set_result(None)
                return
        self._free += 1
