"""How alike and how steady a swapped face is, on numbers that are known, and a clip of half a second."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.footage import RULER, STILL, Flicker, alike_of, clips_in, flicker_of, measure, portrait, unswapped
from realtime.errors import SourceMissing
from realtime.face.face import Face
from realtime.face.geometry import crop_matrix, template, to_pixels, to_template
from realtime.frame import Frame
from realtime.settings import load
from realtime.swap.compose import Swapped, SwappedFace, compose
from realtime.swap.identity import Shelf
from tests.models import write_shelf
from tests.realtime.people import astronaut_clip

SIZE = 64
LANDMARKS = to_pixels(template(), 100) + 30


def _swapped(index: int, shift: int = 0, track: int = 1) -> Swapped:
    """A frame of speckle that moves with the face, and a plain face in it."""
    image = np.random.default_rng(0).integers(0, 256, (160, 200, 3)).astype(np.uint8)
    landmarks = LANDMARKS + np.array([shift, 0], np.float32)
    face = Face(np.zeros(4, np.float32), landmarks, 1.0, track, to_template(landmarks))
    drawn = np.full((SIZE, SIZE, 3), 120, np.float32)
    mask = np.ones((SIZE, SIZE), np.float32)
    one = SwappedFace(face, "aster", drawn, mask, crop_matrix(landmarks, SIZE))
    return Swapped(Frame(np.roll(image, shift, 1), index, 0.0), (one,))


def test_a_face_that_only_moves_does_not_flicker() -> None:
    flicker, first, second = Flicker(), _swapped(0), _swapped(1, shift=7)
    assert flicker(first, first.frame.image) is None
    change = flicker(second, second.frame.image)
    assert change is not None
    assert max(change) < 1  # of 255; without following the face, speckle would change by 85


def test_what_flashes_is_counted_beyond_the_input() -> None:
    flicker, first, second = Flicker(), _swapped(0), _swapped(1)
    flicker(first, first.frame.image)
    brighter = np.clip(second.frame.image.astype(int) + 20, 0, 255).astype(np.uint8)
    change = flicker(second, brighter)
    numbers = flicker_of([None, change])
    assert numbers["input"] == 0
    assert numbers["beyond"] == pytest.approx(19, abs=1.5)  # white stays white


@pytest.mark.parametrize(("index", "track"), [(2, 1), (1, 2)])
def test_a_gap_and_another_face_are_no_flicker(index: int, track: int) -> None:
    flicker, first, other = Flicker(), _swapped(0), _swapped(index, track=track)
    flicker(first, first.frame.image)
    assert flicker(other, other.frame.image) is None
    assert flicker_of([None]) == {"input": None, "output": None, "beyond": None}


def test_one_identity_is_alike_whoever_drives_and_people_are_not() -> None:
    rng = np.random.default_rng(0)
    people, aster, cedar = rng.normal(size=(4, 300)), rng.normal(size=300), rng.normal(size=300)

    def clips(of: np.ndarray) -> list[np.ndarray]:
        return [(row + rng.normal(0, 0.2, (10, 300))).astype(np.float32) for row in of]

    alike = alike_of({RULER: clips(people), "aster": clips(np.stack([aster] * 4)), "cedar": clips(cedar[None])})
    assert (alike[RULER].frames or 0) > 0.9
    assert (alike[RULER].drivers or 0) < 0.1
    assert (alike["aster"].drivers or 0) > 0.9
    assert alike["cedar"].drivers is None  # one clip has nobody to be compared with
    assert (alike["aster"].others or 0) < 0.5
    assert alike[RULER].others is None


def test_a_single_clip_has_no_mean_face() -> None:
    alike = alike_of({RULER: [np.ones((3, 5), np.float32)], "aster": [np.ones((3, 5), np.float32)]})
    assert alike["aster"].frames is None


def test_a_portrait_does_not_depend_on_exposure() -> None:
    image = _swapped(0).frame.image // 2
    one, other = portrait(image, LANDMARKS), portrait(image * 2, LANDMARKS)
    assert np.abs(one - other).max() < 0.05
    assert np.abs(one).max() > 0.1


def test_the_persons_own_face_in_the_mask_is_the_person() -> None:
    swapped = _swapped(0)
    smooth = np.asarray(np.linspace(60, 180, 200)[None, :, None] * np.ones((160, 1, 3)), np.uint8)
    swapped = replace(swapped, frame=replace(swapped.frame, image=smooth))
    assert np.abs(compose(unswapped(swapped)).image.astype(int) - smooth).max() <= 2
    assert np.abs(compose(swapped).image.astype(int) - smooth).max() > 10


def test_every_identity_and_both_controls_are_measured(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    astronaut_clip(clips / "one.mp4", 13)
    astronaut_clip(clips / "two.mp4", 13)
    settings = load(None, {"models": str(write_shelf(tmp_path / "models")), "threads": 1})
    shelf = Shelf.load(settings.folder, settings.session)
    numbers, rows = measure(clips, shelf, ["aster", "cedar"], settings)
    assert numbers["clips"] == 2
    assert set(numbers["identities"]) == {"aster", "cedar"}
    for one in (numbers[RULER], numbers[STILL], *numbers["identities"].values()):
        assert [clip["with_face"] for clip in one["per_clip"]] == [13, 13]
        assert one["pooled"]["mouth"] is None  # the small landmark model sees a face that never moves
    assert numbers[STILL]["flicker"]["beyond"] == pytest.approx(0, abs=0.3)  # neither she nor the drawn face moves
    assert numbers["identities"]["aster"]["alike"]["frames"] > 0.9
    assert len(rows) == 4  # a row for each clip and identity


def test_a_folder_without_clips_is_one_sentence(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(SourceMissing, match="no folder with clips"):
            clips_in(folder)
