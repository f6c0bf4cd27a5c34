"""A window on the desktop that shows what is sent."""

import os
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack

import cv2

from realtime.errors import EndOfStream, SinkError
from realtime.flow.letterbox import Image
from realtime.flow.owner import Owner
from realtime.frame import Frame

KEYS = frozenset(ord(key) for key in "123456789")
LEAVE = frozenset({27, ord("q")})  # Escape, q


class Preview(Owner):
    """A window as a sink; it opens in `async with`. Closing it, or Escape or q in it, ends the run.

    Digits go to press, from the thread that shows.
    """

    def __init__(self, title: str = "liveswap", press: Callable[[str], None] | None = None) -> None:
        super().__init__("preview")
        self._title = title
        self._press = press
        self._shown = False

    async def _acquire(self, opening: AsyncExitStack) -> None:
        """Raises SinkError where there is no display."""
        if not has_display():
            raise SinkError("no preview: there is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set)")
        opening.push_async_callback(self._run, self._close)

    async def write(self, frame: Frame) -> None:
        """Shows the frame. Raises EndOfStream when the user has closed the window."""
        await self._run(self._show, frame.image)

    async def _run(self, work: Callable[..., None], *args: object) -> None:
        if sys.platform == "darwin":  # there, windows belong to the main thread
            work(*args)
        else:
            await self._worker.run(work, *args)

    def _show(self, image: Image) -> None:
        try:
            if self._shown and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
                raise EndOfStream("the preview was closed")
            cv2.imshow(self._title, image)
            self._shown = True
            key = cv2.pollKey()
        except cv2.error as error:
            raise SinkError(f"no preview: this OpenCV opens no windows ({error.err})") from error
        if key in LEAVE:
            raise EndOfStream("the preview was left")
        if key in KEYS and self._press is not None:
            self._press(chr(key))

    def _close(self) -> None:
        if self._shown:
            cv2.destroyAllWindows()


def has_display() -> bool:
    """Whether windows can be opened here."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
