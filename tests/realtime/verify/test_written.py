"""Manifest, mark and session log are shown together, and contradictions are said."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import cv2
import pytest

from realtime.egress.certificate import Certificate, made
from realtime.egress.credentials import Credentials
from realtime.egress.record import Record, Shown
from realtime.egress.session_log import SessionLog, entries, usual_place
from realtime.verify.command import judged
from realtime.verify.written import written
from tests.models import write_shelf
from tests.realtime.clips import write_clip
from tests.realtime.conftest import Say
from tests.realtime.verify.films import FPS, MODEL, QUICK, SESSION, marked, room

ANN = Shown("ann", MODEL.hex().ljust(64, "0"))
RECORD = Record(SESSION.hex(), datetime(2026, 11, 29, tzinfo=UTC), (ANN,))
OTHER = Record("ff" * 16, RECORD.began, (ANN,))
SIGN = Credentials(Certificate.parse(made(), "a test"))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds with a mark and without a manifest."""
    return write_clip(tmp_path_factory.mktemp("film") / "film.mp4", marked(room(5 * FPS + 1)), FPS)


@pytest.fixture
def signed(film: Path, tmp_path: Path) -> Path:
    """The same with its manifest."""
    path = Path(shutil.copy(film, tmp_path / "signed.mp4"))
    SIGN.add(path, RECORD)
    return path


def found(target: Path, log: Path | None = None) -> list[tuple[str, str]]:
    report = judged(str(target), QUICK, None, 5.0, None)
    return [(one.about, one.says) for one in written(report, None if log is None else entries(log))]


def test_a_signed_recording_and_its_mark_belong_together(signed: Path) -> None:
    assert found(signed) == [
        (
            "manifest",
            "signed.mp4: the manifest holds: written by liveswap 0.1.0, signed by liveswap (self-made certificate), "
            "for whom nobody vouches",
        ),
        ("manifest", f"signed.mp4: it says that faces became ann in session {SESSION.hex()[:6]}"),
        ("manifest", f"signed.mp4: manifest and mark belong together: session {SESSION.hex()[:6]}"),
    ]


def test_a_stripped_manifest_leaves_the_mark(film: Path) -> None:
    assert found(film) == [
        ("manifest", "film.mp4: there is no manifest and there is a mark: the manifest was stripped")
    ]


def test_a_manifest_of_another_session_is_told(film: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(film, tmp_path / "other.mp4"))
    SIGN.add(path, OTHER)
    assert "the manifest is of session ffffff and the mark of session 000102: they do not" in found(path)[-1][1]


def test_a_recording_that_was_changed_is_told(signed: Path) -> None:
    data = bytearray(signed.read_bytes())
    data[data.rindex(b"mdat") + 2000] ^= 1
    signed.write_bytes(data)
    (finding,) = found(signed)
    assert "the manifest does not fit the file, which was changed: " in finding[1]


def test_a_manifest_over_a_film_without_a_mark_is_told(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "plain.mp4", room(5 * FPS + 1), FPS)
    SIGN.add(path, RECORD)
    assert found(path)[-1][1] == "plain.mp4: it comes with a mark in the picture, and none was found"


def test_the_log_answers_whether_it_was_us(film: Path, tmp_path: Path) -> None:
    log = tmp_path / "sessions.jsonl"
    SessionLog(lambda: log).note("ended", OTHER, ["null"])
    assert found(film, log)[-1] == ("log", "film.mp4: the session log has no such session")
    SessionLog(lambda: log).note("ended", RECORD, ["virtualcam"])
    about, says = found(film, log)[-1]
    assert about == "log"
    assert says.startswith("film.mp4: the session log has it: session 000102 of 2026-11-29T00:00:00+00:00, ann into")


def test_each_picture_of_a_folder_is_told_of(tmp_path: Path) -> None:
    (picture,) = marked(room(1, 640, 480), alone=True)
    for name in ("1.png", "2.png"):
        cv2.imwrite(str(tmp_path / name), picture)
    SIGN.add(tmp_path / "1.png", RECORD)
    said = [says for _, says in found(tmp_path)]
    assert "1.png: manifest and mark belong together: session 000102" in said
    assert said[-1] == "2.png: there is no manifest and there is a mark: the manifest was stripped"


def test_a_kind_without_room_for_a_manifest_is_not_said_to_lack_one(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.bmp"), room(1, 640, 480)[0])
    assert found(tmp_path / "1.bmp") == []


def test_the_command_shows_it_in_words_and_as_json(
    say: Say, signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    models = write_shelf(tmp_path / "models")
    words = ("verify", signed, "--models", models, "--session-log")
    said = say(*words)
    assert said.code == 2
    assert "the session log" in said.err  # there is none yet
    SessionLog().note("ended", RECORD, ["virtualcam"])
    assert usual_place().exists()
    said = say(*words)
    assert "manifest: signed.mp4: manifest and mark belong together" in said.out
    assert "log: signed.mp4: the session log has it" in said.out
    data = json.loads(say(*words, "--json").out)["findings"][0]["data"]
    assert data["agrees"] is True
    assert data["manifest"]["session"] == SESSION.hex()
    assert data["sessions"][0]["sinks"] == ["virtualcam"]
