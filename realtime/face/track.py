"""Follows faces from frame to frame: detects seldom, reads landmarks always, forgets after a cut."""

import itertools
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.errors import SettingsError
from realtime.face.detect import Detector, open_detector, overlap
from realtime.face.face import Detection, Face, Glimpse
from realtime.face.geometry import STEADY, Image, Matrix, Points, similarity, template
from realtime.face.landmarks import SMALLEST, Landmarker, Reading, template_five
from realtime.face.smooth import SmoothSettings, SteadyAlignment
from realtime.frame import Frame
from realtime.swap.session import SessionSettings

logger = logging.getLogger(__name__)

Box = NDArray[np.float32]  # (4,) x1 y1 x2 y2 in frame px


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """How faces are found and followed. Times are seconds of the recording, or of the clock when live."""

    detector: str = "centerface"  # or insightface:PACK
    landmarks: Path | None = None  # the landmark network's file; None is the embedded one
    max_faces: int = 1  # the largest first
    detect_every: float = 1.0  # while somebody is followed; more often shows in the slowest 5 % of frames
    thorough_every: float = 2.0  # a look for small faces while nobody is found
    presence: float = 0.5  # below it a face is lost
    remember: float = 1.0  # how long a lost face keeps its number
    unconfirmed: int = 3  # detections in a row that miss a face, before one of doubtful presence is dropped
    smoothing: SmoothSettings = field(default_factory=SmoothSettings)

    def __post_init__(self) -> None:
        if not 1 <= self.max_faces <= 64:
            raise SettingsError(f"max_faces is {self.max_faces}, wanted 1 to 64")
        if not 0 < self.presence < 1:
            raise SettingsError(f"presence is {self.presence}, wanted a share between 0 and 1")
        for name in ("detect_every", "thorough_every", "remember"):
            if not 0 <= getattr(self, name) <= 3600:
                raise SettingsError(f"{name} is {getattr(self, name)}, wanted 0 to 3600 seconds")


@dataclass(slots=True, eq=False)
class Followed:
    """What the tracker knows of one face. Its own; what leaves the tracker is a Face."""

    number: int
    reading: Reading
    steady: SteadyAlignment
    seen_at: float  # seconds, when it was last present
    missed: int = 0  # detections in a row that did not confirm it

    @property
    def box(self) -> Box:
        """Around the landmarks."""
        return box_of(self.reading.landmarks)


class Tracker:
    """Frames in, faces out; remembers the faces of the frames before. One thread calls it, frames in order."""

    def __init__(self, detector: Detector, landmarker: Landmarker, settings: TrackingSettings | None = None) -> None:
        self.detector_runs = 0  # since the beginning; reset() leaves it
        self._detector = detector
        self._landmarker = landmarker
        self._settings = settings or TrackingSettings()
        self._numbers: Iterator[int] = itertools.count(1)
        self.reset()

    @classmethod
    def load(cls, settings: TrackingSettings | None = None, session: SessionSettings | None = None) -> "Tracker":
        """A tracker with the detector and the landmark network of the settings. Raises ModelError, MissingExtra."""
        tracking, running = settings or TrackingSettings(), session or SessionSettings()
        detector = open_detector(tracking.detector, running.threads)
        return cls(detector, Landmarker.load(tracking.landmarks, running), tracking)

    def reset(self) -> None:
        """Forget every face, as for another recording; numbers are not used again."""
        self.glimpses: tuple[Glimpse, ...] = ()  # of the last look: faces that are not followed
        self._followed: list[Followed] = []
        self._lost: list[Followed] = []
        self._detected_at = -math.inf
        self._thorough_at = -math.inf
        self._now = -math.inf

    def cut(self) -> None:
        """The next frame shows something else: nobody is followed into it, everybody has to be found again."""
        self._lost += self._followed
        self._followed = []

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        """The faces in the frame by number; none is an empty tuple. The frame is only read.

        A face that gets lost (it left, was covered, or the picture was cut) is looked for in the same frame, so a
        face that is elsewhere after a cut is found without a frame in between.
        """
        now = frame.captured_at if frame.at is None else frame.at
        if now < self._now:  # the recording starts over
            self.reset()
        self._now = now
        before = len(self._followed)
        self._follow(frame.image, now)
        if len(self._followed) < max(before, 1) or now - self._detected_at >= self._settings.detect_every:
            self._look(frame.image, now)
        self._followed.sort(key=lambda followed: followed.number)
        return tuple(self._face(followed, now) for followed in self._followed)

    def _follow(self, image: Image, now: float) -> None:
        """Read every followed face where it was a frame ago; move those that are gone to the lost ones."""
        kept: list[Followed] = []
        for followed in self._followed:
            reading = self._landmarker.follow(image, followed.reading.landmarks)
            taken = any(same_place(box_of(reading.landmarks), other.box) for other in kept)
            if reading.presence < self._settings.presence or taken:
                self._lost.append(followed)
            else:
                followed.reading, followed.seen_at = reading, now
                kept.append(followed)
        self._followed = kept
        self._lost = [lost for lost in self._lost if now - lost.seen_at <= self._settings.remember]

    def _look(self, image: Image, now: float) -> None:
        """Detect; confirm or mend those followed; take up newcomers, the largest first, while there is room."""
        seen = self._detect(image, now)
        found = [detection for detection in seen if extent(detection) >= SMALLEST]
        glimpses = [Glimpse(detection.box, False) for detection in seen if extent(detection) < SMALLEST]
        for followed in tuple(self._followed):
            own = nearest(followed.box, found)
            if own is None:
                self._doubt(followed)
                continue
            found = [detection for detection in found if detection is not own]
            followed.missed = 0
            if adrift(followed.reading.landmarks, own):
                self._mend(followed, image, own)
        found.sort(key=lambda detection: -area(detection.box))
        for detection in found:
            room = len(self._followed) < self._settings.max_faces
            if not room or not self._welcome(image, detection, now):
                glimpses.append(Glimpse(detection.box, entering=room))
        self.glimpses = tuple(glimpses)

    def _detect(self, image: Image, now: float) -> tuple[Detection, ...]:
        self._detected_at = now
        self.detector_runs += 1
        found = self._detector.detect(image)
        if not found and not self._followed and now - self._thorough_at >= self._settings.thorough_every:
            self._thorough_at = now
            self.detector_runs += 1
            found = self._detector.detect(image, thorough=True)
        return found

    def _doubt(self, followed: Followed) -> None:
        """The detector misses turned and covered faces: only a face that the landmarks doubt as well is dropped."""
        followed.missed += 1
        sure = (1 + self._settings.presence) / 2
        if followed.missed >= self._settings.unconfirmed and followed.reading.presence < sure:
            self._followed.remove(followed)
            self._lost.append(followed)

    def _mend(self, followed: Followed, image: Image, detection: Detection) -> None:
        reading = self._landmarker.find(image, detection.points)
        if reading.presence >= self._settings.presence:
            followed.reading, followed.steady = reading, SteadyAlignment(self._settings.smoothing)

    def _welcome(self, image: Image, detection: Detection, now: float) -> bool:
        """Follow the face of a detection; whether somebody is followed there now."""
        reading = self._landmarker.find(image, detection.points)
        box = box_of(reading.landmarks)
        taken = any(same_place(box, followed.box) for followed in self._followed)
        if reading.presence < self._settings.presence or taken:
            return taken
        known = next((lost for lost in reversed(self._lost) if same_place(box, lost.box)), None)
        if known:
            self._lost.remove(known)
        number = known.number if known else next(self._numbers)
        logger.info("face %d %s", number, "is back" if known else "is followed")
        self._followed.append(Followed(number, reading, SteadyAlignment(self._settings.smoothing), now))
        return True

    def _face(self, followed: Followed, now: float) -> Face:
        landmarks = followed.reading.landmarks
        steady = followed.steady(to_template(landmarks), now)
        return Face(followed.box, landmarks, followed.reading.presence, followed.number, steady)


def to_template(landmarks: Points) -> Matrix:
    """Frame px to the template's unit square by the steady ones of landmarks (68, 2)."""
    steady = list(STEADY)
    return similarity(landmarks[steady], template()[steady])


def box_of(landmarks: Points) -> Box:
    """x1 y1 x2 y2 around landmarks (n, 2): from brows to chin."""
    return np.concatenate([landmarks.min(0), landmarks.max(0)]).astype(np.float32)


def extent(detection: Detection) -> float:
    """Pixels from brow to mouth, or from eye to eye where that is more."""
    return float(np.ptp(detection.points, 0).max())


def area(box: Box) -> float:
    """Square pixels of a box."""
    return float(np.prod(np.maximum(box[2:] - box[:2], 0)))


def same_place(one: Box, other: Box) -> bool:
    """Whether two boxes are the same face: centres within half a side of each other, sides within a factor of two.

    Centres and sides, not intersection over union: a detector's box has the forehead, one of landmarks has not.
    """
    sides = math.sqrt(area(one)), math.sqrt(area(other))
    apart = float(np.linalg.norm((one[:2] + one[2:] - other[:2] - other[2:]) / 2))
    return min(sides) > 0.5 * max(sides) and apart < 0.5 * max(sides)


def nearest(box: Box, found: Sequence[Detection]) -> Detection | None:
    """The detection of the face in box: the one that overlaps it most among those in the same place."""
    there = [detection for detection in found if same_place(box, detection.box)]
    return max(there, key=lambda detection: float(overlap(box, detection.box[None])[0]), default=None)


def adrift(landmarks: Points, detection: Detection) -> bool:
    """Whether landmarks (68, 2) have slid off the face that the detection shows: a fifth of the template's side."""
    expected = similarity(detection.points, template_five())
    actual = to_template(landmarks)
    middle = landmarks[list(STEADY)].mean(0)
    shift = (expected - actual) @ np.array([*middle, 1.0])
    return bool(np.linalg.norm(shift) > 0.2)
