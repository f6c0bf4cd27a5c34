"""Which work should share a loop: groupings of the same stages, measured in turns within one run."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from threading import Lock
from typing import Any, Final

from bench.latency import once
from bench.report import summary
from realtime.carrying import Group, Models, stages
from realtime.face.face import Face, Glimpse
from realtime.flow.pipeline import Stage
from realtime.frame import Frame
from realtime.settings import Settings
from realtime.swap.compose import Swapped
from realtime.swap.swapper import Finder

EVEN: Final = 0.5  # percent of frames: a smaller difference in drops is chance


class Ahead:
    """A finder split in two: find looks in a loop of its own, and the call takes what it found for that frame."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self.glimpses: tuple[Glimpse, ...] = ()  # of the frame that was taken last
        self._found: dict[int, tuple[tuple[Face, ...], tuple[Glimpse, ...]]] = {}  # by the number of frames not dropped
        self._lock = Lock()

    @property
    def detector_runs(self) -> int:
        """Of the finder behind it."""
        return self._finder.detector_runs

    def cut(self) -> None:
        """Tells the finder behind it, which may be a frame further."""
        self._finder.cut()

    def holds(self, frame: Frame) -> bool:
        """Every frame is read, in a loop of its own."""
        return False

    def looking_aside(self) -> AbstractContextManager[None]:
        """Of the finder behind it."""
        return self._finder.looking_aside()

    def find(self, frame: Frame) -> Frame:
        """Looks at the frame and hands it on."""
        faces = self._finder(frame)
        with self._lock:
            self._found[frame.index] = faces, self._finder.glimpses
        return frame

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        with self._lock:
            for index in [index for index in self._found if index < frame.index]:
                del self._found[index]
            faces, self.glimpses = self._found.pop(frame.index)
        return faces


def one_loop(swap: Callable[[Frame], Swapped], compose: Callable[[Swapped], Frame]) -> list[Stage[Any, Any]]:
    """Everything in one loop."""
    return [Stage("swap", swap).then(Stage("compose", compose))]


def two_loops(swap: Callable[[Frame], Swapped], compose: Callable[[Swapped], Frame]) -> list[Stage[Any, Any]]:
    """Composing has a loop of its own."""
    return [Stage("swap", swap), Stage("compose", compose)]


def compare(settings: Settings, rounds: int) -> dict[str, Any]:
    """The summary of each grouping over so many rounds, and which one wins. Raises LiveswapError.

    The rounds go A B C, A B C, so that a machine that slows down slows all of them.
    """
    models = Models.load(settings)
    ahead = Ahead(models.tracker)

    def three_loops(swap: Callable[[Frame], Swapped], compose: Callable[[Swapped], Frame]) -> list[Stage[Any, Any]]:
        return [Stage("find", ahead.find), Stage("swap", swap), Stage("compose", compose)]

    groupings: dict[str, tuple[Models, Group]] = {
        "swap+compose": (models, one_loop),
        "swap | compose": (models, two_loops),
        "find | swap | compose": (replace(models, tracker=ahead), three_loops),
    }
    reports: dict[str, list[dict[str, Any]]] = {name: [] for name in groupings}
    for _ in range(rounds):
        for name, (parts, group) in groupings.items():
            reports[name].append(once(settings, parts, group))
    summaries = {name: summary(runs) for name, runs in reports.items()}
    return {"groupings": summaries, "best": best(summaries), "in_use": in_use()}


def best(summaries: dict[str, dict[str, Any]]) -> str:
    """The grouping that drops least; among those within EVEN of it, the one with the lowest p95 age."""
    least = min(one["dropped_percent"] for one in summaries.values())
    even = {name: one for name, one in summaries.items() if one["dropped_percent"] <= least + EVEN}
    return min(even, key=lambda name: even[name]["age_ms"]["p95"] or float("inf"))


def in_use() -> str:
    """The grouping that `liveswap run` has."""

    def nothing(item: Any) -> Any:
        return item

    return " | ".join(stage.name for stage in stages(nothing, nothing))
