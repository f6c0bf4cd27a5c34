"""The library swaps one picture, and what it gives back is labelled."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage import data

import realtime
from realtime import Swapper
from realtime.errors import SinkError, SourceError, UnknownIdentity
from realtime.face.geometry import Image
from realtime.swap.fallback import Fallback
from tests.models import write_shelf
from tests.realtime.egress.test_label import words_in

INVISIBLE = 4  # grey levels, at most, that the invisible mark changes


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shelf(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def swapper(models: Path) -> Swapper:
    return Swapper.load("aster", models)


@pytest.fixture
def astronaut() -> Image:
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])  # type: ignore[no-untyped-call]


def test_the_face_in_a_picture_is_swapped_and_the_picture_labelled(swapper: Swapper, astronaut: Image) -> None:
    before = astronaut.copy()
    out = swapper.picture(astronaut)
    assert np.array_equal(astronaut, before)
    assert words_in(out) > 0.9
    changed = np.abs(out.astype(int) - astronaut).max(2) > INVISIBLE
    assert changed[90:180, 180:270].mean() > 0.6  # her face
    assert not changed[300:450, 300:].any()  # her suit


def test_pictures_do_not_depend_on_the_ones_before(swapper: Swapper, astronaut: Image) -> None:
    first = swapper.picture(astronaut)
    swapper.picture(np.ascontiguousarray(astronaut[:, ::-1]))
    assert np.array_equal(swapper.picture(astronaut), first)


def test_a_picture_without_a_face_is_labelled_as_well(swapper: Swapper) -> None:
    image = np.full((240, 320, 3), 90, np.uint8)
    assert words_in(swapper.picture(image)) > 0.9


def test_what_is_shown_without_a_face_can_be_chosen(models: Path) -> None:
    out = Swapper.load("cedar", models, fallback=Fallback(no_face="blank")).picture(
        np.full((240, 320, 3), 90, np.uint8)
    )
    assert out[:200].max() <= INVISIBLE


def test_the_identity_can_be_switched_between_pictures(models: Path, astronaut: Image) -> None:
    swapper = Swapper.load("aster", models)
    aster = swapper.picture(astronaut)
    swapper.identity = "cedar"
    assert not np.array_equal(swapper.picture(astronaut), aster)


def test_an_unknown_identity_is_refused(models: Path) -> None:
    with pytest.raises(UnknownIdentity, match="aster, cedar"):
        Swapper.load("nobody", models)


@pytest.mark.parametrize(
    "image", [np.zeros((240, 320), np.uint8), np.zeros((240, 320, 3)), np.zeros((0, 0, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(swapper: Swapper, image: Image) -> None:
    with pytest.raises(SourceError, match="a picture is BGR of 8 bits"):
        swapper.picture(image)


def test_a_picture_too_small_for_the_label_does_not_come_back(swapper: Swapper) -> None:
    with pytest.raises(SinkError, match="too small"):
        swapper.picture(np.zeros((10, 10, 3), np.uint8))


def test_every_public_name_is_there() -> None:
    for name in realtime.__all__:
        assert getattr(realtime, name).__name__ == name
    with pytest.raises(AttributeError, match="Unswapper"):
        _ = realtime.Unswapper


def test_importing_the_geometry_loads_no_models_runtime() -> None:
    code = "import sys, realtime.face.geometry; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
