"""What sessions are asked to do: the limits of a server's pictures, and what a client may wish."""

import re
from dataclasses import dataclass
from typing import Final

from realtime.egress.label import CORNERS, STYLES
from realtime.errors import SettingsError
from realtime.swap.fallback import Fallback

LEAST_SIDE: Final = 64  # px: a smaller picture cannot carry the label
MOST_SIDE: Final = 4096  # px
MOST_FPS: Final = 60
MOST_KBPS: Final = 50_000
LONGEST_S: Final = 7 * 24 * 3600.0

_ICE_URL: Final = re.compile(
    r"(?P<scheme>stuns?|turns?):(?:(?P<user>[^:@\s]+):(?P<password>[^@\s]+)@)?"
    r"(?P<place>[^\s:?@]+(?::\d{1,5})?)(?P<how>\?transport=(?:udp|tcp))?"
)


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server, as browsers and aiortc take it."""

    url: str
    username: str = ""
    credential: str = ""

    @classmethod
    def parse(cls, text: str) -> "IceServer":
        """The server that stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT?transport=udp means. Raises SettingsError."""
        seen = _ICE_URL.fullmatch(text)
        if seen is None or (seen["scheme"].startswith("stun") and (seen["how"] or seen["user"])):
            raise SettingsError(
                f"the ICE server {text!r} is none, wanted stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT?transport=udp"
            )
        if seen["scheme"].startswith("turn") and not seen["user"]:
            raise SettingsError(f"the TURN server {text!r} has no user, wanted turn:USER:PASSWORD@HOST:PORT")
        return cls(f"{seen['scheme']}:{seen['place']}{seen['how'] or ''}", seen["user"] or "", seen["password"] or "")

    def as_dict(self) -> dict[str, object]:
        """As an entry of RTCConfiguration.iceServers in a browser."""
        secret = {"username": self.username, "credential": self.credential} if self.username else {}
        return {"urls": [self.url], **secret}


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """What every session of a server may take and give. Absurd values raise SettingsError."""

    width: int = 1280  # px, of the largest picture sent back, upright or not; a larger one that comes in is scaled down
    height: int = 720
    fps: int = 30  # frames a second that are swapped at most
    start_kbps: int = 1800  # of the pictures sent to each peer and viewer
    least_kbps: int = 300
    most_kbps: int = 4000
    ice_servers: tuple[str, ...] = ()  # stun:HOST:PORT, turn:USER:PASSWORD@HOST:PORT
    half_made_s: float = 15.0  # a peer that is not connected by then is closed
    idle_s: float = 30.0  # a session without a frame for so long is closed
    longest_s: float = 4 * 3600.0  # no session lasts longer
    most_viewers: int = 8  # of one session

    def __post_init__(self) -> None:
        _within("width", self.width, LEAST_SIDE, MOST_SIDE, "pixels")
        _within("height", self.height, LEAST_SIDE, MOST_SIDE, "pixels")
        _within("fps", self.fps, 1, MOST_FPS, "frames a second")
        _within("most_kbps", self.most_kbps, 100, MOST_KBPS, "kbit/s")
        _within("least_kbps", self.least_kbps, 50, self.most_kbps, "kbit/s")
        _within("start_kbps", self.start_kbps, self.least_kbps, self.most_kbps, "kbit/s")
        for name in ("half_made_s", "idle_s", "longest_s"):
            _within(name, getattr(self, name), 0.1, LONGEST_S, "seconds")
        _within("most_viewers", self.most_viewers, 0, 100, "viewers")
        self.servers  # noqa: B018  (they check their own values)

    @property
    def servers(self) -> tuple[IceServer, ...]:
        """The ICE servers, taken apart. Raises SettingsError."""
        return tuple(IceServer.parse(text) for text in self.ice_servers)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client may choose. A value that is none raises SettingsError."""

    identity: str = "aster"  # a name on the shelf
    no_face: str = "pass"  # what is shown without a face: pass, hold, blank or blur
    label: str = "bottom-left"  # the corner that the label is in
    style: str = "text"  # of the label: text, icon or badge

    def __post_init__(self) -> None:
        Fallback(no_face=self.no_face)
        if self.label not in CORNERS:
            raise SettingsError(f"label is {self.label!r}, wanted {', '.join(CORNERS)}")
        if self.style not in STYLES:
            raise SettingsError(f"style is {self.style!r}, wanted {', '.join(STYLES)}")


def _within(name: str, value: float, least: float, most: float, unit: str) -> None:
    if not least <= value <= most:
        raise SettingsError(f"{name} is {value:g}, wanted {least:g} to {most:g} {unit}")
