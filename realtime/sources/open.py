"""From what the user wrote to the source that it means."""

from pathlib import Path

from realtime.errors import SettingsError, SourceError, SourceMissing
from realtime.flow.pipeline import Source
from realtime.sources.folder import Folder
from realtime.sources.limits import check_asked
from realtime.sources.still import PICTURES, Still
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
) -> Source:
    """The source that a text such as "0", "/dev/video0", "clip.mp4", "picture.jpg" or "folder/" names.

    A camera is live in any case. None asks for nothing: a file keeps its size, a camera is asked for 1280x720 at 30.
    A fit other than letterbox leaves a file's pictures whole, for somebody else to bring into width x height.
    Raises SettingsError for an absurd size or rate, SourceMissing where there is no such file, SourceError for a pipe;
    a camera is looked for when the source is entered.
    """
    check_asked(width, height, fps)
    if text.isdecimal() or text.startswith("/dev/"):
        device = int(text) if text.isdecimal() else text
        return Webcam(WebcamSettings(device, width or 1280, height or 720, fps or RATE))
    if fit != "letterbox" and width and height:
        width = height = None
    path = Path(text)
    if not text or not path.exists():
        raise SourceMissing(f"there is no file, folder or camera {text!r}")
    if path.is_dir():
        return Folder(path, live, width, height, fps or RATE)
    if not path.is_file():
        raise SourceError(f"{text} is neither a file nor a folder: wanted a video, a picture or a folder of pictures")
    if path.suffix.lower() in PICTURES:
        return Still(path, live, width, height, fps or RATE)
    if fps is not None:
        raise SettingsError(f"{text} has its own frame rate: {fps:g} fps can be asked of cameras and pictures only")
    return VideoFile(path, live, width, height)
