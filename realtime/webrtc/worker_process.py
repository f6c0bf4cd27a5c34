"""A worker of `liveswap serve --workers`, a process of its own: sessions behind a Unix socket, for its server alone."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import cv2  # before PyAV
from aiohttp import web

from realtime.errors import LiveswapError
from realtime.leaving import INTERRUPTED, depart, leave
from realtime.signals import ended_by_signals
from realtime.status import speak
from realtime.webrtc.answers import refusal_of
from realtime.webrtc.guard import Handler
from realtime.webrtc.lobby import TICKET, Lobby
from realtime.webrtc.metrics import Metrics
from realtime.webrtc.orders import ENDED, FAILED, READY, Orders, from_headers
from realtime.webrtc.studio import Studio
from realtime.webrtc.visits import Visits
from realtime.webrtc.whip import Whip

END_S: Final = 1.5  # for sessions to close; then the process ends without waiting for them

Say = Callable[[str, Any], None]


def main() -> None:
    """The process. What it says goes out on what was its standard output; prints of others go to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def say(what: str, value: Any) -> None:
        with suppress(OSError):  # a server that has died: its end is noticed elsewhere
            out.write(json.dumps({what: value}) + "\n")

    orders = Orders.read(sys.stdin.buffer)
    speak(orders.verbose)
    cv2.setNumThreads(orders.settings.threads)
    try:
        studio = Studio.load(orders.settings, orders.media)
        studio.settle()
        ended_by = asyncio.run(work(studio, orders, say, sys.stdin.buffer))
    except LiveswapError as error:
        say(FAILED, str(error))
        leave(2)
    leave(INTERRUPTED + ended_by if ended_by else 0)


async def work(studio: Studio, orders: Orders, say: Say, line: BinaryIO) -> int:
    """Takes requests until a signal comes or the server is gone, which ends the line; the signal, or 0."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        limit = threading.Timer(END_S, depart, [0])
        limit.daemon = True
        limit.start()
        over.set()

    def wait_for_the_end() -> None:
        while line.read(1):
            pass
        with suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(end)

    with ended_by_signals(end) as signals:
        runner = web.AppRunner(application(studio, orders, say), access_log=None, shutdown_timeout=END_S)
        await runner.setup()
        try:
            await web.UnixSite(runner, orders.socket).start()
            threading.Thread(target=wait_for_the_end, name="line to the server", daemon=True).start()
            say(READY, [card.as_dict() for card in studio.identities])
            await over.wait()
        except OSError as error:
            raise LiveswapError(f"no socket can be made at {orders.socket}: {error.strerror or error}") from error
        finally:
            await runner.cleanup()
            await studio.close()
            _tidy(Path(orders.socket))
    return signals[0] if signals else 0


def application(studio: Studio, orders: Orders, say: Say) -> web.Application:
    """The calls about sessions of this process. Who may make them is the server's to decide."""
    lobby = Lobby(studio, orders.serving, lambda key: say(ENDED, key))
    metrics = Metrics(lobby, orders.serving.max_sessions)

    @web.middleware
    async def ticketed(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            request[TICKET] = from_headers(request.headers)
            return await handler(request)
        except Exception as error:
            return refusal_of(error)

    async def alive(_: web.Request) -> web.Response:
        return web.json_response({"sessions": len(lobby)})

    async def close(_: web.Application) -> None:
        await lobby.close()

    app = web.Application(middlewares=[ticketed])
    app.add_routes([*Visits(lobby).routes(), *Whip(lobby, studio.media.servers).routes()])
    app.add_routes([web.get("/healthz", alive), web.get("/metrics", metrics.text)])
    app.on_shutdown.append(close)
    return app


def _tidy(socket: Path) -> None:
    """Takes the socket away, and its folder with the last one: a server that was killed cannot."""
    with suppress(OSError):
        socket.unlink(missing_ok=True)
        socket.parent.rmdir()


if __name__ == "__main__":
    main()
