"""Reads drawn faces with the landmark network, and says how two readings go together over time."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from realtime.face.face import Face, Glimpse
from realtime.face.geometry import Image, Points, invert, template, transform
from realtime.face.landmarks import BLEND, Landmarker, Reading
from realtime.frame import Frame
from realtime.swap.compose import Swapped, compose

FEWEST: Final = 12  # frames, below which a correlation says nothing
FEATURES: Final = ("yaw", "pitch", "mouth", "eyes", "blink", "smile", "gaze yaw", "gaze pitch")

Values = NDArray[np.float64]


class Given:
    """A finder that is told where the faces are: several identities share one look, rendered crops need none."""

    detector_runs = 0
    glimpses: tuple[Glimpse, ...] = ()

    def __init__(self) -> None:
        self.faces: tuple[Face, ...] = ()

    def cut(self) -> None:
        """Changes nothing: the faces are known."""

    def holds(self, frame: Frame) -> bool:
        """It is told for each picture."""
        return False

    def looking_aside(self) -> AbstractContextManager[None]:
        """Nobody looks."""
        return nullcontext()

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        """What it was told last."""
        return self.faces


def plain(image: Image, landmarks: Points) -> Image:
    """A picture of that size with nothing in it but the face's mean colour.

    Blurring is not enough: over a picture blurred with a third of the outer-eye distance, a face that never moves was
    read as turning along with the person (yaw r .78); over a plain one it is not (-.05).
    """
    height, width = image.shape[:2]
    x0, y0 = np.clip(landmarks.min(0), 0, (width - 1, height - 1)).astype(int)
    x1, y1 = np.clip(landmarks.max(0), 0, (width - 1, height - 1)).astype(int) + 1
    return np.full_like(image, image[y0:y1, x0:x1].mean((0, 1)).round())


def over(swapped: Swapped, ground: Image) -> Image:
    """The swapped faces put over another picture than their frame's, so that nothing of the person helps a reading.

    Composing ends a face at the person's own outline, and that alone turns with the head: a face that never moves was
    read as turning along with the person (yaw r .81). So the outline is the template's here.
    """
    faces = tuple(replace(face, face=_outlined(face.face)) for face in swapped.faces)
    return compose(replace(swapped, faces=faces, frame=replace(swapped.frame, image=ground))).image


def _outlined(face: Face) -> Face:
    """The face as if its landmarks were the template's."""
    return replace(face, landmarks=transform(invert(face.to_template), template()))


def read(landmarker: Landmarker, image: Image, start: Points) -> Reading:
    """Two looks: start (68, 2) places only the first, so that it hardly matters whose landmarks they were."""
    return landmarker.follow(image, landmarker.follow(image, start).landmarks)


def points_of(reading: Reading) -> Points:
    """The 68 landmarks and the irises, (70, 2)."""
    return np.concatenate([reading.landmarks, reading.irises])


def eye_distance(landmarks: Points) -> float:
    """Between the outer corners of the eyes, in px."""
    return float(np.linalg.norm(landmarks[45] - landmarks[36]))


def features(reading: Reading) -> Values:
    """FEATURES of a reading: ratios of distances between landmarks, and what the network says of lids, smile, gaze."""
    p = reading.landmarks.astype(np.float64)
    across = p[45] - p[36]
    level = across / max(float(np.linalg.norm(across)), 1e-6)
    upright = np.array([-level[1], level[0]])
    nose = max(float(np.linalg.norm(p[33] - p[27])), 1e-6)
    tip = p[30] - (p[36] + p[45]) / 2
    said = dict(zip(BLEND, reading.blend.tolist(), strict=True))
    return np.array(
        [
            float(tip @ level) / nose,
            float(tip @ upright) / max(float(np.linalg.norm(across)), 1e-6),
            float(np.linalg.norm(p[66] - p[62])) / nose,
            eye_opening(p) / nose,
            (said["eyeBlinkLeft"] + said["eyeBlinkRight"]) / 2,
            said["mouthSmile"],
            (said["gazeYawLeft"] + said["gazeYawRight"]) / 2,
            (said["gazePitchLeft"] + said["gazePitchRight"]) / 2,
        ]
    )


def eye_opening(points: Values) -> float:
    """The mean distance between upper and lower lid of landmarks (68, 2), in px."""
    lids = ((37, 41), (38, 40), (43, 47), (44, 46))
    return float(np.mean([np.linalg.norm(points[a] - points[b]) for a, b in lids]))


@dataclass(frozen=True, slots=True)
class Course:
    """One feature over the frames of one clip, of the person and of the face that was drawn."""

    before: Values  # (frames,)
    after: Values

    @property
    def correlation(self) -> float | None:
        """Pearson's; None where frames are too few or one of the two does not vary."""
        return pooled([self]) if len(self.before) >= FEWEST else None


def pooled(clips: Sequence[Course]) -> float | None:
    """Pearson's over all clips together, each around its own mean: clips in which the feature moves count most."""
    a = np.concatenate([clip.before - clip.before.mean() for clip in clips if len(clip.before)] or [np.zeros(0)])
    b = np.concatenate([clip.after - clip.after.mean() for clip in clips if len(clip.after)] or [np.zeros(0)])
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / scale if scale > 1e-9 else None


def mean_of(values: Sequence[float | None]) -> float | None:
    """Of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
