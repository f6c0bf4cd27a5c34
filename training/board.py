"""A training in TensorBoard: scalars and previews, where the package is installed."""

import importlib.util
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from realtime.errors import SettingsError
from training.loop import Moment

logger = logging.getLogger(__name__)

FOLDER: Final = "tensorboard"  # of a run, for `tensorboard --logdir RUN`


class Board:
    """Writes what TensorBoard shows, every `every` steps and after each measurement.

    Steps that a training lost when it went on from a checkpoint are no longer shown. What cannot be written is said,
    ends the writing, and costs the training nothing.
    """

    def __init__(self, out: Path, every: int) -> None:
        self._folder, self._every = out / FOLDER, every
        self._writer: Any = None  # opened late, since a training may be refused before its first step
        self._step, self._new = 0, 0  # the last step, and the first one that is not from before
        self._failed = False

    def step(self, moment: Moment) -> None:
        """Writes the scalars of moments that count."""
        known = moment.step < self._step or (moment.first and moment.step > 0)  # it goes on from a checkpoint
        if known:
            self.close()
            self._new = moment.step + 1
        if (moment.tested or moment.step % self._every == 0) and not known:
            self._write(lambda writer: _scalars(writer, moment))
        self._step = moment.step

    def picture(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Writes a preview."""
        self._write(lambda writer: writer.add_image("preview", picture[..., ::-1], step, dataformats="HWC"))

    def close(self) -> None:
        """Writes what is left; what comes later goes into another file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with self._said():
                writer.close()

    def _write(self, action: Callable[[Any], None]) -> None:
        if self._failed:
            return
        with self._said():
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter  # takes seconds

                self._writer = SummaryWriter(str(self._folder), purge_step=self._new)
            action(self._writer)

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._failed = True
            logger.warning("%s cannot be written: %s; the training goes on without", self._folder, error.strerror)


@contextmanager
def boarded(out: Path, every: int, wanted: bool | None) -> Iterator[Board | None]:
    """A board within `with`; none where it is not wanted, or the package is missing and nobody insisted.

    Raises SettingsError where it is wanted and missing.
    """
    found = importlib.util.find_spec("tensorboard") is not None
    if wanted and not found:
        raise SettingsError("--tensorboard wants the package tensorboard: pip install 'liveswap[tensorboard]'")
    board = Board(out, every) if found and wanted is not False else None
    try:
        yield board
    finally:
        if board:
            board.close()


def _scalars(writer: Any, moment: Moment) -> None:
    values = {f"losses/{name}": value for name, value in moment.losses.items()}
    values |= {"losses": sum(moment.losses.values()), "training/rate": moment.rate} if moment.losses else {}
    values |= {"training/steps a second": moment.speed} if moment.speed else {}
    values |= {f"held out/{name}": value for name, value in moment.numbers.items() if moment.tested}
    for name, value in values.items():
        writer.add_scalar(name, value, moment.step)
