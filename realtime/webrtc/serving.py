"""What `liveswap serve` is asked to do: where it listens, who may ask, and how much of it."""

import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from realtime.errors import SettingsError

MOST_WORKERS: Final = 64
_LEAST_TOKEN: Final = 8  # characters
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")  # what a bearer header may carry (RFC 6750)


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Where the server listens and its limits. Building one that is absurd or unsafe raises SettingsError."""

    host: str = "127.0.0.1"  # an address or a name of this machine; 0.0.0.0 and :: for all of them
    port: int = 8080  # 0: any free one
    token: str = ""  # what clients have to know; needed on every address but this machine's own
    certfile: str = ""  # a PEM file with the certificate turns TLS on
    keyfile: str = ""  # its key, where that lies in a file of its own
    origins: tuple[str, ...] = ()  # pages elsewhere that may call, as scheme://host[:port]
    behind_proxy: bool = False  # the last address in X-Forwarded-For is the client
    max_sessions: int = 4  # of all workers together
    turn_away: bool = True  # whoever comes while those who are in get too few of their frames
    offers_per_minute: int = 60  # of each client; as many may come at once
    workers: int = 1  # processes that sessions are spread over; one: this process itself

    def __post_init__(self) -> None:
        _within("port", self.port, 0, 65535)
        _within("max_sessions", self.max_sessions, 1, 1000)
        _within("workers", self.workers, 1, MOST_WORKERS)
        if self.workers > 1 and not hasattr(socket, "AF_UNIX"):
            raise SettingsError(f"{self.workers} workers want a system with Unix sockets, such as Linux or macOS")
        _within("offers_per_minute", self.offers_per_minute, 1, 100_000)
        if not self.host.strip():
            raise SettingsError("host is empty, wanted an address of this machine, such as 127.0.0.1")
        if self.token and (len(self.token) < _LEAST_TOKEN or not _TOKEN.fullmatch(self.token)):
            raise SettingsError(f"the token is no good: wanted {_LEAST_TOKEN} or more of A-Z a-z 0-9 . _ ~ + / = -")
        if not self.token and not self.is_local:
            raise SettingsError(
                f"on {self.host} others can reach this server, so it wants a --token that only your people know"
            )
        if self.keyfile and not self.certfile:
            raise SettingsError("there is a keyfile and no certfile, wanted both")
        for origin in self.origins:
            _check_origin(origin)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    def tls(self) -> ssl.SSLContext | None:
        """The certificate, ready to serve with; None without one. Raises SettingsError."""
        if not self.certfile:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.certfile, self.keyfile or None)
        except OSError as error:  # ssl.SSLError is one
            files = f"{self.certfile} and {self.keyfile}" if self.keyfile else self.certfile
            raise SettingsError(f"no certificate with its key can be read from {files}: {error.strerror}") from error
        return context

    def url(self, port: int, token: str = "") -> str:
        """Where to find the page, at the port that was given."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        place = f"[{host}]" if ":" in host else host
        fragment = f"#token={quote(token, safe='')}" if token else ""
        return f"{'https' if self.certfile else 'http'}://{place}:{port}/{fragment}"


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine, seen from itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


def _check_origin(origin: str) -> None:
    try:
        parts = urlsplit(origin)
        good = parts.scheme in ("http", "https") and parts.hostname and origin == f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        good = False
    if not good:
        raise SettingsError(f"the origin {origin!r} is none, wanted scheme://host[:port], such as https://swap.example")


def _within(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise SettingsError(f"{name} is {value}, wanted {least} to {most}")
