"""The HTTP server of `liveswap serve`: the page, its offers, WHIP and WHEP, health and figures."""

import asyncio
import importlib.metadata
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from realtime.errors import SettingsError
from realtime.signals import ended_by_signals
from realtime.webrtc.answers import Escaping, Refusal
from realtime.webrtc.bodies import MOST_BYTES, json_of
from realtime.webrtc.guard import Guard
from realtime.webrtc.lobby import Lobby
from realtime.webrtc.media import MediaSettings, Wish
from realtime.webrtc.metrics import Metrics
from realtime.webrtc.serving import ServeSettings
from realtime.webrtc.session import Studio
from realtime.webrtc.whip import CHOICES, Whip

__all__ = ["ServeSettings", "application", "listening", "serve"]

logger = logging.getLogger(__name__)

PAGE: Final = Path(__file__).resolve().parent / "page"
KINDS: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
ADVICE: Final = "wanted --certfile and --keyfile, or a proxy that speaks HTTPS"
GRACE_S: Final = 5.0  # for requests under way when the server ends
LINGER_S: Final = 1.0  # for reading on after a refusal, so that the client sees it


class Site:
    """The page and what it asks for."""

    def __init__(self, studio: Studio, guard: Guard, lobby: Lobby, whip: Whip, settings: ServeSettings) -> None:
        self._studio = studio
        self._guard = guard
        self._lobby = lobby
        self._whip = whip
        self._settings = settings
        self._media: MediaSettings = studio.media
        self._files = page_files(PAGE)

    def routes(self) -> list[web.RouteDef]:
        """What the application has to know."""
        return [
            web.get("/", self.index),
            web.get("/page/{name:.+}", self.file),
            web.get("/api/identities", self.identities),
            web.get("/api/identities/{name}.jpg", self.thumbnail),
            web.get("/api/settings", self.settings),
            web.post("/offer", self.offer),
            web.options("/offer", self._whip.options("POST", {})),
            web.delete("/offer/{key}", self.end),
            web.options("/offer/{key}", self._whip.options("DELETE", {})),
            web.get("/healthz", self.health),
        ]

    async def index(self, _: web.Request) -> web.Response:
        """GET /: the page."""
        return self._file("index.html")

    async def file(self, request: web.Request) -> web.Response:
        """GET /page/NAME: what the page consists of."""
        return self._file(request.match_info["name"])

    async def thumbnail(self, request: web.Request) -> web.Response:
        """GET /api/identities/NAME.jpg: what a rendered person looks like."""
        return self._file(f"people/{request.match_info['name']}.jpg")

    async def identities(self, _: web.Request) -> web.Response:
        """GET /api/identities: who a face can become."""
        return web.json_response(
            [
                {
                    "name": card.name,
                    "kind": card.kind,
                    "licence": card.licence,
                    "thumbnail": self._thumbnail(card.name),
                }
                for card in self._studio.identities
            ]
        )

    async def settings(self, request: web.Request) -> web.Response:
        """GET /api/settings: what the page has to know first; passwords are for those who have the token."""
        media, trusted = self._media, self._guard.trusts(request)
        return web.json_response(
            {
                "ice_servers": [each.as_dict() for each in media.servers if trusted or not each.username],
                "needs_token": bool(self._settings.token),
                "version": importlib.metadata.version("liveswap"),
                "width": media.width,
                "height": media.height,
                "fps": media.fps,
            }
        )

    async def offer(self, request: web.Request) -> web.Response:
        """POST /offer: the page comes in."""
        wish, offer = offered(await json_of(request), self._lobby.usual)
        guest, answer = await self._lobby.enter(wish, offer)
        return web.json_response(
            {"type": "answer", "sdp": answer, "session": guest.key, "whep": f"/whep/{guest.name}"},
        )

    async def end(self, request: web.Request) -> web.Response:
        """DELETE /offer/KEY: the page leaves."""
        await self._lobby.leave(request.match_info["key"])
        return web.json_response({"ended": True})

    async def health(self, _: web.Request) -> web.Response:
        """GET /healthz: that the server lives, and how full it is."""
        most = self._settings.max_sessions
        return web.json_response({"status": "ok", "sessions": len(self._lobby), "most_sessions": most})

    def _thumbnail(self, name: str) -> str | None:
        return f"/api/identities/{quote(name, safe='')}.jpg" if f"people/{name}.jpg" in self._files else None

    def _file(self, name: str) -> web.Response:
        if (found := self._files.get(name)) is None:
            raise Refusal(404, "there is nothing at this address")
        kind, content = found
        return web.Response(body=content, headers={"Content-Type": kind, "Cache-Control": "no-cache"})


def page_files(folder: Path) -> dict[str, tuple[str, bytes]]:
    """The page's files by their names under /page/, each with its content type: read once, so no request opens one."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in KINDS)
    return {path.relative_to(folder).as_posix(): (KINDS[path.suffix], path.read_bytes()) for path in paths}


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


def application(studio: Studio, settings: ServeSettings) -> web.Application:
    """The server's application; its sessions end with it, the studio stays open."""
    lobby = Lobby(studio, settings)
    metrics = Metrics(lobby, settings.max_sessions)
    guard = Guard(settings, metrics.count)
    whip = Whip(lobby, studio.media.servers, settings)
    site = Site(studio, guard, lobby, whip, settings)
    app = web.Application(middlewares=[guard.answer])
    app.add_routes([*site.routes(), *whip.routes(), web.get("/metrics", metrics.text)])
    app.on_response_prepare.append(guard.prepare)

    async def close(_: web.Application) -> None:
        await lobby.close()

    app.on_shutdown.append(close)
    return app


@asynccontextmanager
async def listening(studio: Studio, settings: ServeSettings) -> AsyncIterator[int]:
    """The server, open inside `async with`; the port it listens on. Raises SettingsError."""
    tls = settings.tls()
    runner = web.AppRunner(
        application(studio, settings),
        access_log=None,
        logger=Escaping(logger),
        shutdown_timeout=GRACE_S,
        lingering_time=LINGER_S,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port, ssl_context=tls).start()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SettingsError(f"nothing can listen on {settings.host} port {settings.port}: {reason}") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def serve(studio: Studio, settings: ServeSettings, say: Callable[[str], None] = print) -> int:
    """Serves until Ctrl-C or SIGTERM, then closes the studio; the signal. say hears one line with the page's address.

    Raises SettingsError when the certificate or the address is no good.
    """
    over = asyncio.Event()
    if not settings.is_local and not settings.certfile:
        logger.warning("browsers give a camera to pages over HTTPS alone, unless they run on this machine: %s", ADVICE)
    with ended_by_signals(over.set) as signals:
        try:
            async with listening(studio, settings) as port:
                say(settings.url(port, settings.token))
                await over.wait()
        finally:
            await studio.close()
    return signals[0]
