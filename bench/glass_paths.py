"""The ways that a picture can take from a camera to a far end, each measured by one call."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bench import stamp
from bench.glass_camera import HEIGHT, WIDTH, Camera, Film
from bench.glass_numbers import RATE, Arrival, Run, settling
from realtime.carrying import Models, stages
from realtime.egress.door import Door
from realtime.egress.gate import Gate
from realtime.egress.label import Label
from realtime.face.track import Tracker
from realtime.flow.pipeline import Pipeline
from realtime.frame import Frame
from realtime.settings import Settings
from realtime.swap.compose import Composer
from realtime.swap.swapper import Swapper

if TYPE_CHECKING:  # they need aiortc, which a base installation lacks
    from bench.glass_peers import FarEnd
    from realtime.webrtc.media import MediaSettings
    from realtime.webrtc.studio import Studio


class Paths:
    """The ways that a picture can take, each measured by one call; models are loaded once, when first needed."""

    def __init__(self, settings: Settings, clip: Path, seconds: float) -> None:
        self._settings = settings
        self._clip = clip
        self.seconds = seconds

    def named(self, name: str) -> Callable[[], Awaitable[Run]]:
        """The measurement of that path, all of it, from the first arrival on."""
        paths: dict[str, Callable[[], Awaitable[Run]]] = {
            "inprocess": self._inprocess,
            "echo": partial(self._visit, self._echo),
            "swap": partial(self._visit, self._session),
            "naive": partial(self._visit, self._naive),
            "browser echo": partial(self._browse, self._echo),
            "browser swap": self._browse_server,
            "browser naive": partial(self._browse, self._naive),
        }
        return paths[name]

    async def _inprocess(self) -> Run:
        """The pipeline alone, as `liveswap run` builds it."""
        models, how = self._models, self._settings.fallback
        swapper = Swapper(models.tracker, models.shelf, models.identity, how)
        composer = Composer(how, self._settings.composing)
        async with Camera(self._film) as camera, Gate(reader := Reader()) as gate:
            pipeline = Pipeline(camera, stages(swapper.find, swapper.draw, composer), gate)
            with models.tracker.looking_aside():
                await pipeline.run(settling(self.seconds) + self.seconds)
        return reader.run

    async def _visit(self, far_end: "Callable[[], FarEnd]") -> Run:
        """aiortc to aiortc on loopback; the visitor is a process of its own."""
        from bench.glass_visitor import meet

        return await meet(far_end(), self._clip, self.seconds)

    async def _browse(self, far_end: "Callable[[], FarEnd]") -> Run:
        """Chromium to a far end in this process, and back."""
        from bench.glass_browser import browse

        return await browse(far_end(), self._film, self.seconds)

    async def _browse_server(self) -> Run:
        """Chromium to `liveswap serve` and back."""
        from bench.glass_browser import Served, browse

        asked = self._settings
        words = ["--width", str(WIDTH), "--height", str(HEIGHT), "--threads", str(asked.threads)]
        words += ["--provider", asked.provider, "--size", asked.size]
        words += ["--models", asked.models] if asked.models else []
        async with Served(words, asked.identity) as server:
            return await browse(server, self._film, self.seconds)

    def _echo(self) -> "FarEnd":
        from bench.glass_peers import Unswapped
        from realtime.webrtc.media import Wish
        from realtime.webrtc.session import Session

        wish = Wish(identity=self._settings.identity)
        tracker = self._models.tracker
        assert isinstance(tracker, Tracker)
        engine = Unswapped(self._settings, self._models.shelf, tracker, wish)
        door = Door.of(replace(self._settings, session_log=False), self._models.shelf.cards)
        return Session("echo", wish, engine, self._media, lambda _: None, door)

    def _naive(self) -> "FarEnd":
        from bench.glass_peers import Naive

        swapper = Swapper(self._models.tracker, self._models.shelf, self._models.identity, self._settings.fallback)
        composer, label = Composer(self._settings.fallback, self._settings.composing), Label()

        def work(frame: Frame) -> Frame:
            composed = composer(swapper(frame))
            return replace(composed, image=label(composed.image))

        return Naive(work)

    def _session(self) -> "FarEnd":
        from realtime.webrtc.media import Wish

        return self._studio.session("glass", Wish(identity=self._settings.identity))

    @cached_property
    def _media(self) -> "MediaSettings":
        from realtime.webrtc.media import MediaSettings

        return MediaSettings(width=WIDTH, height=HEIGHT, fps=round(RATE))

    @cached_property
    def _models(self) -> Models:
        return Models.load(self._settings)

    @cached_property
    def _studio(self) -> "Studio":
        from realtime.webrtc.studio import Studio

        return Studio.load(self._settings, self._media)

    @cached_property
    def _film(self) -> Film:
        return Film.load(self._clip)


class Reader:
    """A sink that notes which frame came when."""

    def __init__(self) -> None:
        self._arrivals: list[Arrival] = []
        self._unread: list[float] = []

    @property
    def run(self) -> Run:
        """What came so far."""
        return Run(tuple(self._arrivals), tuple(self._unread))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to give back."""

    async def write(self, frame: Frame) -> None:
        """Reads the frame's number; where it is readable, it is the frame's own."""
        seen_at = time.perf_counter()
        number = await asyncio.to_thread(stamp.read, frame.image)
        if number is None:
            self._unread.append(seen_at)
        else:
            self._arrivals.append(Arrival(number, frame.captured_at, seen_at))
