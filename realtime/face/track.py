"""Follows faces from frame to frame: detects seldom, reads landmarks always, forgets after a cut."""

import itertools
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from realtime.errors import SettingsError
from realtime.face.detect import Detector, open_detector
from realtime.face.face import Detection, Face, Glimpse
from realtime.face.geometry import Image, Matrix, Points, similarity, steady_of, to_template
from realtime.face.landmarks import SMALLEST, Landmarker, Reading, template_five
from realtime.face.look import Aside
from realtime.face.match import NEAR, SAME, Place, apart, matched, place_of
from realtime.face.smooth import SmoothSettings, SteadyAlignment
from realtime.frame import Frame
from realtime.swap.session import SessionSettings

logger = logging.getLogger(__name__)

SMALL: Final = 1 / 8  # of the frame's longer side: faces whose template is smaller are seen by thorough looks alone
DRIFT: Final = 0.5  # template sides a second that a hidden face may have moved
ADRIFT: Final = 0.2  # template sides by which landmarks may differ from a detection
EARLY: Final = 0.002  # seconds that a look may come too early, because frames' times are rounded

Box = NDArray[np.float32]  # (4,) x1 y1 x2 y2 in frame px


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """How faces are found and followed. Times are seconds of the recording, or of the clock when live."""

    detector: str = "centerface"  # or insightface:PACK
    landmarks: Path | None = None  # the landmark network's file; None is the embedded one
    max_faces: int = 1  # the largest first
    detect_every: float = 0.5  # between two looks while everybody is followed, and two thorough ones while nobody is
    presence: float = 0.5  # below it a face is lost
    remember: float = 1.5  # how long a lost face keeps its number
    unconfirmed: float = 1.5  # without a detection, after which a face of doubtful presence is dropped
    smoothing: SmoothSettings | None = field(default_factory=SmoothSettings)  # None: none, for comparison

    def __post_init__(self) -> None:
        if not 1 <= self.max_faces <= 64:
            raise SettingsError(f"max_faces is {self.max_faces}, wanted 1 to 64")
        if not 0 < self.presence < 1:
            raise SettingsError(f"presence is {self.presence}, wanted a share between 0 and 1")
        for name in ("detect_every", "remember", "unconfirmed"):
            if not 0 <= getattr(self, name) <= 3600:
                raise SettingsError(f"{name} is {getattr(self, name)}, wanted 0 to 3600 seconds")


@dataclass(slots=True, eq=False)
class Followed:
    """What the tracker knows of one face. Its own; what leaves the tracker is a Face."""

    number: int
    reading: Reading
    place: Place  # where it was read last
    steady: SteadyAlignment
    seen_at: float  # seconds, when it was last present
    confirmed_at: float  # seconds, when a look found it last


@dataclass(frozen=True, slots=True)
class Lost:
    """A face that is not seen any more, and where it was."""

    number: int
    place: Place
    seen_at: float  # seconds


class Tracker:
    """Frames in, faces out; remembers the faces of the frames before. One thread calls it, frames in order.

    A look at the whole frame, for newcomers and to confirm who is there, happens every detect_every seconds. It is
    part of the frame that is due, so that a recording gives the same faces in every run: a newcomer is followed less
    than detect_every after the first frame that shows it. Inside looking_aside(), for live sources, the look runs on
    a thread of its own, and what it found is taken up in the first frame after it has ended, so that no followed
    frame waits: a newcomer is followed by those frames later, one or two at 30 frames a second.
    Who was lost (left, covered, cut away) is looked for at once in the same frame, and until found or forgotten.
    """

    def __init__(
        self,
        detector: Detector,
        landmarker: Landmarker,
        settings: TrackingSettings | None = None,
        second: Callable[[], Detector] | None = None,
    ) -> None:
        """second opens the detector for looking_aside(); by default it is the same one, if that bears two threads."""
        self.detector_runs = 0  # looks since the beginning; reset() leaves it
        self._detector = detector
        self._second = second or (lambda: detector)
        self._landmarker = landmarker
        self._settings = settings or TrackingSettings()
        self._numbers: Iterator[int] = itertools.count(1)
        self._aside: Aside | None = None
        self.reset()

    @classmethod
    def load(cls, settings: TrackingSettings | None = None, session: SessionSettings | None = None) -> "Tracker":
        """A tracker with the detector and the landmark network of the settings. Raises ModelError, MissingExtra."""
        tracking, running = settings or TrackingSettings(), session or SessionSettings()
        detector = open_detector(tracking.detector, running.threads)
        # One thread, because only the calling thread steps back for the frames; helpers of the session would not.
        second = partial(open_detector, tracking.detector, 1)
        return cls(detector, Landmarker.load(tracking.landmarks, running), tracking, second)

    @contextmanager
    def looking_aside(self) -> Iterator[None]:
        """Until its end, periodic looks happen on a thread of their own, which then ends. Raises ModelError."""
        with Aside(self._second()) as self._aside:
            try:
                yield
            finally:
                self._aside = None

    def reset(self) -> None:
        """Forget every face, as for another recording; numbers are not used again."""
        self.glimpses: tuple[Glimpse, ...] = ()  # of the last look: faces that are not followed
        self._followed: list[Followed] = []
        self._lost: list[Lost] = []
        self._looked_at = -math.inf  # the last look that was as thorough as wanted
        self._now = -math.inf
        self._extent: tuple[int, int] | None = None  # width, height of the frames
        self._picture = 0  # counts pictures that differ from the one before
        self._again = False  # whether the next frame shows the picture of the one before
        self._asked = self._searched = -1  # the picture that a look aside is at; that the latest look to end was at
        self._searched_at = -math.inf  # when what that look found was taken up
        if self._aside:
            self._aside.forget()

    def cut(self) -> None:
        """The next frame shows something else: nobody is followed into it, everybody has to be found again."""
        self._lost += [Lost(one.number, one.place, one.seen_at) for one in self._followed]
        self._followed = []
        if self._aside:
            self._aside.forget()

    def holds(self, frame: Frame) -> bool:
        """Is told that the frame shows the very picture of the one before; whether the faces found there still hold.

        They do once a look at that picture has ended and left nothing to wait for, and every alignment has come to
        rest; then time passes for those who are followed, and they stay where they are. Otherwise the frame is to be
        read as any other.
        """
        now = frame.captured_at if frame.at is None else frame.at
        self._again = now < self._now or not self._settled
        if self._again:
            return False
        self._now = now
        for followed in self._followed:
            followed.seen_at = now
            followed.steady.still(now)
        return True

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        """The faces in the frame by number; none is an empty tuple. The frame is only read."""
        now = frame.captured_at if frame.at is None else frame.at
        if now < self._now:  # the recording starts over
            self.reset()
        self._now = now
        self._picture += not self._again
        self._again = False
        before = {followed.number for followed in self._followed}
        self._fit(frame.image)
        self._follow(frame.image, now)
        self._take_answer(frame.image, now)
        self._look(frame.image, now, lost=not before <= {followed.number for followed in self._followed})
        self._followed.sort(key=lambda followed: followed.number)
        return tuple(_face(followed) for followed in self._followed)

    def _fit(self, image: Image) -> None:
        """Where frames change their size, faces are lost and looked for where they would be in the new size."""
        height, width = image.shape[:2]
        if self._extent and self._extent != (width, height):
            across, down = width / self._extent[0], height / self._extent[1]
            self._lost += [Lost(one.number, one.place, one.seen_at) for one in self._followed]
            self._lost = [Lost(one.number, one.place.scaled(across, down), one.seen_at) for one in self._lost]
            self._followed = []
            if self._aside:
                self._aside.forget()
        self._extent = width, height

    def _follow(self, image: Image, now: float) -> None:
        """Read every followed face where it is expected; move those that are gone to the lost ones.

        Where two read the same face, one is covered by the other: the face belongs to the one that expected it there.
        """
        read: list[tuple[float, int, Followed, Reading, Matrix]] = []
        for followed in self._followed:
            expected = followed.steady.ahead(now)
            reading = self._landmarker.expected(image, expected)
            if reading.presence < self._settings.presence:
                self._lose(followed)
            else:
                matrix = to_template(reading.landmarks)
                read.append((apart(place_of(expected), place_of(matrix)), followed.number, followed, reading, matrix))
        self._followed = []
        for _, _, followed, reading, matrix in sorted(read, key=lambda one: one[:2]):
            place = place_of(matrix)
            if self._taken(place):
                self._lose(followed)
                continue
            followed.reading, followed.place, followed.seen_at = reading, place, now
            followed.steady(matrix, now)
            self._followed.append(followed)
        self._lost = [lost for lost in self._lost if now - lost.seen_at <= self._settings.remember]

    def _lose(self, followed: Followed) -> None:
        self._lost.append(Lost(followed.number, followed.place, followed.seen_at))

    def _taken(self, place: Place) -> bool:
        """Whether somebody who is followed is the face in that place already."""
        return any(apart(place, followed.place) < SAME for followed in self._followed)

    def _take_answer(self, image: Image, now: float) -> None:
        if self._aside and (seen := self._aside.answer()):
            self._apply(seen.found, seen.followed, image, now)
            self._searched, self._searched_at = self._asked, now

    def _look(self, image: Image, now: float, lost: bool) -> None:
        """Look where it is time to; lost says that somebody was lost in this very frame."""
        small = any(self._is_small(one.place) for one in self._lost)
        if lost or not self._followed or (self._missing and not self._aside):
            self._look_here(image, now, thorough=small and (lost or not self._aside))
        waited = now - self._looked_at >= max(self._settings.detect_every - EARLY, EARLY)
        due = waited or (lost and self._missing)
        if due and (not self._aside or (lost and not self._followed)):
            self._look_here(image, now, thorough=self._wants_thorough)
        elif self._aside and not self._aside.busy and (due or self._missing):
            self._look_aside(self._aside, image, now, thorough=self._wants_thorough and (due or small))

    @property
    def _missing(self) -> bool:
        """Whether somebody was lost lately and there is room for them."""
        return bool(self._lost) and len(self._followed) < self._settings.max_faces

    @property
    def _settled(self) -> bool:
        """Whether reading the same picture once more would change nothing."""
        if self._searched != self._picture or self._missing:
            return False
        sure = all(
            one.confirmed_at >= self._searched_at or one.reading.presence >= self._sure for one in self._followed
        )
        return sure and all(one.steady.rests for one in self._followed)

    @property
    def _sure(self) -> float:
        """The presence from which a face is kept that no look confirms."""
        return (1 + self._settings.presence) / 2

    @property
    def _wants_thorough(self) -> bool:
        """Whether only a thorough look would find all that matters: small newcomers, or small ones to confirm."""
        room = len(self._followed) < self._settings.max_faces
        return room or any(self._is_small(followed.place) for followed in self._followed)

    def _is_small(self, place: Place) -> bool:
        return place.side < SMALL * max(self._extent or (0,))

    def _look_here(self, image: Image, now: float, thorough: bool) -> None:
        """Look at this frame and take up what is found."""
        self.detector_runs += 1
        self._apply(self._detector.detect(image, thorough), self._whereabouts, image, now)
        if thorough or not self._wants_thorough:
            self._looked_at = self._searched_at = now
            self._searched = self._picture

    def _look_aside(self, aside: Aside, image: Image, now: float, thorough: bool) -> None:
        """Have this frame looked at beside the next ones."""
        self.detector_runs += 1
        aside.ask(image, thorough, self._whereabouts)
        self._asked = -1
        if thorough or not self._wants_thorough:
            self._looked_at, self._asked = now, self._picture

    @property
    def _whereabouts(self) -> Mapping[int, Points]:
        return {followed.number: followed.reading.landmarks for followed in self._followed}

    def _apply(self, seen: Sequence[Detection], followed: Mapping[int, Points], image: Image, now: float) -> None:
        """Confirm or mend those followed; take up newcomers while there is room: known ones, then the largest.

        followed says where they were in the picture that was looked at, which may be a frame or two older than image.
        """
        found = [detection for detection in seen if extent(detection) >= SMALLEST]
        glimpses = [Glimpse(detection.box, False) for detection in seen if extent(detection) < SMALLEST]
        places = [place_of(similarity(detection.points, template_five())) for detection in found]
        own = matched({number: place_of(to_template(points)) for number, points in followed.items()}, places)
        for one in [one for one in self._followed if one.number in followed]:
            if one.number not in own:
                self._doubt(one, now)
                continue
            one.confirmed_at = now
            if adrift(followed[one.number], found[own[one.number]]):
                self._mend(one, image, found[own[one.number]], now)
        others = [index for index in range(len(found)) if index not in own.values()]
        back = self._recognised([places[index] for index in others])
        numbers = {others[index]: number for number, index in back.items()}
        for index in sorted(others, key=lambda index: (index not in numbers, -places[index].side)):
            room = len(self._followed) < self._settings.max_faces
            if not room or not self._welcome(image, found[index], now, numbers.get(index)):
                glimpses.append(Glimpse(found[index].box, entering=room))
        self.glimpses = tuple(glimpses)

    def _recognised(self, places: Sequence[Place]) -> dict[int, int]:
        """By the number of a lost face, which of the places it is seen in. The longer ago, the farther it may be."""
        reach = {lost.number: NEAR + DRIFT * (self._now - lost.seen_at) for lost in self._lost}
        return matched({lost.number: lost.place for lost in self._lost}, places, reach)

    def _doubt(self, followed: Followed, now: float) -> None:
        """The detector misses turned and covered faces: only a face that the landmarks doubt as well is dropped."""
        if now - followed.confirmed_at >= self._settings.unconfirmed - EARLY and followed.reading.presence < self._sure:
            self._followed.remove(followed)
            self._lose(followed)

    def _mend(self, followed: Followed, image: Image, detection: Detection, now: float) -> None:
        reading = self._landmarker.find(image, detection.points)
        if reading.presence >= self._settings.presence:
            matrix = to_template(reading.landmarks)
            followed.reading, followed.place, followed.steady = reading, place_of(matrix), self._steady(matrix, now)

    def _welcome(self, image: Image, detection: Detection, now: float, known: int | None) -> bool:
        """Follow the face of a detection; whether somebody is followed there now."""
        reading = self._landmarker.find(image, detection.points)
        matrix = to_template(reading.landmarks)
        place = place_of(matrix)
        taken = self._taken(place)
        if reading.presence < self._settings.presence or taken:
            return taken
        self._lost = [lost for lost in self._lost if lost.number != known]
        number = known or next(self._numbers)
        logger.info("face %d %s", number, "is back" if known else "is followed")
        self._followed.append(Followed(number, reading, place, self._steady(matrix, now), now, now))
        return True

    def _steady(self, matrix: Matrix, now: float) -> SteadyAlignment:
        return SteadyAlignment(self._settings.smoothing, matrix, now)


def _face(followed: Followed) -> Face:
    reading = followed.reading
    box, matrix = box_of(reading.landmarks), followed.steady.matrix
    return Face(box, reading.landmarks, reading.presence, followed.number, matrix, reading.blend, reading.irises)


def box_of(landmarks: Points) -> Box:
    """x1 y1 x2 y2 around landmarks (n, 2): from brows to chin."""
    return np.concatenate([landmarks.min(0), landmarks.max(0)]).astype(np.float32)


def extent(detection: Detection) -> float:
    """Pixels from brow to mouth, or from eye to eye where that is more."""
    return float(np.ptp(detection.points, 0).max())


def adrift(landmarks: Points, detection: Detection) -> bool:
    """Whether landmarks (68, 2) have slid off the face that the detection shows."""
    expected = similarity(detection.points, template_five())
    actual = to_template(landmarks)
    middle = steady_of(landmarks).mean(0)
    shift = (expected - actual) @ np.array([*middle, 1.0])
    return bool(np.linalg.norm(shift) > ADRIFT)
