"""`liveswap doctor` as a whole: one screen, JSON, a picture and an exit code; and the topics that need files."""

import io
import json
import socket
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from realtime.devices import VirtualCamera
from realtime.doctor import cameras, codecs, networks, screen
from realtime.doctor.checkup import TOPICS, checkup, verdict, works
from realtime.doctor.finding import NOTE, OK, WRONG, Finding
from realtime.errors import MissingExtra
from realtime.sinks.loopback import Kernel
from realtime.sources.cameras import Camera
from realtime.swap.identity import DIGESTS
from tests.realtime.conftest import Say

FINE = Finding("memory", "free", OK, "9 GB")
COULD = Finding("graphics", "GPU", NOTE, "not used", "install onnxruntime-gpu")
BAD = Finding("cameras", "virtual camera", WRONG, "there is none", "sudo modprobe v4l2loopback")


def test_the_command_says_everything_as_json_and_draws_it(say: Say, tmp_path: Path) -> None:
    said = say("doctor", "--json", "--picture", tmp_path / "doctor.svg")
    report = json.loads(said.out)
    found = {(each["topic"], each["name"]): each for each in report["findings"]}
    assert {topic for topic, _ in found} == {topic for topic, _ in TOPICS}
    assert said.code == (0 if report["works"] else 1)
    assert report["works"] == all(each["state"] != WRONG for each in found.values())
    for network in ("detector", "landmarks", "encoder", "aster"):
        assert found["providers", f"cpu: {network}"]["state"] == OK, found["providers", f"cpu: {network}"]
    assert found["models", "size live"]["state"] == OK
    assert found["codecs", "recording"]["state"] == OK
    assert all(each["remedy"] for each in found.values() if each["state"] == WRONG)
    drawn = (tmp_path / "doctor.svg").read_text("utf-8")
    ElementTree.fromstring(drawn)
    assert "url(http" not in drawn
    assert str(Path(__file__).resolve().parents[3]) not in drawn
    assert socket.gethostname() not in drawn


def test_the_screen_has_a_remedy_under_each_line_that_needs_one(capsys: pytest.CaptureFixture[str]) -> None:
    screen.show([FINE, COULD, BAD], Console(width=100))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].split() == ["memory", "✓", "free", "9", "GB"]
    assert lines[2].strip() == "→ install onnxruntime-gpu"
    assert lines[4].strip() == "→ sudo modprobe v4l2loopback"
    assert lines[-1] == "`liveswap run` would not work here: virtual camera; 1 more could be better."


def test_a_terminal_without_those_signs_gets_plain_ones() -> None:
    raw = io.BytesIO()
    odd = Finding("cameras", "cameras", OK, "Kamera für →")
    terminal = io.TextIOWrapper(raw, "ascii", write_through=True)
    screen.show([FINE, BAD, odd], Console(file=terminal, width=100))
    lines = raw.getvalue().decode("ascii").splitlines()
    assert lines[0].split()[:2] == ["memory", "ok"]
    assert lines[2].strip() == "-> sudo modprobe v4l2loopback"
    assert "Kamera f?r ?" in lines[3]


def test_only_what_is_wrong_keeps_a_run_from_working() -> None:
    assert works([FINE, COULD])
    assert not works([FINE, BAD])
    assert verdict([FINE]) == "`liveswap run` would work here."


def test_a_look_that_fails_is_a_finding_and_ends_nothing() -> None:
    def broken() -> Iterator[Finding]:
        yield FINE
        raise OSError("the disk is gone")

    found = list(checkup([("memory", broken), ("graphics", lambda: [COULD])]))
    assert found[0] == FINE
    assert (found[1].state, found[2]) == (WRONG, COULD)
    assert "the disk is gone" in found[1].seen


def test_a_state_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="'fine' is unknown"):
        Finding("memory", "free", "fine", "9 GB")


def test_cameras_are_listed_and_none_is_wrong() -> None:
    assert cameras.of_cameras([Camera("/dev/video0", "HD Cam")]).seen == "HD Cam (/dev/video0)"
    assert cameras.of_cameras([]).state == WRONG


def test_the_virtual_camera_says_what_a_run_would_say(tmp_path: Path) -> None:
    with pytest.raises(MissingExtra) as error:
        Kernel(cameras=tmp_path).writable(None)
    sentence = str(error.value)
    found = cameras.of_virtual(VirtualCamera(False, sentence))
    assert (found.state, f"{found.seen}: {found.remedy}") == (WRONG, sentence)
    assert cameras.of_virtual(VirtualCamera(True, "/dev/video10 (liveswap)")).state == OK


def test_files_are_compared_with_their_released_digests(tmp_path: Path) -> None:
    (tmp_path / "detector").mkdir()
    names = ("landmarks.onnx", "aster.onnx", "detector/centerface.onnx")
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    assert networks.files(tmp_path).state == OK  # nothing to compare them with
    released = {name: networks.digest(tmp_path / name) for name in names}
    (tmp_path / DIGESTS).write_text(json.dumps(released))
    assert networks.files(tmp_path).seen == "3 files; those with a released digest (3) are as released"
    (tmp_path / "aster.onnx").write_bytes(b"somebody else")
    found = networks.files(tmp_path)
    assert (found.state, found.seen) == (WRONG, "not as released: aster.onnx")
    (tmp_path / "aster.onnx").unlink()
    assert networks.files(tmp_path).state == WRONG
    (tmp_path / "landmarks.onnx").unlink()
    assert networks.files(tmp_path).seen == "landmarks.onnx missing"


@pytest.mark.parametrize("text", ["{", "[]", '{"aster.onnx": 1}'])
def test_broken_digests_are_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "detector").mkdir()
    for name in ("landmarks.onnx", "detector/centerface.onnx", DIGESTS):
        (tmp_path / name).write_text(text)
    found = networks.files(tmp_path)
    assert found.state == WRONG
    assert "digests.json cannot be read" in found.seen


@pytest.mark.parametrize(("size", "state"), [("live", WRONG), ("small", NOTE)])
def test_a_size_without_models_is_wrong_where_it_is_the_default(tmp_path: Path, size: str, state: str) -> None:
    assert networks.shelf(size, tmp_path).state == state


def test_a_codec_that_is_not_there_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    has = codecs._has
    monkeypatch.setattr(codecs, "_has", lambda name, mode: name not in ("libx264", "vp9") and has(name, mode))
    recording, reading = codecs.findings()
    assert (recording.state, recording.seen) == (NOTE, "no encoder libx264")
    assert (reading.state, reading.seen) == (NOTE, "not vp9")
