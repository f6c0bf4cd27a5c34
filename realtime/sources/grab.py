"""Reads the screen for a parent: a program of its own that needs PyAV alone, and is started by its path.

PyAV's and OpenCV's wheels each bring libraries of X; in one process, reading the screen crashes after OpenCV's are
loaded, and OpenCV's windows crash after PyAV's. It says "+" once the screen is open, then each picture as a head and
BGR; or "-" and why not. It ends when its standard input does, so it never outlives who started it.
"""

import os
import signal
import struct
import sys
import threading
import time
from typing import Final

import av

HEAD: Final = struct.Struct("=IId")  # width and height in px; seconds, time.perf_counter(), one clock for all processes


def main(kind: str, target: str, rate: str, pixels: str) -> None:
    """kind and target as FFmpeg has them; rate is frames in a second; pixels a pixel format, or nothing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    out = sys.stdout.buffer
    try:
        container = av.open(target, "r", format=kind, options={"framerate": rate, **_pixel_format(pixels)})
    except (av.FFmpegError, OSError) as error:
        out.write(f"-{error.strerror or 'nobody knows why'}".encode())
        return
    out.write(b"+")
    for frame in container.decode(video=0):
        taken = time.perf_counter()
        picture = frame.to_ndarray(format="bgr24")
        out.write(HEAD.pack(picture.shape[1], picture.shape[0], taken))
        out.write(picture.tobytes())
        out.flush()


def _pixel_format(pixels: str) -> dict[str, str]:
    return {"pixel_format": pixels} if pixels else {}


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
