"""Gives back what ended sessions held: peers and their codecs refer to each other, and wait for Python's collector."""

import asyncio
import gc
from typing import Final

SOON_S: Final = 1.0  # after a session's end, when its last tasks are over; ends that come together are one


class Leavings:
    """Collects after sessions have ended, and never looks again at what was there before any began.

    Left alone, Python's collector comes by the number of objects, of which a peer has few, and not by the memory of
    its codecs, of which it has much: a server grew by 5 MB with each visitor. What is frozen makes a look short.
    """

    def __init__(self) -> None:
        self._waiting: asyncio.TimerHandle | None = None

    def freeze(self) -> None:
        """Leaves all that there is now, such as modules and models, out of every later look."""
        gc.collect()
        gc.freeze()

    def clear_soon(self) -> None:
        """Collects in a while. Called on the event loop, once for each session that has ended."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(SOON_S, self._clear)

    def _clear(self) -> None:
        self._waiting = None
        gc.collect()
