"""The server of `liveswap serve --workers`: it owns port and rules, and passes calls on to whoever has the session.

The media do not pass here: they go between clients and the workers' own UDP ports.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from realtime.settings import Settings
from realtime.webrtc.answers import Refusal
from realtime.webrtc.bodies import MOST_JSON, body_of
from realtime.webrtc.guard import Guard
from realtime.webrtc.lobby import NAME, retry
from realtime.webrtc.media import MediaSettings
from realtime.webrtc.metrics_of_all import MetricsOfAll
from realtime.webrtc.orders import HEADER, in_header
from realtime.webrtc.server import guarded, opened
from realtime.webrtc.serving import ServeSettings
from realtime.webrtc.site import Site
from realtime.webrtc.whereabouts import Whereabouts
from realtime.webrtc.whip import options
from realtime.webrtc.workers import Answer, WorkerGone, Workers

ASKED: Final = ("Content-Type", "If-Match")  # headers that a worker has to see
TOLD: Final = ("Content-Type", "Location", "ETag", "Link", "Accept-Patch", "Accept-Post", "Retry-After")  # and a client


class Front:
    """The calls about sessions, each passed on to one worker."""

    def __init__(self, workers: Workers, where: Whereabouts, most: int) -> None:
        self._workers = workers
        self._where = where
        self._most = most

    def routes(self) -> list[web.RouteDef]:
        """What the application has to know."""
        return [
            web.post("/offer", self.enter),
            web.delete("/offer/{key}", self.leave),
            web.get("/offer/{key}/{name}", self.of_key),
            web.post("/whip", self.enter),
            web.patch("/whip/{key}", self.of_key),
            web.delete("/whip/{key}", self.leave),
            web.post("/whep/{name}", self.of_name),
            web.patch("/whep/{name}/{viewer}", self.of_name),
            web.delete("/whep/{name}/{viewer}", self.of_name),
            web.get("/healthz", self.health),
        ]

    async def enter(self, request: web.Request) -> web.Response:
        """POST /offer and /whip: a new session, at the worker that has the fewest."""
        names = request.query.getall("name", []) if request.path == "/whip" else []
        name = names[0] if len(names) == 1 and NAME.fullmatch(names[0]) else ""  # the worker refuses others
        body = await body_of(request, MOST_JSON)
        self._where.check_room()
        if (worker := self._workers.emptiest()) is None:
            raise _nobody()
        ticket = self._where.reserve(worker, name)
        try:
            answer = await self._asked(worker, request, body, {HEADER: in_header(ticket)})
        except BaseException:
            self._where.forget(ticket.key)
            raise
        if answer.status >= 400:
            self._where.forget(ticket.key)
        return passed_on(answer)

    async def leave(self, request: web.Request) -> web.Response:
        """DELETE of a session."""
        key = request.match_info["key"]
        answer = await self._asked(self._where.of_key(key), request)
        self._where.forget(key)  # it has left, or was gone already
        return passed_on(answer)

    async def of_key(self, request: web.Request) -> web.Response:
        """A call about the session of a key."""
        worker = self._where.of_key(request.match_info["key"])
        return passed_on(await self._asked(worker, request, await body_of(request, MOST_JSON)))

    async def of_name(self, request: web.Request) -> web.Response:
        """A call about the session of a name, by those who watch it."""
        worker = self._where.of_name(request.match_info["name"])
        return passed_on(await self._asked(worker, request, await body_of(request, MOST_JSON)))

    async def health(self, _: web.Request) -> web.Response:
        """GET /healthz: that there are workers, and how full they are. Raises Refusal with 503 where none is there."""
        if not len(self._workers):
            raise _nobody()
        return web.json_response(
            {
                "status": "ok",
                "sessions": len(self._where),
                "most_sessions": self._most,
                "workers": [
                    {
                        "worker": number,
                        "up": number in self._workers,
                        "sessions": self._where.held(number),
                        "restarts": self._workers.restarts[number],
                    }
                    for number in self._workers.numbers
                ],
            }
        )

    async def _asked(
        self, worker: int, request: web.Request, body: bytes = b"", more: dict[str, str] | None = None
    ) -> Answer:
        """The worker's answer to a client's request. Raises Refusal with 503 where there will be none."""
        headers = {name: request.headers[name] for name in ASKED if name in request.headers}
        address = request.rel_url.raw_path_qs
        try:
            return await self._workers[worker].ask(request.method, address, {**headers, **(more or {})}, body)
        except WorkerGone as error:
            raise _nobody() from error


def passed_on(answer: Answer) -> web.Response:
    """A worker's answer, as the client gets it."""
    headers = CIMultiDict((name, value) for name in TOLD for value in answer.headers.getall(name, []))
    return web.Response(status=answer.status, headers=headers, body=answer.body)


def application(workers: Workers, where: Whereabouts, media: MediaSettings, settings: ServeSettings) -> web.Application:
    """The server's application on workers that have been started."""
    metrics = MetricsOfAll(workers, where, settings.max_sessions)
    guard = Guard(settings, metrics.count)
    site = Site(guard, media, settings, lambda: workers.cards)
    app = guarded(guard)
    front = Front(workers, where, settings.max_sessions)
    app.add_routes([*site.routes(), *front.routes(), *options(settings), web.get("/metrics", metrics.text)])
    return app


@asynccontextmanager
async def listening(
    settings: Settings, media: MediaSettings, serving: ServeSettings, verbose: int = 0
) -> AsyncIterator[int]:
    """The server and its workers, open inside `async with`; the port it listens on. Raises LiveswapError."""
    serving.tls()  # it says what is wrong with a certificate before models are loaded
    where = Whereabouts(serving.max_sessions)
    async with (
        Workers(settings, media, serving, where, verbose) as workers,
        opened(application(workers, where, media, serving), serving) as port,
    ):
        yield port


def _nobody() -> Refusal:
    return Refusal(503, "the process that this call is for is being started again, wanted it later", retry())
