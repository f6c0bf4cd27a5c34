"""Asks FFmpeg for a camera's listing, for a parent: a program of its own that needs PyAV alone, started by its path.

A driver may hang or crash while it is asked, and PyAV's and OpenCV's libraries may not get on in one process. What
FFmpeg says goes to standard output, as UTF-8.
"""

import sys
from contextlib import suppress
from typing import Final

import av
import av.logging

# What makes FFmpeg list and not open: DirectShow has a switch; AVFoundation lists where a size is none of its modes.
OPTIONS: Final = (("dshow", "list_options=true"), ("avfoundation", "video_size=1x1"))


def main(kind: str, target: str, *further: str) -> None:
    """kind and target as FFmpeg has them; further are options, `name=value`."""
    asked = [option for listed, option in OPTIONS if listed == kind]
    options = dict(one.split("=", 1) for one in (*asked, *further))
    av.logging.set_level(av.logging.INFO)
    # That it does not open is as it should be: it lists instead.
    with av.logging.Capture() as said, suppress(av.FFmpegError, OSError, ValueError):
        av.open(target, "r", format=kind, options=options).close()
    sys.stdout.buffer.write("".join(message for _, _, message in said).encode("utf-8", "replace"))


if __name__ == "__main__":
    main(*sys.argv[1:])
