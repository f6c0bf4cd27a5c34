"""Crops come out of datasets and arrays at the size and coverage that is asked for."""

import json
from pathlib import Path

import numpy as np
import pytest

from export.crops import FEW, faceset_crops, has_split, is_faceset, read_crops, stored_crops
from realtime.errors import LiveswapError
from tests.training.facesets import write_faceset
from training.faceset import Faceset


def dataset(folder: Path, coverage: float = 1.5) -> Path:
    """Five crops in two shards and two in a test shard; each has a white middle of the template's own extent."""
    (folder / "dataset.json").write_text(json.dumps({"coverage": coverage}))
    for name, count, grey in (("shard-00000", 3, 10), ("shard-00001", 2, 20), ("test-00000", 2, 30)):
        (folder / name).mkdir()
        crops = np.full((count, 96, 96, 3), grey, np.uint8)
        first = round(96 * (1 - 1 / coverage) / 2)
        crops[:, first : 96 - first, first : 96 - first] = 200 + grey // 10
        np.save(folder / name / "x.npy", crops)
    return folder


@pytest.mark.parametrize("size", [32, 64, 128])
def test_the_middle_of_a_wider_crop_is_the_template(tmp_path: Path, size: int) -> None:
    crops = read_crops(dataset(tmp_path), size, 1.0, 100)
    assert crops.shape == (5, size, size, 3)
    assert crops[0, 2:-2, 2:-2].min() >= 190  # the rim is between the two
    assert crops[4].max() == 202


def test_the_test_split_is_another(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    assert has_split(folder, "test-*")
    assert read_crops(folder, 32, 1.0, 100, "test-*")[0].max() == 203


def test_fewer_crops_are_spread_over_all_there_are(tmp_path: Path) -> None:
    crops = read_crops(dataset(tmp_path), 32, 1.0, 2)
    assert [crop.max() for crop in crops] == [201, 202]


def test_an_array_is_taken_as_it_is(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "x.npy", array)
    assert np.array_equal(read_crops(tmp_path / "x.npy", 32, 1.25, 10), array)


def test_a_narrower_crop_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LiveswapError, match=r"has crops of coverage 1\.1, wanted at least 1\.25"):
        read_crops(dataset(tmp_path, 1.1), 32, 1.25, 10)


@pytest.mark.parametrize("content", [b"", b"no array"])
def test_what_is_no_array_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(LiveswapError, match=r"x\.npy cannot be read as an array"):
        read_crops(tmp_path / "x.npy", 32, 1.0, 10)


def test_an_array_of_another_shape_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 32, 32), np.uint8))
    with pytest.raises(LiveswapError, match="wanted crops"):
        read_crops(tmp_path / "x.npy", 32, 1.0, 10)


def test_a_folder_that_is_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(LiveswapError, match="is no dataset"):
        read_crops(tmp_path, 32, 1.0, 10)


def test_a_dataset_without_shards_is_named(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text('{"coverage": 1.5}')
    with pytest.raises(LiveswapError, match="has no crops"):
        read_crops(tmp_path, 32, 1.0, 10)


def test_of_facesets_what_training_never_sees_is_compared_on(tmp_path: Path) -> None:
    sources = [
        str(write_faceset(tmp_path / name, name, count=130, size=40, seed=k))
        for k, name in enumerate(("aster", "cedar"))
    ]
    assert is_faceset(tmp_path / "aster")
    calibration, checked = faceset_crops(sources, 32, 1.0, 40, 20)
    assert (calibration.shape, checked.shape) == ((40, 32, 32, 3), (20, 32, 32, 3))
    held_out = Faceset.open(sources[0]).held_out
    assert len(held_out) >= FEW
    assert any(np.array_equal(checked[0], crop) for crop in faceset_crops(sources[:1], 32, 1.0, 1, 1000)[1])


def test_of_a_small_faceset_every_other_face_is_compared_on(tmp_path: Path) -> None:
    source = str(write_faceset(tmp_path / "aster", "aster", count=20, size=40))
    calibration, checked = faceset_crops([source], 32, 1.0, 100, 100)
    assert (len(calibration), len(checked)) == (10, 10)


def test_the_stored_crops_are_of_64_people() -> None:
    crops = stored_crops(96, 1.0)
    assert crops.shape == (64, 96, 96, 3)
    assert len({crop.tobytes() for crop in crops}) == 64
    assert all(crop.std() > 10 for crop in crops)
    wide = stored_crops(120, 1.25)
    assert np.abs(wide[:, 12:108, 12:108].astype(int) - crops).mean() < 4


def test_stored_crops_are_not_wider_than_they_are() -> None:
    with pytest.raises(LiveswapError, match=r"the stored crops have a coverage of 1\.25, wanted --data with 2\.131"):
        stored_crops(96, 2.131)
