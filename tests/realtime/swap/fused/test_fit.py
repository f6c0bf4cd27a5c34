"""Frames go through a fused identity as through any other: colours, memory, noise, turns, and nothing unsure shows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.errors import ModelError
from realtime.face.face import Face
from realtime.face.geometry import Image, invert, to_pixels, transform
from realtime.flow.meters import Meters
from realtime.frame import Frame
from realtime.swap.compose import Composer, ComposeSettings, Swapped
from realtime.swap.fallback import Fallback, Unsure, place_of, veiled
from realtime.swap.fused.fit import FusedFit
from realtime.swap.fused.identity import Fusing
from realtime.swap.identity import Shelf
from realtime.swap.session import SessionSettings
from realtime.swap.swapper import Swapper
from realtime.swap.views import crop_of
from tests.models import write_decoder, write_shelf
from tests.realtime.swap.fused.helpers import apart
from tests.realtime.swap.helpers import PlacedFaces, face_at, frame_of, scene

CPU = SessionSettings(provider="cpu", threads=1)
PLAIN = ComposeSettings(grain=False)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shelf(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def shelf(models: Path) -> Shelf:
    return Shelf.load(models, CPU, opening=Fusing(CPU))


@pytest.fixture(scope="module")
def usual(models: Path) -> Shelf:
    return Shelf.load(models, CPU)


def swapped(shelf: Shelf, image: Image, *faces: Face, identity: str = "aster", index: int = 0) -> Swapped:
    return Swapper(PlacedFaces(faces), shelf, identity)(frame_of(image, index))


def test_a_frame_leaves_as_with_the_usual_models(shelf: Shelf, usual: Shelf) -> None:
    image, faces = smooth(), (face_at(90, 120, 120), face_at(250, 120, 80, track=2))
    mine = Composer(None, PLAIN, FusedFit(PLAIN))(swapped(shelf, image, *faces))
    wanted = Composer(None, PLAIN)(swapped(usual, image, *faces))
    mean, _, outside = apart(mine.image, wanted.image, image)
    assert mean < 0.5
    assert outside <= 2
    assert mine.drawn == wanted.drawn
    assert (mine.index, mine.captured_at) == (0, 1.0)


def smooth() -> Image:
    return np.asarray(cv2.GaussianBlur(scene(), (0, 0), 6), np.uint8)


def test_each_face_becomes_its_own_identity(shelf: Shelf, usual: Shelf) -> None:
    image, faces = smooth(), (face_at(90, 120, 120), face_at(240, 120, 110, track=2))
    plain = ComposeSettings(colour=False, grain=False)
    who = "left=aster,right=cedar"
    mine = Composer(None, plain, FusedFit(plain))(swapped(shelf, image, *faces, identity=who))
    wanted = Composer(None, plain)(swapped(usual, image, *faces, identity=who))
    assert apart(mine.image, wanted.image, image)[0] < 0.5
    assert [face.identity for face in mine.drawn] == ["aster", "cedar"]


def test_of_faces_that_overlap_the_later_one_lies_above(shelf: Shelf, usual: Shelf) -> None:
    image, faces = smooth(), (face_at(140, 120, 130), face_at(185, 125, 120, track=2))
    plain = ComposeSettings(colour=False, grain=False)
    mine = FusedFit(plain)(swapped(shelf, image, *faces))
    wanted = Composer(None, plain)(swapped(usual, image, *faces))
    assert apart(mine.image, wanted.image, image)[0] < 0.5


def test_colours_are_followed_from_frame_to_frame(shelf: Shelf, usual: Shelf) -> None:
    face, mine, wanted = face_at(160, 120, 120), FusedFit(PLAIN), Composer(None, PLAIN)
    for index, light in enumerate((1.0, 0.6, 0.6, 0.6)):
        image = (smooth() * light).astype(np.uint8)
        frame = Frame(image, index, index / 30)
        ours = mine(replace(swapped(shelf, image, face), frame=frame))
        theirs = wanted(replace(swapped(usual, image, face), frame=frame))
        assert apart(ours.image, theirs.image, image)[0] < 0.6, index


def test_the_face_gets_the_noise_of_a_noisy_camera_and_none_of_a_clean_one(shelf: Shelf) -> None:
    face, settings = face_at(160, 120, 150), ComposeSettings()
    noise = np.random.default_rng(0).normal(0, 6, (240, 320, 3))
    noisy = np.clip(np.full((240, 320, 3), (100, 120, 160)) + noise, 0, 255).astype(np.uint8)
    clean = np.full((240, 320, 3), (100, 120, 160), np.uint8)
    spread = [cheek(FusedFit(settings)(swapped(shelf, image, face)).image, face).std() for image in (noisy, clean)]
    assert spread[0] > 3
    assert spread[1] < 1
    without = FusedFit(PLAIN)(swapped(shelf, noisy, face)).image
    assert cheek(without, face).std() < 1


def cheek(image: Image, face: Face) -> Image:
    x, y = transform(invert(crop_of(face, 160)), to_pixels(np.array([[0.35, 0.57]], np.float32), 160))[0].astype(int)
    return np.asarray(image[y - 8 : y + 8, x - 8 : x + 8, 1], np.uint8)


def test_what_is_unsure_is_hidden_before_the_faces_go_in(shelf: Shelf) -> None:
    image, face, other = smooth(), face_at(90, 120, 110), face_at(170, 120, 110, track=2)
    found = replace(swapped(shelf, image, face), unsure=Unsure((place_of(other),)))
    plain = ComposeSettings(colour=False, grain=False)
    out = Composer(None, plain, FusedFit(plain))(found).image
    hidden = veiled(image, "blur", (place_of(other),))
    middle = np.s_[80:160, 175:215]  # of the other face, where the first one does not reach
    assert np.array_equal(out[middle], hidden[middle])
    sure = FusedFit(plain)(swapped(shelf, image, face)).image
    mine = np.s_[105:145, 78:102]  # the face itself lies above what is hidden, and is read from what the camera saw
    assert np.abs(out[mine].astype(int) - sure[mine]).max() <= 1


def test_the_face_is_read_from_what_the_camera_saw(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    image, face = smooth(), face_at(160, 120, 110)
    found = swapped(shelf, image, face)
    assert found.undrawn[0].seen is image
    told: list[tuple[Sequence[Image], Sequence[Image]]] = []
    fit = FusedFit(PLAIN)
    put = fit._board.put

    def noted(seen: Sequence[Image], shown: Sequence[Image], device: str) -> None:
        told.append((seen, shown))
        put(seen, shown, device)

    monkeypatch.setattr(fit._board, "put", noted)
    Composer(None, PLAIN, fit)(replace(found, others=(place_of(face_at(40, 40, 50)),)))
    (seen,), (shown,) = told[0]
    assert seen is image
    assert not np.array_equal(shown, image)


def test_a_model_that_fails_shows_nothing(tmp_path: Path) -> None:
    write_shelf(tmp_path)
    write_decoder(tmp_path / "aster.onnx", "aster", (float("nan"), 0, 0))
    shelf = Shelf.load(tmp_path, CPU, opening=Fusing(CPU))
    image, face = smooth(), face_at(160, 120, 110)
    composer = Composer(Fallback(), PLAIN, FusedFit(PLAIN))
    found = swapped(shelf, image, face)
    with pytest.raises(ModelError, match="fused 'aster' answered with values that are no numbers"):
        composer(found)
    hidden = composer.instead(found).image  # which the pipeline shows where a stage fails
    assert np.abs(hidden.astype(int) - image).mean() > 5


def test_frames_of_another_size_and_faces_out_of_view_are_no_matter(shelf: Shelf) -> None:
    fit = FusedFit(PLAIN)
    for size in ((320, 240), (200, 160), (320, 240)):
        image = np.asarray(cv2.resize(smooth(), size), np.uint8)
        out = fit(swapped(shelf, image, face_at(size[0] / 2, size[1] / 2, 90))).image
        assert out.shape == image.shape
        assert (out != image).any()
    away = swapped(shelf, smooth(), face_at(-300, 100, 90))
    assert np.array_equal(fit(away).image, away.frame.image)
    assert fit(away).image is not away.frame.image


def test_a_frame_without_faces_passes(shelf: Shelf) -> None:
    image = smooth()
    assert Composer(None, PLAIN, FusedFit(PLAIN))(swapped(shelf, image)).image is image


def test_meters_take_what_goes_up_is_drawn_and_comes_back(shelf: Shelf) -> None:
    meters = Meters()
    FusedFit(PLAIN, meters.time)(swapped(shelf, smooth(), face_at(160, 120, 90)))
    assert {"upload", "draw", "download"} <= set(meters.report()["stages"])
