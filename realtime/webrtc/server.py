"""The HTTP server of `liveswap serve`: the page, its offers, WHIP and WHEP, health and figures."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from aiohttp import web

from realtime.errors import SettingsError
from realtime.signals import ended_by_signals
from realtime.webrtc.answers import Escaping
from realtime.webrtc.guard import Guard
from realtime.webrtc.lobby import Lobby
from realtime.webrtc.metrics import Metrics
from realtime.webrtc.serving import ServeSettings
from realtime.webrtc.site import Site
from realtime.webrtc.studio import Studio
from realtime.webrtc.visits import Visits
from realtime.webrtc.whip import Whip, options

__all__ = ["ServeSettings", "application", "guarded", "listening", "opened", "serve", "served"]

logger = logging.getLogger(__name__)

ADVICE: Final = "wanted --certfile and --keyfile, or a proxy that speaks HTTPS"
GRACE_S: Final = 5.0  # for requests under way when the server ends
LINGER_S: Final = 1.0  # for reading on after a refusal, so that the client sees it


def application(studio: Studio, settings: ServeSettings) -> web.Application:
    """The server's application; its sessions end with it, the studio stays open."""
    lobby = Lobby(studio, settings)
    metrics = Metrics(lobby, settings.max_sessions)
    guard = Guard(settings, metrics.count)
    whip = Whip(lobby, studio.media.servers)
    site = Site(guard, studio.media, settings, lambda: studio.identities)

    async def health(_: web.Request) -> web.Response:
        """GET /healthz: that the server lives, and how full it is."""
        return web.json_response({"status": "ok", "sessions": len(lobby), "most_sessions": settings.max_sessions})

    app = guarded(guard)
    app.add_routes([*site.routes(), *Visits(lobby).routes(), *whip.routes(), *options(settings)])
    app.add_routes([web.get("/healthz", health), web.get("/metrics", metrics.text)])

    async def close(_: web.Application) -> None:
        await lobby.close()

    app.on_shutdown.append(close)
    return app


def guarded(guard: Guard) -> web.Application:
    """An application whose requests all pass the guard."""
    app = web.Application(middlewares=[guard.answer])
    app.on_response_prepare.append(guard.prepare)
    return app


@asynccontextmanager
async def listening(studio: Studio, settings: ServeSettings) -> AsyncIterator[int]:
    """The server, open inside `async with`; the port it listens on. Raises SettingsError."""
    async with opened(application(studio, settings), settings) as port:
        yield port


@asynccontextmanager
async def opened(app: web.Application, settings: ServeSettings) -> AsyncIterator[int]:
    """An application on the address of the settings, inside `async with`; the port. Raises SettingsError."""
    tls = settings.tls()
    runner = web.AppRunner(
        app,
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
    try:
        return await served(listening(studio, settings), settings, say)
    finally:
        await studio.close()


async def served(server: AbstractAsyncContextManager[int], settings: ServeSettings, say: Callable[[str], None]) -> int:
    """Keeps a server open until Ctrl-C or SIGTERM; the signal. say hears one line with the page's address."""
    over = asyncio.Event()
    if not settings.is_local and not settings.certfile:
        logger.warning("browsers give a camera to pages over HTTPS alone, unless they run on this machine: %s", ADVICE)
    with ended_by_signals(over.set) as signals:
        async with server as port:
            say(settings.url(port, settings.token))
            await over.wait()
    return signals[0]
