"""What sees a training go on: lines in the log, curves in a file, TensorBoard, a display in the terminal."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from training.loop import Moment

logger = logging.getLogger(__name__)

CURVES: Final = "curves.jsonl"  # a line for each moment that was noted


class Watcher(Protocol):
    """Sees each step, and each preview."""

    def step(self, moment: Moment) -> None:
        """After a step; at step 0 before the first, where a training begins."""

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
