"""A run signs what it writes; what it could not sign is signed later, from the session log."""

import json
import shutil
from pathlib import Path

import av
import cv2
import pytest

from realtime.egress.credentials import read
from realtime.egress.session_log import entries, usual_place
from tests.realtime.conftest import Say
from tests.realtime.people import astronaut


@pytest.fixture(autouse=True)
def new_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def out(say: Say, clip: Path, models: Path, tmp_path: Path) -> Path:
    """A recording of a run without the label."""
    path = tmp_path / "out.mp4"
    told = ("--no-label", "--i-disclose", "the credits say so")
    said = say("run", "--source", clip, "--sink", path, "--sink", "null", "--models", models, *told)
    assert (said.code, said.err.strip()) == (0, "no label is drawn, because the audience is told: the credits say so")
    return path


def stripped(path: Path) -> Path:
    """The same recording without its manifest, as after a program that was killed."""
    with av.open(path) as source, av.open(path.with_suffix(".copy.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    shutil.move(path.with_suffix(".copy.mp4"), path)
    assert read(path) is None
    return path


def test_a_run_without_the_label_says_in_file_manifest_and_log_how_the_audience_is_told(out: Path) -> None:
    manifest, (entry,) = read(out), entries(usual_place())
    assert manifest is not None
    assert (manifest.faults, manifest.disclosure) == ((), "the credits say so")
    assert [one.identity for one in manifest.shown] == ["aster"]
    assert (entry.session, entry.disclosure, entry.ended) == (manifest.session, "the credits say so", True)
    assert entry.shown == manifest.shown
    assert entry.sinks == (str(out), "null")
    with av.open(out) as container:
        assert container.metadata["comment"].endswith("the audience is told: the credits say so")


def test_what_a_run_writes_is_verified_by_manifest_mark_and_log(say: Say, models: Path, tmp_path: Path) -> None:
    source, picture = tmp_path / "in.png", tmp_path / "out.jpg"
    cv2.imwrite(str(source), astronaut(1)[0])
    assert say("run", "--source", source, "--sink", picture, "--models", models).code == 0
    said = say("verify", picture, "--models", models, "--session-log")
    assert said.code == 0, said.err
    assert "manifest and mark belong together" in said.out
    assert f"aster into {picture}" in said.out


def test_a_run_can_leave_the_log_alone(say: Say, clip: Path, models: Path) -> None:
    assert say("run", "--source", clip, "--sink", "null", "--models", models, "--no-session-log").code == 0
    assert not usual_place().exists()


def test_a_recording_without_credentials_gets_them_from_the_session_log(say: Say, models: Path, out: Path) -> None:
    before = read(out)
    said = say("sign", stripped(out), "--models", models)
    assert (said.code, said.err) == (0, "")
    assert "has content credentials: aster, " in said.out
    assert read(out) == before


def test_one_that_has_them_keeps_them(say: Say, models: Path, out: Path) -> None:
    said = say("sign", out, "--models", models)
    assert said.code == 2
    assert "has content credentials already, of liveswap (self-made certificate)" in said.err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gone.mp4", "there is no file"),
        ("strange.mp4", "the session log has no session that wrote"),
        ("notes.txt", "has no room for content credentials, wanted one of .jpeg"),
    ],
)
def test_what_cannot_be_signed_is_one_sentence(say: Say, tmp_path: Path, out: Path, name: str, sentence: str) -> None:
    if not name.startswith("gone"):
        shutil.copy(stripped(out), tmp_path / name)
    said = say("sign", tmp_path / name)
    assert said.code == 2
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1


def test_without_a_log_nothing_is_known(say: Say, out: Path) -> None:
    stripped(out)
    usual_place().write_text(json.dumps({"strange": "line"}) + "\n")
    assert "the session log has no session" in say("sign", out).err
    usual_place().unlink()
    assert "the session log" in say("sign", out).err
