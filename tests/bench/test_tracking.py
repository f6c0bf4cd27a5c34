"""The embedded models sit still, keep up and find faces of every size; and the measurement itself measures."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.__main__ import main
from bench.tracking import (
    RATE,
    SIZES,
    TARGET_LAG,
    TARGET_STILL,
    finding,
    lag_of,
    path_of,
    pictures_of,
    speed_of,
    spread_of,
    steadiness,
)
from realtime.__main__ import DEMO
from realtime.errors import SourceMissing
from realtime.face.detect import Detector, open_detector
from realtime.face.face import Face
from realtime.face.geometry import Image, similarity, template
from realtime.face.landmarks import Landmarker
from realtime.face.smooth import SmoothSettings
from realtime.swap.session import SessionSettings


@pytest.fixture(scope="module")
def detector() -> Detector:
    return open_detector("centerface", 2)


@pytest.fixture(scope="module")
def pictures() -> list[Image]:
    return pictures_of(DEMO, 3)


def test_with_filtering_a_noisy_face_sits_still_and_a_moving_one_lags_less_than_a_frame(
    detector: Detector, pictures: list[Image]
) -> None:
    landmarker = Landmarker.load(None, SessionSettings(provider="cpu"))
    small = [cv2.resize(pictures[1], (640, 360), interpolation=cv2.INTER_AREA).astype(np.uint8)]
    off, on = (steadiness(detector, landmarker, small, 60, how) for how in (None, SmoothSettings()))
    assert on.still_percent < TARGET_STILL
    assert on.still_percent < off.still_percent
    assert on.lag_ms < TARGET_LAG
    assert on.lag_ms - off.lag_ms < TARGET_LAG  # what the filter adds to the network's own


def test_one_thorough_look_finds_faces_of_40_px_and_faces_that_fill_the_frame(
    detector: Detector, pictures: list[Image]
) -> None:
    rows = [row for row in finding(detector, pictures[:2]) if row.look == "thorough" and row.width >= 40]
    assert [row.width for row in rows] == [width for width in SIZES if width >= 40]
    assert [(row.found, row.false) for row in rows] == [(2, 0)] * len(rows)


def faces_at(xs: np.ndarray, side: float = 100.0) -> list[Face]:
    points = [((template() - 0.5) * side + (x, 200)).astype(np.float32) for x in xs]
    return [Face(np.zeros(4, np.float32), one, 1.0, 1, similarity(one, template())) for one in points]


def test_the_lag_of_a_face_that_is_late_is_its_delay() -> None:
    still = faces_at(np.full(90, 300.0))
    speed, path = speed_of(still), path_of(90)
    assert np.abs(np.diff(path)).max() == 1
    for late in (0.0, 0.4):
        ahead = np.sign(np.diff(path, prepend=path[0]))
        moving = faces_at(300 + speed / RATE * (path - late * ahead) + 7)
        assert lag_of(moving, still) == pytest.approx(1000 * late / RATE, abs=0.1)


def test_the_spread_is_in_shares_of_the_faces_width() -> None:
    random = np.random.default_rng(0)
    centre, side, turn = spread_of(faces_at(random.normal(300, 1, 500)))
    assert centre == pytest.approx(100 / speed_of(faces_at(np.full(2, 300.0))), rel=0.1)  # 1 px
    assert (side, turn) == pytest.approx((0, 0), abs=1e-3)


def test_the_command_prints_tables_and_writes_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 30, (320, 180))
    writer.write(cv2.resize(pictures_of(DEMO, 1)[0], (320, 180), interpolation=cv2.INTER_AREA))
    writer.release()
    out = tmp_path / "numbers.json"
    words = ["tracking", "--source", str(clip), "--pictures", "1", "--frames", "30", "--repeats", "2"]
    monkeypatch.setattr(sys, "argv", ["liveswap-bench", *words, "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    numbers = json.loads(out.read_text())
    assert [row["filtering"] for row in numbers["steadiness"]] == ["off", "One-Euro"]
    assert numbers["thorough_cost"] > 1
    assert {row["width"] for row in numbers["found"]} == set(SIZES)
    printed = capsys.readouterr().out
    assert "One-Euro" in printed
    assert "under 0.15 %" in printed


def test_a_missing_clip_and_one_without_a_face_are_one_sentence(detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="there is no file"):
        pictures_of(tmp_path / "absent.mp4", 1)
    landmarker = Landmarker.load(None, SessionSettings(provider="cpu"))
    with pytest.raises(SourceMissing, match="none of the pictures"):
        steadiness(detector, landmarker, [np.zeros((90, 160, 3), np.uint8)], 20, None)
