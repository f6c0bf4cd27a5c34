"""What sees a training go on: a display in the terminal or lines in the log, curves in a file, TensorBoard."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from training.board import boarded
from training.curves import Curves
from training.display import displayed
from training.loop import Moment, line

logger = logging.getLogger(__name__)


class Watcher(Protocol):
    """Sees each step, and each preview."""

    def step(self, moment: Moment) -> None:
        """Before the first step, where a training begins or goes on, and after each."""

    def picture(self, step: int, picture: NDArray[np.uint8]) -> None:
        """A preview, (h, w, 3) BGR."""


@dataclass(frozen=True, slots=True)
class All:
    """Several watchers as one."""

    watchers: Sequence[Watcher]

    def step(self, moment: Moment) -> None:
        """Each sees it."""
        for watcher in self.watchers:
            watcher.step(moment)

    def picture(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Each sees it."""
        for watcher in self.watchers:
            watcher.picture(step, picture)


@dataclass(frozen=True, slots=True)
class Lines:
    """A line in the log every `every` steps, for where there is no terminal."""

    every: int

    def step(self, moment: Moment) -> None:
        """Says where it stands."""
        if moment.step % self.every == 0 and not (moment.first or moment.last):
            said = line(moment, moment.losses)
            logger.info("%s | %.2f it/s, %.1f min left", said, moment.speed, moment.left / 60)

    def picture(self, step: int, picture: NDArray[np.uint8]) -> None:
        """There are none in a log."""


@contextmanager
def watched(out: Path, every: int, console: Console | None, board: bool | None = None) -> Iterator[Watcher]:
    """Whoever sees a training in the folder out: a display where console is a terminal, or lines; curves; TensorBoard.

    every: the steps between two lines. board: as boarded. Nobody sees it without a console: another process shows it.
    """
    with ExitStack() as stack:
        if console is None:
            yield All([])
            return
        shown = stack.enter_context(displayed(console)) if console.is_terminal else Lines(every)
        written = stack.enter_context(boarded(out, every, board))
        yield All([shown, Curves(out, every), *([written] if written else [])])
