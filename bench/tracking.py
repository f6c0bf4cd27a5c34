"""Measures how still a followed face sits, how far it lags behind a moving one, and what sizes of faces are found."""

import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import av
import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.report import with_origin, write
from realtime.__main__ import DEMO
from realtime.errors import SourceMissing
from realtime.face.detect import QUICK, THOROUGH, Detector, open_detector
from realtime.face.face import Detection, Face
from realtime.face.geometry import Image, template
from realtime.face.landmarks import Landmarker
from realtime.face.match import place_of
from realtime.face.smooth import SmoothSettings
from realtime.face.track import Tracker, TrackingSettings
from realtime.frame import Frame
from realtime.options import ModelFolder, Threads
from realtime.settings import load

RATE: Final = 30.0  # frames a second
SIGMA: Final = 4.0  # of 255, independent in each pixel, channel and frame
WIDTH: Final = float(np.ptp(template()[:, 0]))  # of a face, in template sides
SETTLING: Final = 10  # frames at the beginning that do not count
TARGET_STILL: Final = 0.15  # % of the face's width
TARGET_LAG: Final = 1000 / RATE  # ms
SIZES: Final = (24, 32, 40, 60, 100, 300, 700, 1000, 1200)  # px of a face's width in a frame of SCENE
SCENE: Final = (1280, 720)


@dataclass(frozen=True, slots=True)
class Steadiness:
    """One way of following, on a picture that stands still and on one that moves by a face-width a second."""

    filtering: str
    still_percent: float  # standard deviation of the crop's centre, % of the face's width, the worse axis
    size_percent: float  # of the crop's side
    turn_degrees: float  # of its angle
    lag_ms: float  # how late the crop's centre is on a face moving at constant speed


@dataclass(frozen=True, slots=True)
class Found:
    """How many faces of one width one kind of look finds."""

    look: str
    width: int  # px of SCENE
    found: int
    of: int
    false: int  # detections where no face is


def tracking(
    source: Annotated[Path, typer.Option(metavar="FILE", help="Another clip than the bundled one.")] = DEMO,
    models: ModelFolder = None,
    pictures: Annotated[int, typer.Option(min=1, max=100, help="Frames of the clip that are measured.")] = 5,
    frames: Annotated[int, typer.Option(min=20, max=10_000, help="Length of each measurement, in frames.")] = 90,
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="Looks of each kind whose times are compared.")] = 10,
    threads: Threads = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers as JSON as well.")] = None,
) -> None:
    """How still the crop sits, how far it lags, which sizes of faces are found and what a look costs."""
    settings = load(None, {"models": models, "threads": threads})
    detector = open_detector(settings.detector, settings.threads)
    landmarker = Landmarker.load(settings.tracking.landmarks, settings.session)
    chosen = pictures_of(source, pictures)
    steady = [steadiness(detector, landmarker, chosen, frames, smoothing) for smoothing in (None, SmoothSettings())]
    found = list(finding(detector, chosen))
    cost = relative_cost(detector, chosen[0], repeats)
    console = Console()
    console.print(steady_table(steady))
    console.print(found_table(found))
    console.print(f"a thorough look takes {cost:.1f} times as long as a quick one")
    if out:
        numbers = {
            "steadiness": [asdict(one) for one in steady],
            "found": [asdict(one) for one in found],
            "views": {"quick": [asdict(view) for view in QUICK], "thorough": [asdict(view) for view in THOROUGH]},
            "thorough_cost": cost,
        }
        write(out, with_origin(numbers, shlex.join(["liveswap-bench", *sys.argv[1:]])))


def pictures_of(source: Path, count: int) -> list[Image]:
    """So many frames of a clip, evenly spread. Raises SourceMissing."""
    if not source.is_file():
        raise SourceMissing(f"there is no file {source}")
    with av.open(str(source)) as container:
        decoded = [np.asarray(one.to_ndarray(format="bgr24"), np.uint8) for one in container.decode(video=0)]
    return [decoded[index] for index in np.linspace(0, len(decoded) - 1, count).astype(int)]


def steadiness(
    detector: Detector,
    landmarker: Landmarker,
    pictures: Sequence[Image],
    frames: int,
    smoothing: SmoothSettings | None,
) -> Steadiness:
    """The mean over pictures that hold a face. Raises SourceMissing where none does."""
    settings = TrackingSettings(smoothing=smoothing)
    spreads, lags = [], []
    for picture in pictures:
        still = followed(Tracker(detector, landmarker, settings), noisy(picture, frames))
        if len(still) < frames:
            continue
        moving = followed(Tracker(detector, landmarker, settings), shifted(picture, still, frames))
        if len(moving) == frames:
            spreads.append(spread_of(still[SETTLING:]))
            lags.append(lag_of(moving, still))
    if not spreads:
        raise SourceMissing("none of the pictures shows a face that is followed through all frames")
    name = "off" if smoothing is None else "One-Euro"
    still_percent, size_percent, turn_degrees = (float(value) for value in np.mean(spreads, 0))
    return Steadiness(name, still_percent, size_percent, turn_degrees, float(np.mean(lags)))


def noisy(picture: Image, frames: int) -> Iterator[Image]:
    """The same picture again and again, with a sensor's noise."""
    random = np.random.default_rng(0)
    for _ in range(frames):
        noise = np.float32(SIGMA) * random.standard_normal(picture.shape, np.float32)
        yield np.clip(picture + noise, 0, 255).round().astype(np.uint8)


def shifted(picture: Image, still: Sequence[Face], frames: int) -> Iterator[Image]:
    """The picture, moved to and fro by a face-width a second at constant speed, turning at the picture's edges."""
    step = speed_of(still) / RATE
    for place in path_of(frames):
        matrix = np.array([[1, 0, step * place], [0, 1, 0]], np.float32)
        moved = cv2.warpAffine(
            picture, matrix, picture.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        yield np.asarray(moved, np.uint8)


def path_of(frames: int) -> NDArray[np.float64]:
    """Where a thing is in each of so many frames that moves by one a frame: half a second there, half a second back."""
    half = RATE / 2
    there_and_back = np.abs((np.arange(frames) + half / 2) % (2 * half) - half)
    return np.asarray(there_and_back - half / 2, np.float64)


def followed(tracker: Tracker, images: Iterator[Image]) -> list[Face]:
    """The face in each frame, as far as there is one."""
    found = (tracker(Frame(image, index, index / RATE, index / RATE)) for index, image in enumerate(images))
    return [faces[0] for faces in found if faces]


def speed_of(still: Sequence[Face]) -> float:
    """A face-width a second, px a second."""
    return WIDTH * float(np.median([place_of(face.to_template).side for face in still]))


def spread_of(faces: Sequence[Face]) -> tuple[float, float, float]:
    """Standard deviations of the crop: centre (% of the face's width), side (%), angle (degrees)."""
    places = [place_of(face.to_template) for face in faces]
    sides = np.array([place.side for place in places])
    centre = np.array([(place.x, place.y) for place in places]).std(0).max() / (WIDTH * sides.mean())
    turns = np.unwrap([np.arctan2(-face.to_template[0, 1], face.to_template[0, 0]) for face in faces])
    return 100 * float(centre), 100 * float(sides.std() / sides.mean()), float(np.degrees(turns.std()))


def lag_of(moving: Sequence[Face], still: Sequence[Face]) -> float:
    """How late the crop's centre is while the face moves at constant speed, ms; the frames around a turn do not count.

    Being late pulls the centre back on the way there and forth on the way back, so that half of the difference
    between both ways is the lag, whatever else pulls the centre always to one side.
    """
    speed, path = speed_of(still), path_of(len(moving))
    direction = np.sign(np.diff(path, prepend=path[0]))
    steadily = [index for index in range(SETTLING, len(path)) if len(set(direction[index - 5 : index + 1])) == 1]
    behind = np.array([path[i] * speed / RATE - place_of(moving[i].to_template).x for i in steadily])
    ways = [behind[direction[steadily] == way].mean() for way in (1, -1)]
    return float(1000 * (ways[0] - ways[1]) / 2 / speed)


def finding(detector: Detector, pictures: Sequence[Image]) -> Iterator[Found]:
    """The faces of the pictures, pasted at SIZES into frames of SCENE, looked for in both ways."""
    originals = [(picture, best) for picture in pictures for best in detector.detect(picture, thorough=True)[:1]]
    for width in SIZES:
        random = np.random.default_rng(width)
        scenes = [pasted(picture, face, width, random) for picture, face in originals]
        for look, thorough in (("quick", False), ("thorough", True)):
            answers = [detector.detect(scene, thorough) for scene, _ in scenes]
            right = [
                sum(bool(np.abs(one.points - points).max() < width / 4) for one in answer)
                for answer, (_, points) in zip(answers, scenes, strict=True)
            ]
            false = sum(len(answer) for answer in answers) - sum(right)
            yield Found(look, width, sum(count > 0 for count in right), len(scenes), false)


def pasted(
    picture: Image, face: Detection, width: int, random: np.random.Generator
) -> tuple[Image, NDArray[np.float32]]:
    """A frame of SCENE that shows the picture in such a size that its face is width px wide, and the face's points.

    Small pictures lie somewhere on a grey wall, large ones with the face in the middle.
    """
    scale = width / float(face.box[2] - face.box[0])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=how)
    middle = (face.box[:2] + face.box[2:]) / 2 * scale
    wall = np.asarray(110 + random.integers(0, 20, (SCENE[1], SCENE[0], 3)), np.uint8)
    margin = np.minimum(np.array(SCENE) / 2, 2.0 * width)
    shift = random.uniform(margin, np.array(SCENE) - margin + 1e-6) - middle
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    scene = cv2.warpAffine(resized, matrix, SCENE, dst=wall, borderMode=cv2.BORDER_TRANSPARENT)
    return np.asarray(scene, np.uint8), (face.points * scale + shift).astype(np.float32)


def relative_cost(detector: Detector, picture: Image, repeats: int) -> float:
    """How many times as long as a quick look a thorough one takes; the fastest of each, taken in turns."""
    taken: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(repeats):
        for thorough, times in taken.items():
            began = time.perf_counter()
            detector.detect(picture, thorough)
            times.append(time.perf_counter() - began)
    return min(taken[True]) / min(taken[False])


def steady_table(rows: Sequence[Steadiness]) -> Table:
    """The numbers for a terminal, with their targets."""
    table = Table("filtering", "centre, still", "side, still", "angle, still", "lag, moving")
    for row in rows:
        table.add_row(
            row.filtering,
            f"{row.still_percent:.3f} %",
            f"{row.size_percent:.3f} %",
            f"{row.turn_degrees:.3f}°",
            f"{row.lag_ms:.1f} ms",
        )
    table.add_row("wanted", f"under {TARGET_STILL} %", "", "", f"under {TARGET_LAG:.1f} ms", style="bold")
    return table


def found_table(rows: Sequence[Found]) -> Table:
    """One column for each width."""
    table = Table("look", *(f"{width} px" for width in SIZES))
    for look in dict.fromkeys(row.look for row in rows):
        mine = [row for row in rows if row.look == look]
        table.add_row(look, *(f"{row.found}/{row.of}" + (f" +{row.false}" if row.false else "") for row in mine))
    return table
