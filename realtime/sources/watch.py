"""Notices a camera that goes on giving pictures on which nothing is to be seen: black ones, or always the same."""

import logging
from typing import Final

import numpy as np
from numpy.typing import NDArray

from realtime.flow.letterbox import Image

logger = logging.getLogger(__name__)

PATIENCE_S: Final = 3.0  # seconds of it that count as a fault
DARK: Final = 24  # of 255: a picture whose brightest sample is darker is black; a dark room's noise is brighter
_SAMPLES: Final = 64  # along the longer side

HINTS: Final = (
    ("black", "is the lens covered, or its shutter closed?"),
    ("frozen", "it gives the same picture again and again"),
)


class Watch:
    """Sees every picture of one source, in order, and logs each spell of black or frozen ones once, and its end."""

    def __init__(self, name: str) -> None:
        """name is what the user knows the source by."""
        self._name = name
        self._before: NDArray[np.uint8] | None = None
        self._since: dict[str, float] = {}  # when each state began, seconds
        self._said: set[str] = set()  # the states that were logged and last on

    def see(self, image: Image, at: float) -> None:
        """One picture (h, w, 3) and its time in seconds."""
        step = max(1, max(image.shape[:2]) // _SAMPLES)
        sample = image[::step, ::step].copy()
        black = int(sample.max(initial=0)) < DARK
        same = self._before is not None and np.array_equal(sample, self._before)  # a sensor's noise never repeats
        self._before = sample
        self._note("black", black, at)
        self._note("frozen", same and not black, at)

    def _note(self, state: str, present: bool, at: float) -> None:
        if not present:
            self._since.pop(state, None)
            if state in self._said:
                self._said.remove(state)
                logger.warning("%s is not %s any more", self._name, state)
            return
        since = self._since.setdefault(state, at)
        if at - since >= PATIENCE_S and state not in self._said:
            self._said.add(state)
            logger.warning("%s has been %s for %g s: %s", self._name, state, PATIENCE_S, dict(HINTS)[state])
