"""The command from the outside: what it makes, what it prints, and how it ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from realtime.devices import found_devices
from realtime.egress.credentials import read
from realtime.face.detect import CenterFace
from realtime.face.face import Detection
from realtime.face.geometry import Image
from realtime.frame import Frame
from realtime.sinks.null import Null
from realtime.swap.compose import Composer
from realtime.swap.swapper import Swapper
from tests.models import write_decoder
from tests.realtime.clips import pictures_in, write_clip
from tests.realtime.conftest import Say
from tests.realtime.people import astronaut

ROOT = Path(__file__).resolve().parent.parent.parent
# A provider that onnxruntime does not offer here: no onnxruntime has both.
UNUSABLE = "cuda" if "DmlExecutionProvider" in ort.get_available_providers() else "directml"
KEYS = {
    *("frames_in", "frames_out", "dropped", "duration_s", "fps", "age_ms", "stages", "faces_per_frame"),
    *("frames_with_face", "detector_runs", "unchanged", "identity", "provider", "precision", "machine", "versions"),
}


def test_every_frame_of_a_file_arrives_and_the_report_says_so(
    say: Say, clip: Path, models: Path, tmp_path: Path
) -> None:
    out, numbers = tmp_path / "out.mp4", tmp_path / "numbers.json"
    said = say("run", "--source", clip, "--sink", out, "--models", models, "--report", numbers)
    assert said.code == 0, said.err
    assert len(pictures_in(out)) == 15
    report = json.loads(numbers.read_text())
    assert set(report) == KEYS
    assert (report["frames_in"], report["frames_out"], report["dropped"]) == (15, 15, 0)
    assert (report["frames_with_face"], report["faces_per_frame"]) == (15, 1.0)
    assert set(report["age_ms"]) == {"p50", "p95", "p99", "max"}
    assert {"track", "find", "align", "encode", "decode", "swap", "compose", "sink"} <= set(report["stages"])
    assert all(set(taken) == {"p50", "p95"} for taken in report["stages"].values())
    assert 1 <= report["detector_runs"] <= 15
    assert (report["identity"], report["provider"], report["precision"]) == ("aster", "cpu", "fp32")
    assert report["machine"]["cores"] >= 1
    assert "onnxruntime" in report["versions"]


def test_a_fused_run_draws_the_same_frames_and_says_what_its_parts_took(
    say: Say, clip: Path, models: Path, tmp_path: Path
) -> None:
    pictures = []
    for flag in ("--fused", "--no-fused"):
        out, numbers = tmp_path / f"out{flag}.png", tmp_path / f"numbers{flag}.json"
        still = tmp_path / "still.png"
        cv2.imwrite(str(still), pictures_in(clip)[3][1])
        said = say("run", "--source", still, "--sink", out, "--models", models, "--report", numbers, flag)
        assert said.code == 0, said.err
        pictures.append(np.asarray(cv2.imread(str(out)), int))
        stages = set(json.loads(numbers.read_text())["stages"])
        assert ({"upload", "draw", "download"} <= stages) == (flag == "--fused")
        assert ("encode" in stages) == (flag != "--fused")
    assert np.abs(pictures[0] - pictures[1]).mean() < 1.5  # each run's invisible mark is another


def test_the_report_says_how_many_frames_each_of_several_sinks_was_too_slow_for(
    say: Say, clip: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow one is busy with its first frame until the half second of the clip is over."""
    taken: list[Frame] = []

    async def slowly(sink: Null, frame: Frame) -> None:
        taken.append(frame)
        await asyncio.sleep(0.6)

    monkeypatch.setattr(Null, "write", slowly)
    picture, numbers = tmp_path / "out.png", tmp_path / "numbers.json"
    words = ("run", "--source", clip, "--live", "--sink", "null", "--sink", picture, "--models", models)
    said = say(*words, "--report", numbers)
    assert said.code == 0, said.err
    report = json.loads(numbers.read_text())
    assert set(report) == {*KEYS, "sinks"}
    assert report["sinks"]["null"]["dropped"] == report["frames_out"] - len(taken)
    assert report["sinks"]["null"]["dropped"] > report["sinks"][str(picture)]["dropped"]


def failing(monkeypatch: pytest.MonkeyPatch, part: type[object], name: str, numbers: range) -> None:
    """That method of part, called with a frame of one of these numbers, fails in a way that nobody expects."""
    work = getattr(part, name)

    def works(self: object, item: Any) -> Any:
        if getattr(item, "frame", item).index in numbers:
            raise ZeroDivisionError("seven by nothing")
        return work(self, item)

    monkeypatch.setattr(part, name, works)


@pytest.mark.parametrize(("part", "name"), [(Swapper, "find"), (Swapper, "draw"), (Composer, "__call__")])
def test_a_frame_on_which_a_stage_fails_is_hidden_and_the_run_goes_on(
    say: Say, clip: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: type[object], name: str
) -> None:
    out, numbers = tmp_path / "out.mp4", tmp_path / "numbers.json"
    failing(monkeypatch, part, name, range(10, 12))
    said = say("run", "--source", clip, "--sink", out, "--models", models, "--unsure", "blank", "--report", numbers)
    assert said.code == 0, said.err
    middles = [image[100:140, 140:180].mean() for _, image in pictures_in(out)]
    assert len(middles) == 15
    assert max(middles[10:12]) < 20 < min(middles[:10] + middles[12:])
    assert json.loads(numbers.read_text())["failed"] == 2
    assert "ZeroDivisionError('seven by nothing')" in said.err


def test_with_unsure_raise_the_first_failure_ends_the_run(
    say: Say, clip: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, Composer, "__call__", range(3, 4))
    with pytest.raises(ZeroDivisionError):
        say("run", "--source", clip, "--sink", "null", "--models", models, "--unsure", "raise")


@pytest.mark.parametrize("live", [True, False])
def test_looks_have_a_thread_of_their_own_in_a_live_run_alone_and_it_ends_with_the_run(
    say: Say, clip: Path, models: Path, monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    on: set[str] = set()
    detect = CenterFace.detect

    def noted(detector: CenterFace, image: Image, thorough: bool = False) -> tuple[Detection, ...]:
        on.add(threading.current_thread().name.split("_")[0])
        return detect(detector, image, thorough)

    monkeypatch.setattr(CenterFace, "detect", noted)
    said = say("run", "--source", clip, "--sink", "null", "--models", models, "--faces", 2, *["--live"] * live)
    assert said.code == 0, said.err
    assert on == ({"find", "look"} if live else {"find"})
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("look")]


def test_a_picture_and_an_identity_from_a_file(say: Say, models: Path, tmp_path: Path) -> None:
    picture, out = tmp_path / "one.png", tmp_path / "out.png"
    cv2.imwrite(str(picture), astronaut(1)[0])
    somebody = write_decoder(tmp_path / "somebody.onnx", "somebody")
    said = say("run", "--source", picture, "--sink", out, "--models", models, "--identity", somebody)
    assert said.code == 0, said.err
    written = cv2.imread(str(out))
    assert written is not None
    assert (np.abs(written.astype(int) - astronaut(1)[0]) > 60).any()


def test_without_a_sink_a_file_goes_to_a_file_that_is_named(
    say: Say, clip: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = say("run", "--source", clip, "--models", models, "--duration", "0.1", "--identity", "cedar")
    assert said.code == 0, said.err
    assert "out/clip-cedar.mp4" in said.err
    assert len(pictures_in(tmp_path / "out" / "clip-cedar.mp4")) == 3


def test_settings_come_from_a_file_and_flags_override_them(say: Say, clip: Path, models: Path, tmp_path: Path) -> None:
    numbers, config = tmp_path / "numbers.json", tmp_path / "live.toml"
    config.write_text(f'source = "{clip}"\nsink = "null"\nmodels = "{models}"\nidentity = "cedar"\nduration = 0.1\n')
    assert say("run", "--config", config, "--report", numbers).code == 0
    assert json.loads(numbers.read_text())["identity"] == "cedar"
    assert json.loads(numbers.read_text())["frames_in"] == 3
    assert say("run", "--config", config, "--report", numbers, "--identity", "aster").code == 0
    assert json.loads(numbers.read_text())["identity"] == "aster"


def test_plain_lines_tell_how_a_long_run_goes(models: Path, tmp_path: Path) -> None:
    """Elsewhere than on a terminal: a line every five seconds."""
    clip = write_clip(tmp_path / "long.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 56, fps=10)
    said = run_apart("run", "--source", clip, "--live", "--sink", "null", "--models", models)
    assert said.returncode == 0, said.stderr
    assert "aster · 0:05 · " in said.stderr
    assert "0 faces" in said.stderr


def test_identities_are_listed(say: Say, models: Path) -> None:
    said = say("identities", "--models", models)
    assert "aster" in said.out
    assert "rendered" in said.out
    cards = json.loads(say("identities", "--models", models, "--json").out)
    assert [card["name"] for card in cards] == ["aster", "cedar"]
    assert {card["licence"] for card in cards} == {"Apache-2.0"}


def test_devices_are_listed(say: Say) -> None:
    assert "virtual camera" in say("devices").out
    assert json.loads(say("devices", "--json").out) == found_devices().as_dict()


def test_the_version_is_said(say: Say) -> None:
    assert say("--version").out.startswith("liveswap 0.")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--source", "97"), ("video97" if sys.platform == "linux" else "camera 97", "`liveswap demo`")),
        (("--source", "/dev/null"), ("/dev/null", "is no camera: wanted a video device")),
        (("--source", "absent.mp4"), ("absent.mp4",)),
        (("--source", "CLIP/notes.mp4"), ("notes.mp4", "no video")),
        (("--source", "CLIP/notes.jpg"), ("notes.jpg",)),
        (("--identity", "nobody"), ("'nobody'", "aster, cedar")),
        (("--identity", "MODELS/absent.onnx"), ("absent.onnx",)),
        (("--identity", "CLIP/truncated.onnx"), ("truncated.onnx", "no ONNX model")),
        (("--identity", "CLIP/foreign.onnx"), ("'stranger'", "feed", "0123")),
        (("--identity", "CLIP/bare.onnx"), ("bare.onnx", "contract")),
        (("--models", "absent"), ("absent",)),
        (("--sink", "absent/out.mp4"), ("absent/out.mp4", "no folder")),
        (("--sink", "out.xyz"), ("'out.xyz'", "wanted virtualcam")),
        (("--sink", "CLIP/clip.mp4", "--source", "CLIP/clip.mp4"), ("is the source as well",)),
        (("--report", "absent/numbers.json"), ("absent/numbers.json",)),
        (("--config", "CLIP/unknown.toml"), ("'identety'", "unknown.toml", "'identity'")),
        (("--config", "absent.toml"), ("absent.toml",)),
        (("--width", "0"), ("width 0",)),
        (("--width", "100000", "--height", "100000"), ("width 100000",)),
        (("--duration", "-1"), ("duration is -1",)),
        (("--no-face", "show"), ("'show'", "pass, hold, blank, blur")),
        (("--detector", "oracle"), ("oracle",)),
        (("--provider", "abacus"), ("abacus",)),
        (("--provider", UNUSABLE), (f"the provider {UNUSABLE} was asked for",)),
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_what_cannot_work_is_one_sentence_and_exit_code_2(
    say: Say, clip: Path, models: Path, tmp_path: Path, words: tuple[str, ...], sentence: tuple[str, ...]
) -> None:
    folder = prepared(tmp_path, clip)
    defaults = {"--source": str(clip), "--sink": "null", "--models": str(models)}
    given = [word.replace("CLIP", str(folder)).replace("MODELS", str(models)) for word in words]
    kept = [item for flag, value in defaults.items() if flag not in given for item in (flag, value)]
    said = say("run", *kept, *given)
    assert said.code == 2
    lines = [line for line in said.err.splitlines() if line.startswith("liveswap: ")]
    assert len(lines) == 1, said.err
    assert "Traceback" not in said.err
    assert all(part in lines[0] for part in sentence), lines[0]


def prepared(folder: Path, clip: Path) -> Path:
    """Files that are not what their names say."""
    (folder / "clip.mp4").write_bytes(clip.read_bytes())
    (folder / "notes.mp4").write_text("these are notes, no video")
    (folder / "notes.jpg").write_text("these are notes, no picture")
    (folder / "unknown.toml").write_text("identety = 'aster'")
    whole = write_decoder(folder / "whole.onnx", "whole")
    (folder / "truncated.onnx").write_bytes(whole.read_bytes()[:1000])
    write_decoder(folder / "foreign.onnx", "stranger", digest="feedfeed" * 2)
    bare = onnx.load(str(whole))
    del bare.metadata_props[:]
    onnx.save(bare, str(folder / "bare.onnx"))
    return folder


@pytest.mark.skipif(found_devices().virtual_camera.available, reason="this machine has a virtual camera")
def test_without_a_virtual_camera_it_says_what_to_install(say: Say, clip: Path, models: Path) -> None:
    said = say("run", "--source", clip, "--models", models, "--sink", "virtualcam")
    assert said.code == 2
    assert "install" in said.err


@pytest.mark.skipif(os.name != "posix", reason="signals as terminals send them")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_recording_is_a_playable_file(models: Path, tmp_path: Path, kind: signal.Signals) -> None:
    clip = write_clip(tmp_path / "minute.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 1800)
    out, numbers = tmp_path / "out.mp4", tmp_path / "numbers.json"
    words = ["run", "--source", clip, "--live", "--sink", out, "--models", models, "--report", numbers]
    with apart(*words) as process:
        wait_for(out)
        time.sleep(0.5)
        process.send_signal(kind)
        assert process.wait(20) == 128 + kind
    report = json.loads(numbers.read_text())
    assert 0 < report["frames_out"] < 1800
    # on a busy machine the end may come while a frame is written: that one is in the file and counts as not delivered
    assert len(pictures_in(out)) - report["frames_out"] in (0, 1)
    manifest = read(out)  # content credentials are added on the way out
    assert manifest is not None
    assert not manifest.faults


def wait_for(path: Path) -> None:
    """Until a recording has begun: at most 30 s."""
    deadline = time.monotonic() + 30
    while not (path.exists() and path.stat().st_size > 0):
        assert time.monotonic() < deadline, f"{path} was never begun"
        time.sleep(0.05)


def apart(*words: object) -> subprocess.Popen[str]:
    """`liveswap` in a process of its own."""
    command = [sys.executable, "-m", "realtime", *(str(word) for word in words)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stderr=subprocess.PIPE)


def run_apart(*words: object) -> subprocess.CompletedProcess[str]:
    """The same, to its end."""
    command = [sys.executable, "-m", "realtime", *(str(word) for word in words)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=60, check=False)
