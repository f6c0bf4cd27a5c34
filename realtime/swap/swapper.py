"""Finds the faces of a frame and redraws each as its identity: track, align, encode, decode."""

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from realtime.errors import MOST_FAILURES, ConsentError, KeepsFailing, ModelError
from realtime.face.face import Face, Glimpse
from realtime.frame import Frame
from realtime.pool import Scratch
from realtime.swap.casting import Casting, Seating
from realtime.swap.compose import Swapped, SwappedFace, Undrawn
from realtime.swap.doubt import ENTERING, Cuts, Doubts
from realtime.swap.fade import Fades, Leaving, mixed
from realtime.swap.fallback import Box, Fallback, Unsure, grown, place_of
from realtime.swap.fused.identity import FusedIdentity
from realtime.swap.identity import RUN_ERRORS, Codes, Identity, Shelf
from realtime.swap.unchanged import Unchanged
from realtime.swap.views import Views, crop_of, crops_of

logger = logging.getLogger(__name__)

LATE: Final = 0.4  # seconds after the one before from which on a frame counts as cut off: much may have moved unseen


class Finder(Protocol):
    """What finds faces and follows them: realtime.face.track.Tracker."""

    @property
    def detector_runs(self) -> int:
        """How often the detector has looked at a whole frame so far."""

    @property
    def glimpses(self) -> tuple[Glimpse, ...]:
        """The faces that the detector saw when it looked last and that are not followed."""

    def cut(self) -> None:
        """Is told that the next frame shows something else: everybody has to be found again."""

    def holds(self, frame: Frame) -> bool:
        """Is told that the frame shows the picture of the one before; whether the faces found there hold for it."""

    def __call__(self, frame: Frame) -> tuple[Face, ...]: ...

    def looking_aside(self) -> AbstractContextManager[None]:
        """As long as it is entered, as for live sources, no followed frame waits for a look at a whole one."""


class Gauges(Protocol):
    """What takes the measurements: realtime.flow.meters.Meters."""

    def time(self, name: str, seconds: float) -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...

    def faces(self, found: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """Faces as they were drawn for one frame, for the next one if it shows the same picture."""

    faces: tuple[Face, ...]
    identities: tuple[Identity, ...]  # one for each
    drawn: tuple[SwappedFace, ...]

    def shows(self, faces: Sequence[Face], identities: Sequence[Identity]) -> bool:
        """Whether it is these very faces as these identities."""
        before, wanted = (*self.faces, *self.identities), (*faces, *identities)
        return len(before) == len(wanted) and all(one is other for one, other in zip(before, wanted, strict=True))


@dataclass(frozen=True, slots=True)
class Found:
    """A frame, and what is to be drawn for it."""

    frame: Frame
    faces: tuple[Face, ...]
    chosen: Mapping[int, Identity]  # by track
    others: tuple[Box, ...]  # as in Swapped
    unsure: Unsure | None  # likewise
    held: bool  # whether the frame shows the picture of the one before, and its faces are the same
    error: Exception | None  # where a model failed on it
    withheld: bool = False  # as in Swapped

    @property
    def now(self) -> float:
        """When the frame was taken, seconds."""
        return self.frame.captured_at if self.frame.at is None else self.frame.at


@dataclass(frozen=True, slots=True)
class Cast:
    """Who becomes whom; replaced as a whole, so that a frame sees one cast from beginning to end."""

    casting: Casting
    identities: Mapping[str, Identity]  # by the names in the casting
    withheld: bool = False  # the consent to one of them has ended


class Swapper:
    """Frames in, frames with swapped faces beside them out; any thread may switch identities.

    A call is find and then draw. Each takes one frame at a time, in order, on whatever thread; so the next frame's
    faces may be found while those of this one are drawn.
    """

    def __init__(
        self,
        tracker: Finder,
        shelf: Shelf,
        identity: str,
        fallback: Fallback | None = None,
        meters: Gauges | None = None,
        faces: int | None = None,
        fade: float = 0.0,
    ) -> None:
        """identity is a text as realtime.swap.casting.Casting has it; faces is how many are swapped at most (None: as
        many as it means); fade is how many seconds a change of identity takes.

        Raises SettingsError, ModelError, UnknownIdentity. Calls raise ModelError only where the fallback's unsure is
        raise, and KeepsFailing once a model has failed on MOST_FAILURES frames in a row.
        """
        fallback = fallback or Fallback()
        self._tracker = tracker
        self._shelf = shelf
        self._cast = self._loaded(Casting.parse(identity))
        self._raises = fallback.unsure == "raise"
        self._meters = meters
        self._most = faces
        self._seating = Seating()
        self._unchanged = Unchanged()
        self._faces: tuple[Face, ...] | None = None  # in the frame before; None where finding failed on it
        self._kept: Kept | None = None
        self._cuts = Cuts()
        self._before: float | None = None  # when the frame before was taken, seconds
        self._doubts = Doubts(fallback.tail)
        self._fade = fade  # seconds
        self._fades = Fades(fade)
        self._failures = 0  # in a row
        self._scratch = Scratch()

    @property
    def identity(self) -> str:
        """Who the faces become, as in `aster` or `left=aster,right=cedar`; setting it takes effect with the next frame.

        Setting loads, in the thread that sets, what is not loaded yet; frames go on meanwhile. It raises SettingsError,
        UnknownIdentity, or ModelError when a file does not load; then everybody keeps the identity that they have.
        """
        return str(self._cast.casting)

    @identity.setter
    def identity(self, text: str) -> None:
        began = time.perf_counter()
        self._cast = self._loaded(Casting.parse(text))
        logger.info("identity switched to %s in %.2f s", self.identity, time.perf_counter() - began)

    def assign(self, track: int, name: str) -> None:
        """The face of this track becomes another identity than everybody else. Raises as setting identity does."""
        self._cast = self._loaded(self._cast.casting.with_track(track, name))

    def check_consent(self, cast: Cast | None = None) -> None:
        """Raises ConsentError where somebody of the cast (None: of the present one) may not be shown any more."""
        for name in (cast or self._cast).casting.names:
            self._shelf[name]

    def look_at_consent(self) -> str | None:
        """Shows nobody whose consent has ended meanwhile: why, where that is new.

        The whole picture is hidden then until somebody else is chosen or the consent is there again. It may wait for
        a disk, so not in a frame's way.
        """
        cast, why = self._cast, None
        try:
            self.check_consent(cast)
        except ConsentError as error:
            why = str(error)
        if self._cast is cast and cast.withheld != (why is not None):
            self._cast = replace(cast, withheld=why is not None)
            return why
        return None

    def __call__(self, frame: Frame) -> Swapped:
        """The frame, its faces redrawn, and where in it a real face may be. No face: no faces.

        Raises ModelError, KeepsFailing.
        """
        return self.draw(self.find(frame))

    def find(self, frame: Frame) -> Found:
        """The faces in the frame and who they become. Raises ModelError."""
        cast, now = self._cast, frame.captured_at if frame.at is None else frame.at
        if cast.withheld:
            self._faces = None
            return Found(frame, (), {}, (), None, False, None, withheld=True)
        self._before, late = now, self._before is not None and now - self._before >= LATE
        faces: tuple[Face, ...] = ()
        chosen: dict[int, Identity] = {}
        unsure: Unsure | None = Unsure(anywhere=True)
        held, failed = False, None
        try:
            unchanged, looks = self._unchanged(frame.image), self._tracker.detector_runs
            cut = (not unchanged and self._cuts(frame.image)) or late
            if cut:
                self._tracker.cut()
            faces, held = self._tracked(frame, unchanged and not cut)
            unsure = self._doubts(frame, faces, self._tracker.glimpses, cut, self._tracker.detector_runs > looks)
            who = self._seating(cast.casting, faces, frame.image.shape[1], now, self._doubts.heirs, self._most)
            chosen = {track: cast.identities[name] for track, name in who.items()}
            self._faces = faces
        except (ModelError, *RUN_ERRORS) as error:
            if self._raises:
                raise
            failed = error
        return Found(frame, faces, chosen, self._others(faces, chosen), unsure, held, failed)

    def draw(self, found: Found | Swapped) -> Swapped:
        """The frame with its faces redrawn; what stands in for it already stays. Raises ModelError, KeepsFailing."""
        if isinstance(found, Swapped):
            return found
        if not found.held:
            self._kept = None
        if found.withheld:
            self._fades = Fades(self._fade)  # nobody fades out who may not be shown
            return Swapped(found.frame, withheld=True)
        swapped = [face for face in found.faces if face.track in found.chosen]
        try:
            if found.error is not None:
                raise found.error
            undrawn = _undrawn(found.frame, swapped, found.chosen)
            redrawn = () if undrawn else self._redrawn(found.frame, swapped, found.chosen, found.now)
        except (ModelError, *RUN_ERRORS) as error:
            if self._raises:
                raise
            self._note_failure(found.frame, error)
            return Swapped(found.frame, (), found.others, _also(found.unsure, swapped))
        self._note_success(found.frame)
        return Swapped(found.frame, redrawn, found.others, found.unsure, undrawn)

    def _loaded(self, casting: Casting) -> Cast:
        """The cast with its identities at hand. Raises ModelError and UnknownIdentity."""
        named = casting.renamed(self._shelf.name_of)
        return Cast(named, {name: self._shelf[name] for name in named.names})

    def _tracked(self, frame: Frame, unchanged: bool) -> tuple[tuple[Face, ...], bool]:
        """The faces in the frame; whether they are those of the one before, whose picture it shows and they hold."""
        before, faces = self._tracker.detector_runs, self._faces
        self._faces = None
        with self._timed("track"):
            held = unchanged and faces is not None and self._tracker.holds(frame)
            if faces is None or not held:
                faces = self._tracker(frame)
        if self._meters:
            self._meters.count("unchanged", int(held))
            self._meters.faces(len(faces))
            self._meters.count("detector_runs", self._tracker.detector_runs - before)
        return faces, held

    def _others(self, faces: Sequence[Face], chosen: Collection[int]) -> tuple[Box, ...]:
        """Where the faces are that nobody was chosen for: those followed, and those that there is no room to follow."""
        crowd = [grown(glimpse.box, ENTERING) for glimpse in self._tracker.glimpses if not glimpse.entering]
        return (*(place_of(face) for face in faces if face.track not in chosen), *crowd)

    def _redrawn(
        self, frame: Frame, faces: Sequence[Face], chosen: Mapping[int, Identity], now: float
    ) -> tuple[SwappedFace, ...]:
        """Each face as its identity; during a fade as the one before as well, in the same batches."""
        leaving = self._fades(chosen, now)
        if not faces:
            return ()
        identities = tuple(chosen[face.track] for face in faces)
        if not leaving and self._kept is not None and self._kept.shows(faces, identities):
            return self._kept.drawn
        drawing = (*identities, *(left.identity for left in leaving.values()))
        codes = self._codes(frame, faces) if any(each.takes_codes for each in drawing) else np.empty((0, 0), np.float32)
        with self._timed("decode"):
            drawn = _with_fades(Views(frame.image, faces, codes), chosen, leaving)
        self._kept = None if leaving else Kept(tuple(faces), identities, drawn)
        return drawn

    def _codes(self, frame: Frame, faces: Sequence[Face]) -> Codes:
        encoder = self._shelf.encoder
        with self._timed("align"):
            size, coverage = encoder.contract.size, encoder.contract.coverage
            crops = crops_of(frame.image, faces, size, coverage, self._scratch)
        with self._timed("encode"):
            return encoder(crops)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        if self._meters:
            self._meters.time(name, time.perf_counter() - began)

    def _note_failure(self, frame: Frame, error: Exception) -> None:
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            raise KeepsFailing(f"{MOST_FAILURES} frames in a row could not be swapped: {error}") from error
        if self._failures == 1:
            logger.error(
                "frame %d could not be swapped, shown as for unsure faces until it works again: %s", frame.index, error
            )

    def _note_success(self, frame: Frame) -> None:
        if self._failures:
            logger.info("swapping works again from frame %d on", frame.index)
        self._failures = 0


def unswapped(frame: Frame) -> Swapped:
    """The frame where swapping it failed: nobody knows where in it a face is."""
    return Swapped(frame, unsure=Unsure(anywhere=True))


def decoded(views: Views, places: Sequence[int], wanted: Sequence[Identity]) -> tuple[SwappedFace, ...]:
    """The faces at these places, each as the identity wanted for it, in their order; one batch for each identity.

    Raises ModelError.
    """
    done: dict[int, SwappedFace] = {}
    for identity in dict.fromkeys(wanted):
        mine = [entry for entry, of in enumerate(wanted) if of is identity]
        size, coverage = identity.contract.size, identity.contract.coverage
        images, masks = identity.draw(views, [places[entry] for entry in mine])
        np.multiply(images, 255, images)  # they are nobody else's
        for entry, image, mask in zip(mine, images, masks, strict=True):
            face = views.faces[places[entry]]
            to_crop = crop_of(face, size, coverage)
            done[entry] = SwappedFace(face, identity.name, image, mask, to_crop, identity.digest)
    return tuple(done[entry] for entry in range(len(wanted)))


def _undrawn(frame: Frame, faces: Sequence[Face], chosen: Mapping[int, Identity]) -> tuple[Undrawn, ...]:
    """The faces as they are, where identities draw whole frames; a shelf has either these or others."""
    return tuple(
        Undrawn(face, identity, frame.image)
        for face in faces
        if isinstance(identity := chosen[face.track], FusedIdentity)
    )


def _with_fades(
    views: Views, chosen: Mapping[int, Identity], leaving: Mapping[int, Leaving]
) -> tuple[SwappedFace, ...]:
    """Each face as its identity, mixed with the one that it leaves. Raises ModelError."""
    faces = views.faces
    fading = [place for place, face in enumerate(faces) if face.track in leaving]
    wanted = [chosen[face.track] for face in faces] + [leaving[faces[place].track].identity for place in fading]
    drawn = list(decoded(views, [*range(len(faces)), *fading], wanted))
    for place, old in zip(fading, drawn[len(faces) :], strict=True):
        drawn[place] = mixed(old, drawn[place], leaving[faces[place].track].shown)
    return tuple(drawn[: len(faces)])


def _also(unsure: Unsure | None, faces: Sequence[Face]) -> Unsure:
    """What is unsure on a frame on which a model failed: what was before, and the faces that were to be swapped."""
    before = unsure or Unsure()
    return Unsure((*before.places, *(place_of(face) for face in faces)), before.anywhere)
