"""Makes the small video files that the tests read."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from realtime.errors import EndOfStream
from realtime.flow.pipeline import Source
from realtime.frame import Frame

RATE = 48_000  # Hz, of the sound


def numbered(count: int, width: int = 64, height: int = 48) -> list[NDArray[np.uint8]]:
    """Grey pictures whose brightness says their number, up to 40 of them."""
    return [np.full((height, width, 3), 16 + 5 * number, np.uint8) for number in range(count)]


def number_of(image: NDArray[np.uint8]) -> int:
    """The number that a picture of `numbered` shows, codec noise and all."""
    return round((float(image.mean()) - 16) / 5)


def flash(count: int, at: int, width: int = 64, height: int = 48) -> list[NDArray[np.uint8]]:
    """Black pictures with a white one among them."""
    return [np.full((height, width, 3), 255 * (number == at), np.uint8) for number in range(count)]


def click(seconds: float, at: float) -> NDArray[np.float32]:
    """Silence with a tone of 5 ms in it. (n,) mono samples, -1..1."""
    sound = np.zeros(round(seconds * RATE), np.float32)
    began, n = round(at * RATE), round(0.005 * RATE)
    sound[began : began + n] = 0.9 * np.sin(np.arange(n) * 2 * np.pi * 1000 / RATE)
    return sound


def write_clip(
    path: Path,
    images: Sequence[NDArray[np.uint8]],
    fps: int = 30,
    times: Sequence[float] | None = None,
    sound: NDArray[np.float32] | None = None,
    sound_codec: str = "aac",
    video_codec: str = "libx264",
    rotation: int = 0,
    options: dict[str, str] | None = None,
) -> Path:
    """A clip whose frames stand at `times` (seconds; every 1/fps where None), with mono sound where it is given."""
    times = [number / fps for number in range(len(images))] if times is None else times
    tick = Fraction(1, 90_000)
    with av.open(path, "w", container_options=options or {}) as container:
        video = container.add_stream(video_codec, rate=fps, options={"crf": "12", "preset": "ultrafast"})
        assert isinstance(video, av.VideoStream)
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = "yuvj420p" if video_codec == "mjpeg" else "yuv420p"
        video.codec_context.time_base = tick
        if rotation:
            video.set_display_rotation(rotation)
        heard = None if sound is None else _mono(container, sound_codec)
        for image, at in zip(images, times, strict=True):
            picture = _as_yuv(image, video.pix_fmt)
            picture.pts, picture.time_base = round(at / tick), tick
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if sound is not None and heard is not None:
            samples = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = RATE, 0, Fraction(1, RATE)
            container.mux(heard.encode(samples))
            container.mux(heard.encode(None))
    return path


def _as_yuv(image: NDArray[np.uint8], pixels: str) -> av.VideoFrame:
    """Without a tag, SD video has the colours of BT.601; the default rounding is 3 of 255 too dark."""
    picture = av.VideoFrame.from_ndarray(image, format="bgr24")
    exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND
    return picture.reformat(format=pixels, dst_colorspace="ITU601", interpolation=exact)


def _mono(container: OutputContainer, codec: str) -> av.AudioStream:
    stream = container.add_stream(codec, rate=RATE)
    assert isinstance(stream, av.AudioStream)
    stream.codec_context.layout = "mono"
    return stream


def pictures_in(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    """The frames of a video file, read by PyAV alone: (seconds, (h, w, 3) BGR)."""
    with av.open(path) as container:
        return [(frame.time, frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]  # type: ignore[misc]


def loudest(path: Path) -> float:
    """When the sound of a file is loudest: where the click begins, seconds."""
    times, levels = [], []
    with av.open(path) as container:
        for frame in container.decode(audio=0):
            level = np.abs(frame.to_ndarray().astype(np.float64)).reshape(len(frame.layout.channels), -1, order="F")
            assert frame.time is not None
            times.append(frame.time + np.arange(frame.samples) / frame.sample_rate)
            levels.append(level.max(axis=0)[: frame.samples])
    level, time = np.concatenate(levels), np.concatenate(times)
    return float(time[np.argmax(level > level.max() / 2)])


def boxes_in(path: Path) -> list[bytes]:
    """The names of an MP4's outer boxes."""
    data, at, names = path.read_bytes(), 0, []
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8])
        size = int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size
        at += size or len(data)
    return names


async def read_all(source: Source) -> list[Frame]:
    """Every frame that an open source gives."""
    frames = []
    while True:
        try:
            frames.append(await source.read())
        except EndOfStream:
            return frames
