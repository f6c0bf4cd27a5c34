"""From what the user wrote to the sinks that it means."""

from collections.abc import Callable, Sequence
from pathlib import Path

from realtime.errors import SettingsError, SinkError
from realtime.flow.pipeline import Sink
from realtime.sinks.fan_out import FanOut
from realtime.sinks.null import Null
from realtime.sinks.picture import WRITTEN, Picture
from realtime.sinks.preview import Preview
from realtime.sinks.video_file import VIDEOS, Recording, RecordingSettings
from realtime.sinks.virtual_camera import VirtualCamera


def open_sink(
    texts: Sequence[str],
    live: bool,
    sound: Path | None = None,
    fps: float = 30.0,
    press: Callable[[str], None] | None = None,
) -> Sink:
    """The sink, or several side by side, that texts name.

    A text is "virtualcam", "virtualcam:/dev/video10", "virtualcam:part of a name", "preview", "null", "out.mp4",
    "out.png" or "out-%05d.png". `live` is the source's; `sound` is the file whose sound a recording gets; `press`
    takes the digits typed into a preview. Raises SettingsError where no sink or the same one twice is named, SinkError
    where a text names none.
    """
    if not texts:
        raise SettingsError("there is no sink: wanted at least one, such as virtualcam, out.mp4 or null")
    if twice := sorted({text for text in texts if list(texts).count(text) > 1}):
        raise SettingsError(f"sink {twice[0]} is named twice")
    sinks = [_named(text, live, sound, fps, press) for text in texts]
    return sinks[0] if len(sinks) == 1 else FanOut(sinks, live)


def is_virtual_camera(text: str) -> bool:
    """Whether a text names a virtual camera, whose pictures all have one size."""
    return text.partition(":")[0] == "virtualcam"


def _named(text: str, live: bool, sound: Path | None, fps: float, press: Callable[[str], None] | None) -> Sink:
    if is_virtual_camera(text):
        return VirtualCamera(text.partition(":")[2] or None, fps, live)
    if text == "preview":
        return Preview(press=press)
    if text == "null":
        return Null()
    path = Path(text)
    if path.suffix.lower() in VIDEOS:
        return Recording(path, sound, RecordingSettings(fps))
    if path.suffix.lower() in WRITTEN:
        return Picture(path)
    files = ", ".join(sorted(VIDEOS | WRITTEN))
    raise SinkError(f"sink {text!r} is unknown: wanted virtualcam, preview, null or a file that ends in {files}")
