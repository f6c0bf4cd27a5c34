"""The page, the files it consists of, and what it asks first: who a face can become, and the settings."""

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aiohttp import web

from realtime.swap.identity import Card
from realtime.webrtc.answers import Refusal
from realtime.webrtc.guard import Guard
from realtime.webrtc.media import MediaSettings
from realtime.webrtc.serving import ServeSettings

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


class Site:
    """What is the same whoever holds the sessions."""

    def __init__(
        self, guard: Guard, media: MediaSettings, settings: ServeSettings, cards: Callable[[], Sequence[Card]]
    ) -> None:
        """cards gives who a face can become."""
        self._guard = guard
        self._media = media
        self._settings = settings
        self._cards = cards
        self._files = page_files(PAGE)

    def routes(self) -> list[web.RouteDef]:
        """What the application has to know."""
        return [
            web.get("/", self.index),
            web.get("/page/{name:.+}", self.file),
            web.get("/api/identities", self.identities),
            web.get("/api/identities/{name}.jpg", self.thumbnail),
            web.get("/api/settings", self.settings),
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
                for card in self._cards()
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
