"""A client's session: its camera's picture comes in, is swapped, and goes out to it and to its viewers."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from aiortc import RTCDataChannel

from realtime.egress.door import Door
from realtime.errors import LiveswapError, SinkError
from realtime.flow.pipeline import Pipeline
from realtime.flow.worker import Worker
from realtime.sinks.picture import encoded
from realtime.webrtc.bitrate import Effort, Limits, Load, Rate
from realtime.webrtc.control import CHANNEL, Control
from realtime.webrtc.engine import Engine
from realtime.webrtc.intake import Camera
from realtime.webrtc.media import MediaSettings, Wish
from realtime.webrtc.offer import Offer, camera_offer, viewer_offer
from realtime.webrtc.peer import Peer
from realtime.webrtc.refused import OfferRefused
from realtime.webrtc.sound import Heard, Sound
from realtime.webrtc.tracks import LONG_S, Ages, Picture, Screens

logger = logging.getLogger(__name__)

TICK_S: Final = 1.0
GONE: Final = 404
CONFLICT: Final = 409
FULL: Final = 503

Numbers = dict[str, float | int | str]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody else who watches a session."""

    peer: Peer
    picture: Picture
    heard: Heard | None


class Session:
    """One client's camera, swapped, for as long as it lasts.

    It ends when it is closed, when its peer is gone, sends no more or never connects, and when its time is over;
    `closed` is set then, and everything it held is free.
    """

    def __init__(
        self,
        name: str,
        wish: Wish,
        engine: Engine,
        media: MediaSettings,
        forget: Callable[["Session"], None],
        door: Door,
    ) -> None:
        self.name = name
        self.closed = asyncio.Event()
        self.wish = wish
        self.names = engine.names
        self._engine = engine
        self._media = media
        self._forget = forget
        self._limits = Limits.of(media)
        self._screens = Screens(media.fps)
        looks = replace(door.label, corner=wish.label, style=wish.style)
        self._door = door
        self._gate = door.gate(self._screens, [f"web session {name}"], looks)
        self._ages = Ages()
        self._sound = Sound(self._picture_delay)
        self._effort = Effort()
        self._began = time.perf_counter()
        self._judged_at = self._began
        self._counted = (0, 0)  # frames in and frames dropped when they were judged last
        self._peer: Peer | None = None
        self._camera: Camera | None = None
        self._picture: Picture | None = None  # what the peer itself gets back
        self._hears = False  # whether there is sound
        self._control: Control | None = None
        self._wishes: Worker | None = None  # while the session runs
        self._stills: Worker | None = None  # likewise
        self._saving = False  # whether one is being made
        self._viewers: dict[str, Viewer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None

    @property
    def mark(self) -> bytes:
        """The random id in the marks of its pictures."""
        return self._gate.session

    @property
    def starved(self) -> bool:
        """Whether it gets so few of its frames that nobody else should come."""
        return self._effort.starved

    async def answer(self, offer: str) -> str:
        """The answer to the client's offer, with all our candidates; from then on the session runs.

        Raises OfferRefused, and has ended then; a second offer is refused, and the session goes on.
        """
        self._check_open()
        if self._peer is not None:
            raise OfferRefused(CONFLICT, "the session has answered an offer already")
        try:
            return await self._begin(camera_offer(offer))
        except BaseException:
            await self.close()
            raise

    async def candidates(self, fragment: str) -> None:
        """Takes candidates that the client found after its offer. Raises OfferRefused."""
        self._check_open()
        if self._peer is None:
            raise OfferRefused(CONFLICT, "the session has had no offer yet")
        await self._peer.candidates(fragment)

    async def watch(self, viewer: str, offer: str) -> str:
        """The answer to the offer of somebody else who wants to see the session. Raises OfferRefused."""
        self._check_open()
        if viewer in self._viewers:
            raise OfferRefused(CONFLICT, "there is a viewer of that name")
        if len(self._viewers) >= self._media.most_viewers:
            raise OfferRefused(FULL, f"the session has {len(self._viewers)} viewers, and no room for more")
        examined = viewer_offer(offer)
        peer = Peer(self._media, lambda why: self._viewer_ended(viewer, why))
        picture = self._screens.added(Rate(self._limits), self._note_seen)
        heard = self._sound.added() if self._hears and examined.audio in ("recvonly", "sendrecv") else None
        self._viewers[viewer] = Viewer(peer, picture, heard)
        try:
            await peer.receive(examined)
            self._check_open()
            peer.send(picture)
            if heard is not None:
                peer.send(heard)
            peer.only_send()
            return await peer.answer()
        except BaseException:
            await self._forgotten(viewer)
            raise

    async def watched_candidates(self, viewer: str, fragment: str) -> None:
        """Takes candidates that a viewer found after its offer. Raises KeyError, OfferRefused."""
        await self._viewers[viewer].peer.candidates(fragment)

    async def unwatch(self, viewer: str) -> None:
        """Ends a viewer's connection. Raises KeyError where there is no such viewer."""
        await self._leave(self._viewers.pop(viewer))

    async def close(self) -> None:
        """Ends the session and frees what it holds. May be called again."""
        self._end("it is closed")
        assert self._closing is not None
        await asyncio.shield(self._closing)

    async def snapshot(self, name: str) -> bytes:
        """The last picture that has left, as a file of this name, .png or .jpg, with content credentials.

        Nothing waits for it: it is made on a thread of its own. Raises OfferRefused where none has left, or where
        another one is being made.
        """
        if self._stills is None:
            raise OfferRefused(CONFLICT, "the session does not run")
        if self._saving:
            raise OfferRefused(CONFLICT, "a picture of the session is being made, wanted one at a time")
        self._saving = True
        try:
            return await self._stills.run(self._still, name)
        except SinkError as error:
            raise OfferRefused(CONFLICT, f"there is no picture to keep: {error}") from error
        finally:
            self._saving = False

    def _still(self, name: str) -> bytes:
        picture = encoded(Path(name), self._gate.still())
        return self._door.signed(picture, name, self._gate.record)

    async def change(self, wish: Wish) -> None:
        """Makes a wish come true with the next frame. Raises LiveswapError; then everything stays as it is."""
        if self._wishes is None:
            raise OfferRefused(CONFLICT, "the session does not run")
        await self._wishes.run(self._engine.become, wish)
        self._gate.label = replace(self._gate.label, corner=wish.label, style=wish.style)
        self.wish = wish

    @property
    def numbers(self) -> Numbers:
        """How it goes, in the words of the control channel's stats."""
        seen = self._engine.meters.snapshot()
        usual, worst = self._ages.percentile(50), self._ages.percentile(95, LONG_S)
        width, height = self._camera.size if self._camera else (0, 0)
        watched = [self._picture] if self._picture else [viewer.picture for viewer in self._viewers.values()]
        return {
            "fps": round(seen.fps, 1),
            "age_ms": round(1000 * usual if usual is not None else seen.age_ms or 0.0, 1),
            "age_p95_ms": round(1000 * (worst or 0.0), 1),
            "faces": seen.faces,
            "frames_in": seen.frames_in,
            "frames_out": seen.frames_out,
            "dropped": seen.dropped,
            "width": width,
            "height": height,
            "bitrate_kbps": round(sum(picture.gauge.kbps for picture in watched)),
            "audio_delay_ms": round(1000 * (self._sound.delay or 0.0), 1),
            "viewers": len(self._viewers),
        }

    async def _begin(self, offer: Offer) -> str:
        self._peer = peer = Peer(self._media, lambda why: self._end(f"the peer ended: {why}"))
        peer.channel = self._take_channel
        tracks = await peer.receive(offer)
        self._check_open()
        self._camera = Camera(tracks["video"], self._media.width, self._media.height, self._media.fps)
        self._hears = "audio" in tracks
        if offer.video == "sendrecv":
            self._picture = self._screens.added(Rate(self._limits), self._ages.note)
            peer.send(self._picture)
        if self._hears and offer.audio == "sendrecv":
            peer.send(self._sound.added())
        answer = await peer.answer()
        self._check_open()
        self._spawn(self._carry(self._camera), "pictures")
        self._spawn(self._attend(self._camera), "attend")
        self._spawn(self._heed_consent(), "consent")
        if self._hears:
            self._spawn(self._sound.carry(tracks["audio"]), "sound")
        return answer

    async def _carry(self, camera: Camera) -> None:
        """Carries pictures until the peer sends no more."""
        try:
            async with AsyncExitStack() as opening:
                worker = await opening.enter_async_context(Worker("wishes"))
                stills = await opening.enter_async_context(Worker("stills"))
                aside = ExitStack()
                # It waits for a look under way. A call that is cancelled before it began would never be made.
                opening.push_async_callback(lambda: surely(worker.run(aside.close)))
                await worker.run(aside.enter_context, self._engine.aside())
                await opening.enter_async_context(camera)
                await opening.enter_async_context(self._gate)
                self._wishes, self._stills = worker, stills
                stages = self._engine.stages(camera.develop)
                engine = self._engine
                await Pipeline(camera, stages, self._gate, engine.meters, engine.patience, engine.prepare).run()
        except LiveswapError as error:
            self._fail(str(error))
        else:
            self._end("the peer sends no more")
        finally:
            self._wishes = self._stills = None

    async def _attend(self, camera: Camera) -> None:
        """Once a second: ends what lasts too long, eases the load, and says how it goes."""
        while True:
            await asyncio.sleep(TICK_S)
            now = time.perf_counter()
            if now - self._began > self._media.longest_s:
                self._end(f"it lasted {self._media.longest_s:g} s")
            connected = self._peer is not None and self._peer.connected.is_set()
            if connected and now - (camera.arrived_at or self._began) > self._media.idle_s:
                self._end(f"no picture came for {self._media.idle_s:g} s")
            self._ease(camera, now)
            if self._control is not None:
                self._control.say_numbers()

    async def _heed_consent(self) -> None:
        """Once a second: hides the picture where the consent to who is shown has ended, and says so."""
        while True:
            await asyncio.sleep(TICK_S)
            if self._wishes is None or not await self._wishes.run(self._engine.look_at_consent):
                continue
            if self._control is not None:
                ended = f"{self.wish.identity!r} may not be used any more"
                self._control.say_error(f"{ended}: choose somebody else, until then all is blurred")

    def _ease(self, camera: Camera, now: float) -> None:
        """Smaller pictures and fewer bits where a part is too slow for the frames that come."""
        seen = self._engine.meters.snapshot()
        frames, dropped = seen.frames_in - self._counted[0], seen.dropped - self._counted[1]
        passed, self._judged_at, self._counted = now - self._judged_at, now, (seen.frames_in, seen.dropped)
        pictures = self._screens.pictures
        busy = max(self._engine.busy() / passed, *(picture.gauge.busy for picture in pictures), 0.0)
        lost = max(dropped / frames if frames else 0.0, *(picture.missed() for picture in pictures), 0.0)
        before, camera.scale = camera.scale, self._effort(Load(busy, lost))
        if camera.scale != before:
            logger.info("session %s: pictures at %g of their size, busy %.0f %%", self.name, camera.scale, 100 * busy)
        for picture in pictures:
            picture.rate.shared(camera.scale**2)

    def _picture_delay(self) -> float | None:
        return self._ages.percentile(50)

    def _note_seen(self, captured_at: float) -> None:
        """Where the peer gets nothing back, its viewers say how long pictures take."""
        if self._picture is None:
            self._ages.note(captured_at)

    def _take_channel(self, channel: RTCDataChannel) -> None:
        if channel.label == CHANNEL and self._control is None:
            self._control = Control(channel, self)
            self._spawn(self._control.obey(), "control")

    def _viewer_ended(self, viewer: str, why: str) -> None:
        logger.info("session %s: a viewer ended: %s", self.name, why)
        if self._closing is None:
            self._spawn(self._forgotten(viewer), "viewer ends")

    async def _forgotten(self, viewer: str) -> None:
        if (gone := self._viewers.pop(viewer, None)) is not None:  # it may have been told to leave meanwhile
            await self._leave(gone)

    async def _leave(self, gone: Viewer) -> None:
        self._screens.remove(gone.picture)
        if gone.heard is not None:
            self._sound.remove(gone.heard)
        await gone.peer.close()

    def _check_open(self) -> None:
        if self._closing is not None:
            raise OfferRefused(GONE, "the session has ended")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=f"{name} of {self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._note_done)

    def _note_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("session %s: %s failed", self.name, task.get_name(), exc_info=error)
            self._fail(f"unexpectedly, with {type(error).__name__}")

    def _fail(self, why: str) -> None:
        """Ends the session for a fault, of which the client hears."""
        if self._closing is None and self._control is not None:
            self._control.say_error(f"the session has failed: {why}")
        self._end(f"it failed: {why}")

    def _end(self, why: str) -> None:
        if self._closing is None:
            logger.info("session %s ends: %s", self.name, why)
            self._closing = asyncio.create_task(self._close(), name=f"close of {self.name}")

    async def _close(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        viewers, self._viewers = tuple(self._viewers.values()), {}
        peers = [viewer.peer for viewer in viewers] + ([self._peer] if self._peer is not None else [])
        for ending in await asyncio.gather(*(peer.close() for peer in peers), return_exceptions=True):
            if isinstance(ending, Exception):
                logger.error("session %s: a peer did not close", self.name, exc_info=ending)
        self._forget(self)
        self.closed.set()


async def surely(work: Coroutine[Any, Any, None]) -> None:
    """Does the work to its end, also when whoever waits for it is cancelled meanwhile."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
