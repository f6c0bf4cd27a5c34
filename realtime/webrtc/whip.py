"""WHIP (RFC 9725) brings a camera in, WHEP (its draft) lets others watch: SDP and ICE candidates over HTTP."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final

from aiohttp import web

from realtime.webrtc.answers import Refusal
from realtime.webrtc.bodies import text_of
from realtime.webrtc.lobby import NAME, Link, Lobby, ticket_of, ufrags_in
from realtime.webrtc.media import IceServer, Wish
from realtime.webrtc.serving import ServeSettings

SDP: Final = "application/sdp"
FRAGMENT: Final = "application/trickle-ice-sdpfrag"
CHOICES: Final = tuple(choice.name for choice in fields(Wish))


class Whip:
    """The addresses of both protocols."""

    def __init__(self, lobby: Lobby, servers: tuple[IceServer, ...]) -> None:
        self._lobby = lobby
        self._links = tuple(ice_link(server) for server in servers)

    def routes(self) -> list[web.RouteDef]:
        """What the application has to know."""
        return [
            web.post("/whip", self.publish),
            web.patch("/whip/{key}", self.publisher_candidates),
            web.delete("/whip/{key}", self.unpublish),
            web.post("/whep/{name}", self.watch),
            web.patch("/whep/{name}/{viewer}", self.viewer_candidates),
            web.delete("/whep/{name}/{viewer}", self.unwatch),
        ]

    async def publish(self, request: web.Request) -> web.Response:
        """POST /whip: a camera comes in."""
        wish, name = wanted(tuple(request.query.items()), self._lobby.usual)
        offer = await text_of(request, SDP, {"Accept-Post": SDP})
        guest, answer = await self._lobby.enter(wish, offer, name, ticket_of(request))
        watching = f'</whep/{guest.name}>; rel="urn:ietf:params:whep"'
        return self._created(f"/whip/{guest.key}", guest.link, answer, (watching,))

    async def publisher_candidates(self, request: web.Request) -> web.Response:
        """PATCH /whip/KEY: more ICE candidates of the camera."""
        guest = self._lobby.guest(request.match_info["key"])
        await guest.session.candidates(await fragment_of(request, guest.link))
        return web.Response(status=204)

    async def unpublish(self, request: web.Request) -> web.Response:
        """DELETE /whip/KEY: the camera leaves."""
        await self._lobby.leave(request.match_info["key"])
        return web.Response(status=200)

    async def watch(self, request: web.Request) -> web.Response:
        """POST /whep/NAME: somebody watches."""
        self._lobby.watched(request.match_info["name"])
        offer = await text_of(request, SDP, {"Accept-Post": SDP})
        guest, viewer, answer = await self._lobby.watch(request.match_info["name"], offer)
        return self._created(f"/whep/{guest.name}/{viewer}", guest.viewers[viewer], answer, ())

    async def viewer_candidates(self, request: web.Request) -> web.Response:
        """PATCH /whep/NAME/VIEWER: more ICE candidates of a viewer."""
        name, viewer = request.match_info["name"], request.match_info["viewer"]
        _, link = self._lobby.viewer(name, viewer)
        await self._lobby.viewer_candidates(name, viewer, await fragment_of(request, link))
        return web.Response(status=204)

    async def unwatch(self, request: web.Request) -> web.Response:
        """DELETE /whep/NAME/VIEWER: a viewer leaves."""
        await self._lobby.unwatch(request.match_info["name"], request.match_info["viewer"])
        return web.Response(status=200)

    def _created(self, location: str, link: Link, answer: str, links: tuple[str, ...]) -> web.Response:
        response = web.Response(status=201, body=answer.encode(), headers={"Content-Type": SDP})
        response.headers["Location"] = location
        response.headers["ETag"] = link.etag
        response.headers["Accept-Patch"] = FRAGMENT
        for each in (*self._links, *links):
            response.headers.add("Link", each)
        return response


def options(settings: ServeSettings) -> list[web.RouteDef]:
    """OPTIONS of every address that changes something."""
    return [
        web.options(address, _telling(settings, methods, headers))
        for address, methods, headers in (
            ("/offer", "POST", {}),
            ("/offer/{key}", "DELETE", {}),
            ("/whip", "POST", {"Accept-Post": SDP}),
            ("/whip/{key}", "PATCH, DELETE", {"Accept-Patch": FRAGMENT}),
            ("/whep/{name}", "POST", {"Accept-Post": SDP}),
            ("/whep/{name}/{viewer}", "PATCH, DELETE", {"Accept-Patch": FRAGMENT}),
        )
    ]


def _telling(
    settings: ServeSettings, methods: str, headers: Mapping[str, str]
) -> Callable[[web.Request], Coroutine[Any, Any, web.Response]]:
    """Says what an address takes, also to the browser of a page elsewhere that is allowed to call."""

    async def said(request: web.Request) -> web.Response:
        told = {"Allow": f"{methods}, OPTIONS", **headers}
        if request.headers.get("Origin", "") in settings.origins:
            told["Access-Control-Allow-Methods"] = methods
            told["Access-Control-Allow-Headers"] = "Authorization, Content-Type, If-Match"
            told["Access-Control-Max-Age"] = "600"
        return web.Response(status=204, headers=told)

    return said


async def fragment_of(request: web.Request, link: Link) -> str:
    """The ICE fragment of a PATCH. Raises Refusal: 415, 413, 400, 428, 412, and 422 for an ICE restart."""
    fragment = await text_of(request, FRAGMENT, {"Accept-Patch": FRAGMENT})
    seen = request.headers.get("If-Match")
    if seen is None:
        raise Refusal(428, "there is no header If-Match, wanted the ETag that the answer to the offer came with")
    tags = [tag.strip() for tag in seen.split(",")]
    if "*" in tags or (link.etag in tags and not ufrags_in(fragment) <= link.ufrags):
        raise Refusal(422, "this server restarts no ICE session, wanted a new offer instead")
    if link.etag not in tags:
        raise Refusal(412, "If-Match names another ICE session, wanted the ETag that the answer to the offer came with")
    return fragment


def wanted(query: Sequence[tuple[str, str]], usual: Wish) -> tuple[Wish, str]:
    """What the query chooses beyond what is usual: the Wish, and the name that viewers will know the session by.

    Raises Refusal with 400, SettingsError.
    """
    choices, known = dict(query), (*CHOICES, "name")
    if not choices.keys() <= set(known):
        raise Refusal(400, f"the address has a choice that is unknown, wanted some of {', '.join(known)}")
    if len(choices) < len(query):
        raise Refusal(400, "the address has a choice more than once, wanted it once")
    name = choices.pop("name", None)
    if name is not None and not NAME.fullmatch(name):
        raise Refusal(400, "the name is no good, wanted 1 to 40 of A-Z a-z 0-9 _ -")
    return replace(usual, **choices), name or ""


def ice_link(server: IceServer) -> str:
    """An ICE server as a Link header has it."""
    link = f'<{server.url}>; rel="ice-server"'
    if server.username:
        secret = (("username", server.username), ("credential", server.credential), ("credential-type", "password"))
        link += "".join(f'; {name}="{quoted(value)}"' for name, value in secret)
    return link


def quoted(text: str) -> str:
    """As it may stand between the quotes of a header."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
