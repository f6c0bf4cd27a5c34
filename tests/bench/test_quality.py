"""The command measures pairs and footage in one go, and says in one sentence what it lacks."""

import json
import sys
from pathlib import Path

import cv2
import pytest

from bench.__main__ import main
from bench.sheet import CELL, COLUMNS
from tests.models import write_decoder, write_shelf
from tests.realtime.people import astronaut_clip
from tests.training.synthetic import write_dataset


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["liveswap-bench", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_pairs_and_footage_make_one_report_and_one_labelled_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    astronaut_clip(clips / "one.mp4", 13)
    models, own = write_shelf(tmp_path / "models"), write_decoder(tmp_path / "ann.onnx", "ann")
    sheet, out = tmp_path / "sheet.png", tmp_path / "numbers.json"
    words = ["--pairs", write_dataset(tmp_path / "data", train=8), "--footage", clips, "--models", models]
    code = run(monkeypatch, "quality", *words, "--identity", "aster", "--identity", own, "--sheet", sheet, "--out", out)
    assert code == 0
    numbers = json.loads(out.read_text())
    assert set(numbers["pairs"]["identities"]) == {"aster"}  # nobody has rendered ann
    assert set(numbers["footage"]["identities"]) == {"aster", "ann"}
    assert numbers["command"].startswith("liveswap-bench quality")
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape == (5 * CELL, 3 * COLUMNS * CELL, 3)  # three rows of pairs, one of each clip and identity
    plate = picture[-40:, :200].astype(int)
    assert plate.max() > 200  # the label's white letters
    printed = capsys.readouterr().out
    assert "8 held-out pairs of 2 people" in printed
    assert "yaw r, pooled" in printed


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "wanted --pairs FOLDER, --footage FOLDER or both"),
        (("--footage", "nowhere"), "nowhere is no folder with clips"),
        (("--pairs", "nowhere"), "there is no folder nowhere"),
        (("--footage", ".", "--identity", "nobody"), "there is no identity 'nobody'"),
        (("--footage", ".", "--sheet", "gone/sheet.png"), "there is no folder gone"),
    ],
)
def test_what_is_missing_is_one_sentence(
    words: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "quality", *words, "--models", write_shelf(tmp_path / "models")) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.strip().splitlines()) == 1


def test_a_sheet_that_is_no_picture_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--pairs", write_dataset(tmp_path / "data", train=2, test=2), "--identity", "aster"]
    models = write_shelf(tmp_path / "models")
    assert run(monkeypatch, "quality", *words, "--models", models, "--sheet", tmp_path / "sheet.xyz") == 2
    assert "cannot be written as a picture" in capsys.readouterr().err
