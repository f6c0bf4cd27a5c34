"""Pictures on disk: the last frame, or every frame with its number."""

import re
from contextlib import AsyncExitStack
from pathlib import Path

import cv2

from realtime.errors import SinkError
from realtime.flow.owner import Owner
from realtime.frame import Frame
from realtime.sinks.writable import Seal, check_writable, reason

WRITTEN = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
NUMBER = re.compile(r"%0?\d*d")


class Picture(Owner):
    """One or many pictures as a sink; it opens in `async with`.

    A path such as `out.png` gets the last frame, written on leaving, whatever ended the run. A path with a place for a
    number, such as `out-%05d.png`, gets every frame under the frame's own number.
    """

    def __init__(self, path: Path) -> None:
        super().__init__("picture")
        numbers = len(NUMBER.findall(path.name))
        if path.name.count("%") != numbers or numbers > 1:
            raise SinkError(f"{path} cannot be written: wanted one place for a number, such as out-%05d.png")
        self.path = path
        self._numbered = numbers == 1
        self._last: Frame | None = None
        self._seal: Seal | None = None

    @property
    def keeps_one(self) -> bool:
        """Whether only the last frame is written, by itself."""
        return not self._numbered

    def seal_with(self, seal: Seal) -> None:
        """Takes what is to be done with each file once it is complete, on the pictures' own thread."""
        self._seal = seal

    async def _acquire(self, opening: AsyncExitStack) -> None:
        """Raises SinkError where the pictures cannot be written."""
        await self._worker.run(check_writable, self._named(0))
        opening.push_async_callback(self._worker.finish, self._write_last)

    async def write(self, frame: Frame) -> None:
        """Keeps the frame, or writes it where pictures are numbered. Raises SinkError where it cannot."""
        if self._numbered:
            await self._worker.run(self._write, self._named(frame.index), frame)
        else:
            self._last = frame

    def _named(self, index: int) -> Path:
        return self.path.with_name(self.path.name % index) if self._numbered else self.path

    def _write_last(self) -> None:
        if self._last is not None:
            self._write(self.path, self._last)

    def _write(self, path: Path, frame: Frame) -> None:
        save(path, frame)
        if self._seal is not None:
            self._seal(path)


def save(path: Path, frame: Frame) -> None:
    """Writes the frame's picture in the format that the name ends in. Raises SinkError where it cannot."""
    try:
        path.write_bytes(encoded(path, frame))
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {reason(error)}") from error


def encoded(path: Path, frame: Frame) -> bytes:
    """The frame's picture in the format that the name ends in. Raises SinkError where it does not fit into that."""
    jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    fits, data = cv2.imencode(path.suffix, frame.image, [cv2.IMWRITE_JPEG_QUALITY, 95] if jpeg else [])
    if not fits:
        h, w = frame.image.shape[:2]
        raise SinkError(f"{path} cannot be written: a picture of {w}x{h} does not fit into {path.suffix}")
    return data.tobytes()
