"""Which work should share a loop: groupings of the same stages, measured in turns within one run."""

from collections.abc import Callable
from typing import Any, Final

from bench.latency import once
from bench.report import summary
from realtime.carrying import Group, Models, stages
from realtime.flow.pipeline import Stage
from realtime.frame import Frame
from realtime.settings import Settings

EVEN: Final = 0.5  # percent of frames: a smaller difference in drops is chance

Find = Callable[[Frame], Any]
Swap = Callable[[Any], Any]
Compose = Callable[[Any], Frame]


def one_loop(find: Find, swap: Swap, compose: Compose) -> list[Stage[Any, Any]]:
    """Everything in one loop."""
    return [Stage("find", find).then(Stage("swap", swap)).then(Stage("compose", compose))]


def two_loops(find: Find, swap: Swap, compose: Compose) -> list[Stage[Any, Any]]:
    """Composing has a loop of its own."""
    return [Stage("find", find).then(Stage("swap", swap)), Stage("compose", compose)]


def three_loops(find: Find, swap: Swap, compose: Compose) -> list[Stage[Any, Any]]:
    """Each has a loop of its own, so that faces are found while those of the frame before are drawn."""
    return [Stage("find", find), Stage("swap", swap), Stage("compose", compose)]


def compare(settings: Settings, rounds: int) -> dict[str, Any]:
    """The summary of each grouping over so many rounds, and which one wins. Raises LiveswapError.

    The rounds go A B C, A B C, so that a machine that slows down slows all of them.
    """
    models = Models.load(settings)
    groupings: dict[str, Group] = {
        "find+swap+compose": one_loop,
        "find+swap | compose": two_loops,
        "find | swap | compose": three_loops,
    }
    reports: dict[str, list[dict[str, Any]]] = {name: [] for name in groupings}
    for _ in range(rounds):
        for name, group in groupings.items():
            reports[name].append(once(settings, models, group))
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

    return " | ".join(stage.name for stage in stages(nothing, nothing, nothing))
