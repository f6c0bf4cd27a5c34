"""Says where in a frame a real face may be that no other one covers: after entering, getting lost, and cuts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from realtime.face.face import Face, Glimpse
from realtime.face.geometry import Image
from realtime.frame import Frame
from realtime.swap.fallback import Box, Unsure, grown, place_of

AROUND: Final = 1.25  # a lost face's place, in sides of its crop (which is about 1.5 faces wide)
REMEMBERED: Final = 1.0  # seconds for which somebody new can stand for a lost one, also where the tail is shorter
SPREAD: Final = 1.0  # sides a second by which it grows: a head that moves one face a second stays inside
ENTERING: Final = 1.5  # the place of a face that the detector saw, in sides of its box: boxes are tight, and age
CUT: Final = 25.0  # of 255: the mean change of a picture, above which it shows something else than the one before
_SAMPLES: Final = 64  # along the longer side: enough to notice a cut, and 30 µs

Sample = NDArray[np.int16]  # (h, w, 3)


@dataclass(frozen=True, slots=True)
class Lost:
    """Where a face was last."""

    place: Box
    seen_at: float  # seconds


class Cuts:
    """Notices where a recording, or what a camera shows, is cut. One thread calls it, frames in order."""

    def __init__(self) -> None:
        self._before: Sample | None = None

    def __call__(self, image: Image) -> bool:
        """Whether the picture shows something else than the one before; the first one does not."""
        step = max(1, max(image.shape[:2]) // _SAMPLES)
        sample, before = image[::step, ::step].astype(np.int16), self._before
        self._before = sample
        if before is None:
            return False
        return before.shape != sample.shape or float(np.abs(sample - before).mean()) > CUT


class Doubts:
    """Remembers who was seen where. One thread calls it, frames in order.

    A lost face's place stays unsure, and grows, until its track is back, somebody new is found there, or tail seconds
    are over. After a cut, whoever is new in the picture also stands for one who is lost, wherever; and until the
    detector has looked at a frame since, nobody knows where faces are.
    """

    heirs: Mapping[int, int]  # of the latest frame: each new track that stands for a lost one, and that one

    def __init__(self, tail: float) -> None:
        self._tail = tail
        self._forget()

    def _forget(self) -> None:
        self._seen: dict[int, Lost] = {}  # in the frame before, by track
        self._lost: dict[int, Lost] = {}
        self._now = -math.inf
        self._blind = False  # nobody has looked since a cut
        self.heirs = {}

    def __call__(
        self, frame: Frame, faces: Sequence[Face], glimpses: Sequence[Glimpse], cut: bool, looked: bool
    ) -> Unsure | None:
        """What is unsure in the frame; None for nothing.

        faces are followed in this frame; glimpses are faces that the latest look saw and nobody follows; cut is whether
        the frame shows something else than the one before, and looked whether the detector has searched it.
        """
        now = frame.captured_at if frame.at is None else frame.at
        if now < self._now:  # the recording starts over
            self._forget()
        present = {face.track for face in faces}
        self._lost.update({track: seen for track, seen in self._seen.items() if track not in present})
        self._find(faces, anywhere=cut)
        kept = max(self._tail, REMEMBERED)
        self._lost = {track: lost for track, lost in self._lost.items() if now - lost.seen_at <= kept}
        self._seen, self._now = {face.track: Lost(place_of(face), now) for face in faces}, now
        self._blind = not looked and (self._blind or cut)
        entering = [glimpse.box for glimpse in glimpses if glimpse.entering and not _among(glimpse.box, faces)]
        ages = [(lost.place, now - lost.seen_at) for lost in self._lost.values()]
        places = [grown(place, AROUND + SPREAD * age) for place, age in ages if age <= self._tail]
        places += [grown(box, ENTERING) for box in entering]
        return Unsure(tuple(places), self._blind) if places or self._blind else None

    def _find(self, faces: Sequence[Face], anywhere: bool) -> None:
        """Forget the lost ones who are back, and those for whom somebody new stands."""
        new = [face for face in faces if face.track not in self._seen and face.track not in self._lost]
        for face in faces:
            self._lost.pop(face.track, None)
        heirs: dict[int, int] = {}
        for face in new:
            there = [track for track, lost in self._lost.items() if _holds(grown(lost.place, AROUND), face.box)]
            if stands_for := (there or list(self._lost) * anywhere):
                heirs[face.track] = stands_for[0]
                del self._lost[stands_for[0]]
        self.heirs = heirs


def _among(box: Box, faces: Sequence[Face]) -> bool:
    """Whether one of the followed faces is in the box."""
    return any(_holds(box, face.box) for face in faces)


def _holds(place: Box, box: Box) -> bool:
    """Whether the middle of box lies in place."""
    middle = (box[:2] + box[2:]) / 2
    return bool((place[:2] <= middle).all() and (middle <= place[2:]).all())
