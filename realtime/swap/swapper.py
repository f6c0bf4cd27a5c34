"""Finds the faces of a frame and redraws each as its identity: track, align, encode, decode."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from realtime.errors import ModelError
from realtime.face.face import Face
from realtime.face.geometry import Matrix, align
from realtime.frame import Frame
from realtime.swap.compose import Swapped, SwappedFace
from realtime.swap.fallback import Fallback, Fault
from realtime.swap.identity import RUN_ERRORS, Codes, Identity, Shelf

logger = logging.getLogger(__name__)


class Finder(Protocol):
    """What finds faces and follows them: realtime.face.track.Tracker."""

    @property
    def detector_runs(self) -> int:
        """How often the detector has looked at a whole frame so far."""

    def __call__(self, frame: Frame) -> tuple[Face, ...]: ...

    def looking_aside(self) -> AbstractContextManager[None]:
        """As long as it is entered, as for live sources, no followed frame waits for a look at a whole one."""


class Gauges(Protocol):
    """What takes the measurements: realtime.flow.meters.Meters."""

    def time(self, name: str, seconds: float) -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...

    def faces(self, found: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Cast:
    """Who becomes whom; replaced as a whole, so that a frame sees one cast from beginning to end."""

    everyone: Identity
    tracks: Mapping[int, Identity] = field(default_factory=dict)  # exceptions, by the face's track

    def of(self, face: Face) -> Identity:
        """The identity that this face becomes."""
        return self.tracks.get(face.track, self.everyone)


class Swapper:
    """Frames in, frames with swapped faces beside them out. One thread calls it; any thread may switch identities."""

    def __init__(
        self,
        tracker: Finder,
        shelf: Shelf,
        identity: str,
        fallback: Fallback | None = None,
        meters: Gauges | None = None,
    ) -> None:
        """Raises UnknownIdentity. Calls raise ModelError only with a fallback whose on_error is raise."""
        self._tracker = tracker
        self._shelf = shelf
        self._cast = Cast(shelf[identity])
        self._raises = (fallback or Fallback()).on_error == "raise"
        self._meters = meters
        self._failing = False

    @property
    def identity(self) -> str:
        """Who everybody becomes; setting it loads the identity if need be and takes effect with the next frame.

        Setting raises UnknownIdentity, or ModelError when the file does not load; then the old identity stays.
        """
        return self._cast.everyone.name

    @identity.setter
    def identity(self, name: str) -> None:
        began = time.perf_counter()
        self._cast = Cast(self._shelf[name], self._cast.tracks)
        logger.info("identity switched to %s in %.2f s", name, time.perf_counter() - began)

    def assign(self, track: int, name: str) -> None:
        """The face of this track becomes another identity than everybody else. Raises as setting identity does."""
        self._cast = Cast(self._cast.everyone, {**self._cast.tracks, track: self._shelf[name]})

    def __call__(self, frame: Frame) -> Swapped:
        """The frame and its faces, redrawn. No face: no faces. A model that fails: a fault (or ModelError)."""
        cast = self._cast
        faces: tuple[Face, ...] = ()
        try:
            faces = self._found(frame)
            swapped = Swapped(frame, self._redrawn(frame, faces, cast) if faces else ())
        except (ModelError, *RUN_ERRORS) as error:
            if self._raises:
                raise
            self._note_failure(frame, error)
            return Swapped(frame, fault=Fault(faces))
        self._note_success(frame)
        return swapped

    def _found(self, frame: Frame) -> tuple[Face, ...]:
        before = self._tracker.detector_runs
        with self._timed("track"):
            faces = self._tracker(frame)
        if self._meters:
            self._meters.faces(len(faces))
            self._meters.count("detector_runs", self._tracker.detector_runs - before)
        return faces

    def _redrawn(self, frame: Frame, faces: Sequence[Face], cast: Cast) -> tuple[SwappedFace, ...]:
        encoder = self._shelf.encoder
        with self._timed("align"):
            size, coverage = encoder.contract.size, encoder.contract.coverage
            crops = [align(frame.image, crop_of(face, size, coverage), size) for face in faces]
        with self._timed("encode"):
            codes = encoder(crops)
        with self._timed("decode"):
            return decoded(faces, codes, cast)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        if self._meters:
            self._meters.time(name, time.perf_counter() - began)

    def _note_failure(self, frame: Frame, error: Exception) -> None:
        if not self._failing:
            logger.error("frame %d could not be swapped, covered until it works again: %s", frame.index, error)
        self._failing = True

    def _note_success(self, frame: Frame) -> None:
        if self._failing:
            logger.info("swapping works again from frame %d on", frame.index)
        self._failing = False


def decoded(faces: Sequence[Face], codes: Codes, cast: Cast) -> tuple[SwappedFace, ...]:
    """Each face as the identity it becomes, in the order of faces; one batch for each identity. Raises ModelError."""
    wanted = [cast.of(face) for face in faces]
    done: dict[int, SwappedFace] = {}
    for identity in dict.fromkeys(wanted):
        places = [place for place, of in enumerate(wanted) if of is identity]
        size, coverage = identity.contract.size, identity.contract.coverage
        images, masks = identity.decode(codes[places])
        for place, image, mask in zip(places, images, masks, strict=True):
            to_crop = crop_of(faces[place], size, coverage)
            done[place] = SwappedFace(faces[place], identity.name, image * np.float32(255), mask, to_crop)
    return tuple(done[place] for place in range(len(faces)))


def crop_of(face: Face, size: int, coverage: float = 1.0) -> Matrix:
    """Frame pixels to pixels of a crop of size x size that shows coverage times the template's square, (2, 3)."""
    matrix = face.to_template / coverage
    matrix[:, 2] += 0.5 - 0.5 / coverage
    matrix *= size
    matrix[:, 2] -= 0.5
    return np.asarray(matrix, np.float32)
