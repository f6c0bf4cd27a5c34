"""What travels between the front and the replicas: a client's request, and its answer."""

from dataclasses import dataclass, field
from typing import Final

ASKED: Final = ("authorization", "content-type", "host", "if-match", "origin")  # headers that a replica has to see
TOLD: Final = ("content-type", "location", "etag", "link", "accept-patch", "accept-post", "allow", "cache-control")
BETWEEN: Final = "."  # a replica's name and the secret after it: no key and no chosen name has one


@dataclass(frozen=True, slots=True)
class Call:
    """A client's request."""

    method: str
    address: str  # as it stands in the request: path and query
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


def replica_in(word: str) -> str:
    """The replica that a session's key or name says it is at; empty where it says none."""
    return word.rpartition(BETWEEN)[0]
