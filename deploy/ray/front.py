"""The front of a cluster: offers go where Ray Serve finds room, every other call to the replica that its key names."""

import asyncio
import json
import random
import re
import time
from typing import Any, Final

import aiohttp
import ray
from ray.exceptions import RayError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deploy.ray.calls import ASKED, Call, Reply, replica_in
from deploy.ray.register import NAME, Place
from deploy.ray.replica import ASK_S, passed_on

KNOWN_S: Final = 1.0  # that what the register said is used again
MOST_BODY: Final = 256 * 1024  # bytes; what an offer may be is the replica's to say
RETRY: Final = (("content-type", "application/json; charset=utf-8"), ("retry-after", "5"))
OFFERS: Final = ("/offer", "/whip")
OF_SESSION: Final = re.compile(r"/(?:offer|whip|whep)/([^/]+)(?:/.*)?")


class Front:
    """Passes calls on; the ingress deployment of Ray Serve. It knows nothing that another front would have to know."""

    def __init__(self, replicas: Any, room_s: float) -> None:
        """replicas is the handle of the deployment that has the sessions; an offer waits for room for so long."""
        self._replicas = replicas
        self._room_s = room_s
        self._register = ray.get_actor(NAME)
        self._places: dict[str, Place] = {}
        self._asked_at = 0.0
        self._client: aiohttp.ClientSession | None = None  # made where the loop runs
        self._held: set[asyncio.Task[None]] = set()

    async def __call__(self, request: Request) -> Response:
        """The answer to a client."""
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_BODY:
                return refused(413, f"the body is too large, wanted at most {MOST_BODY} bytes")
        call = call_of(request, body)
        path = request.url.path
        try:
            if path == "/healthz":
                return await self._health()
            if path in OFFERS and request.method == "POST":
                return answer_of(await self._placed(call))
            if (found := OF_SESSION.fullmatch(path)) is not None and request.method != "OPTIONS":
                return await self._of_session(replica_in(found[1]), call)
            return await self._of_any(call)
        except (aiohttp.ClientError, RayError, TimeoutError):
            return refused(503, "the process that this call is for does not answer, wanted it later")

    async def _placed(self, call: Call) -> Reply:
        """A new session, where there is room, or the refusal of one."""
        life = self._replicas.options(stream=True).enter.remote(call)
        try:
            async with asyncio.timeout(self._room_s):
                reply: Reply = await anext(life)
        except TimeoutError:
            life.cancel()
            sentence = f"no process had room within {self._room_s:g} s, wanted one that is free: try again later"
            return Reply(503, RETRY, json.dumps({"error": sentence}).encode())
        except BaseException:  # the client has gone, or the replica
            life.cancel()
            raise
        holding = asyncio.create_task(held(life))
        self._held.add(holding)
        holding.add_done_callback(self._held.discard)
        return reply

    async def _of_session(self, replica: str, call: Call) -> Response:
        place = (await self._known(replica)).get(replica)
        if place is None:
            return refused(404, "there is no such session, or it has ended")
        return answer_of(await self._asked(place, call))

    async def _of_any(self, call: Call) -> Response:
        places = tuple((await self._known()).values())
        if not places:
            return refused(503, "no process is there yet, wanted it later")
        return answer_of(await self._asked(random.choice(places), call))

    async def _health(self) -> Response:
        places = (await self._known()).values()
        if not places:
            return refused(503, "no process is there yet, wanted it later")
        sessions = sum(place.sessions for place in places)
        return JSONResponse({"status": "ok", "sessions": sessions, "replicas": len(places)})

    async def _known(self, wanted: str | None = None) -> dict[str, Place]:
        """The replicas by name; the register is asked again where it was some time ago, or one is missing."""
        now = time.monotonic()
        if now - self._asked_at >= KNOWN_S or (wanted is not None and wanted not in self._places):
            self._places = await self._register.places.remote()
            self._asked_at = now
        return self._places

    async def _asked(self, place: Place, call: Call) -> Reply:
        if self._client is None:
            self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ASK_S))
        return await passed_on(self._client, place.address, place.secret, call)


async def held(life: Any) -> None:
    """Waits until a session's call is over."""
    async for _ in life:
        pass


def call_of(request: Request, body: bytes) -> Call:
    """A client's request as replicas take it, with where it came from."""
    headers = tuple((name, request.headers[name]) for name in ASKED if name in request.headers)
    client = request.client.host if request.client else ""
    seen = [*request.headers.getlist("x-forwarded-for"), client]
    query = f"?{request.url.query}" if request.url.query else ""
    path = request.scope["raw_path"].decode("ascii", "replace").partition("?")[0]
    return Call(request.method, f"{path}{query}", (*headers, ("x-forwarded-for", ", ".join(seen))), body)


def answer_of(reply: Reply) -> Response:
    """A replica's answer as the client gets it."""
    response = Response(reply.body, reply.status)
    for name, value in reply.headers:
        response.headers.append(name, value)
    return response


def refused(status: int, sentence: str) -> Response:
    """One sentence, as every refusal."""
    return JSONResponse({"error": sentence}, status, {"Retry-After": "5"} if status == 503 else None)
