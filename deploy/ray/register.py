"""Which replicas there are and where they answer: a Ray actor of one name that replicas fill again if it is lost."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

NAME: Final = "liveswap-register"
FORGOTTEN_S: Final = 30.0  # a replica that has not said anything for so long is gone


@dataclass(frozen=True, slots=True)
class Place:
    """One replica, as it said itself."""

    replica: str
    node: str  # of the cluster
    address: str  # of its server, for the front alone: http://NODE:PORT
    secret: str  # that its server wants to hear
    sessions: int


class Register:
    """The replicas that have said something lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._places: dict[str, tuple[Place, float]] = {}

    def note(self, place: Place) -> None:
        """A replica is there; it says so again and again."""
        self._places[place.replica] = place, self._clock()

    def remove(self, replica: str) -> None:
        """A replica has ended."""
        self._places.pop(replica, None)

    def places(self) -> dict[str, Place]:
        """Those that are there, by name."""
        since = self._clock() - FORGOTTEN_S
        self._places = {name: (place, at) for name, (place, at) in self._places.items() if at >= since}
        return {name: place for name, (place, _) in self._places.items()}
