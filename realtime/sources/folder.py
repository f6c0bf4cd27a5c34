"""A folder of pictures, in the order in which people count."""

import re
import time
from contextlib import AsyncExitStack
from pathlib import Path

from realtime.errors import EndOfStream, SourceError, SourceMissing
from realtime.flow.owner import Owner
from realtime.frame import Frame
from realtime.sources.limits import check_asked
from realtime.sources.pace import Pace
from realtime.sources.still import PICTURES, load_picture, newest


class Folder(Owner):
    """The pictures of a folder as a source, `fps` of them for each second; it opens in `async with`.

    Recorded, every picture is a frame. Live, they come at that rate and who reads slowly gets the newest one, with
    a gap in the numbers. Where a width or height is given, pictures are fitted into that size.
    """

    def __init__(
        self, path: Path, live: bool = False, width: int | None = None, height: int | None = None, fps: float = 30.0
    ) -> None:
        super().__init__("folder")
        check_asked(width, height, fps)
        self.path = path
        self.live = live
        self._asked = (width, height)
        self._fps = fps
        self._pace = Pace()
        self._next = 0

    async def _acquire(self, opening: AsyncExitStack) -> None:
        """Raises SourceMissing where there are no pictures, SourceError where the folder cannot be read."""
        self._pictures = await self._worker.run(pictures_of, self.path)

    async def read(self) -> Frame:
        """The next picture. Raises EndOfStream after the last one, SourceError where one cannot be read."""
        if self._next >= len(self._pictures):
            raise EndOfStream(f"{self.path} has no more than {len(self._pictures)} pictures")
        index = self._next
        if self.live:
            index = min(max(index, newest(self._pace, self._fps)), len(self._pictures) - 1)
        image = await self._worker.run(load_picture, self._pictures[index], *self._asked)
        captured_at = await self._pace.wait(index / self._fps) if self.live else time.perf_counter()
        self._next = index + 1
        return Frame(image, index, captured_at, index / self._fps)


def pictures_of(folder: Path) -> tuple[Path, ...]:
    """The folder's pictures: 2.png before 10.png. Raises SourceMissing where there are none, or no such folder."""
    if not folder.exists():
        raise SourceMissing(f"there is no folder {folder}")
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise SourceError(f"{folder} cannot be read as a folder: {error.strerror}") from error
    pictures = [entry for entry in entries if entry.suffix.lower() in PICTURES and not entry.name.startswith(".")]
    if not pictures:
        raise SourceMissing(f"{folder} holds no pictures: wanted files that end in {', '.join(sorted(PICTURES))}")
    return tuple(sorted(pictures, key=lambda picture: _counted(picture.name)))


def _counted(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A key that sorts by numbers where there are numbers and by letters where there are letters, numbers first."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts], name
