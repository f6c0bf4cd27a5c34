"""What a server and its worker processes say to each other: orders on the way in, lines of JSON on the way out.

A worker's standard input brings its orders and then stays open for as long as the server lives, so that its end is the
server's. Requests go over the Unix socket that the orders name.
"""

import pickle
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import BinaryIO, Final

from realtime.settings import Settings
from realtime.webrtc.lobby import Ticket
from realtime.webrtc.media import MediaSettings
from realtime.webrtc.serving import ServeSettings

HEADER: Final = "Liveswap-Ticket"  # how a request to a worker names the session to be made
READY: Final = "ready"  # with "cards": the worker takes requests
ENDED: Final = "ended"  # with the key of a session that is over
FAILED: Final = "failed"  # with a sentence: the worker cannot work


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker process has to know."""

    socket: str  # the path of its Unix socket
    settings: Settings
    media: MediaSettings
    serving: ServeSettings
    verbose: int = 0

    def packed(self) -> bytes:
        """As the worker's standard input brings them: both ends are the same program on the same machine."""
        return pickle.dumps(self)

    @classmethod
    def read(cls, stream: BinaryIO) -> "Orders":
        """From the worker's standard input."""
        orders = pickle.load(stream)
        assert isinstance(orders, cls)
        return orders


def in_header(ticket: Ticket) -> str:
    """The ticket as a header has it; keys and names hold no spaces."""
    return " ".join(str(value) for value in astuple(ticket))


def from_headers(headers: Mapping[str, str]) -> Ticket | None:
    """The ticket that the server gave a request; None without one."""
    if (said := headers.get(HEADER)) is None:
        return None
    number, key, name = said.split(" ")
    return Ticket(int(number), key, name)
