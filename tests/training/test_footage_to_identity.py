"""The whole way through the commands: a clip of nobody who exists becomes an identity that runs."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.export.test_footage import export
from tests.training.extract.footage import pictures, write_consent, write_folder, write_video
from tests.training.test_command import run


def test_footage_becomes_an_identity_that_runs_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    some = pictures(30, every=10)
    clip, consent = write_video(tmp_path / "pia.mp4", some), write_consent(tmp_path / "consent.toml")
    faceset, out, model = str(tmp_path / "pia"), str(tmp_path / "run"), tmp_path / "pia.onnx"
    few = ("--most", "20", "--workers", "1")
    assert run(monkeypatch, "extract", str(clip), "--consent", str(consent), "--out", faceset, *few) == 0
    start = ("--from", "aster", "--preset", "small")
    assert run(monkeypatch, "train", faceset, "--out", out, *start, "--steps", "3", "--batch", "2") == 0
    assert run(monkeypatch, "evaluate", out) == 0
    found = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert [(entry["from"], entry["to"]) for entry in found["directions"]] == [("pia", "pia"), ("pia", "aster")]
    assert export(monkeypatch, out, "--identity", "pia", "--out", model, "--threads", 1) == 0
    photo = write_folder(tmp_path / "photos", some[-1:]) / "000.png"
    arguments = ("run", "--size", "small", "--source", photo, "--identity", model, "--sink", tmp_path / "swapped.png")
    command = [sys.executable, "-m", "realtime", *(str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    before, after = cv2.imread(str(photo)), cv2.imread(str(tmp_path / "swapped.png"))
    assert before is not None
    assert after is not None
    middle = slice(120, 240)
    assert np.abs(before[middle, middle].astype(int) - after[middle, middle]).mean() > 2
