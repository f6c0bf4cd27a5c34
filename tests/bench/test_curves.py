"""Curves of trainings come from what was evaluated, and a run without them is named."""

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.curves import Curve, curves, plot
from realtime.errors import LiveswapError, SinkError


def write_run(folder: Path) -> Path:
    """A run whose swap gets better; from ann to bob twice as good as back."""

    def ways(ssim: float, l1: float, **others: Any) -> list[dict[str, Any]]:
        pairs = (("ann", "ann"), ("ann", "bob"), ("bob", "ann"))
        return [
            {"from": a, "to": b, "swapped": {"face_ssim": ssim * k, "face_l1": l1 * k}, **others}
            for k, (a, b) in zip((9, 2, 1), pairs, strict=True)
        ]

    untrained = {"input": {"face_ssim": 0.6, "face_l1": 20.0}, "mean": {"face_ssim": 0.5, "face_l1": 16.0}}
    taken = [
        {"steps": 100 * k, "core_minutes": 5.0 * k, "directions": ways(0.3 + 0.1 * k, 8.0 - 2 * k)} for k in (0, 1)
    ]
    folder.mkdir()
    truth = {"moments": 3, "directions": ways(0.4, 6.0, **untrained), "snapshots": taken}
    (folder / "evaluation.json").write_text(json.dumps({"truth": truth}))
    return folder


def test_a_curve_is_the_mean_of_the_directions_into_somebody_else(tmp_path: Path) -> None:
    curve = Curve.read(write_run(tmp_path / "run"))
    assert (curve.name, curve.minutes, curve.steps) == ("run", (0.0, 5.0), (0, 100))
    assert curve.ssim == pytest.approx((0.45, 0.6))
    assert curve.l1 == pytest.approx((12, 9))
    assert curve.best == 16
    assert curve.untrained == {"input": (0.6, 20.0), "mean": (0.5, 16.0)}


def test_the_command_shows_and_draws_them(tmp_path: Path) -> None:
    runs, out = [str(write_run(tmp_path / name)) for name in ("embedded", "scratch")], tmp_path / "own.png"
    result = CliRunner().invoke(app, ["curves", *runs, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "embedded" in result.output
    assert "0.56" in result.output  # 9 of 16
    assert cv2.imread(str(out)) is not None


def test_what_has_no_curve_or_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(LiveswapError, match="run has no curve, wanted `liveswap-train train --snapshots`"):
        curves([tmp_path / "run"])
    with pytest.raises(SinkError, match="cannot be written"):
        plot([Curve.read(write_run(tmp_path / "run"))], tmp_path / "nowhere" / "own.png")
