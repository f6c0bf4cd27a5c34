"""Keeps a training's averaged weights every so many minutes of the processor, so that its quality can be plotted."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from realtime.errors import LiveswapError
from training import checkpoint
from training.loop import Moment

logger = logging.getLogger(__name__)

SNAPSHOTS: Final = "snapshots"  # the folder, beside the checkpoint
NAME: Final = "step-*.pt"


class Snapshots:
    """Writes one before the first step, then after every `minutes` of the processor, and one at the end.

    A snapshot is a checkpoint that load_swap_net reads and no training goes on from; its record says core_minutes.
    """

    def __init__(
        self,
        out: Path,
        minutes: float,
        content: Callable[[], dict[str, Any]],
        clock: Callable[[], float] = time.process_time,
    ) -> None:
        """content: "record" and "average" as they are now. clock: seconds of the processor, of all threads."""
        self._folder, self._minutes, self._content, self._clock = out / SNAPSHOTS, minutes, content, clock
        self._before, self._since, self._next = 0.0, clock(), 0.0  # core minutes, the clock's seconds, core minutes

    def step(self, moment: Moment) -> None:
        """Writes one where it is time. What cannot be written is said and costs the training nothing."""
        if moment.first:
            self._go_on(moment.step)
        spent = self._before + (self._clock() - self._since) / 60
        if spent < self._next and not moment.last:
            return
        self._next = spent + self._minutes
        content = self._content()
        record = {**content["record"], "steps": moment.step, "core_minutes": round(spent, 3)}
        try:
            path = self._folder / NAME.replace("*", f"{moment.step:08d}")
            checkpoint.save(path, checkpoint.SWAP, {**content, "record": record})
        except LiveswapError as error:
            logger.warning("%s; the training goes on", error)

    def picture(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Pictures are kept elsewhere."""

    def _go_on(self, step: int) -> None:
        """Those of steps that are taken again go; the time of the last one that stays counts."""
        self._since = self._clock()
        kept = [path for path in snapshots_in(self._folder.parent) if int(path.stem.removeprefix("step-")) <= step]
        for path in set(snapshots_in(self._folder.parent)) - set(kept):
            path.unlink()
        if step and kept:
            self._before = core_minutes(checkpoint.load(kept[-1], checkpoint.SWAP)["record"])
            self._next = self._before + self._minutes


def snapshots_in(run: Path) -> list[Path]:
    """The snapshots of a run, by step."""
    return sorted((run / SNAPSHOTS).glob(NAME))


def core_minutes(record: dict[str, Any]) -> float:
    """How long a snapshot's training had taken, in minutes of processors; 0 where its record does not say."""
    return float(record.get("core_minutes", 0.0))
