"""A video file that is written while it happens: H.264 in MP4, with the sound of the source."""

import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from realtime.errors import SinkError
from realtime.flow.letterbox import Image, letterbox, pad_to_even
from realtime.flow.owner import Owner
from realtime.frame import Frame
from realtime.sinks.sound import Sound
from realtime.sinks.writable import Seal, check_writable, reason
from realtime.sources.video_file import ROUNDED

logger = logging.getLogger(__name__)

VIDEOS = frozenset({".m4v", ".mov", ".mp4"})
TICK = Fraction(1, 90_000)  # seconds; every usual frame rate is a whole number of these
BT709 = 1  # the number of HD's colours in H.264's tables: primaries, transfer and matrix
OWN_TAGS = frozenset({"album", "artist", "comment", "composer", "copyright", "date", "description", "genre", "title"})


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """How a recording is encoded."""

    fps: float = 30.0  # what the encoder plans for; each frame keeps its own time
    quality: int = 20  # x264's CRF: 18 looks like the original, 28 is small
    preset: str = "veryfast"  # x264's speed against size


class Recording(Owner):
    """A video file as a sink; it opens in `async with` and is created with the first frame.

    A frame stands at `at` on the timeline where it has one, at the time of its capture since the first frame
    otherwise. The first frame decides the size: an odd one is padded by its edge, later frames of another size are
    fitted in. Until it is closed the file consists of fragments, so that it plays whatever ends the program; closing
    turns it into a plain MP4. Sound is taken from the file `sound`, where one is given, and stays in step with `at`.
    """

    def __init__(self, path: Path, sound: Path | None = None, settings: RecordingSettings | None = None) -> None:
        super().__init__("recording")
        self.path = path
        self._sound = sound
        self._settings = settings or RecordingSettings()
        self._metadata: dict[str, str] = {}
        self._tape: Tape | None = None
        self._broken = False  # the file could not be written
        self._seal: Seal | None = None

    def describe(self, metadata: Mapping[str, str]) -> None:
        """Adds to what the file says about itself. Raises SinkError once the first frame is written."""
        if self._tape is not None:
            raise SinkError(f"{self.path} is already being written: its description comes before the first frame")
        self._metadata.update(metadata)

    def seal_with(self, seal: Seal) -> None:
        """Takes what is to be done with the file once it is complete, on the recording's own thread."""
        self._seal = seal

    async def _acquire(self, opening: AsyncExitStack) -> None:
        """Raises SinkError where the file cannot be written."""
        await self._worker.run(self._check)
        opening.push_async_callback(self._worker.finish, self._finish)

    async def write(self, frame: Frame) -> None:
        """Encodes the frame on the recording's own thread. Raises SinkError where the file cannot be written."""
        await self._worker.run(self._write, frame)

    def _check(self) -> None:
        if self._sound is not None and self.path.exists() and self.path.samefile(self._sound):
            raise SinkError(f"{self.path} cannot be written: it is the source itself")
        check_writable(self.path)

    def _write(self, frame: Frame) -> None:
        try:
            if self._tape is None:
                self._tape = Tape(self.path, frame, self._sound, self._settings, self._metadata)
            self._tape.write(frame)
        except av.FFmpegError as error:
            self._broken = True
            raise SinkError(f"{self.path} cannot be written: {reason(error)}") from error

    def _finish(self) -> None:
        """Writes what the encoder still holds, whatever ended the run. Raises SinkError where that fails."""
        if self._tape is None:
            return
        try:
            self._tape.close(flush=not self._broken)  # writing on after a failure crashes FFmpeg
        except av.FFmpegError as error:
            raise SinkError(f"{self.path} cannot be completed: {reason(error)}") from error
        logger.info("%s: %d frames written", self.path, self._tape.count)
        if self._seal is not None:
            self._seal(self.path)


class Tape:
    """The open file; it blocks, so it belongs on a worker."""

    def __init__(
        self, path: Path, first: Frame, sound: Path | None, settings: RecordingSettings, metadata: Mapping[str, str]
    ) -> None:
        self.count = 0
        self._height, self._width = first.image.shape[:2]
        self._began = first.captured_at
        self._usual = max(1, round(1 / (settings.fps * TICK)))  # ticks that a frame lasts
        self._last = -1  # the last frame's place, ticks
        with ExitStack() as opening:
            self._container = opening.enter_context(_mp4(path, metadata))
            self._video = _h264(self._container, self._fitted(first.image), settings)
            self._sound = None if sound is None else Sound(sound, self._container)
            opening.pop_all()

    def write(self, frame: Frame) -> None:
        """Encodes one frame, and the sound up to it."""
        at = frame.captured_at - self._began if frame.at is None else frame.at
        ticks = max(self._last + 1, round(at / TICK))
        if self.count:
            self._usual = ticks - self._last
        picture = _as_yuv(self._fitted(frame.image))
        picture.pts, picture.time_base, picture.duration = ticks, TICK, self._usual
        self._container.mux(self._video.encode(picture))
        if self._sound is not None:
            self._sound.carry(float(ticks * TICK))
        self._last, self.count = ticks, self.count + 1

    def close(self, flush: bool) -> None:
        """Completes the file, with what is still held back where `flush` is set."""
        with ExitStack() as closing:
            closing.callback(self._container.close)
            if self._sound is not None:
                closing.callback(self._sound.close)
            if not flush:
                return
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._sound.finish(float((self._last + self._usual) * TICK))

    def _fitted(self, image: Image) -> Image:
        return pad_to_even(letterbox(image, self._width, self._height))


def _mp4(path: Path, metadata: Mapping[str, str]) -> OutputContainer:
    """The container: fragments of a second while it grows; each is on disk as soon as it is complete."""
    flags = "hybrid_fragmented+frag_keyframe+delay_moov"  # delay_moov: the true start of each stream is known
    if not OWN_TAGS.issuperset(metadata):
        flags += "+use_metadata_tags"
    options = {"movflags": flags, "frag_duration": "1000000", "flush_packets": "1"}
    container = av.open(path, "w", format="mp4", container_options=options)
    container.metadata.update(metadata)
    return container


def _h264(container: OutputContainer, first: Image, settings: RecordingSettings) -> VideoStream:
    options = {"crf": str(settings.quality), "preset": settings.preset, "rc-lookahead": "15"}
    stream = container.add_stream("libx264", rate=Fraction(settings.fps).limit_denominator(1001), options=options)
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = "yuv420p"
    codec = stream.codec_context
    codec.time_base = TICK
    codec.gop_size = max(1, round(settings.fps))  # a fragment begins with a whole picture
    codec.color_primaries = codec.color_trc = codec.colorspace = BT709
    codec.color_range = 1  # 16..235
    return stream


def _as_yuv(image: Image) -> VideoFrame:
    picture = VideoFrame.from_ndarray(image, format="bgr24")
    return picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation=ROUNDED)
