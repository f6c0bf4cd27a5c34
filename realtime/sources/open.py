"""From what the user wrote to the source that it means."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from realtime.errors import SettingsError, SourceError, SourceMissing
from realtime.flow.pipeline import Source
from realtime.sources.cameras import Camera, camera_meant, cameras
from realtime.sources.folder import Folder
from realtime.sources.limits import check_asked
from realtime.sources.reopening import Reopening
from realtime.sources.screen import PREFIX, Screen
from realtime.sources.still import PICTURES, Still
from realtime.sources.stream import Stream, is_stream
from realtime.sources.video_file import VideoFile
from realtime.sources.webcam import Webcam, WebcamSettings

RATE = 30.0  # frames a second, for sources that have no rate of their own


def open_source(
    text: str,
    live: bool = False,
    width: int | None = None,
    height: int | None = None,
    fps: float | None = None,
    fit: str = "letterbox",
    on_lost: str = "card",
) -> Source:
    """The source that a text such as "0", "/dev/video0", "C920", "rtsp://host/path", "screen:" or "clip.mp4" names.

    A camera, a stream and the screen are live in any case, and are opened again after a loss as on_lost says. None
    asks for nothing: a file or stream keeps its size, a camera is asked for 1280x720 at 30. A fit other than letterbox
    leaves pictures whole, for somebody else to bring into width x height.
    Raises SettingsError for an absurd size or rate, SourceMissing where there is no such file and no camera of such a
    name, SourceError for a pipe; devices are looked for when the source is entered.
    """
    check_asked(width, height, fps)
    if (device := _device(text, width, height, fps, fit)) is not None:
        return Reopening(device, on_lost, fps or RATE)
    if fit != "letterbox" and width and height:
        width = height = None
    path = Path(text)
    if path.is_dir():
        return Folder(path, live, width, height, fps or RATE)
    if not path.is_file():
        raise SourceError(f"{text} is neither a file nor a folder: wanted a video, a picture or a folder of pictures")
    if path.suffix.lower() in PICTURES:
        return Still(path, live, width, height, fps or RATE)
    if fps is not None:
        raise SettingsError(f"{text} has its own frame rate: {fps:g} fps can be asked of cameras and pictures only")
    return VideoFile(path, live, width, height)


def _device(
    text: str, width: int | None, height: int | None, fps: float | None, fit: str
) -> Callable[[], Source] | None:
    """What makes the camera, stream or screen that a text names; None where it names a file or folder.

    Raises SourceMissing where there is none of these.
    """
    size = (None, None) if fit != "letterbox" and width and height else (width, height)
    if is_stream(text):
        return partial(Stream, text, *size)
    if text.startswith(PREFIX):
        return partial(Screen, text.removeprefix(PREFIX), *size, fps or RATE)
    if not (text.isdecimal() or text.startswith("/dev/")):
        if text and Path(text).exists():
            return None
        _check_named(text, cameras(formats=False))
    device = int(text) if text.isdecimal() else text
    return partial(Webcam, WebcamSettings(device, width or 1280, height or 720, fps or RATE))


def _check_named(text: str, there: tuple[Camera, ...]) -> None:
    """Raises SourceMissing where no camera has such a name, SourceError where several have."""
    try:
        camera_meant(text, there)
    except SourceMissing as error:
        raise SourceMissing(f"there is no file, folder or camera {text!r}") from error
