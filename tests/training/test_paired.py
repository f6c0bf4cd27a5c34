"""A swap against the truth of rendered talks: what is scored, in which directions, beside what needs no training."""

import json
from pathlib import Path

import numpy as np
import pytest

from realtime.errors import LiveswapError
from tests.training.synthetic import write_dataset
from tests.training.test_command import logging_as_found, run  # noqa: F401  logging_as_found is a fixture
from tests.training.test_own import DECODER, ENCODER, one_thread, people, tiny  # noqa: F401  two are fixtures
from training.evaluate import truth_of, unchanged
from training.paired import Paired, better, crossing, evaluate_paired
from training.snapshots import snapshots_in


def write_truth(folder: Path, turns: tuple[int, ...] = (0, 1)) -> Path:
    """A truth of six items in which the people of `turns` are anybody in turn."""
    write_dataset(folder / "truth", train=2, test=6, size=40)
    np.save(folder / "truth" / "test-0000" / "person.npy", np.resize(np.array(turns, np.int32), 6))
    return folder


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_truth(tmp_path_factory.mktemp("talks"))


def test_the_truth_itself_is_without_error_and_anything_else_is_not(talks: Path) -> None:
    paired = Paired(talks, ENCODER, DECODER)
    exact = paired.scored("aster", "cedar", lambda batch: truth_of(batch).face)
    assert exact["face_l1"] < 0.01
    assert exact["face_ssim"] > 0.99
    other = paired.scored("aster", "cedar", unchanged(DECODER.size))
    assert other["face_l1"] > exact["face_l1"] + 1
    assert other["face_ssim"] < 0.95


def test_brightness_alone_is_no_error(talks: Path) -> None:
    paired = Paired(talks, ENCODER, DECODER)
    darker = paired.scored("cedar", "aster", lambda batch: truth_of(batch).face * 0.5)
    assert darker["face_l1"] < 0.5
    assert darker["face_ssim"] > 0.98


def test_moments_are_those_of_one_person_and_as_many_as_were_asked_for(talks: Path) -> None:
    paired = Paired(talks / "truth", ENCODER, DECODER, items=2)
    pictures = {name: np.concatenate([b.pictures for b in paired.batches(name, "cedar")]) for name in paired.names}
    assert [len(rows) for rows in pictures.values()] == [2, 2]
    assert not np.array_equal(pictures["aster"], pictures["cedar"])


def test_each_direction_is_measured_at_the_end_and_at_each_snapshot(
    people: tuple[str, str],  # noqa: F811
    talks: Path,
    tmp_path: Path,
) -> None:
    tiny(people, tmp_path, 2, snapshots=1000.0)
    told: list[str] = []
    found = evaluate_paired(tmp_path, talks, people, tell=told.append)
    ways = [(one["from"], one["to"]) for one in found["directions"]]
    assert ways == [("aster", "aster"), ("aster", "cedar"), ("cedar", "aster"), ("cedar", "cedar")]
    assert found["moments"] == 3
    first, last = found["snapshots"]
    assert (first["steps"], last["steps"]) == (0, 2)
    assert [one["swapped"] for one in last["directions"]] == [one["swapped"] for one in found["directions"]]
    assert told[-1] == snapshots_in(tmp_path)[-1].name
    crossed = [one for one in found["directions"] if one["from"] != one["to"]]
    assert crossing(found["directions"], "mean", "face_l1") == np.mean([one["mean"]["face_l1"] for one in crossed])
    assert better(found["directions"], "face_l1") <= crossing(found["directions"], "input", "face_l1")
    assert better(found["directions"], "face_ssim") >= crossing(found["directions"], "mean", "face_ssim")


def test_the_command_measures_against_the_truth(
    people: tuple[str, str],  # noqa: F811
    talks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny(people, tmp_path, 1)
    assert run(monkeypatch, "evaluate", str(tmp_path), *people, "--truth", str(talks), "--items", "2") == 0
    assert "against the truth" in " ".join(capsys.readouterr().out.split())
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["truth"]["moments"] == 2
    assert found["truth"]["snapshots"] == []


def test_a_truth_of_others_is_named(people: tuple[str, str], talks: Path, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(LiveswapError, match="never shows cedar as anybody"):
        Paired(write_truth(tmp_path / "one", turns=(0,)), ENCODER, DECODER)
    tiny(people, tmp_path / "run", 1)
    renamed = write_truth(tmp_path / "others") / "truth" / "dataset.json"
    renamed.write_text(renamed.read_text().replace("aster", "ann").replace("cedar", "bob"))
    for path in sorted(renamed.parent.glob("test-0000/*.npy")):
        path.rename(path.with_name(path.name.replace("aster", "ann").replace("cedar", "bob")))
    with pytest.raises(LiveswapError, match="wanted somebody of the truth: ann, bob"):
        evaluate_paired(tmp_path / "run", renamed.parents[1], people)
