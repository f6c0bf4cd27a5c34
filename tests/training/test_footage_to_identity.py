"""The whole way through the commands: clips of nobody who exists become identities that run and are like them."""

import json
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.export.test_footage import export
from tests.training.extract.footage import pictures, write_consent, write_folder, write_video
from tests.training.nobody import NAMES, write_nobody
from tests.training.test_command import run
from training.paired import better, crossing

STEPS = 100  # from the embedded encoder in its own size: at 96 px it first has to find its way again


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
    before, after = swap(photo, model, "--size", "small")
    middle = slice(120, 240)
    assert np.abs(before[middle, middle].astype(int) - after[middle, middle]).mean() > 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_each_of_two_people_becomes_the_other_better_than_without_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    talks, out = write_nobody(tmp_path / "talks"), tmp_path / "run"
    facesets = [str(tmp_path / name) for name in NAMES]
    for name, faceset in zip(NAMES, facesets, strict=True):
        agreed = ("--consent", str(talks / f"{name}.toml"), "--out", faceset, "--size", "128")
        whom = ("--person", "1", "--person", "2") if name == "bob" else ()  # two groups, by his third take's light
        assert run(monkeypatch, "extract", str(talks / name), *agreed, *whom) == 0
    how = ("--preset", "small", "--steps", str(STEPS), "--batch", "8", "--snapshots", "60")
    assert run(monkeypatch, "train", *facesets, "--out", str(out), *how) == 0
    assert run(monkeypatch, "evaluate", str(out), "--truth", str(talks)) == 0
    found = json.loads((out / "evaluation.json").read_text())["truth"]
    ways, begun = found["directions"], found["snapshots"][0]["directions"]
    assert crossing(ways, "swapped", "face_ssim") > better(ways, "face_ssim") + 0.05
    assert crossing(ways, "swapped", "face_psnr") > better(ways, "face_psnr") + 2
    assert crossing(ways, "swapped", "face_l1") < 0.8 * better(ways, "face_l1")
    assert crossing(ways, "swapped", "face_ssim") > crossing(begun, "swapped", "face_ssim") + 0.1
    model = tmp_path / "bob.onnx"
    assert export(monkeypatch, str(out), "--identity", "bob", "--out", model, "--threads", 1) == 0
    photo = write_folder(tmp_path / "photos", last_of(talks / "ann" / "ann-3.mp4")) / "000.png"
    before, after = swap(photo, model, "--size", "small")
    changed = np.abs(before.astype(int) - after).mean(2)
    assert changed[70:150, 130:190].mean() > 15  # the face; in ann's colours, as composing has it
    assert changed[:30].mean() < 2  # the wall


def swap(photo: Path, model: Path, *more: str) -> tuple[np.ndarray, np.ndarray]:
    """The photo, and what `liveswap run` makes of it."""
    out = photo.with_name("swapped.png")
    command = [sys.executable, "-m", "realtime", "run", "--source", str(photo), "--identity", str(model), *more]
    done = subprocess.run([*command, "--sink", str(out)], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    before, after = cv2.imread(str(photo)), cv2.imread(str(out))
    assert before is not None
    assert after is not None
    return before, after


def last_of(video: Path) -> list[np.ndarray]:
    """The last picture of a video, (h, w, 3) BGR."""
    with av.open(str(video)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)][-1:]
