"""The screen as a source, through what PyAV's build has for it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from typing import IO, Final

import av
import numpy as np

from realtime.errors import MissingExtra, SourceError
from realtime.flow.letterbox import Image, letterbox
from realtime.sources import grab
from realtime.sources.draining import Draining, Patience
from realtime.sources.limits import check_asked, check_seen, fitted_size

PREFIX: Final = "screen:"
_ENDING_S: Final = 5.0  # for the other program, once it is killed


@dataclass(frozen=True, slots=True)
class Grabber:
    """What reads the screen on a system."""

    kind: str  # FFmpeg's name of it
    target: str  # what it reads where nothing is said
    pixels: str = ""  # the pixel format to ask for, where its own choice is a bad one


_GRABBERS: Final = (
    ("linux", Grabber("x11grab", "")),
    ("win32", Grabber("gdigrab", "desktop")),
    ("darwin", Grabber("avfoundation", "1", "nv12")),
)


class Screen(Draining):
    """The screen as a source; it opens in `async with`, once. A still screen is no fault, so nobody watches for it.

    what comes after `screen:`: on Linux a display such as :0.0 (its own otherwise), on Windows `desktop` or
    `title=...`, on macOS the number of a screen among avfoundation's devices.
    """

    def __init__(
        self,
        what: str = "",
        width: int | None = None,
        height: int | None = None,
        fps: float = 30.0,
        patience: Patience | None = None,
    ) -> None:
        """Raises MissingExtra where this build or system has no way to the screen, SourceError without a display."""
        check_asked(width, height, fps)
        grabber = grabber_of(sys.platform)
        target = target_of(grabber, what)
        name = f"{PREFIX}{target}"
        super().__init__(name, partial(Grabbing, grabber, target, name, fps, (width, height)), patience)


class Grabbing:
    """The other program, and what it reads; it blocks, and belongs to one thread."""

    def __init__(
        self, grabber: Grabber, target: str, name: str, fps: float, asked: tuple[int | None, int | None]
    ) -> None:
        """Raises SourceError where the screen does not open."""
        self._name = name
        self._asked = asked
        command = (sys.executable, "-P", grab.__file__, grabber.kind, target, f"{fps:g}", grabber.pixels)
        pipe = subprocess.PIPE
        self._program = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        assert self._program.stdout is not None
        self._pictures: IO[bytes] = self._program.stdout
        if self._pictures.read(1) != b"+":
            why = self._pictures.read(1000).decode("utf-8", "replace").lower() or "the program that reads it failed"
            self.close()
            raise SourceError(f"{name} does not open: {why}")

    def next(self) -> tuple[Image, float] | None:
        """The next picture and when it was taken; None where no more come."""
        head = self._pictures.read(grab.HEAD.size)
        if len(head) < grab.HEAD.size:
            return None
        width, height, captured_at = grab.HEAD.unpack(head)
        check_seen(self._name, width, height)
        pixels = self._pictures.read(width * height * 3)
        if len(pixels) < width * height * 3:
            return None
        image = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
        return letterbox(image, *fitted_size(width, height, *self._asked)), captured_at

    def close(self) -> None:
        """Ends the other program."""
        with self._program:
            self._program.kill()
            self._program.wait(_ENDING_S)


def grabber_of(system: str, formats: frozenset[str] | None = None) -> Grabber:
    """What reads the screen here; formats are those of FFmpeg's build. Raises MissingExtra."""
    formats = frozenset(av.formats_available) if formats is None else formats
    grabber = dict(_GRABBERS).get(system)
    if grabber is None:
        raise MissingExtra(f"the screen cannot be read on {system}: wanted Linux, Windows or macOS")
    if grabber.kind not in formats:
        raise MissingExtra(
            f"this build of PyAV cannot read the screen: it lacks {grabber.kind}, wanted a build with it"
        )
    return grabber


def target_of(grabber: Grabber, what: str) -> str:
    """What the grabber is to read. Raises SourceError where there is no display to read."""
    target = what or grabber.target
    if grabber.kind == "x11grab" and not target:
        target = os.environ.get("DISPLAY", "")
        if not target:
            raise SourceError("there is no X display to read: DISPLAY is not set, wanted screen::0 or a desktop of X")
    return target
