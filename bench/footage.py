"""Swaps clips of real people and measures what of them arrives on the other face, how alike and how steady it is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track as progress

from bench import sheet
from bench.detection import CLIPS, frames_of
from bench.ruler import FEATURES, Course, Given, Values, eye_distance, features, mean_of, over, plain, pooled, read
from realtime.errors import SourceMissing
from realtime.face.geometry import Image, Points, align, crop_matrix
from realtime.face.landmarks import Landmarker, Reading
from realtime.face.track import Tracker
from realtime.settings import Settings
from realtime.swap.compose import ComposeSettings, Fit, Swapped, SwappedFace
from realtime.swap.fallback import Fallback
from realtime.swap.identity import Shelf
from realtime.swap.mask import Mask
from realtime.swap.swapper import Swapper

PORTRAIT: Final = 32  # px of the small picture that says how alike two faces are
# Two controls, shown through the first identity's mask: the person's own face, which says how well the ruler reads at
# all, and the first face drawn in the clip on every frame, which says how much the surroundings tell the ruler.
RULER: Final = "input"
STILL: Final = "still"
OVAL: Final = ((0.5, 0.52), (0.27, 0.27))  # its part from the brows to under the lips: middle, half axes, unit

Portrait = NDArray[np.float32]  # (k,), or of several frames (n, k)


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame: what is read of the person and of the face that was drawn."""

    before: Values  # (len(FEATURES),)
    after: Values
    shift: float  # mean distance of the landmarks before and after, shares of the outer-eye distance
    change: tuple[float, float] | None  # of input and output since the frame before, as Flicker says
    portrait: Portrait  # of the output
    pictures: Image  # input, output, mask


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip, swapped to one identity."""

    name: str
    frames: int
    moments: Sequence[Moment]  # the frames with a face

    def course(self, feature: int) -> Course:
        """One feature over time."""
        both = np.array([(moment.before[feature], moment.after[feature]) for moment in self.moments]).reshape(-1, 2)
        return Course(both[:, 0], both[:, 1])

    def pictures(self) -> list[Image]:
        """For the sheet."""
        return [moment.pictures for moment in self.moments]

    def portraits(self) -> Portrait:
        """Of all moments, (frames, k)."""
        return np.array([moment.portrait for moment in self.moments], np.float32)

    def numbers(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "name": self.name,
            "frames": self.frames,
            "with_face": len(self.moments),
            "correlation": {feature: self.course(k).correlation for k, feature in enumerate(FEATURES)},
            "shift": mean_of([moment.shift for moment in self.moments]),
        }


@dataclass(frozen=True, slots=True)
class Alike:
    """Mean cosines of portraits without the mean face of the inputs; None where there is nothing to compare."""

    frames: float | None  # of one clip
    drivers: float | None  # of different clips
    others: float | None  # of other identities, whatever the clip


class Flicker:
    """How much the picture changes from frame to frame inside the mask, with the head's motion taken out."""

    def __init__(self) -> None:
        self._last: tuple[int, int, NDArray[np.float32], NDArray[np.float32], Mask] | None = None

    def __call__(self, swapped: Swapped, output: Image) -> tuple[float, float] | None:
        """Mean absolute change of input and output in grey levels, both cut out along the face's alignment.

        None for the first frame and after one without this face.
        """
        frame, face = swapped.frame, swapped.faces[0]
        size = face.mask.shape[0]
        before, after = (align(image, face.to_crop, size).astype(np.float32) for image in (frame.image, output))
        last, self._last = self._last, (frame.index, face.face.track, before, after, face.mask)
        if last is None or last[:2] != (frame.index - 1, face.face.track):
            return None
        inside = np.minimum(last[4], face.mask) > 0.5
        if not inside.any():
            return None
        return float(np.abs(before - last[2])[inside].mean()), float(np.abs(after - last[3])[inside].mean())


def clips_in(folder: Path) -> list[Path]:
    """The clips of a folder, in alphabetical order. Raises SourceMissing."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in CLIPS) if folder.is_dir() else []
    if not files:
        raise SourceMissing(f"{folder} is no folder with clips ({', '.join(CLIPS)})")
    return files


def measure(folder: Path, shelf: Shelf, names: Sequence[str], settings: Settings) -> tuple[dict[str, Any], list[Image]]:
    """The numbers of every identity as JSON takes them, and rows for a sheet. Raises LiveswapError."""
    files = clips_in(folder)
    tracker = Tracker.load(settings.tracking, settings.session)
    landmarker = Landmarker.load(settings.tracking.landmarks, settings.session)
    watched = [watch(path, tracker, landmarker, shelf, names) for path in progress(files, "clips")]
    of = {name: [clips[name] for clips in watched] for name in (RULER, STILL, *names)}
    portraits = {name: [clip.portraits() for clip in clips if clip.moments] for name, clips in of.items()}
    alike = alike_of(portraits)
    numbers = {name: {**numbers_of(clips), "alike": asdict(alike[name])} for name, clips in of.items()}
    rows = [row for clips in watched for name in names for row in sheet.rows(clips[name].pictures(), 1)]
    return {"clips": len(files), **{one: numbers.pop(one) for one in (RULER, STILL)}, "identities": numbers}, rows


def watch(path: Path, tracker: Tracker, landmarker: Landmarker, shelf: Shelf, names: Sequence[str]) -> dict[str, Clip]:
    """One clip swapped to each identity, and with both controls; the largest face of a frame counts."""
    given = Given()
    swappers = {name: Swapper(given, shelf, name, Fallback(unsure="raise")) for name in names}
    # Without grain: it is new in every frame, as the camera's is, and would count as flicker where a clip has none.
    fits = {name: Fit(ComposeSettings(grain=False)) for name in (RULER, STILL, *names)}
    flickers = {name: Flicker() for name in (RULER, STILL, *names)}
    moments: dict[str, list[Moment]] = {name: [] for name in (RULER, STILL, *names)}
    first: SwappedFace | None = None
    frames = 0
    tracker.reset()
    for frame in frames_of(path):
        frames += 1
        given.faces = tracker(frame)[:1]
        if not given.faces:
            continue
        landmarks = given.faces[0].landmarks
        person, ground = read(landmarker, frame.image, landmarks), plain(frame.image, landmarks)
        all_swapped = {name: swapper(frame) for name, swapper in swappers.items()}
        shown = all_swapped[names[0]]
        first = first or shown.faces[0]
        all_swapped[RULER] = unswapped(shown)
        all_swapped[STILL] = replace(shown, faces=(replace(shown.faces[0], image=first.image, mask=first.mask),))
        for name, swapped in all_swapped.items():
            drawn = read(landmarker, over(swapped, ground), landmarks)
            moments[name].append(seen(swapped, fits[name](swapped).image, person, drawn, flickers[name]))
    return {name: Clip(path.name, frames, moments) for name, moments in moments.items()}


def unswapped(swapped: Swapped) -> Swapped:
    """The person's own face in place of what an identity drew, through that identity's mask."""
    image = swapped.frame.image
    own = [replace(face, image=align(image, face.to_crop, len(face.mask)).astype(np.float32)) for face in swapped.faces]
    return replace(swapped, faces=tuple(own))


def seen(swapped: Swapped, output: Image, person: Reading, drawn: Reading, flicker: Flicker) -> Moment:
    """One frame, measured: output as composed, its person as read, and its swapped face read over a plain picture."""
    apart = np.linalg.norm(person.landmarks - drawn.landmarks, axis=1).mean() / max(eye_distance(person.landmarks), 1)
    return Moment(
        features(person),
        features(drawn),
        float(apart),
        flicker(swapped, output),
        portrait(output, drawn.landmarks),
        sheet.moment(swapped, output, sheet.around(person.landmarks)),
    )


def portrait(image: Image, landmarks: Points) -> Portrait:
    """Who it is, coarsely: the aligned inner face, PORTRAIT px wide, as ratios to its mean colour.

    A face recognition network would be a better judge; this needs none, and its answer does not depend on exposure.
    """
    small = align(image, crop_matrix(landmarks, PORTRAIT), PORTRAIT).astype(np.float32)
    unit = (np.arange(PORTRAIT) + 0.5) / PORTRAIT
    (x, y), (wide, high) = OVAL
    inside = ((unit[None] - x) / wide) ** 2 + ((unit[:, None] - y) / high) ** 2 <= 1
    values = cv2.GaussianBlur(small, (0, 0), 1)[inside]
    return np.asarray(values / np.maximum(values.mean(0), 1) - 1, np.float32).ravel()


def alike_of(portraits: Mapping[str, Sequence[Portrait]]) -> dict[str, Alike]:
    """Of portraits (frames, k) of each clip, by identity; those of RULER give the mean face, which takes two clips."""
    inputs = portraits[RULER]
    if len(inputs) < 2:
        return dict.fromkeys(portraits, Alike(None, None, None))
    mean = np.mean([clip.mean(0) for clip in inputs], 0)
    units = {name: [_unit(clip - mean) for clip in clips] for name, clips in portraits.items()}
    means = {name: [clip.mean(0) for clip in clips] for name, clips in units.items()}
    result = {}
    for name, clips in units.items():
        within = [_among(clip) for clip in clips if len(clip) > 1]
        between = [float(a @ b) for a, b in combinations(means[name], 2)]
        controls = (RULER, STILL)
        strangers = [
            b for k, clips in means.items() if name not in controls and k not in (*controls, name) for b in clips
        ]
        others = [float(a @ b) for a in means[name] for b in strangers]
        result[name] = Alike(mean_of(within), mean_of(between), mean_of(others))
    return result


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), np.float32)


def _among(rows: NDArray[np.float32]) -> float:
    """The mean of the products of all pairs of different unit vectors (n, k)."""
    count = len(rows)
    return float((np.square(rows.sum(0)).sum() - count) / (count * (count - 1)))


def numbers_of(clips: Sequence[Clip]) -> dict[str, Any]:
    """One identity's numbers: correlations within clips, averaged and pooled, the landmarks' shift, flicker."""
    courses = {feature: [clip.course(k) for clip in clips] for k, feature in enumerate(FEATURES)}
    return {
        "mean": {feature: mean_of([course.correlation for course in courses[feature]]) for feature in FEATURES},
        "pooled": {feature: pooled(courses[feature]) for feature in FEATURES},
        "shift": mean_of([moment.shift for clip in clips for moment in clip.moments]),
        "flicker": flicker_of(moment.change for clip in clips for moment in clip.moments),
        "per_clip": [clip.numbers() for clip in clips],
    }


def flicker_of(changes: Iterable[tuple[float, float] | None]) -> dict[str, float | None]:
    """Mean changes in grey levels of 255: the input's, the output's, and the output's beyond the input's."""
    known = [change for change in changes if change is not None]
    before, after = (mean_of([change[k] for change in known]) for k in (0, 1))
    beyond = None if before is None or after is None else after - before
    return {"input": before, "output": after, "beyond": beyond}
