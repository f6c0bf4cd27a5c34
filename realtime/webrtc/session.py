"""A client's session: its camera's picture comes in, is swapped, and goes out to it and to its viewers."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import cv2
from aiortc import RTCDataChannel

from realtime.cores import held_to, keep_to, placement, usable
from realtime.egress.door import Door
from realtime.errors import ConsentError, LiveswapError, SinkError, UnknownIdentity
from realtime.face.detect import Detector, open_detector
from realtime.face.landmarks import Landmarker
from realtime.face.track import Tracker
from realtime.flow.meters import Meters
from realtime.flow.pipeline import Pipeline, Stage
from realtime.flow.turns import BEGUN, FRESH, Turns
from realtime.flow.worker import Worker
from realtime.frame import Frame
from realtime.settings import Settings
from realtime.sinks.picture import encoded
from realtime.swap.compose import Composer, Swapped
from realtime.swap.fused.batcher import Batcher
from realtime.swap.fused.fit import FusedFit
from realtime.swap.fused.identity import Fusing
from realtime.swap.identity import Card, Shelf
from realtime.swap.swapper import Swapper, unswapped
from realtime.webrtc.bitrate import Effort, Limits, Load, Rate
from realtime.webrtc.control import CHANNEL, Control
from realtime.webrtc.intake import Camera
from realtime.webrtc.leavings import Leavings
from realtime.webrtc.media import MediaSettings, Wish
from realtime.webrtc.offer import Offer, camera_offer, viewer_offer
from realtime.webrtc.peer import Peer
from realtime.webrtc.refused import OfferRefused
from realtime.webrtc.sound import Heard, Sound
from realtime.webrtc.tracks import LONG_S, Ages, Picture, Screens

__all__ = ["MediaSettings", "OfferRefused", "Session", "Studio", "Wish"]

logger = logging.getLogger(__name__)

TICK_S: Final = 1.0
GONE: Final = 404
CONFLICT: Final = 409
FULL: Final = 503

Numbers = dict[str, float | int | str]
In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Networks:
    """The inference sessions that all trackers share: they keep nothing between calls, so threads may share them."""

    detector: Detector
    aside: Detector  # of one thread, for looks beside the frames
    landmarker: Landmarker

    @classmethod
    def load(cls, settings: Settings) -> "Networks":
        """Those that the settings name. Raises ModelError, MissingExtra."""
        tracking = settings.tracking
        detector = open_detector(tracking.detector, settings.threads)
        aside = open_detector(tracking.detector, 1)
        return cls(detector, aside, Landmarker.load(tracking.landmarks, settings.session))

    def tracker(self, settings: Settings) -> Tracker:
        """A tracker that has seen nobody yet."""
        return Tracker(self.detector, self.landmarker, settings.tracking, lambda: self.aside)


class Studio:
    """The models that all sessions share, and the sessions made from them."""

    def __init__(self, settings: Settings, media: MediaSettings, shelf: Shelf, networks: Networks) -> None:
        self.settings = settings
        self.media = media
        self.shelf = shelf
        self.networks = networks
        self.door = Door.of(settings, shelf.cards)
        self._batcher = Batcher() if settings.fused else None  # frames of all sessions go through it
        self._cores = placement(settings.cores, settings.threads).cores
        many = usable() if self._cores is None else len(self._cores)
        self._turns = None if settings.fused else Turns(many)  # common calls need many who wait at once
        self._sessions: set[Session] = set()
        self._leavings = Leavings()

    @classmethod
    def load(cls, settings: Settings, media: MediaSettings) -> "Studio":
        """A studio with the models of the settings, all identities warm. Blocks.

        The models' threads stay on the cores of the settings. Raises ModelError, MissingExtra, SettingsError.
        """
        cv2.setNumThreads(settings.threads)
        opening = Fusing(settings.session, settings.cuda_graphs) if settings.fused else None
        with held_to(placement(settings.cores, settings.threads).cores):
            shelf = Shelf.load(settings.folder, settings.session, None, settings.consent, opening)
            return cls(settings, media, shelf, Networks.load(settings))

    @property
    def identities(self) -> tuple[Card, ...]:
        """Who a client can become."""
        return self.shelf.cards()

    @property
    def sessions(self) -> tuple["Session", ...]:
        """Those that have not ended."""
        return tuple(self._sessions)

    def session(self, name: str, wish: Wish) -> "Session":
        """A session that waits for its offer. Raises UnknownIdentity, SettingsError."""
        if wish.identity not in self.shelf.names:  # a path would be a file of this machine
            wanted = ", ".join(self.shelf.names)
            raise UnknownIdentity(f"there is no identity {wish.identity!r:.60}, wanted one of {wanted}")
        check_still(self.shelf, wish.identity)
        engine = Engine(
            self.settings, self.shelf, self.networks.tracker(self.settings), wish, self._batcher, self._turns
        )
        engine.prepare = partial(keep_to, self._cores)
        session = Session(name, wish, engine, self.media, self._over, self.door)
        self._sessions.add(session)
        return session

    def settle(self) -> None:
        """What this process holds by now stays: what looks for what ended sessions leave passes over it."""
        self._leavings.freeze()

    def _over(self, session: "Session") -> None:
        self._sessions.discard(session)
        self._leavings.clear_soon()

    async def close(self) -> None:
        """Ends all sessions."""
        await asyncio.gather(*(session.close() for session in tuple(self._sessions)))


class Engine:
    """What swaps one session's face: its own tracker and identity, on the shared models."""

    def __init__(
        self,
        settings: Settings,
        shelf: Shelf,
        tracker: Tracker,
        wish: Wish,
        batcher: Batcher | None = None,
        turns: Turns | None = None,
    ) -> None:
        """A batcher draws whole frames, where the shelf's identities do; turns are shared by all who compute here."""
        self.meters = Meters()
        self.patience = settings.patience
        self.names = shelf.names
        self.batcher = batcher
        self.prepare: Callable[[], None] = lambda: None  # is called on the thread of each stage before it begins
        self._turns = turns
        self._shelf = shelf
        self.aside = tracker.looking_aside
        self._busy = {"swap": Busy(), "compose": Busy()}
        fallback = replace(settings.fallback, no_face=wish.no_face)
        self._swap = Swapper(tracker, shelf, wish.identity, fallback, self.meters, settings.faces, settings.fade)
        fit = None if batcher is None else FusedFit(settings.composing, None, batcher)
        self._compose = Composer(fallback, settings.composing, fit)

    def stages(self, develop: Callable[[Frame], Frame]) -> list[Stage[Any, Any]]:
        """As `liveswap run` has them; a frame is developed when somebody has time for it, and not before."""
        swap, compose = self._busy["swap"], self._busy["compose"]
        first: Stage[Frame, Frame] = Stage("develop", swap.timed(develop))
        then: Stage[Frame, Swapped] = Stage("swap", swap.timed(self._swap), instead=unswapped)
        last: Stage[Swapped, Frame] = Stage("compose", compose.timed(self._compose), instead=self._compose.instead)
        return [replace(first.then(then), turn=self._turn(FRESH)), replace(last, turn=self._turn(BEGUN))]

    def become(self, wish: Wish) -> None:
        """Chooses what is wished for; it may load, so not on the event loop. Raises LiveswapError."""
        fallback = replace(self._compose.fallback, no_face=wish.no_face)
        if wish.identity != self._swap.identity:
            check_still(self._shelf, wish.identity)
            self._swap.identity = wish.identity
        self._compose.fallback = fallback

    def _turn(self, order: int) -> Callable[[], AbstractAsyncContextManager[None]]:
        return nullcontext if self._turns is None else partial(self._turns.at, order)

    def look_at_consent(self) -> bool:
        """Shows nobody whose consent has ended meanwhile: whether that is new. It may wait for a disk."""
        why = self._swap.look_at_consent()
        if why is not None:
            logger.warning("%s is not shown any more: %s", self._swap.identity, why)
        return why is not None

    def busy(self) -> float:
        """Seconds that the slowest loop worked since this was asked last."""
        return max(part.taken() for part in self._busy.values())


def check_still(shelf: Shelf, name: str) -> None:
    """Raises UnknownIdentity where the consent to an identity has ended since the start; the log says how.

    A visitor gets to know neither who agreed nor why it ended.
    """
    try:
        shelf[name]
    except ConsentError as error:
        logger.warning("%s is not given any more: %s", name, error)
        raise UnknownIdentity(f"the identity {name!r} may not be used any more") from error


class Busy:
    """Adds up how long something works. One thread works, another one asks."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._asked = 0.0

    def timed(self, work: Callable[[In], Out]) -> Callable[[In], Out]:
        """The same work, whose time counts."""

        def done(item: In) -> Out:
            began = time.perf_counter()
            try:
                return work(item)
            finally:
                self._seconds += time.perf_counter() - began

        return done

    def taken(self) -> float:
        """Seconds since it was asked last."""
        since, self._asked = self._seconds - self._asked, self._seconds
        return since


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
