"""Plays a timeline at its own speed."""

import asyncio
import time


class Pace:
    """Knows when each moment of a recording is due; the first one that is waited for is due at once."""

    def __init__(self) -> None:
        self._started: float | None = None  # when second 0 of the timeline was due: seconds, time.perf_counter()

    def now(self) -> float:
        """Which second of the timeline is due now; 0 until the first was waited for."""
        return 0.0 if self._started is None else time.perf_counter() - self._started

    def restart(self, at: float) -> None:
        """From now on second `at` is due now: for a recording that cannot be read at its own speed."""
        self._started = time.perf_counter() - at

    async def wait(self, at: float) -> float:
        """Returns when second `at` is due, never before, and says when that was: seconds, time.perf_counter()."""
        if self._started is None:
            self.restart(at)
        while (early := self._due(at) - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        return self._due(at)

    def _due(self, at: float) -> float:
        assert self._started is not None
        return self._started + at
