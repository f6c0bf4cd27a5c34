"""The models that all sessions of a process share, and the sessions made from them."""

import asyncio
from dataclasses import dataclass
from functools import partial

import cv2

from realtime.cores import held_to, keep_to, placement, usable
from realtime.egress.door import Door
from realtime.errors import UnknownIdentity
from realtime.face.detect import Detector, open_detector
from realtime.face.landmarks import Landmarker
from realtime.face.track import Tracker
from realtime.flow.turns import Turns
from realtime.settings import Settings
from realtime.swap.fused.batcher import Batcher
from realtime.swap.fused.identity import Fusing
from realtime.swap.identity import Card, Shelf
from realtime.webrtc.engine import Engine, check_still
from realtime.webrtc.leavings import Leavings
from realtime.webrtc.media import MediaSettings, Wish
from realtime.webrtc.session import Session


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
