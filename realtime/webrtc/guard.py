"""What every request passes before it is heard: from where, by whom and how often."""

import hashlib
import hmac
import ipaddress
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from realtime.webrtc.answers import Refusal, refusal_of
from realtime.webrtc.serving import ServeSettings, is_loopback

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MINUTE: Final = 60.0
SAFE: Final = ("GET", "HEAD", "OPTIONS")
OPEN: Final = ("/", "/api/settings")  # besides the page's files: readable without a token
HEADERS: Final = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Permissions-Policy", "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Server", "liveswap"),
)


class Pace:
    """How often each client may ask: as many times at once as in a minute, then evenly spaced.

    It remembers one number for each client and forgets those who have been quiet for a minute.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._apart = MINUTE / per_minute  # seconds
        self._clock = clock
        self._used_until: dict[str, float] = {}  # when the client will have its full allowance again
        self._swept_at = clock()

    def __len__(self) -> int:
        """How many clients are remembered."""
        return len(self._used_until)

    def wait(self, client: str) -> float:
        """Seconds that the client has to wait; 0 where it may ask now, which counts."""
        now = self._clock()
        self._sweep(now)
        used_until = max(now, self._used_until.get(client, now)) + self._apart
        too_early = used_until - now - MINUTE
        if too_early > 1e-6:
            return too_early
        self._used_until[client] = used_until
        return 0.0

    def _sweep(self, now: float) -> None:
        if now - self._swept_at >= MINUTE:
            self._swept_at = now
            self._used_until = {client: until for client, until in self._used_until.items() if until > now}


class Guard:
    """The checks of one server."""

    def __init__(self, settings: ServeSettings, count: Callable[[str, str, int], None]) -> None:
        """count hears of each answer: its method, the address's pattern, its status."""
        self._settings = settings
        self._count = count
        self._pace = Pace(settings.offers_per_minute)
        self._names = {urlsplit(origin).hostname for origin in settings.origins} | {settings.host.lower()}

    @web.middleware
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The handler's answer, or the error that was raised as JSON; for the application's middlewares."""
        try:
            self._check(request)
            response = await handler(request)
        except Exception as error:
            response = refusal_of(error)
        resource = request.match_info.route.resource
        self._count(request.method, "other" if resource is None else resource.canonical, response.status)
        return response

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Adds the headers that every answer has; for the application's on_response_prepare."""
        for name, value in HEADERS:
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")
        origin = request.headers.get("Origin", "")
        if origin in self._settings.origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = "Location, ETag, Link, Accept-Patch, Retry-After"
            response.headers["Vary"] = "Origin"

    def trusts(self, request: web.Request) -> bool:
        """Whether the request has the token, or none is needed."""
        scheme, _, seen = request.headers.get("Authorization", "").partition(" ")
        return not self._settings.token or (scheme.lower() == "bearer" and same(seen.strip(), self._settings.token))

    def _check(self, request: web.Request) -> None:
        """Raises Refusal: 403, 401 or 429."""
        self._check_host(request)
        self._check_origin(request)
        self._check_token(request)
        if request.method == "POST":  # each is an offer
            self._check_pace(request)

    def _check_host(self, request: web.Request) -> None:
        """A page elsewhere whose name was made to lead to this machine is not of this machine."""
        host = request.headers.get("Host")
        if self._settings.token or host is None:  # browsers always send one
            return
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            name = ""
        if not is_loopback(name) and name not in self._names:
            raise Refusal(403, "this server answers to localhost; for another name, start it with --origin and a token")

    def _check_origin(self, request: web.Request) -> None:
        if request.method in SAFE:
            return
        allowed = (f"{request.scheme}://{request.headers.get('Host', '')}", *self._settings.origins)
        if not all(origin in allowed for origin in request.headers.getall("Origin", [])):
            raise Refusal(403, "this call came from a page of another origin, wanted one of this server or of --origin")

    def _check_token(self, request: web.Request) -> None:
        if not self._settings.token or request.method == "OPTIONS" or _is_open(request.path):
            return
        if self.trusts(request):
            return
        self._check_pace(request)  # so that nobody tries all there are
        sentence = "the token is wrong" if "Authorization" in request.headers else "there is no token"
        asked = {"WWW-Authenticate": 'Bearer realm="liveswap"'}
        raise Refusal(401, f"{sentence}, wanted the header Authorization: Bearer TOKEN", asked)

    def _check_pace(self, request: web.Request) -> None:
        seen = request.remote or ""
        if self._settings.behind_proxy:  # the last address is the one that the proxy itself saw
            seen = ",".join(request.headers.getall("X-Forwarded-For", [seen])).rpartition(",")[2]
        if wait := self._pace.wait(client_of(seen)):
            most = self._settings.offers_per_minute
            sentence = f"too many offers, wanted at most {most} a minute from one client"
            raise Refusal(429, sentence, {"Retry-After": str(math.ceil(wait))})


def same(seen: str, wanted: str) -> bool:
    """Whether two secrets are the same, in a time that tells nothing about where they differ."""
    digests = (hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (seen, wanted))
    return hmac.compare_digest(*digests)


def client_of(address: str) -> str:
    """Who asks from there: an IPv4 address, or the network of an IPv6 one, as one client has many of those."""
    try:
        seen = ipaddress.ip_address(address.strip().partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(seen, ipaddress.IPv4Address):
        return str(seen)
    return str(seen.ipv4_mapped or ipaddress.ip_network((seen, 64), strict=False))


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith("/page/") or (path.startswith("/api/identities/") and path.endswith(".jpg"))
