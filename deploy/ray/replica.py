"""One replica: models and sessions, a whole server on a port of its node that answers the front alone.

A session is one long call of Ray Serve: `enter` gives the answer to an offer and then nothing until the session is
over. So Serve counts sessions when it counts calls under way: it places offers where there are fewest, never gives a
replica more than `max_ongoing_requests`, scales on them, and a replica that is to go ends when its last session has.
"""

import asyncio
import hmac
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import ray
from aiohttp import web
from ray import serve
from yarl import URL

from deploy.ray.calls import BETWEEN, TOLD, Call, Reply
from deploy.ray.register import NAME, Place
from realtime.settings import Settings
from realtime.webrtc.answers import Refusal, refusal_of
from realtime.webrtc.guard import Guard, Handler
from realtime.webrtc.lobby import Ticket
from realtime.webrtc.media import MediaSettings
from realtime.webrtc.orders import ENDED, HEADER, Orders, in_header
from realtime.webrtc.serving import ServeSettings
from realtime.webrtc.site import Site
from realtime.webrtc.studio import Studio
from realtime.webrtc.whip import options
from realtime.webrtc.worker_process import application

SECRET: Final = "Liveswap-Secret"  # how the front's requests say that they are the front's
PULSE_S: Final = 2.0  # between two notes to the register
ASK_S: Final = 30.0  # for an answer


class Replica:
    """Sessions on one process's models; a deployment of Ray Serve."""

    async def __init__(self, settings: Settings, media: MediaSettings, serving: ServeSettings) -> None:  # type: ignore[misc]  # Serve awaits it
        self._name = str(serve.get_replica_context().replica_id.unique_id)
        self._secret = secrets.token_urlsafe(18)
        self._number = 0
        self._held: dict[str, asyncio.Event] = {}  # by key, set when the session is over
        self._studio = await asyncio.to_thread(Studio.load, settings, media)
        self._studio.settle()
        self._runner = web.AppRunner(self._application(serving), access_log=None)
        await self._runner.setup()
        node = ray.util.get_node_ip_address()
        await web.TCPSite(self._runner, node, 0).start()
        self._address = f"http://{node}:{self._runner.addresses[0][1]}"
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ASK_S))
        self._pulse = asyncio.create_task(self._note())

    async def enter(self, call: Call) -> AsyncIterator[Reply]:
        """The answer to an offer (POST /offer or /whip), and the session's whole life after it."""
        self._number += 1
        ticket = Ticket(self._number, self._word(), self._word())
        over = self._held[ticket.key] = asyncio.Event()
        try:
            reply = await self._asked(call, {HEADER: in_header(ticket)})
            yield reply
            if reply.status < 300:
                await over.wait()
        finally:
            del self._held[ticket.key]

    async def ask(self, call: Call) -> Reply:
        """The answer to any other call."""
        return await self._asked(call, {})

    async def __del__(self) -> None:  # Serve awaits it, once no call is under way or its patience is over
        self._pulse.cancel()
        await ray.get_actor(NAME).remove.remote(self._name)
        await self._client.close()
        await self._runner.cleanup()
        await self._studio.close()

    def _word(self) -> str:
        """A secret that says where its session is."""
        return f"{self._name}{BETWEEN}{secrets.token_urlsafe(18)}"

    async def _note(self) -> None:
        """Tells the register again and again, so that one that was lost knows soon."""
        node = ray.get_runtime_context().get_node_id()
        while True:
            place = Place(self._name, node, self._address, self._secret, len(self._held))
            await ray.get_actor(NAME).note.remote(place)
            await asyncio.sleep(PULSE_S)

    async def _asked(self, call: Call, more: dict[str, str]) -> Reply:
        return await passed_on(self._client, self._address, self._secret, call, more)

    def _application(self, serving: ServeSettings) -> web.Application:
        """What a worker of `liveswap serve --workers` does, with the page and the guard before it."""
        guard = Guard(serving, lambda method, address, status: None)
        media = self._studio.media

        def say(what: str, value: Any) -> None:
            if what == ENDED and (over := self._held.get(value)) is not None:
                over.set()

        @web.middleware
        async def of_the_front(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                check_front(request, self._secret)
                check_name(request)
            except Refusal as refusal:
                return refusal_of(refusal)
            return await handler(request)

        app = application(self._studio, Orders("", self._studio.settings, media, serving), say)
        app.middlewares[:0] = [of_the_front, guard.answer]
        app.on_response_prepare.append(guard.prepare)
        app.add_routes([*Site(guard, media, serving, lambda: self._studio.identities).routes(), *options(serving)])
        return app


def check_front(request: web.Request, secret: str) -> None:
    """Raises Refusal where the request is not the front's."""
    seen = request.headers.get(SECRET, "")
    if not hmac.compare_digest(seen.encode(), secret.encode()):
        raise Refusal(403, "this address is for the cluster's front alone, wanted its own")


def check_name(request: web.Request) -> None:
    """Raises Refusal where a client chooses a name: one that says where its session is cannot be chosen."""
    if request.path == "/whip" and "name" in request.query:
        raise Refusal(400, "a cluster gives names itself, wanted none: the answer's Link has it")


async def passed_on(
    client: aiohttp.ClientSession, address: str, secret: str, call: Call, more: dict[str, str] | None = None
) -> Reply:
    """A replica's answer to a call. Raises aiohttp.ClientError, TimeoutError."""
    async with client.request(
        call.method,
        URL(f"{address}{call.address}", encoded=True),
        headers={**dict(call.headers), SECRET: secret, **(more or {})},
        data=call.body or None,
        allow_redirects=False,
    ) as answer:
        told = tuple((name.lower(), value) for name, value in answer.headers.items())
        kept = tuple((name, value) for name, value in told if name in (*TOLD, *OF_GUARD))
        return Reply(answer.status, kept, await answer.read())


OF_GUARD: Final = (
    *("access-control-allow-headers", "access-control-allow-methods", "access-control-allow-origin"),
    *(
        "access-control-expose-headers",
        "access-control-max-age",
        "content-security-policy",
        "cross-origin-opener-policy",
    ),
    *("cross-origin-resource-policy", "permissions-policy", "referrer-policy", "retry-after", "vary"),
    *("www-authenticate", "x-content-type-options", "x-frame-options"),
)
