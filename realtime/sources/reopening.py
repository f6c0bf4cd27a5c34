"""A live source that is opened again after it was lost, while stand-ins keep the pace of those who watch."""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from realtime.errors import EndOfStream, SettingsError, SourceError, SourceLost
from realtime.flow.card import card
from realtime.flow.pipeline import Source
from realtime.frame import Frame

logger = logging.getLogger(__name__)

ON_LOST: Final = ("card", "hold", "stop")
PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)  # before each try; after the last it stays at that
WORDS: Final = ("The camera is away.", "It will be back.")  # seen by others, so without the camera's name


def check_on_lost(how: str) -> None:
    """Raises SettingsError unless how is one of ON_LOST."""
    if how not in ON_LOST:
        raise SettingsError(f"on_camera_lost is {how!r}, wanted {', '.join(ON_LOST[:-1])} or {ON_LOST[-1]}")


class Reopening:
    """Gives the frames of one source after another; it opens in `async with`.

    `opened` makes a source that can be entered once. When it is lost, further ones are tried with growing pauses, and
    until one gives a picture, stand-ins come fps times a second: cards, marked so that with hold the last picture that
    left takes their place (realtime.flow.standing). Numbers and times go on rising. With stop, a loss is the end.
    """

    live = True

    def __init__(
        self, opened: Callable[[], Source], how: str = "card", fps: float = 30.0, pauses: Sequence[float] = PAUSES_S
    ) -> None:
        """Raises SettingsError."""
        check_on_lost(how)
        self._make = opened
        self._how = how
        self._period = 1 / fps
        self._pauses = tuple(pauses)
        self._source: Source | None = None  # the one that is open and gives pictures
        self._search: asyncio.Task[tuple[Source, Frame]] | None = None  # for the next one
        self._base = 0  # the number of this source's first frame
        self._next = 0  # the number of the next frame
        self._size = (1280, 720)  # px, of the latest picture
        self._lost_at = 0.0  # seconds, time.perf_counter()
        self._due = 0.0  # when the next stand-in comes, likewise

    async def __aenter__(self) -> Self:
        """Raises what opening raises: what was never there is not waited for."""
        source = self._make()
        await source.__aenter__()
        self._source = source
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._search is not None:
            await self._end_search(self._search)
        if self._source is not None:
            await self._source.__aexit__(kind, error, trace)

    async def read(self) -> Frame:
        """The next frame, or a stand-in. Raises EndOfStream at an end, SourceError where the first never comes.

        SourceLost only with stop.
        """
        if self._source is not None:
            try:
                return self._numbered(await self._source.read())
            except SourceLost as error:
                if self._how == "stop":
                    raise
                self._lose(self._source, error)
        return await self._meanwhile()

    def _lose(self, source: Source, error: SourceLost) -> None:
        self._source = None
        shown = "the last picture is held" if self._how == "hold" else "a card is shown"
        logger.warning("%s; %s until it is back", error, shown)
        self._lost_at = self._due = time.perf_counter()
        self._card = card(*self._size, WORDS)
        self._search = asyncio.create_task(self._found(source))

    async def _found(self, lost: Source) -> tuple[Source, Frame]:
        """The next source, open, and its first picture."""
        await lost.__aexit__(None, None, None)
        for pause in self._waits():
            await asyncio.sleep(pause)
            try:
                source = self._make()
                await source.__aenter__()
            except SourceError as error:
                logger.info("not yet: %s", error)
                continue
            try:
                return source, await source.read()
            except (SourceError, EndOfStream) as error:
                logger.info("not yet: %s", error)
                await source.__aexit__(None, None, None)
            except BaseException:
                await source.__aexit__(None, None, None)
                raise
        raise AssertionError("the waits have no end")

    def _waits(self) -> Iterator[float]:
        return itertools.chain(self._pauses, itertools.repeat(self._pauses[-1]))

    async def _meanwhile(self) -> Frame:
        """The first frame of the next source, or a stand-in when that is due."""
        assert self._search is not None
        done, _ = await asyncio.wait([self._search], timeout=max(0.0, self._due - time.perf_counter()))
        if not done:
            return self._stand_in()
        self._source, first = self._search.result()
        self._search = None
        name = getattr(self._source, "name", "the source")
        logger.warning("%s is back after %.1f s", name, time.perf_counter() - self._lost_at)
        self._base = self._next - first.index
        return self._numbered(first)

    def _stand_in(self) -> Frame:
        now = time.perf_counter()
        self._due = max(self._due + self._period, now)  # what a slow machine has missed is not made up for
        self._next += 1
        return Frame(self._card, self._next - 1, now, instead=self._how)

    def _numbered(self, frame: Frame) -> Frame:
        height, width = frame.image.shape[:2]
        self._size = (width, height)
        self._next = self._base + frame.index + 1
        return replace(frame, index=self._next - 1) if self._base else frame

    async def _end_search(self, search: "asyncio.Task[tuple[Source, Frame]]") -> None:
        """Ends the search; a source that it has found and nobody took is closed."""
        search.cancel()
        await asyncio.wait([search])
        if search.cancelled():
            return
        with suppress(SourceError, EndOfStream):
            source, _ = search.result()
            await source.__aexit__(None, None, None)
