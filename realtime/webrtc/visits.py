"""What the page does with a session: it offers one, and ends it."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from aiohttp import web

from realtime.webrtc.answers import Refusal
from realtime.webrtc.bodies import MOST_BYTES, json_of
from realtime.webrtc.lobby import Lobby, ticket_of
from realtime.webrtc.media import Wish
from realtime.webrtc.whip import CHOICES

# What a snapshot is asked for by, and its media type.
SNAPSHOTS: Final[Mapping[str, str]] = MappingProxyType({"snapshot.png": "image/png", "snapshot.jpg": "image/jpeg"})


class Visits:
    """The page's calls about sessions of this process."""

    def __init__(self, lobby: Lobby) -> None:
        self._lobby = lobby

    def routes(self) -> list[web.RouteDef]:
        """What the application has to know."""
        return [
            web.post("/offer", self.offer),
            web.delete("/offer/{key}", self.end),
            web.get("/offer/{key}/{name}", self.snapshot),
        ]

    async def offer(self, request: web.Request) -> web.Response:
        """POST /offer: the page comes in."""
        wish, offer = offered(await json_of(request), self._lobby.usual)
        guest, answer = await self._lobby.enter(wish, offer, ticket=ticket_of(request))
        return web.json_response(
            {"type": "answer", "sdp": answer, "session": guest.key, "whep": f"/whep/{guest.name}"},
        )

    async def snapshot(self, request: web.Request) -> web.Response:
        """GET /offer/KEY/snapshot.png or .jpg: the session's last picture, with content credentials."""
        guest, name = self._lobby.guest(request.match_info["key"]), request.match_info["name"]
        if name not in SNAPSHOTS:
            raise Refusal(404, f"there is nothing at this address, wanted {' or '.join(SNAPSHOTS)}")
        return web.Response(body=await guest.session.snapshot(name), content_type=SNAPSHOTS[name])

    async def end(self, request: web.Request) -> web.Response:
        """DELETE /offer/KEY: the page leaves."""
        await self._lobby.leave(request.match_info["key"])
        return web.json_response({"ended": True})


def offered(value: Mapping[str, Any], usual: Wish) -> tuple[Wish, str]:
    """What the page wishes beyond what is usual, and its SDP. Raises Refusal with 400 or 413, SettingsError."""
    known = ("type", "sdp", *CHOICES)
    if unknown := sorted(set(value) - set(known)):
        raise Refusal(400, f"{len(unknown)} of the keys are unknown, wanted {', '.join(known)}")
    for key in value:
        if not isinstance(value[key], str):
            raise Refusal(400, f"{key} is no text, wanted one")
    if value.get("type") != "offer":
        raise Refusal(400, "the type is not offer, wanted that")
    try:
        size = len(value.get("sdp", "").encode())
    except UnicodeEncodeError as error:
        raise Refusal(400, "the sdp is no text, wanted one") from error
    if size > MOST_BYTES:
        raise Refusal(413, f"the sdp is too large, wanted at most {MOST_BYTES} bytes")
    if not size:
        raise Refusal(400, "there is no sdp, wanted an offer")
    return replace(usual, **{key: value[key] for key in CHOICES if key in value}), value["sdp"]
