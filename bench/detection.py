"""Measures how many faces are found, in known pictures and in the clips of a folder, and how long that takes."""

import importlib.util
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import av
import cv2
import numpy as np
import typer

from realtime.errors import LiveswapError, ModelError
from realtime.face.detect import QUICK, THOROUGH, Detector, open_detector, place
from realtime.face.geometry import Image
from realtime.face.landmarks import Landmarker
from realtime.face.track import Tracker, TrackingSettings
from realtime.frame import Frame
from realtime.swap.session import SessionSettings

CLIPS: Final = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".gif", ".mjpeg")


@dataclass(frozen=True, slots=True)
class PictureResult:
    """One picture whose number of faces is known."""

    name: str
    wanted: int
    found: int
    thorough: int
    least_score: float


@dataclass(frozen=True, slots=True)
class ClipResult:
    """One clip; shares are of its frames."""

    name: str
    frames: int
    found: float  # by the detector alone, in every frame
    followed: float | None  # by the tracker; None without a landmark network
    numbers: int | None  # track numbers given out; more than there are people means lost ones
    detector_runs: int | None


@dataclass(frozen=True, slots=True)
class TimeResult:
    """How long one look at a frame takes."""

    frame: str  # width x height
    look: str  # quick or thorough
    network: str  # width x height of each of the network's inputs
    p50_ms: float
    p95_ms: float


def detection(
    media: Annotated[Path | None, typer.Argument(help="A folder of clips with one person in each.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the numbers here as JSON.")] = None,
    detector: Annotated[str, typer.Option(help="centerface or insightface:PACK.")] = "centerface",
    landmarks: Annotated[Path | None, typer.Option(help="The landmark network, instead of the embedded one.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of one network.", min=1)] = 2,
    repeats: Annotated[int, typer.Option(help="Looks at each frame size for the times.", min=1)] = 20,
) -> None:
    """Faces found: known pictures, clips, milliseconds."""
    report = measure(media, detector, landmarks, threads, repeats)
    print(table(report))
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def measure(media: Path | None, name: str, landmarks: Path | None, threads: int, repeats: int) -> dict[str, Any]:
    """Every number of the report, as JSON takes it."""
    detector = open_detector(name, threads)
    landmarker = open_landmarker(landmarks, threads)
    pictures = [look_at(detector, *known) for known in known_pictures()]
    files = sorted(path for path in media.iterdir() if path.suffix.lower() in CLIPS) if media else []
    clips = [watch(detector, landmarker, path) for path in files]
    return {
        "detector": name,
        "threads": threads,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "pictures": [asdict(result) for result in pictures],
        "clips": [asdict(result) for result in clips],
        "clips_found": found_of_all(clips),
        "times": [asdict(result) for result in times(detector, repeats)],
    }


def open_landmarker(file: Path | None, threads: int) -> Landmarker | None:
    """The landmark network; None when the embedded one is not there and none was named."""
    try:
        return Landmarker.load(file, SessionSettings(threads=threads))
    except ModelError:
        if file:
            raise
        return None


def known_pictures() -> Iterator[tuple[str, Image, int]]:
    """Pictures that come with packages: name, picture, how many faces it has. Those not installed are left out."""
    if importlib.util.find_spec("skimage"):
        from skimage import data

        astronaut: Image = data.astronaut()  # type: ignore[no-untyped-call]
        yield "astronaut (scikit-image)", np.ascontiguousarray(astronaut[..., ::-1]), 1
    spec = importlib.util.find_spec("insightface")
    for folder in (spec and spec.submodule_search_locations) or ():
        picture = cv2.imread(str(Path(folder) / "data" / "images" / "t1.jpg"))
        if picture is not None:
            yield "t1 (insightface)", np.asarray(picture, np.uint8), 6


def look_at(detector: Detector, name: str, picture: Image, wanted: int) -> PictureResult:
    """How many of a picture's faces both looks find."""
    quick, thorough = detector.detect(picture), detector.detect(picture, thorough=True)
    least = min((found.score for found in quick), default=0.0)
    return PictureResult(name, wanted, len(quick), len(thorough), round(least, 3))


def frames_of(path: Path) -> Iterator[Frame]:
    """The frames of a clip with their places in time."""
    with av.open(str(path)) as container:
        for index, picture in enumerate(container.decode(video=0)):
            image = np.asarray(picture.to_ndarray(format="bgr24"), np.uint8)
            yield Frame(image, index, time.perf_counter(), picture.time)


def watch(detector: Detector, landmarker: Landmarker | None, path: Path) -> ClipResult:
    """The share of a clip's frames in which somebody is found, by detection alone and by following."""
    tracker = Tracker(detector, landmarker, TrackingSettings()) if landmarker else None
    frames = found = followed = 0
    numbers: set[int] = set()
    for frame in frames_of(path):
        frames += 1
        found += bool(detector.detect(frame.image))
        if tracker:
            faces = tracker(frame)
            followed += bool(faces)
            numbers.update(face.track for face in faces)
    some = max(frames, 1)
    if not tracker:
        return ClipResult(path.name, frames, found / some, None, None, None)
    return ClipResult(path.name, frames, found / some, followed / some, len(numbers), tracker.detector_runs)


def found_of_all(clips: Sequence[ClipResult]) -> float:
    """The share of all frames of all clips in which the detector finds somebody."""
    return sum(clip.found * clip.frames for clip in clips) / max(sum(clip.frames for clip in clips), 1)


def times(detector: Detector, repeats: int) -> Iterator[TimeResult]:
    """Milliseconds of one look at frames of common sizes; noise, since the networks' time does not depend on it."""
    random = np.random.default_rng(0)
    for width, height in ((480, 270), (640, 480), (1280, 720), (1920, 1080)):
        image = random.integers(0, 256, (height, width, 3), np.uint8)
        for thorough in (False, True):
            detector.detect(image, thorough)
            taken = []
            for _ in range(repeats):
                began = time.perf_counter()
                detector.detect(image, thorough)
                taken.append(1000 * (time.perf_counter() - began))
            shapes = [place(image, view).image.shape for view in (THOROUGH if thorough else QUICK)]
            inputs = ", ".join(f"{shape[1]}x{shape[0]}" for shape in shapes)
            middle, slow = (round(float(np.percentile(taken, part)), 1) for part in (50, 95))
            look = "thorough" if thorough else "quick"
            yield TimeResult(f"{width}x{height}", look, inputs, middle, slow)


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [f"Faces found by `{report['detector']}`, {report['threads']} threads, {report['machine']}.", ""]
    lines += ["| picture | faces | quick look | thorough look | least score |", "| --- | --- | --- | --- | --- |"]
    for one in report["pictures"]:
        values = (one["name"], one["wanted"], one["found"], one["thorough"], f"{one['least_score']:.2f}")
        lines.append(row(values))
    if report["clips"]:
        lines += ["", "| clip | frames | found | followed | numbers | detector runs |"]
        lines += ["| --- | --- | --- | --- | --- | --- |"]
        for clip in report["clips"]:
            counts = (clip["numbers"], clip["detector_runs"])
            lines.append(
                row((clip["name"], clip["frames"], percent(clip["found"]), percent(clip["followed"]), *counts))
            )
        total = sum(clip["frames"] for clip in report["clips"])
        lines.append(row(("all", total, percent(report["clips_found"]), None, None, None)))
    lines += ["", "| frame | look | network input | p50 ms | p95 ms |", "| --- | --- | --- | --- | --- |"]
    lines += [row(tuple(one.values())) for one in report["times"]]
    return "\n".join(lines)


def row(values: Sequence[object]) -> str:
    """One line of a Markdown table; None is a dash."""
    return "| " + " | ".join("-" if value is None else str(value) for value in values) + " |"


def percent(part: float | None) -> str | None:
    """A share in per cent."""
    return None if part is None else f"{100 * part:.1f} %"


def main() -> None:
    """The measurement alone, as python -m bench.detection."""
    try:
        typer.run(detection)
    except LiveswapError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
