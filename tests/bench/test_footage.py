"""Expression is compared before and after, on a clip of half a second and on numbers that are known."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.__main__ import main
from bench.footage import FEATURES, Moment, features, numbers_of, pooled_of
from realtime.face.geometry import template, to_pixels
from realtime.face.landmarks import BLEND, Reading
from tests.models import write_shelf
from tests.realtime.people import astronaut_clip


def _reading(shape: np.ndarray, blend: np.ndarray | None = None) -> Reading:
    said = np.zeros(len(BLEND), np.float32) if blend is None else blend
    return Reading(shape.astype(np.float32), shape[:2].astype(np.float32), said, 1.0)


def _face(mouth: float = 0.0, nose: float = 0.0, lids: float = 0.0) -> np.ndarray:
    points = to_pixels(template(), 200).astype(np.float64)
    points[66, 1] += mouth
    points[30, 0] += nose
    points[[41, 40, 47, 46], 1] += lids
    return points


def test_features_follow_what_they_are_named_after() -> None:
    plain = dict(zip(FEATURES, features(_reading(_face())), strict=True))
    for name, other in (("mouth", _face(mouth=9)), ("yaw", _face(nose=9)), ("eyes", _face(lids=4))):
        moved = dict(zip(FEATURES, features(_reading(other)), strict=True))
        changed = {key for key in FEATURES if abs(moved[key] - plain[key]) > 1e-6}
        assert changed == {name}
        assert moved[name] > plain[name]


def test_features_do_not_depend_on_size_and_place() -> None:
    face = _face(mouth=6, nose=4)
    assert np.allclose(features(_reading(face)), features(_reading(face * 2.5 + 40)))


def _moments(count: int, faithful: bool) -> list[Moment]:
    rng = np.random.default_rng(0)
    picture = np.zeros((2, 4, 3), np.uint8)
    rows = rng.normal(size=(count, len(FEATURES)))
    drawn = rows * 0.5 + 1 if faithful else rng.normal(size=rows.shape)
    return [Moment(a, b, 0.02, picture) for a, b in zip(rows, drawn, strict=True)]


def test_a_faithful_copy_correlates_and_noise_does_not() -> None:
    faithful, noise = numbers_of("a", 40, _moments(40, True)), numbers_of("b", 40, _moments(40, False))
    assert faithful.correlation["yaw"] == pytest.approx(1)
    assert abs(noise.correlation["yaw"] or 0) < 0.5
    assert pooled_of([faithful, noise])["yaw"] == pytest.approx((1 + (noise.correlation["yaw"] or 0)) / 2)


def test_too_few_frames_say_nothing() -> None:
    few = numbers_of("short", 5, _moments(5, True))
    assert few.correlation["mouth"] is None
    assert pooled_of([few])["mouth"] is None


def test_the_command_measures_a_folder_and_labels_its_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    astronaut_clip(clips / "one.mp4", 14)
    sheet, out = tmp_path / "sheet.png", tmp_path / "numbers.json"
    words = ["footage", str(clips), "--models", str(write_shelf(tmp_path / "models"))]
    monkeypatch.setattr(sys, "argv", ["liveswap-bench", *words, "--sheet", str(sheet), "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    numbers = json.loads(out.read_text())
    assert numbers["clips"][0]["with_face"] == 14
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape == (200, 2000, 3)
    plate = picture[-16:-6, 6:70].astype(int)
    assert plate.max() > 200  # the label's white letters on their dark plate
    assert plate.min() < 80


def test_a_folder_without_clips_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["liveswap-bench", "footage", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "no folder with clips" in capsys.readouterr().err
