"""Looks at footage with the tracker that runs live, many parts at once, and keeps what differs."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.errors import LiveswapError, SettingsError
from realtime.face.track import Tracker, TrackingSettings
from realtime.swap.session import SessionSettings
from training.extract import table
from training.extract.footage import Part, frames_of
from training.extract.sighting import LOOK, Sighting, sighted

SHARPER: Final = 1.1  # times as sharp, from which on a duplicate takes the place of the one before
AHEAD: Final = 2  # parts that wait for each worker
QUALITY: Final = 95  # of JPEG
FORMAT: Final = 2  # of what is kept of a part


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How footage is looked at."""

    size: int = 256  # px of a stored crop
    coverage: float = 1.25  # of the template, room for augmentation
    least_side: float = 64.0  # px of the frame that the template's side must cover
    faces: int = 4  # followed at once
    provider: str = "cpu"
    workers: int = 2

    def __post_init__(self) -> None:
        if not 64 <= self.size <= 1024 or self.size % 2:
            raise SettingsError(f"a stored crop of {self.size} px was asked for, wanted an even size from 64 to 1024")
        if not 1 <= self.faces <= 16 or not 1 <= self.workers <= 256:
            raise SettingsError(f"{self.faces} faces and {self.workers} workers, wanted 1 to 16 and 1 to 256")


@dataclass(frozen=True, slots=True)
class Seen:
    """What was kept of all footage, a row for each face; crops are JPEG files in memory."""

    frames: int  # looked at
    found: int  # faces, duplicates included
    small: int  # faces that were too small
    source: tuple[str, ...]
    time: NDArray[np.float64]
    track: NDArray[np.int64]  # the same for the same person from frame to frame of a part; of all parts
    side: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    pose: NDArray[np.float32]  # (n, 3)
    landmarks: NDArray[np.float32]  # (n, 70, 2)
    blend: NDArray[np.float32]  # (n, 10)
    light: NDArray[np.float32]  # (n, 4)
    look: NDArray[np.uint8]  # (n, LOOK, LOOK, 3)
    crop: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.crop)


class Differing:
    """Of the faces of one part, those that differ; of duplicates the sharpest."""

    def __init__(self) -> None:
        self.kept: list[Sighting] = []
        self._moments: dict[int, list[NDArray[np.float32]]] = {}
        self._places: dict[int, list[int]] = {}

    def offer(self, one: Sighting) -> None:
        """Keeps it, lets it take a duplicate's place, or drops it."""
        moment = one.moment
        moments, places = self._moments.setdefault(one.track, []), self._places.setdefault(one.track, [])
        if moments:
            apart = np.linalg.norm(np.stack(moments) - moment, axis=1)
            nearest = int(apart.argmin())
            if apart[nearest] < 1:
                if one.sharpness > SHARPER * self.kept[places[nearest]].sharpness:
                    self.kept[places[nearest]], moments[nearest] = one, moment
                return
        moments.append(moment)
        places.append(len(self.kept))
        self.kept.append(one)


def watch_part(part: Part, tracker: Tracker, settings: WatchSettings) -> dict[str, Any]:
    """The columns of what is kept of a part, as Seen has them, and its counts. Raises SourceError."""
    differing, frames, found, small = Differing(), 0, 0, 0
    tracker.reset()
    for frame in frames_of(part):
        if not part.moving:
            tracker.reset()
        frames += 1
        for face in tracker(frame):
            found += 1
            one = sighted(frame, face, part.source, settings.size, settings.coverage)
            if one.side < settings.least_side:
                small += 1
            else:
                differing.offer(one)
    return _columns(differing.kept) | {"counts": [frames, found, small]}


def watched(parts: Sequence[Part], settings: WatchSettings, work: Path) -> Iterator[tuple[Part, dict[str, Any]]]:
    """Each part and what is kept of it, in the order in which they are done; what lies in work is not done again.

    Raises SourceError for footage that cannot be read; the parts that were done lie in work.
    """
    waiting = []
    for part in parts:
        file = work / name_of(part, settings)
        if file.is_file():
            yield part, _read(file)
        else:
            waiting.append((part, file))
    if not waiting:
        return
    trackers: SimpleQueue[Tracker] = SimpleQueue()
    running = SessionSettings(provider=settings.provider, threads=1)
    for _ in range(min(settings.workers, len(waiting))):
        trackers.put(Tracker.load(TrackingSettings(max_faces=settings.faces), running))

    def done(part: Part, file: Path) -> tuple[Part, dict[str, Any]]:
        tracker = trackers.get()
        try:
            columns = watch_part(part, tracker, settings)
        finally:
            trackers.put(tracker)
        table.write(file, _as_rows(columns))
        return part, columns

    with ThreadPoolExecutor(settings.workers, "footage") as pool:
        try:
            rest = iter(waiting)
            going = {pool.submit(done, *one) for _, one in zip(range(AHEAD * settings.workers), rest, strict=False)}
            while going:
                ended, going = wait(going, return_when=FIRST_COMPLETED)
                for one in ended:
                    yield one.result()
                    going |= {pool.submit(done, *more) for _, more in zip(range(1), rest, strict=False)}
        finally:
            pool.shutdown(cancel_futures=True)


def seen_of(parts: Sequence[dict[str, Any]]) -> Seen:
    """What was kept of several parts, in their order."""
    tracks: list[NDArray[np.int64]] = []
    first = 0
    for columns in parts:
        tracks.append(columns["track"] + first)
        first += 1 + int(columns["track"].max(initial=0))

    def joined(name: str) -> Any:
        return np.concatenate([columns[name] for columns in parts])

    frames, found, small = (int(n) for n in np.sum([columns["counts"] for columns in parts], 0))
    return Seen(
        frames, found, small,
        tuple(source for columns in parts for source in columns["source"]),
        joined("time"), np.concatenate(tracks), joined("side"), joined("sharpness"), joined("pose"),
        joined("landmarks"), joined("blend"), joined("light"), joined("look"),
        tuple(crop for columns in parts for crop in columns["crop"]),
    )  # fmt: skip


def name_of(part: Part, settings: WatchSettings) -> str:
    """The file for what is kept of a part: another one where the footage, the settings or this format changed."""
    stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in part.paths]
    how = {name: value for name, value in asdict(settings).items() if name not in ("workers", "provider")}
    said = json.dumps([FORMAT, stats, part.begins, str(part.ends), how], sort_keys=True)
    return f"{hashlib.sha256(said.encode()).hexdigest()[:24]}.parquet"


def encoded(crop: NDArray[np.uint8]) -> bytes:
    """The crop as a JPEG file."""
    _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()


def _columns(kept: Sequence[Sighting]) -> dict[str, Any]:
    def stacked(name: str, shape: tuple[int, ...], kind: type[np.generic]) -> NDArray[Any]:
        return np.array([getattr(one, name) for one in kept], kind).reshape(len(kept), *shape)

    return {
        "source": [one.source for one in kept],
        "time": stacked("time", (), np.float64),
        "track": stacked("track", (), np.int64),
        "side": stacked("side", (), np.float32),
        "sharpness": stacked("sharpness", (), np.float32),
        "pose": stacked("pose", (3,), np.float32),
        "landmarks": stacked("landmarks", (70, 2), np.float32),
        "blend": stacked("blend", (10,), np.float32),
        "light": stacked("light", (4,), np.float32),
        "look": stacked("look", (LOOK, LOOK, 3), np.uint8),
        "crop": [encoded(one.crop) for one in kept],
    }


def _as_rows(columns: dict[str, Any]) -> dict[str, Any]:
    """As a table has them: the counts repeat in each row, and one empty row stands for no faces."""
    rows = len(columns["crop"])
    if not rows:
        return {"counts": np.array([columns["counts"]], np.int64)}
    return {**columns, "counts": np.tile(np.array(columns["counts"], np.int64), (rows, 1))}


def _read(file: Path) -> dict[str, Any]:
    columns = table.read(file)
    counts = columns.get("counts")
    if counts is None or not len(counts):
        raise LiveswapError(f"{file} was not written whole, delete it")
    if "crop" not in columns:
        return _columns(()) | {"counts": counts[0].tolist()}
    columns["landmarks"] = columns["landmarks"].reshape(-1, 70, 2)
    columns["look"] = columns["look"].reshape(-1, LOOK, LOOK, 3)
    return {**columns, "counts": counts[0].tolist()}
