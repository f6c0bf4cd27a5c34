"""`liveswap-train` from the outside: what it writes, and one sentence with exit code 2 for what it cannot do."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from tests.training.synthetic import write_dataset
from training.__main__ import main


@pytest.fixture(autouse=True)
def logging_as_found() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["liveswap-train", *arguments])
    with pytest.raises(SystemExit) as leaving:
        main()
    return int(leaving.value.code or 0)


def test_landmarks_swap_evaluate_and_preview_work_in_a_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(write_dataset(tmp_path / "data", train=8, test=2, size=40))
    out = str(tmp_path / "run")
    few = ("--steps", "1", "--batch", "2", "--out", out)
    assert run(monkeypatch, "landmarks", data, *few) == 0
    assert run(monkeypatch, "swap", data, "--landmarks", f"{out}/landmarks.pt", "--size", "64", *few) == 0
    assert run(monkeypatch, "evaluate", out, data) == 0
    assert "swapped" in capsys.readouterr().out
    measured = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert set(measured["identities"]["aster"]) == {"swapped", "input", "mean", "code"}
    assert run(monkeypatch, "preview", out, data, "--columns", "2") == 0
    picture = cv2.imread(f"{out}/preview.png")
    assert picture is not None
    assert picture.shape == (7 * 64, 2 * 64, 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("landmarks", "nowhere", "--out", "o", "--steps", "1"), "there is no folder nowhere"),
        (("landmarks", "data", "--out", "o"), "say how long to train"),
        (("landmarks", "data", "--out", "o", "--steps", "1"), "wanted at least 32"),
        (("landmarks", "data", "--out", "o", "--steps", "1", "--batch", "2", "--resume"), "there is no checkpoint"),
        (("landmarks", "data", "--out", "o", "--steps", "1", "--device", "abacus"), "there is no device 'abacus'"),
        (("swap", "data", "--landmarks", "l.pt", "--out", "o", "--steps", "1", "--batch", "2"), "no checkpoint l.pt"),
        (("swap", "data", "--landmarks", "l.pt", "--out", "o", "--steps", "1", "--size", "99"), "multiple of 16"),
        (("train", "data:aster", "--out", "o", "--steps", "1"), "wanted two people, or --from"),
        (("train", "data:aster", "data:zoe", "--out", "o", "--steps", "1"), "has no identity 'zoe'"),
        (("train", "data:aster", "--from", "nobody", "--out", "o", "--steps", "1"), "--from nobody is unknown"),
        (("evaluate", "o", "data"), "there is no checkpoint"),
        (("preview", "o", "data"), "there is no checkpoint"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "data", train=4, test=2, size=40)
    assert run(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("liveswap-train: ")
    assert sentence in said
