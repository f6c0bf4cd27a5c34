"""Plays a timeline at its own speed."""

import asyncio
import time


class Pace:
    """Knows when each moment of a recording is due, if the first one asked about is due at once."""

    def __init__(self) -> None:
        self._started: float | None = None  # when second 0 of the timeline was due: seconds, time.perf_counter()

    def due(self, at: float) -> float:
        """When second `at` of the timeline is due: seconds, time.perf_counter()."""
        if self._started is None:
            self._started = time.perf_counter() - at
        return self._started + at

    def restart(self, at: float) -> None:
        """From now on second `at` is due now: for a recording that cannot be read at its own speed."""
        self._started = time.perf_counter() - at

    async def wait(self, at: float) -> float:
        """Returns when second `at` is due, never before, and says when that was."""
        while (early := self.due(at) - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        return self.due(at)
