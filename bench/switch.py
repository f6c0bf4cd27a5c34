"""Whether a switch of identity holds frames up: the longest gap between two of them, with switches and without."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import av
import cv2

from realtime.carrying import Models, carry, stages
from realtime.errors import LiveswapError, SourceError
from realtime.flow.meters import Meters
from realtime.flow.pipeline import Stage
from realtime.frame import Frame
from realtime.keys import Press
from realtime.settings import Settings
from realtime.swap.compose import Swapped


class Deliveries(Meters):
    """Meters that remember when each frame was delivered."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []  # seconds, time.perf_counter()

    def delivered(self, captured_at: float) -> None:
        """Notes the time as well."""
        self.times.append(time.perf_counter())
        super().delivered(captured_at)


class Player:
    """Presses number keys at even intervals on a thread of its own, as a person at the keyboard would."""

    def __init__(self, keys: str, times: int, seconds: float) -> None:
        """times key presses over so many seconds, keys in turn."""
        self._keys = itertools.islice(itertools.cycle(keys), times)
        self._interval = seconds / (times + 1)

    @contextmanager
    def __call__(self, press: Press) -> Iterator[bool]:
        """A keyboard for carry(): the playing ends with the block."""
        over = Event()
        playing = Thread(target=self._play, args=(press, over), name="player")
        playing.start()
        try:
            yield False
        finally:
            over.set()
            playing.join()

    def _play(self, press: Press, over: Event) -> None:
        for key in self._keys:
            if over.wait(self._interval):
                return
            press(key)


def measure(settings: Settings, switches: int, rounds: int) -> dict[str, Any]:
    """Runs without and with so many switches, in turns; medians over the rounds. Raises LiveswapError.

    In each round with switches the models are loaded anew, so that identities are loaded from their files during it.
    """
    cv2.setNumThreads(settings.threads)
    seconds, rate = timeline(Path(settings.source))
    seconds = min(seconds, settings.duration or seconds)
    runs: dict[str, list[dict[str, Any]]] = {"without": [], "with": []}
    for _ in range(rounds):
        for name, times in (("without", 0), ("with", switches)):
            runs[name].append(once(settings, times, seconds))
    summaries = {name: summary(reports) for name, reports in runs.items()}
    longer = summaries["with"]["longest_gap_ms"] - summaries["without"]["longest_gap_ms"]
    interval = 1000 / rate
    verdict = {"longer_ms": round(longer, 2), "frame_interval_ms": round(interval, 2), "held": longer <= interval}
    return {"switches": switches, "rounds": rounds, "runs": summaries, "reports": runs, **verdict}


def once(settings: Settings, switches: int, seconds: float) -> dict[str, Any]:
    """One run at camera speed into nothing; gaps in ms, and how often the identity of the swapped faces changed."""
    models = Models.load(settings)
    names = models.shelf.names[:9]
    if len(names) < 2:
        raise LiveswapError(f"there is nobody to switch to: {settings.folder} has {', '.join(names) or 'no identity'}")
    others = [str(key) for key, name in enumerate(names, 1) if name != models.identity]
    own = [str(key) for key, name in enumerate(names, 1) if name == models.identity]
    shown: list[str] = []

    def watched(
        find: Callable[[Frame], Any], swap: Callable[[Any], Swapped], compose: Callable[[Any], Frame]
    ) -> list[Stage[Any, Any]]:
        def noted(found: Any) -> Swapped:
            swapped = swap(found)
            shown.extend(face.identity for face in swapped.faces[:1])
            return swapped

        return stages(find, noted, compose)

    meters = Deliveries()
    live = replace(settings, live=True, sink=("null",), preview=False, session_log=False)
    player = Player("".join(others + own), switches, seconds)
    if asyncio.run(carry(live, models, meters, group=watched, keyboard=player)):
        raise KeyboardInterrupt
    if len(meters.times) < 2:
        raise LiveswapError(f"{settings.source} gave {len(meters.times)} frames, wanted at least two for a gap")
    gaps = [1000 * (then - now) for now, then in itertools.pairwise(meters.times)]
    changes = sum(one != other for one, other in itertools.pairwise(shown))
    report = meters.report()
    kept = {key: report[key] for key in ("frames_in", "frames_out", "dropped", "fps", "age_ms")}
    return {**kept, "longest_gap_ms": round(max(gaps), 2), "switches_seen": changes}


def summary(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds, and the sums of what was counted."""
    gaps = [report["longest_gap_ms"] for report in reports]
    return {
        "longest_gap_ms": round(statistics.median(gaps), 2),
        "fps": round(statistics.median(report["fps"] for report in reports), 2),
        "age_p95_ms": round(statistics.median(report["age_ms"]["p95"] for report in reports), 2),
        **{key: sum(report[key] for report in reports) for key in ("frames_in", "dropped", "switches_seen")},
    }


def timeline(path: Path) -> tuple[float, float]:
    """How long a clip is, in seconds, and its frames a second. Raises SourceError."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            return (container.duration or 0) / av.time_base, float(stream.average_rate or 30)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise SourceError(f"{path} is no clip that can be measured with: {error}") from error
