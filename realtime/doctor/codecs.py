"""Codecs: what can be recorded, tried with a few pictures, and which files can be read."""

import io
from collections.abc import Iterator
from typing import Final

import av
import numpy as np
from av.codec import Codec
from av.error import FFmpegError
from av.video.frame import VideoFrame

from realtime.doctor.finding import NOTE, OK, Finding

TOPIC: Final = "codecs"
READ: Final = ("h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "mjpeg", "prores")
REMEDY: Final = "pip install --force-reinstall -c constraints.txt av; its wheels carry every codec"
_PICTURES: Final = 3


def findings() -> Iterator[Finding]:
    """Tries them."""
    wrong = unrecordable()
    if wrong:
        yield Finding(TOPIC, "recording", NOTE, wrong, REMEDY)
    else:
        yield Finding(TOPIC, "recording", OK, "H.264 and AAC in MP4; a few pictures were written and read")
    readable = [name for name in READ if _has(name, "r")]
    missing = [name for name in READ if name not in readable]
    if missing:
        yield Finding(TOPIC, "reading", NOTE, f"not {', '.join(missing)}", REMEDY, {"readable": readable})
    else:
        yield Finding(TOPIC, "reading", OK, ", ".join(readable), figures={"readable": readable})


def unrecordable() -> str:
    """Why nothing can be recorded; empty where a few pictures came back from a recording in memory."""
    if missing := [name for name in ("libx264", "aac") if not _has(name, "w")]:
        return f"no encoder {' or '.join(missing)}"
    kept = io.BytesIO()
    try:
        with av.open(kept, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            for value in range(_PICTURES):
                picture = VideoFrame.from_ndarray(np.full((64, 64, 3), 80 * value, np.uint8), format="bgr24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        kept.seek(0)
        with av.open(kept, "r") as recording:
            read = len(list(recording.decode(video=0)))
    except FFmpegError as error:
        return f"a recording in memory failed: {error.strerror}"
    return "" if read == _PICTURES else f"{read} of {_PICTURES} pictures came back from a recording"


def _has(name: str, mode: str) -> bool:
    try:
        Codec(name, "w" if mode == "w" else "r")
    except (FFmpegError, ValueError):
        return False
    return True
