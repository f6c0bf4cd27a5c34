"""A change of identity may take a moment, and nothing of the real face shows meanwhile."""

import itertools

import numpy as np
import pytest

from realtime.frame import Frame
from realtime.swap.compose import Swapped, SwappedFace, compose
from realtime.swap.fade import mixed
from realtime.swap.identity import Shelf
from realtime.swap.session import SessionSettings
from realtime.swap.swapper import Swapper
from realtime.swap.views import crop_of
from tests.models import drawn_face, write_decoder, write_shelf
from tests.realtime.swap.helpers import PlacedFaces, face_at, scene

FACE = face_at(160, 120, 120)
CHEEK = 0.5, 0.55  # of the template


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Aster and cedar of one size, and dahlia, who is drawn smaller."""
    folder = write_shelf(tmp_path_factory.mktemp("models"))
    write_decoder(folder / "dahlia.onnx", "dahlia", (100, 190, 110), size=96)
    return Shelf.load(folder, SessionSettings(provider="cpu", threads=1))


def cheek(face: SwappedFace) -> float:
    """How blue it is."""
    size = face.mask.shape[0]
    return float(face.image[int(CHEEK[1] * size), int(CHEEK[0] * size), 0])


def frames(swapper: Swapper, first: int, count: int) -> list[SwappedFace]:
    out = []
    for index in range(first, first + count):
        (face,) = swapper(Frame(scene(), index, 100 + index / 30, index / 30)).faces
        out.append(face)
    return out


@pytest.mark.parametrize(("name", "blue"), [("cedar", 200), ("dahlia", 100)])
def test_one_identity_becomes_the_other_step_by_step(shelf: Shelf, name: str, blue: float) -> None:
    swapper = Swapper(PlacedFaces([FACE]), shelf, "aster", fade=0.2)
    assert cheek(frames(swapper, 0, 1)[0]) == pytest.approx(90, abs=1)
    swapper.identity = name
    shown = [cheek(face) for face in frames(swapper, 1, 8)]
    assert shown[0] == pytest.approx(90, abs=1)
    assert shown[3] == pytest.approx((90 + blue) / 2, abs=2)
    assert shown[6:] == pytest.approx([blue, blue], abs=1)
    assert all(first <= then + 0.01 for first, then in itertools.pairwise(shown))


def test_without_a_fade_the_cut_is_between_two_frames(shelf: Shelf) -> None:
    swapper = Swapper(PlacedFaces([FACE]), shelf, "aster")
    frames(swapper, 0, 1)
    swapper.identity = "cedar"
    assert cheek(frames(swapper, 1, 1)[0]) == pytest.approx(200, abs=1)


@pytest.mark.parametrize("shown", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("size", [160, 96])
def test_where_both_cover_the_real_face_so_does_the_mixture(shown: float, size: int) -> None:
    def drawn(size: int, colour: tuple[float, float, float]) -> SwappedFace:
        image, mask = drawn_face(colour, size)
        return SwappedFace(FACE, "somebody", image * np.float32(255), mask, crop_of(FACE, size))

    old, new = drawn(size, (90, 120, 200)), drawn(160, (200, 140, 100))
    both = mixed(old, new, shown)
    assert both.mask[60:120, 55:105].min() > 0.99
    black, white = (np.full((240, 320, 3), value, np.uint8) for value in (0, 255))
    for image in (black, white):
        composed = compose(Swapped(Frame(image, 0, 1.0), (both,))).image
        assert np.ptp(composed[118:128, 150:170].astype(int), (0, 1)).max() < 12  # plain, as it was drawn


def test_a_face_that_leaves_during_a_fade_is_forgotten(shelf: Shelf) -> None:
    finder = PlacedFaces([FACE])
    swapper = Swapper(finder, shelf, "aster", fade=0.5)
    frames(swapper, 0, 1)
    swapper.identity = "cedar"
    frames(swapper, 1, 1)
    finder.faces = ()
    assert swapper(Frame(scene(), 2, 101, 0.1)).faces == ()
    finder.faces = (FACE,)
    assert cheek(frames(swapper, 4, 1)[0]) == pytest.approx(200, abs=1)
