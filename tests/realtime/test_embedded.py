"""The models and the clip that ship: they load, are what they say, and swap the bundled face."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from realtime import Swapper
from realtime.__main__ import DEMO
from realtime.face.geometry import STEADY, transform
from realtime.face.track import Tracker
from realtime.frame import Frame
from realtime.swap.compose import compose
from realtime.swap.identity import MODELS, SIZES, Shelf, place_of_size
from realtime.swap.swapper import Swapper as Engine

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """Every tenth frame of the bundled clip."""
    with av.open(str(DEMO)) as container:
        pictures = [f.to_ndarray(format="bgr24") for i, f in enumerate(container.decode(video=0)) if i % 10 == 0]
    return [Frame(np.asarray(picture, np.uint8), i, i / 3, i / 3) for i, picture in enumerate(pictures)]


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf.load()


@pytest.mark.parametrize(("size", "pixels"), [("live", 192), ("small", 128)])
def test_four_rendered_identities_ship_in_two_sizes(size: str, pixels: int) -> None:
    cards = Shelf.load(place_of_size(MODELS, size), keep=()).cards()
    assert [card.name for card in cards] == ["aster", "birch", "cedar", "dahlia"]
    for card in cards:
        assert card.kind == "rendered"
        assert card.licence == "Apache-2.0"
        assert card.size == pixels
        assert card.training["pairs"] > 6_000
        assert card.training["people"] > 500


def test_the_identities_of_the_usual_size_saw_ten_thousand_pairs(shelf: Shelf) -> None:
    assert min(card.training["pairs"] for card in shelf.cards()) >= 10_000


def test_all_models_together_have_less_than_sixty_megabytes() -> None:
    assert sum(path.stat().st_size for path in MODELS.rglob("*.onnx")) < 60e6


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["aster", "birch", "cedar", "dahlia"])
def test_every_identity_draws_a_face_of_its_own_in_every_size(frames: list[Frame], size: str, name: str) -> None:
    """In its own colours inside the mask, and unlike everybody else's."""
    engine = Engine(Tracker.load(), Shelf.load(place_of_size(MODELS, size), keep=(name,)), name)
    (one,) = engine(frames[0]).faces
    assert one.identity == name
    assert 0.2 < float((one.mask > 0.5).mean()) < 0.6
    inside = one.image[one.mask > 0.9]
    assert inside.std() > 15
    assert 60 < inside.mean() < 200


def test_the_bundled_clip_is_small_and_eight_to_twelve_seconds_of_720p() -> None:
    assert DEMO.stat().st_size < 3e6
    with av.open(str(DEMO)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (1280, 720)
        assert stream.duration is not None
        assert stream.time_base is not None
        assert 8 <= float(stream.duration * stream.time_base) <= 12


def test_the_bundled_face_is_followed_as_one_person_and_swapped_only_inside(frames: list[Frame], shelf: Shelf) -> None:
    drawn: dict[str, list[Picture]] = {}
    for name in ("aster", "cedar"):
        engine = Engine(Tracker.load(), shelf, name)
        for frame in frames:
            swapped = engine(frame)
            assert len(swapped.faces) == 1
            face = swapped.faces[0].face
            assert face.track == 1
            after = compose(swapped).image
            x0, y0, x1, y1 = np.round(face.box).astype(int)
            change = np.abs(after.astype(int) - frame.image).mean(2)
            assert change[y0:y1, x0:x1].mean() > 3
            reach = (x1 - x0) * 3 // 4
            change[max(0, y0 - reach) : y1 + reach, max(0, x0 - reach) : x1 + reach] = 0
            assert change.max() == 0
            drawn.setdefault(name, []).append(after[y0:y1, x0:x1].astype(np.uint8))
    apart = [np.abs(a.astype(int) - b.astype(int)).mean() for a, b in zip(drawn["aster"], drawn["cedar"], strict=True)]
    assert min(apart) > 2


def test_the_mouth_of_the_other_face_follows_the_persons(frames: list[Frame], shelf: Shelf) -> None:
    engine = Engine(Tracker.load(), shelf, "aster")
    openings, darkness = [], []
    for frame in frames:
        (one,) = engine(frame).faces
        marks = one.face.landmarks
        openings.append(float(np.linalg.norm(marks[66] - marks[62]) / np.linalg.norm(marks[33] - marks[27])))
        x, y = transform(one.to_crop, ((marks[62] + marks[66]) / 2)[None])[0].round().astype(int)
        around = one.image[y - 3 : y + 4, x - 3 : x + 4].mean()
        darkness.append(-float(around))
    assert np.corrcoef(openings, darkness)[0, 1] > 0.6  # an open mouth is dark


def test_landmarks_lie_on_a_real_face(shelf: Shelf) -> None:
    rgb: Picture = skimage.data.astronaut()  # type: ignore[no-untyped-call]
    (face,) = Tracker.load()(Frame(np.ascontiguousarray(rgb[..., ::-1]), 0, 0.0))
    # Measured by eye on the 512 px picture: both eyes' centres, the nose's tip and the mouth's corners.
    truth = np.array([(203.6, 100.7), (245.6, 102.9), (224.5, 125.5), (205.4, 141.2), (244.3, 141.7)])
    marks = face.landmarks
    found = np.array([marks[36:42].mean(0), marks[42:48].mean(0), marks[30], marks[48], marks[54]])
    error = np.linalg.norm(found - truth, axis=1)
    assert error.mean() < 4.2  # a tenth of the distance between the eyes
    assert error.max() < 8.4
    assert face.box[0] < marks[list(STEADY), 0].min() < marks[list(STEADY), 0].max() < face.box[2]


def test_the_library_swaps_and_labels_a_picture(tmp_path: Path) -> None:
    rgb: Picture = skimage.data.astronaut()  # type: ignore[no-untyped-call]
    picture = np.ascontiguousarray(rgb[..., ::-1])
    swapped = Swapper.load("cedar").picture(picture)
    change = np.abs(swapped.astype(int) - picture).mean(2)
    assert change[90:150, 195:250].mean() > 4
    away = change[300:450, 300:]
    assert away.max() < 6  # the invisible mark, and nothing else
    assert away.mean() < 2
    assert cv2.imwrite(str(tmp_path / "swapped.png"), swapped)
    assert change[-24:-8, 8:80].mean() > 10  # the notice, lower left
