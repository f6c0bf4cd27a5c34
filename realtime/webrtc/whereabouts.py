"""Which worker has which session, by key and by name: at most so many, and no name twice."""

from typing import Final

from realtime.webrtc.answers import Refusal
from realtime.webrtc.lobby import Ticket, name_taken, no_room, no_session

REMEMBERED: Final = 1000  # sessions whose worker has died: whoever asks for one of them is told so


class Whereabouts:
    """The sessions of all workers, those included that are being made."""

    def __init__(self, most: int, remembered: int = REMEMBERED) -> None:
        """At most so many sessions at once, and so many lost ones that are remembered."""
        self._most = most
        self._remembered = remembered
        self._at: dict[str, tuple[Ticket, int]] = {}  # by key, with the worker's number
        self._keys: dict[str, str] = {}  # by name
        self._lost: dict[str, None] = {}  # keys and names, the oldest first
        self._number = 0

    def __len__(self) -> int:
        """How many sessions there are."""
        return len(self._at)

    def held(self, worker: int) -> int:
        """How many sessions a worker has."""
        return sum(where == worker for _, where in self._at.values())

    def check_room(self) -> None:
        """Raises Refusal with 503 where all sessions are taken."""
        if len(self._at) >= self._most:
            raise no_room(self._most)

    def reserve(self, worker: int, name: str = "") -> Ticket:
        """The ticket of a new session at that worker. Raises Refusal: 503 when full, 409 for a name that is taken."""
        self.check_room()
        if name in self._keys:
            raise name_taken()
        self._number += 1
        ticket = Ticket.made(self._number, name)
        self._at[ticket.key] = ticket, worker
        self._keys[ticket.name] = ticket.key
        self._lost.pop(ticket.name, None)
        return ticket

    def of_key(self, key: str) -> int:
        """The worker that has the session of that key. Raises Refusal: 404, or 410 where its worker has died."""
        if (found := self._at.get(key)) is None:
            raise self._missing(key)
        return found[1]

    def of_name(self, name: str) -> int:
        """The worker that has the session of that name; its key will do. Raises Refusal: 404, 410."""
        return self.of_key(self._keys.get(name, name))

    def forget(self, key: str) -> None:
        """A session has ended; one that is unknown has been forgotten before."""
        if (found := self._at.pop(key, None)) is not None:
            del self._keys[found[0].name]

    def lose(self, worker: int) -> int:
        """A worker has died with its sessions; how many those were."""
        gone = [ticket for ticket, where in self._at.values() if where == worker]
        for ticket in gone:
            self.forget(ticket.key)
            self._lost |= {ticket.key: None, ticket.name: None}
        while len(self._lost) > 2 * self._remembered:
            del self._lost[next(iter(self._lost))]
        return len(gone)

    def _missing(self, word: str) -> Refusal:
        if word in self._lost:
            return Refusal(410, "the process that held this session has died, wanted a new offer")
        return no_session()
