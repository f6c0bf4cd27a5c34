"""Frames of several sessions in one call of a model: a graphics card does many in little more time than one."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Condition
from typing import Final

from realtime.errors import ModelError
from realtime.swap.fused.board import Board, Clock
from realtime.swap.fused.painting import Done, Job, painted

WAIT_S: Final = 0.003  # that a frame waits for those of others at most
MOST: Final = 64  # frames in one call
_SIZES: Final = (64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)  # of calls, so that few sets of buffers are needed
_BOARDS: Final = 6  # that are kept
_AROUND_S: Final = 0.2  # for which a session that asked counts as one that will ask again

Painting = Callable[[Board, Sequence[Job]], list[Done]]


class Batcher:
    """Does the jobs of several threads together; each waits for its own.

    A session asks with one frame at a time and takes its newest when it asks again, so a batch holds the newest frame
    of each. Nobody waits longer for others than `wait`, nobody at all who is alone, and the waiting ends as soon as all
    who asked lately have asked. One of those who wait does the work for all: there is no thread to be looked after.
    """

    def __init__(
        self, wait: float = WAIT_S, most: int = MOST, clock: Clock | None = None, painting: Painting = painted
    ) -> None:
        """wait in seconds; most is how many frames one call takes; clock takes what the parts of calls took."""
        self._wait = wait
        self._most = most
        self._clock = clock
        self._painting = painting
        self._changed = Condition()
        self._waiting: list[_Ticket] = []
        self._seen: dict[Hashable, float] = {}  # when each session asked last
        self._working = False
        self._boards: OrderedDict[Hashable, Board] = OrderedDict()

    def __call__(self, job: Job, session: Hashable) -> Done:
        """The job, done; session says whose it is. Raises ModelError when this very job fails."""
        ticket = _Ticket(job)
        with self._changed:
            self._waiting.append(ticket)
            self._seen[session] = time.perf_counter()
            self._changed.notify_all()
            while not ticket.over:
                if self._working:
                    self._changed.wait()
                    continue
                self._working = True
                try:
                    self._work(ticket)
                finally:
                    self._working = False
                    self._changed.notify_all()
        return ticket.result()

    def _work(self, mine: "_Ticket") -> None:
        """Waits for others and does the jobs of one kind; the lock is held but while it waits or computes."""
        self._changed.wait_for(lambda: len(self._waiting) >= self._expected(), self._wait)
        batch = self._taken(mine)
        self._changed.release()
        try:
            self._do(batch)
        except BaseException as error:
            for ticket in batch:
                ticket.fails(error)
            raise
        finally:
            self._changed.acquire()

    def _expected(self) -> int:
        """How many may ask about now: those who did so lately."""
        since = time.perf_counter() - _AROUND_S
        self._seen = {session: at for session, at in self._seen.items() if at >= since}
        return min(len(self._seen), self._most)

    def _taken(self, mine: "_Ticket") -> list["_Ticket"]:
        """The jobs that are done now: of the kind of mine, mine among them, the longest waiting first."""
        alike = [ticket for ticket in self._waiting if ticket.job.kind == mine.job.kind]
        count = next(size for size in _SIZES if size <= min(len(alike), self._most))
        batch = alike[:count] if mine in alike[:count] else [mine, *alike[: count - 1]]
        self._waiting = [ticket for ticket in self._waiting if ticket not in batch]
        return batch

    def _do(self, batch: Sequence["_Ticket"]) -> None:
        """Does a batch; where it fails, each alone, so that one session's failure is no other's."""
        jobs = [ticket.job for ticket in batch]
        try:
            for ticket, done in zip(batch, self._painting(self._board(jobs), jobs), strict=True):
                ticket.done = done
        except ModelError as error:
            if len(batch) == 1:
                batch[0].fails(error)
                return
            for ticket in batch:
                self._do([ticket])

    def _board(self, jobs: Sequence[Job]) -> Board:
        """The board for so many frames of this kind; the one used longest ago makes room."""
        key = len(jobs), jobs[0].kind
        board = self._boards.pop(key, None) or Board(self._clock)
        self._boards[key] = board
        if len(self._boards) > _BOARDS:
            self._boards.popitem(last=False)
        return board


class _Ticket:
    """A job that somebody waits for."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.done: Done | None = None
        self._error: BaseException | None = None

    @property
    def over(self) -> bool:
        """Whether it was done or failed."""
        return self.done is not None or self._error is not None

    def fails(self, error: BaseException) -> None:
        """Takes why it could not be done."""
        self._error = error

    def result(self) -> Done:
        """What was done. Raises what it failed with."""
        if self._error is not None:
            raise self._error
        assert self.done is not None
        return self.done
