"""Ends a run tidily on Ctrl-C or when the system asks."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_KINDS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ended_by_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """The first Ctrl-C or SIGTERM calls stop in the event loop and is noted in the list; a second one has its way.

    For the main thread, inside a running event loop.
    """
    loop = asyncio.get_running_loop()
    before = {kind: signal.getsignal(kind) for kind in _KINDS}
    seen: list[int] = []

    def restore() -> None:
        for kind in _KINDS:
            signal.signal(kind, before[kind])

    def end(kind: int, _: object) -> None:
        seen.append(kind)
        loop.call_soon_threadsafe(stop)
        restore()

    for kind in _KINDS:
        signal.signal(kind, end)
    try:
        yield seen
    finally:
        restore()
