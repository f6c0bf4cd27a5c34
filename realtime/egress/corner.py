"""Which corner the label is in: the chosen one, unless a face stays there."""

from collections.abc import Collection
from typing import Final

CORNERS: Final = ("bottom-left", "bottom-right", "top-left", "top-right")
STAY_S: Final = 1.0  # a face has to be in the label's corner for so long, and in the next one for as long not
REST_S: Final = 3.0  # and the label stays in a corner for so long, whatever faces do


class Corner:
    """The label's corner from frame to frame. It moves away from a face that stays, and never back by itself."""

    def __init__(self) -> None:
        self._chosen = self._current = ""  # nothing is known yet
        self._since: dict[str, tuple[bool, float]] = {}  # whether a face covers each corner, and since when
        self._moved_at = self._seen_at = 0.0

    def __call__(self, chosen: str, covered: Collection[str], at: float | None) -> str:
        """The corner for a frame in which faces cover these corners; at is its time in seconds, None for no other one.

        chosen is the one that somebody wants. Of the first frame, and when another one is chosen, the first corner
        without a face; of a later frame, the corner before unless a face stays.
        """
        order = sorted(CORNERS, key=lambda corner: corner != chosen)
        if at is None or at < self._seen_at or chosen != self._chosen:
            self._since = {corner: (corner in covered, at or 0.0) for corner in CORNERS}
            self._chosen, self._moved_at, self._seen_at = chosen, at or 0.0, at or 0.0
            self._current = next((corner for corner in order if corner not in covered), chosen)
            return self._current
        self._seen_at = at
        for corner, (was, _) in tuple(self._since.items()):
            if (corner in covered) != was:
                self._since[corner] = (not was, at)
        if self._lasts(self._current, True, at) and at - self._moved_at >= REST_S:
            free = next((corner for corner in order if self._lasts(corner, False, at)), self._current)
            if free != self._current:
                self._current, self._moved_at = free, at
        return self._current

    def _lasts(self, corner: str, covered: bool, at: float) -> bool:
        """Whether the corner has been so for long enough."""
        now, since = self._since[corner]
        return now == covered and at - since >= STAY_S
