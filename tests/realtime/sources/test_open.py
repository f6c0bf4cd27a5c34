"""From what the user wrote to a source."""

import os
from pathlib import Path
from typing import Any

import pytest

from realtime.errors import LiveswapError, SettingsError, SourceError, SourceMissing
from realtime.sources.cameras import Camera
from realtime.sources.folder import Folder
from realtime.sources.open import open_source
from realtime.sources.reopening import Reopening
from realtime.sources.still import Still
from realtime.sources.video_file import VideoFile


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one of each."""
    for name in ("clip.mp4", "picture.JPG", "anything"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    there = (Camera("/dev/video0", "HD Pro Webcam C920"), Camera("/dev/video2", "HD Pro Webcam C922"))
    monkeypatch.setattr("realtime.sources.open.cameras", lambda formats: there)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0", Reopening),
        ("12", Reopening),
        ("/dev/video0", Reopening),
        ("rtsp://host/path", Reopening),
        ("HTTP://host:8080/cam.mjpeg", Reopening),
        ("screen:", Reopening),
        ("c920", Reopening),
        ("clip.mp4", VideoFile),
        ("anything", VideoFile),
        ("picture.JPG", Still),
        ("folder/", Folder),
    ],
)
def test_a_text_names_a_source(place: Path, text: str, kind: type) -> None:
    assert type(open_source(text)) is kind


@pytest.mark.parametrize("text", ["clip.mp4", "picture.JPG", "folder/"])
def test_files_are_recorded_unless_they_are_to_be_live(place: Path, text: str) -> None:
    assert not open_source(text).live
    assert open_source(text, live=True).live


@pytest.mark.parametrize("text", ["0", "rtsp://host/path", "screen:"])
def test_a_camera_is_always_live(text: str) -> None:
    assert open_source(text, live=False).live


def test_a_file_that_is_named_like_a_camera_is_the_file(place: Path) -> None:
    (place / "C920").touch()
    assert isinstance(open_source("C920"), VideoFile)


@pytest.mark.parametrize(
    ("text", "asked", "error", "words"),
    [
        ("none.mp4", {}, SourceMissing, "there is no file, folder or camera 'none.mp4'"),
        ("", {}, SourceMissing, "there is no file, folder or camera ''"),
        ("HD Pro", {}, SourceError, r"means several cameras: HD Pro Webcam C920 \(/dev/video0\), HD Pro Webcam C922"),
        ("ftp://host/clip", {}, SourceMissing, "there is no file, folder or camera"),
        ("0", {"on_lost": "wait"}, SettingsError, "on_camera_lost is 'wait', wanted card, hold or stop"),
        ("clip.mp4", {"width": 0}, SettingsError, "width 0"),
        ("clip.mp4", {"height": 10_000}, SettingsError, "height 10000"),
        ("0", {"width": 100_000}, SettingsError, "width 100000"),
        ("0", {"fps": 0.0}, SettingsError, "0 frames a second"),
        ("clip.mp4", {"fps": 10.0}, SettingsError, "clip.mp4 has its own frame rate"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(
    place: Path, text: str, asked: dict[str, Any], error: type[LiveswapError], words: str
) -> None:
    with pytest.raises(error, match=words):
        open_source(text, **asked)


def test_a_pipe_is_refused_before_anybody_waits_for_it(place: Path) -> None:
    os.mkfifo("pipe.mp4")
    with pytest.raises(SourceError, match=r"pipe\.mp4 is neither a file nor a folder"):
        open_source("pipe.mp4")
