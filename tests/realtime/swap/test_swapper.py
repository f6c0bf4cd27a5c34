"""Frames go in, redrawn faces come out; identities switch between frames; faults are covered or raised."""

import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from realtime.errors import ModelError, UnknownIdentity
from realtime.face.face import Face
from realtime.face.geometry import Image, align, template, to_pixels, transform
from realtime.flow.meters import Meters
from realtime.frame import Frame
from realtime.swap.compose import Composer
from realtime.swap.fallback import Fallback
from realtime.swap.identity import Codes, Encoder, Shelf
from realtime.swap.session import SessionSettings
from realtime.swap.swapper import Swapper, crop_of
from tests.models import write_shelf
from tests.realtime.swap.helpers import PlacedFaces, face_at, frame_of, scene

ASTER, CEDAR = (90, 120, 200), (200, 140, 100)  # the colours that write_shelf gives them, BGR


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf.load(write_shelf(tmp_path_factory.mktemp("models")), SessionSettings(provider="cpu", threads=1))


def test_a_face_is_redrawn_as_the_identity_in_the_decoders_crop(shelf: Shelf) -> None:
    face = face_at(160, 120, 120)
    (swapped,) = Swapper(PlacedFaces([face]), shelf, "aster")(frame_of(scene())).faces
    assert swapped.identity == "aster"
    assert swapped.image.shape == (160, 160, 3)
    assert swapped.image[90, 80] == pytest.approx(ASTER, abs=1)
    assert transform(swapped.to_crop, face.landmarks) == pytest.approx(to_pixels(template(), 160), abs=0.01)


def test_the_encoder_sees_the_aligned_face(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    face, image = face_at(150, 110, 100, degrees=20), scene()
    seen: list[Image] = []
    real = shelf.encoder
    monkeypatch.setattr(shelf, "encoder", _Watching(real, seen))
    Swapper(PlacedFaces([face]), shelf, "aster")(frame_of(image))
    assert np.array_equal(seen[0], align(image, crop_of(face, 128), 128))


def test_two_faces_in_view_are_two_identities_in_one_batch(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = [face_at(80, 120, 90, track=1), face_at(240, 120, 90, track=2), face_at(160, 60, 60, track=3)]
    batches: list[Image] = []
    monkeypatch.setattr(shelf, "encoder", _Watching(shelf.encoder, batches))
    swapper = Swapper(PlacedFaces(faces), shelf, "aster")
    swapper.assign(2, "cedar")
    swapped = swapper(frame_of(scene())).faces
    assert [face.identity for face in swapped] == ["aster", "cedar", "aster"]
    assert [face.face.track for face in swapped] == [1, 2, 3]
    assert swapped[1].image[90, 80] == pytest.approx(CEDAR, abs=1)
    assert swapped[2].image[90, 80] == pytest.approx(ASTER, abs=1)
    assert len(batches) == 3  # crops that came in one call


def test_no_face_is_a_value(shelf: Shelf) -> None:
    swapped = Swapper(PlacedFaces(), shelf, "aster")(frame_of(scene()))
    assert swapped.faces == ()
    assert swapped.unsure is None


def test_the_next_frame_shows_the_new_identity(shelf: Shelf) -> None:
    swapper = Swapper(PlacedFaces([face_at(160, 120, 120)]), shelf, "aster")
    swapper.identity = "cedar"
    assert swapper.identity == "cedar"
    assert swapper(frame_of(scene())).faces[0].identity == "cedar"


def test_a_switch_to_nobody_keeps_the_old_identity(shelf: Shelf) -> None:
    swapper = Swapper(PlacedFaces([face_at(160, 120, 120)]), shelf, "aster")
    with pytest.raises(UnknownIdentity, match="aster, cedar"):
        swapper.identity = "nobody"
    assert swapper(frame_of(scene())).faces[0].identity == "aster"


def test_a_frame_sees_one_cast_from_beginning_to_end(shelf: Shelf) -> None:
    """The finder switches the identity while a frame is under way: that frame still shows the old one."""
    finder = _Switching([face_at(80, 120, 90, track=1), face_at(240, 120, 90, track=2)])
    swapper = Swapper(finder, shelf, "aster")
    finder.swapper = swapper
    assert [face.identity for face in swapper(frame_of(scene())).faces] == ["aster", "aster"]
    assert [face.identity for face in swapper(frame_of(scene())).faces] == ["cedar", "cedar"]


def test_each_step_and_the_faces_are_metered(shelf: Shelf) -> None:
    meters = Meters()
    finder = PlacedFaces([face_at(80, 120, 90), face_at(240, 120, 90, track=2)])
    swapper = Swapper(finder, shelf, "aster", meters=meters)
    swapper(frame_of(scene()))
    finder.faces = ()
    swapper(frame_of(scene()))
    report = meters.report()
    assert set(report["stages"]) == {"track", "align", "encode", "decode"}
    assert (report["faces_per_frame"], report["frames_with_face"], report["detector_runs"]) == (1.0, 1, 2)


def test_a_model_that_fails_covers_the_face_and_says_so_once(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    swapper = Swapper(PlacedFaces([face_at(160, 120, 120)]), shelf, "aster")
    compose = Composer()
    with monkeypatch.context() as broken:
        broken.setattr(shelf, "encoder", _Failing(shelf.encoder))
        for index in range(3):
            swapped = swapper(frame_of(scene(), index))
            assert swapped.unsure is not None
            assert not np.array_equal(compose(swapped).image[90:150, 130:190], scene()[90:150, 130:190])
    assert swapper(frame_of(scene(), 3)).unsure is None
    said = Counter(record.levelname for record in caplog.records if record.name == "realtime.swap.swapper")
    assert said == {"ERROR": 1, "INFO": 1}
    assert "frame 0 could not be swapped" in caplog.text
    assert "swapping works again from frame 3 on" in caplog.text


def test_a_model_that_fails_can_end_the_run(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    swapper = Swapper(PlacedFaces([face_at(160, 120, 120)]), shelf, "aster", Fallback(unsure="raise"))
    monkeypatch.setattr(shelf, "encoder", _Failing(shelf.encoder))
    with pytest.raises(ModelError, match="out of memory"):
        swapper(frame_of(scene()))


def test_when_the_finder_fails_the_whole_frame_is_covered(shelf: Shelf) -> None:
    finder = PlacedFaces(error=ModelError("the landmarks model failed"))
    composed = Composer()(Swapper(finder, shelf, "aster")(frame_of(scene())))
    assert np.abs(np.diff(composed.image.astype(int), axis=1)).max() < 20  # the picture's blocks differ by up to 140


def test_other_errors_are_nobodys_to_cover(shelf: Shelf) -> None:
    with pytest.raises(ZeroDivisionError):
        Swapper(PlacedFaces(error=ZeroDivisionError()), shelf, "aster")(frame_of(scene()))


class _Watching:
    """The encoder, and a list of the crops it was given in its one batch."""

    def __init__(self, encoder: Encoder, seen: list[Image]) -> None:
        self.contract = encoder.contract
        self._encoder, self._seen = encoder, seen

    def __call__(self, crops: Sequence[Image]) -> Codes:
        assert not self._seen, "a second batch"
        self._seen.extend(crops)
        return self._encoder(crops)


class _Failing(_Watching):
    """An encoder whose device has run out of memory."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder, [])

    def __call__(self, crops: Sequence[Image]) -> Codes:
        raise ModelError("the encoder model failed: out of memory")


class _Switching(PlacedFaces):
    """A finder during whose work somebody switches the identity."""

    swapper: Swapper

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        self.swapper.identity = "cedar"
        return super().__call__(frame)
