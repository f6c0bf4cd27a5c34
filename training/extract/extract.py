"""Footage of a person to a faceset: look, tell people apart, choose, write; interrupted runs go on."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from realtime.errors import LiveswapError, SettingsError
from realtime.swap.card import ModelCard
from realtime.swap.session import SessionSettings
from training.extract.choose import choose
from training.extract.cover import Cover
from training.extract.folder import DESCRIPTION, write_faceset
from training.extract.footage import Part, parts_of
from training.extract.people import Person, chosen, people_in
from training.extract.sheet import ACROSS, Shown, people_sheet
from training.extract.watch import Seen, WatchSettings, seen_of, watched

logger = logging.getLogger(__name__)

WORK: Final = "work"  # in the faceset's folder, until it is complete
SHEET: Final = "people.jpg"


@dataclass(frozen=True, slots=True)
class ExtractSettings:
    """What is kept of footage."""

    watching: WatchSettings = field(default_factory=WatchSettings)
    people: tuple[int, ...] = ()  # whose faces, by their numbers; empty where there is only one person
    most: int = 5000  # faces
    least: int = 40  # below which there is nothing to learn from

    def __post_init__(self) -> None:
        if not 2 <= self.least <= self.most <= 100_000:
            raise SettingsError(f"{self.least} to {self.most} faces were asked for, wanted 2 to 100000")


def extract(places: Sequence[Path], out: Path, card: ModelCard, settings: ExtractSettings) -> dict[str, Any]:
    """Writes the faceset of places into out; what its faceset.toml says. Raises LiveswapError.

    What was looked at lies in out/work until the faceset is complete, so that an interrupted run, and one that asked
    whose faces are meant, goes on where it stopped.
    """
    parts = parts_of(places)
    _check_free(out)
    with _bar() as progress:
        seen = _watch(parts, settings.watching, out / WORK, progress)
        _check_seen(seen, settings.watching)
        people = people_in(seen)
        rows = chosen(people, settings.people, str(_sheet(people, seen, out)))
        choice = choose(seen, rows, settings.most, settings.least)
        cover = Cover(SessionSettings(provider=settings.watching.provider, threads=settings.watching.workers))
        task = progress.add_task("faces", total=len(choice.rows))
        said = write_faceset(
            out, seen, choice.rows, card, settings.watching, cover,
            lambda done: progress.update(task, completed=done),
        )  # fmt: skip
    shutil.rmtree(out / WORK)
    logger.info(
        "%d frames showed %d faces, %d of them too small; of %d that differ from frame to frame and are this person's "
        "%d are blurred, %d duplicates, %d more than enough of a pose",
        seen.frames, seen.found, seen.small, len(rows), choice.blurred, choice.duplicates, choice.too_many,
    )  # fmt: skip
    return said


def _check_free(out: Path) -> None:
    """Raises LiveswapError where out holds something else than a faceset."""
    if out.exists() and not out.is_dir():
        raise LiveswapError(f"{out} is a file, wanted a folder for the faceset")
    known = (DESCRIPTION, WORK, SHEET)
    if out.is_dir() and any(out.iterdir()) and not any((out / name).exists() for name in known):
        raise LiveswapError(f"{out} holds something else than a faceset, wanted an empty or new folder")


def _watch(parts: Sequence[Part], settings: WatchSettings, work: Path, progress: Progress) -> Seen:
    task = progress.add_task("footage", total=sum(part.weight for part in parts))
    done: dict[Part, dict[str, Any]] = {}
    for part, columns in watched(parts, settings, work):
        done[part] = columns
        progress.update(task, advance=part.weight)
    return seen_of([done[part] for part in parts])


def _check_seen(seen: Seen, settings: WatchSettings) -> None:
    """Raises LiveswapError where there is no face."""
    if not seen.found:
        raise LiveswapError(f"no face was found in {seen.frames} frames")
    if not len(seen):
        raise LiveswapError(
            f"all {seen.found} faces are too small, wanted {settings.least_side:.0f} px from brow to chin and around: "
            "--least-side takes smaller ones"
        )


def _sheet(people: Sequence[Person], seen: Seen, out: Path) -> Path:
    """Where the user can see who is who; written where there are several."""
    path = out / SHEET
    if len(people) > 1:
        rows = [(one.number, [_shown(seen, int(row)) for row in _some(one)]) for one in people]
        if not cv2.imwrite(str(path), people_sheet(rows), [cv2.IMWRITE_JPEG_QUALITY, 90]):
            raise LiveswapError(f"{path} cannot be written")
    return path


def _some(person: Person) -> list[int]:
    places = np.linspace(0, len(person.rows) - 1, min(ACROSS, len(person.rows))).round().astype(int)
    return [int(person.rows[place]) for place in places]


def _shown(seen: Seen, row: int) -> Shown:
    crop = cv2.imdecode(np.frombuffer(seen.crop[row], np.uint8), cv2.IMREAD_COLOR)
    return Shown(np.asarray(crop, np.uint8), seen.pose[row])


@contextmanager
def _bar() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TextColumn("left"), TimeRemainingColumn()) as progress:
        yield progress
