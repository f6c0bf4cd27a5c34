"""The dataset reads what the renderer writes and says plainly what is wrong with anything else."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from realtime.errors import LiveswapError
from tests.training.facesets import write_faceset
from tests.training.synthetic import write_dataset
from training.dataset import Dataset
from training.faceset import Faceset


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "pairs", train=7, test=2, size=80)


def test_items_are_numbered_through_the_shards(written: Path) -> None:
    data = Dataset.open(written)
    assert len(data) == 7
    last = np.load(written / "shard-0001" / "x.npy")[-1]
    np.testing.assert_array_equal(data[6].x, last)
    assert data[3].identities["cedar"].shape == (80, 80, 4)
    assert data[0].points["aster"].shape == (70, 2)
    assert data[0].onto["aster"].shape == (2, 3)
    assert data.people() == 2
    with pytest.raises(IndexError, match="item 7 of 7"):
        data[7]


def test_a_digest_says_which_set_it_is(written: Path, tmp_path: Path) -> None:
    data, again = Dataset.open(written), write_dataset(tmp_path / "again", train=7, test=2, size=80)
    assert len(data.digest()) == 64
    assert Dataset.open(again).digest() == data.digest()
    x = np.load(again / "shard-0001" / "x.npy")
    x[0, 0, 0, 0] ^= 1
    np.save(again / "shard-0001" / "x.npy", x)
    assert len({data.digest(), Dataset.open(again).digest(), Dataset.open(written, "test").digest()}) == 3


def test_held_out_people_are_another_split(written: Path) -> None:
    assert len(Dataset.open(written, "test")) == 2
    assert Dataset.open(written, "test")[0].person != Dataset.open(written)[0].person


def test_a_shard_in_the_making_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_dataset(tmp_path / "d", train=4, test=2, size=40)
    (folder / "shard-0001" / "blend.npy").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(Dataset.open(folder)) == 2
    assert "shard-0001 lacks blend.npy" in caplog.text


def test_datasets_are_joined_with_the_identities_of_all(written: Path, tmp_path: Path) -> None:
    data, more = Dataset.open(written), write_dataset(tmp_path / "more", train=4, test=2, size=80)
    said = json.loads((more / "dataset.json").read_text())
    (more / "dataset.json").write_text(json.dumps(said | {"identities": ["cedar"]}))
    both = data.joined([Dataset.open(more)])
    assert len(both) == 11
    assert both.description.identities == ("cedar",)
    np.testing.assert_array_equal(both[10].x, np.load(more / "shard-0001" / "x.npy")[-1])
    np.testing.assert_array_equal(both[2].x, data[2].x)
    assert data.joined([]).digest() == data.digest()


def test_datasets_that_do_not_fit_each_other_are_not_joined(written: Path, tmp_path: Path) -> None:
    data = Dataset.open(written)
    other = Dataset.open(write_dataset(tmp_path / "other", train=4, test=2, size=40))
    with pytest.raises(LiveswapError, match=r"crops of 40 px and coverage .*, wanted the 80 px"):
        data.joined([other])
    said = json.loads((written / "dataset.json").read_text())
    strangers = write_dataset(tmp_path / "strangers", train=4, test=2, size=80)
    for name in said["identities"]:
        for file in strangers.glob(f"*/{name}*.npy"):
            file.rename(file.with_name(file.name.replace(name, f"{name}s")))
    (strangers / "dataset.json").write_text(json.dumps(said | {"identities": [f"{n}s" for n in said["identities"]]}))
    with pytest.raises(LiveswapError, match=r"no identity of .* is in all"):
        data.joined([Dataset.open(strangers)])


def test_what_is_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(LiveswapError, match="there is no folder"):
        Dataset.open(tmp_path / "nowhere")
    with pytest.raises(LiveswapError, match=r"it has no dataset\.json"):
        Dataset.open(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(LiveswapError, match="cannot be read"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"template": "other-5"}, "template other-5, wanted liveswap-68-v1"),
        ({"blend": ["a"]}, "1 blend weights"),
        ({"identities": []}, "names 0 identities"),
        ({"size": "wide"}, "cannot be read"),
    ],
)
def test_a_foreign_description_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    folder = write_dataset(tmp_path / "d", train=2, test=1, size=40)
    said = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(said | changes))
    with pytest.raises(LiveswapError, match=message):
        Dataset.open(folder)


def test_too_few_items_and_no_shards_are_said(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", train=2, test=1, size=40)
    with pytest.raises(LiveswapError, match=r"2 items in 2 complete shard-\* shards, wanted at least 32"):
        Dataset.open(folder, at_least=32)
    (folder / "test-0000").rename(folder / "kept")
    with pytest.raises(LiveswapError, match=r"0 items in 0 complete test-\* shards"):
        Dataset.open(folder, "test")


def test_broken_arrays_are_named(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", train=2, test=1, size=40)
    good = (folder / "shard-0000" / "x.npy").read_bytes()
    (folder / "shard-0000" / "x.npy").write_bytes(good[:200])
    with pytest.raises(LiveswapError, match=r"x\.npy cannot be read as an array"):
        Dataset.open(folder)
    np.save(folder / "shard-0000" / "x.npy", np.zeros((1, 30, 30, 3), np.uint8))
    with pytest.raises(LiveswapError, match=r"has the shape \(1, 30, 30, 3\)"):
        Dataset.open(folder)


def test_a_faceset_is_a_folder_or_one_identity_of_a_dataset(written: Path, tmp_path: Path) -> None:
    aster = Faceset.open(f"{written}:aster")
    assert (aster.name, len(aster), aster.size, aster.coverage) == ("aster", 7, 80, 1.25)
    assert aster.points is None
    ann = Faceset.open(str(write_faceset(tmp_path / "ann", "aster", count=7)))
    assert (ann.name, len(ann), ann[6].shape) == ("aster", 7, (80, 80, 4))
    assert ann.points is not None
    assert ann.card is not None
    with pytest.raises(IndexError):
        ann[7]


def test_what_is_no_faceset_is_named(written: Path, tmp_path: Path) -> None:
    with pytest.raises(LiveswapError, match="has no identity 'zoe', it has aster, cedar"):
        Faceset.open(f"{written}:zoe")
    with pytest.raises(LiveswapError, match=r"it has no faceset\.toml"):
        Faceset.open(str(tmp_path))
    write_faceset(tmp_path / "one", "aster", count=1)
    with pytest.raises(LiveswapError, match="has 1 faces, wanted at least 2"):
        Faceset.open(str(tmp_path / "one"))
    (tmp_path / "one" / "faces.parquet").write_bytes(b"PAR1")
    with pytest.raises(LiveswapError, match="cannot be read as a table"):
        Faceset.open(str(tmp_path / "one"))
