"""A training's curves in a file: losses and measures over steps, minutes and the processor's time, a line for each."""

import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.loop import Moment

logger = logging.getLogger(__name__)

CURVES: Final = "curves.jsonl"


@dataclass(frozen=True, slots=True)
class Point:
    """One line of the file."""

    step: int
    minutes: float  # trained
    core_minutes: float  # of processors, by all threads of the process that writes; parts that were lost not counted
    rate: float  # of learning
    losses: Mapping[str, float]  # weighted, smoothed
    measures: Mapping[str, float]  # on held-out faces, after this step; empty where nothing was measured


class Curves:
    """Writes a line every `every` steps and after each measurement. A training that goes on cuts off what it lost.

    What cannot be written is said once and costs the training nothing.
    """

    def __init__(self, out: Path, every: int) -> None:
        self._path, self._every = out / CURVES, every
        self._point: Point | None = None  # the last line
        self._spent, self._since = 0.0, 0.0  # core seconds up to the last start, and the process's clock then
        self._torn = False  # whether the last line may be half written

    def step(self, moment: Moment) -> None:
        """Notes moments that count."""
        try:
            if moment.first or (self._point and moment.step < self._point.step):
                self._go_on(moment)
            if self._counts(moment):
                self._note(moment)
        except OSError as error:
            if not self._torn:
                logger.warning("%s cannot be written: %s; the training goes on", self._path, error.strerror)
            self._torn = True

    def picture(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Pictures are kept elsewhere."""

    def _counts(self, moment: Moment) -> bool:
        before = self._point
        if before and before.step == moment.step:  # a test at the end, of a step that has a line already
            return moment.tested and not before.measures
        return moment.tested or moment.step % self._every == 0

    def _go_on(self, moment: Moment) -> None:
        """Leaves the lines up to a moment, and the time that they tell of."""
        begins = moment.first and not moment.step
        points = [] if begins else [point for point in read_curves(self._path) if point.step <= moment.step]
        self._point = points[-1] if points else None
        if moment.first:
            self._spent, self._since = 60 * points[-1].core_minutes if points else 0.0, time.process_time()
        beside = self._path.with_name(self._path.name + ".part")
        beside.write_text("".join(line(point) for point in points), "utf-8")
        beside.replace(self._path)
        self._torn = False

    def _note(self, moment: Moment) -> None:
        spent = self._spent + time.process_time() - self._since
        measures = {name: value for name, value in moment.numbers.items() if moment.tested and math.isfinite(value)}
        point = Point(moment.step, moment.seconds / 60, spent / 60, moment.rate, dict(moment.losses), measures)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(("\n" if self._torn else "") + line(point))
        self._point, self._torn = point, False


def line(point: Point) -> str:
    """A point as JSON, numbers to six digits."""
    return json.dumps(_rounded(asdict(point))) + "\n"


def read_curves(path: Path) -> list[Point]:
    """The points in a file, one for each step; none where there is no file. Lines that are no points are left out."""
    points: dict[int, Point] = {}
    for text in path.read_text("utf-8").splitlines() if path.is_file() else ():
        try:
            point = Point(**json.loads(text))
        except (ValueError, TypeError):  # cut off while it was written
            continue
        points[point.step] = point
    return [points[step] for step in sorted(points)]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value
