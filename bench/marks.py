"""`liveswap-bench marks`: what the invisible mark survives, and how seldom it is seen where there is none."""

import os
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bench.marks_clips import Clip, Marked, clips
from bench.marks_docs import Pages
from bench.marks_null import Null, measure
from bench.marks_plot import plot
from bench.marks_takes import HOP, STARTS, STRETCH_S
from bench.marks_ways import FPS, Way, ways
from bench.report import said, with_origin, write
from realtime.__main__ import DEMO
from realtime.egress.evidence import FALSE_ALARMS, Gatherer, Grey, Reader, Reading
from realtime.egress.payload import Payload
from realtime.status import speak

LENGTHS_S: Final = (2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0)  # tried for how many seconds it takes
SECONDS: Final = 10.0  # of each film
HOP_S: Final = 0.5  # from one marked stretch to the next, on ways that are targets: they overlap
OTHERS_HOP_S: Final = 1.25  # on the others
UNMARKED: Final = 10_000  # different stretches


@dataclass(frozen=True, slots=True)
class Trial:
    """One film on one way."""

    way: str
    clip: str
    readings: tuple[Reading, ...]  # of its stretches
    payload: Payload
    seconds: float | None  # after which the mark was found; None: not in the whole film


def marks(
    footage: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Films of real people beside the bundled one.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few ways, one session, a tenth of the stretches.")] = False,
    sessions: Annotated[int, typer.Option(min=1, max=100, help="Of each film, on the ways that count most.")] = 1,
    others: Annotated[int, typer.Option(min=1, max=1000, help="Films, on the other ways.")] = 2,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers as JSON as well.")] = None,
    picture: Annotated[Path | None, typer.Option("--plot", metavar="FILE.png", help="Draw them as well.")] = None,
    docs: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write them into benchmarks.md and marks.md there.")
    ] = None,
) -> None:
    """What the invisible mark survives: stretches of 5 s on some thirty ways; and 10,000 stretches without a mark."""
    speak(0)
    pages = None if docs is None else Pages.read(docs)  # what is wrong with them is said before minutes have passed
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder speaks of errors alone
    cv2.setNumThreads(1)  # the work is shared out among films
    threads, progress = os.cpu_count() or 1, Progress()
    films = clips(DEMO, footage, SECONDS)
    chosen = [way for way in ways() if not quick or way.target or way.name == "as it leaves"]
    null = unmarked(films, UNMARKED // 10 if quick else UNMARKED, threads, progress)
    trials = survived(films, chosen, 1 if quick else sessions, others, threads, progress)
    looks = (
        statistics.fmean([one.psnr() for one in progress.marked]),
        statistics.fmean([one.ssim() for one in progress.marked]),
    )
    numbers: dict[str, Any] = {
        "films": [film.name for film in films],
        "psnr_db": round(looks[0], 2),
        "ssim": round(looks[1], 5),
        "stretch_s": STRETCH_S,
        "unmarked": summary(null, films),
        "ways": [row(way, [trial for trial in trials if trial.way == way.name]) for way in chosen],
    }
    console = Console()
    console.print(table(numbers))
    console.print(sentence(numbers), highlight=False)
    if picture is not None:
        plot(null, numbers["ways"], picture)
    if out is not None:
        write(out, with_origin(numbers, shlex.join(["liveswap-bench", *sys.argv[1:]])))
    if pages is not None:
        pages.measured(numbers, picture).write()


class Progress:
    """Says on stderr how far it is, and keeps a few marked films."""

    def __init__(self) -> None:
        self.marked: list[Marked] = []
        self._began = time.monotonic()

    def say(self, what: str, done: int, of: int) -> None:
        """A line."""
        typer.echo(f"{time.monotonic() - self._began:6.0f} s  {what}: {done} of {of}", err=True)


def unmarked(films: Sequence[Clip], wanted: int, threads: int, progress: Progress) -> Null:
    """What is found where there is nothing."""
    told = 0

    def tell(done: int, of: int) -> None:
        nonlocal told
        if done - told >= of // 20 or done == of:
            told = done
            progress.say("unmarked stretches read", done, of)

    return measure(films, wanted, threads, tell)


def survived(
    films: Sequence[Clip], chosen: Sequence[Way], sessions: int, others: int, threads: int, progress: Progress
) -> list[Trial]:
    """Every film, in several sessions, on its ways."""
    reader = Reader()
    trials: list[Trial] = []
    for session in range(sessions):
        for number, film in enumerate(films):
            few = session == 0 and number < others
            todo = [way for way in chosen if way.target or few]
            marked = Marked.of(film, session * len(films) + number)
            if session == 0:
                progress.marked.append(Marked(film, marked.pictures, marked.payload))
            with ThreadPoolExecutor(threads) as pool:
                trials += pool.map(lambda way, marked=marked: tried(way, marked, reader), todo)
            progress.say("marked films sent on their ways", session * len(films) + number + 1, sessions * len(films))
    return trials


def tried(way: Way, marked: Marked, reader: Reader) -> Trial:
    """One film on one way: every stretch read blindly, and how long it takes from the beginning."""
    pictures = way.go(marked.pictures)
    length = round(STRETCH_S * way.fps)
    step = round((HOP_S if way.target else OTHERS_HOP_S) * way.fps)
    starts = range(0, max(1, len(pictures) - length + 1), step)
    readings = [read(pictures[start : start + length], way.fps, start, reader) for start in starts]
    found = [one for one in readings if one is not None]
    seconds = next((s for s in LENGTHS_S if seen(pictures[: round(s * way.fps)], way.fps, reader)), None)
    return Trial(way.name, marked.clip.name, tuple(found), marked.payload, seconds)


def read(pictures: Sequence[Grey], fps: float, start: int, reader: Reader) -> Reading | None:
    """What pictures from this number on say."""
    gatherer = Gatherer()
    for number, picture in enumerate(pictures):
        gatherer.add(picture, (start + number) / fps)
    evidence = gatherer.evidence()
    return None if evidence is None else reader.read(evidence)


def seen(pictures: Sequence[Grey], fps: float, reader: Reader) -> bool:
    """Whether these pictures are enough."""
    found = read(pictures, fps, 0, reader)
    return found is not None and found.marked


def row(way: Way, trials: Sequence[Trial]) -> dict[str, Any]:
    """A row of the table."""
    pairs = [(reading, trial.payload) for trial in trials for reading in trial.readings]
    coded = [float(((reading.signs > 0) == (payload.coded() > 0)).mean()) for reading, payload in pairs]
    seconds = [trial.seconds if trial.seconds is not None else float("inf") for trial in trials]
    typical = statistics.median(seconds)
    return {
        "way": way.name,
        "target": way.target,
        "stretches": len(pairs),
        "found": sum(reading.marked for reading, _ in pairs),
        "read": sum(reading.payload == payload for reading, payload in pairs),
        "misread": sum(reading.payload not in (None, payload) for reading, payload in pairs if reading.marked),
        "coded_bits_right_percent": round(100 * statistics.fmean(coded), 1),
        "median_strength": round(statistics.median(reading.strength for reading, _ in pairs), 1),
        "weakest": round(min(reading.strength for reading, _ in pairs), 1),
        "seconds": None if typical == float("inf") else typical,
    }


def summary(null: Null, films: Sequence[Clip]) -> dict[str, Any]:
    """What was found where there was nothing."""
    return {
        "stretches": len(null.strengths),
        "different": null.different,
        "takes": null.takes,
        "stretches_of_a_take": STARTS,
        "apart_s": round(HOP / FPS, 2),
        "footage_s": round(sum(len(film.once) for film in films) / FPS, 1),
        "rendered_s": round(len(films[0].once) / FPS, 1),  # the demo
        "with_other_keys": len(null.others),
        "false_alarms": null.alarms,
        "strongest": round(float(null.strengths[-1]), 2),
        "strongest_with_other_keys": round(float(null.others[-1]), 2),
        "threshold": round(null.threshold, 2),
        "looks": null.looks,
        "effective_looks": round(null.effective),
        "deviation": round(null.deviation, 4),
        "deviation_with_other_keys": round(null.others_deviation, 4),
        "rate_at_threshold": float(f"{float(null.expected(np.array(null.threshold))):.2e}"),
    }


def table(numbers: dict[str, Any]) -> Table:
    """For people."""
    out = Table("way", title="stretches of 5 s, read blindly")
    for name in ("found", "read", "coded bits right", "strength", "weakest", "seconds"):
        out.add_column(name, justify="right")
    for one in numbers["ways"]:
        of = one["stretches"]
        out.add_row(
            f"[bold]{one['way']}[/]" if one["target"] else one["way"],
            f"{one['found']} of {of}",
            f"{one['read']} of {of}",
            f"{one['coded_bits_right_percent']:.1f} %",
            f"{one['median_strength']:.0f}",
            f"{one['weakest']:.0f}",
            said(one["seconds"], "g"),
        )
    return out


def sentence(numbers: dict[str, Any]) -> str:
    """What stands below the table."""
    null = numbers["unmarked"]
    return (
        f"PSNR {numbers['psnr_db']:.1f} dB, SSIM {numbers['ssim']:.4f}; {null['false_alarms']} false alarms in "
        f"{null['different']} different stretches without a mark, the strongest {null['strongest']:.1f}, "
        f"threshold {null['threshold']:.1f} for {FALSE_ALARMS:g}"
    )
