"""What swaps one session's face: its own tracker and identity, on the models that all sessions share."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from realtime.errors import ConsentError, UnknownIdentity
from realtime.face.track import Tracker
from realtime.flow.meters import Meters
from realtime.flow.pipeline import Stage
from realtime.flow.turns import BEGUN, FRESH, Turns
from realtime.frame import Frame
from realtime.settings import Settings
from realtime.swap.compose import Composer, Swapped
from realtime.swap.fused.batcher import Batcher
from realtime.swap.fused.fit import FusedFit
from realtime.swap.identity import Shelf
from realtime.swap.swapper import Swapper, unswapped
from realtime.webrtc.media import Wish

logger = logging.getLogger(__name__)

In = TypeVar("In")
Out = TypeVar("Out")


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
