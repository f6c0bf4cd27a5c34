"""Who is heard and who is not: tokens, origins, names, bounds, paces; and that nothing leaks."""

import asyncio
import gzip
import ipaddress
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from realtime.errors import SettingsError
from realtime.webrtc import bodies
from realtime.webrtc.answers import escaped, told
from realtime.webrtc.guard import HEADERS, Pace, client_of, same
from realtime.webrtc.serving import ServeSettings, is_loopback
from realtime.webrtc.studio import Studio
from tests.realtime.webrtc.conftest import OtherStudio
from tests.realtime.webrtc.web import SDP, error_of, opened, said_raw

TOKEN = "correct-horse"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def client(studio: Studio) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a server that needs no token."""
    async with opened(studio) as client:
        yield client


@pytest.fixture
async def guarded(studio: Studio) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a server that needs a token, which it does not send by itself."""
    async with opened(studio, token=TOKEN, offers_per_minute=20) as client:
        yield client


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "2001:db8::1", "swap.example"])
def test_every_address_but_the_machines_own_wants_a_token(host: str) -> None:
    with pytest.raises(SettingsError, match="--token"):
        ServeSettings(host=host)
    assert not ServeSettings(host=host, token=TOKEN).is_local


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost", "LOCALHOST", "a.localhost"])
def test_the_machines_own_addresses_want_none(host: str) -> None:
    assert is_loopback(host)
    assert ServeSettings(host=host).is_local


@pytest.mark.parametrize(
    ("absurd", "said"),
    [
        ({"port": 70000}, "port"),
        ({"host": " "}, "host"),
        ({"token": "short"}, "token"),
        ({"token": "with a space in it"}, "token"),
        ({"token": "naïve-secret"}, "token"),
        ({"max_sessions": 0}, "max_sessions"),
        ({"offers_per_minute": 0}, "offers_per_minute"),
        ({"keyfile": "key.pem"}, "certfile"),
        ({"origins": ("swap.example",)}, "origin"),
        ({"origins": ("https://swap.example/page",)}, "origin"),
        ({"origins": ("https://[::1",)}, "origin"),
        ({"origins": ("*",)}, "origin"),
    ],
)
def test_absurd_settings_are_refused(absurd: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        ServeSettings(**absurd)


def test_a_certificate_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    for name in ("missing.pem", "bad.pem"):
        with pytest.raises(SettingsError, match=name):
            ServeSettings(certfile=str(tmp_path / name)).tls()


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:81/"),
        ({"host": "::1"}, "http://[::1]:81/"),
        ({"host": "0.0.0.0", "token": TOKEN, "certfile": "c.pem"}, "https://127.0.0.1:81/"),
    ],
)
def test_the_page_is_at_an_address_that_a_browser_takes(settings: dict[str, Any], url: str) -> None:
    assert ServeSettings(**settings).url(81) == url
    assert ServeSettings(**settings).url(81, "a+b") == f"{url}#token=a%2Bb"


async def test_without_the_token_only_the_page_is_there(guarded: aiohttp.ClientSession) -> None:
    for path in ("/", "/api/settings"):
        async with guarded.get(path) as response:
            assert response.status == 200
    for path in ("/page/no-such-file.js", "/api/identities/nobody.jpg"):
        async with guarded.get(path) as response:
            assert response.status == 404
    calls = [("GET", "/api/identities"), ("GET", "/healthz"), ("GET", "/metrics"), ("POST", "/offer")]
    calls += [("DELETE", "/offer/x"), ("POST", "/whip"), ("PATCH", "/whip/x"), ("POST", "/whep/x"), ("GET", "/nothing")]
    for method, path in calls:
        async with guarded.request(method, path) as response:
            assert response.status == 401, path
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            assert "token" in await error_of(response)


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer ", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer \u00e9\u4e2d", 401),
    ],
)
async def test_the_token_is_a_bearer_header(guarded: aiohttp.ClientSession, seen: str, status: int) -> None:
    async with guarded.get("/healthz", headers={"Authorization": seen}) as response:
        assert response.status == status


async def test_a_token_in_the_address_does_not_count(guarded: aiohttp.ClientSession) -> None:
    async with guarded.get("/healthz", params={"token": TOKEN}) as response:
        assert response.status == 401


async def test_nobody_can_try_all_tokens(guarded: aiohttp.ClientSession) -> None:
    statuses = []
    for number in range(25):
        async with guarded.get("/healthz", headers={"Authorization": f"Bearer guess-{number}"}) as response:
            statuses.append(response.status)
    assert statuses == [401] * 20 + [429] * 5
    async with guarded.get("/healthz", headers=BEARER) as response:
        assert response.status == 200


async def test_servers_with_passwords_are_told_to_those_who_have_the_token(studio_with: OtherStudio) -> None:
    studio = studio_with(ice_servers=("turn:ann:s3cret@turn.example:3478",))
    async with opened(studio, token=TOKEN) as client:
        async with client.get("/api/settings") as response:
            assert (await response.json())["ice_servers"] == []
        async with client.get("/api/settings", headers=BEARER) as response:
            (server,) = (await response.json())["ice_servers"]
            assert server == {"urls": ["turn:turn.example:3478"], "username": "ann", "credential": "s3cret"}


def test_secrets_are_compared_as_a_whole() -> None:
    assert same("correct-horse", "correct-horse")
    assert not same("correct-hors", "correct-horse")
    assert not same("", "correct-horse")
    assert not same("\udcff", "correct-horse")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1.evil.example"]
)
async def test_a_page_of_another_origin_changes_nothing(client: aiohttp.ClientSession, origin: str) -> None:
    for method, path in (("POST", "/offer"), ("DELETE", "/offer/x"), ("POST", "/whip"), ("PATCH", "/whip/x")):
        async with client.request(method, path, headers={"Origin": origin}) as response:
            assert response.status == 403
            assert "origin" in await error_of(response)
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_the_servers_own_page_and_programs_without_an_origin_are_heard(client: aiohttp.ClientSession) -> None:
    own = str(client._base_url).rstrip("/")
    for headers in ({"Origin": own}, {}):
        async with client.delete("/offer/x", headers=headers) as response:
            assert response.status == 404


async def test_a_page_elsewhere_may_call_where_it_was_allowed(studio: Studio) -> None:
    page = "https://swap.example"
    async with opened(studio, origins=(page,)) as client:
        asked = {"Origin": page, "Access-Control-Request-Method": "POST"}
        async with client.options("/whip", headers=asked) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == page
            assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        async with client.post("/whip", headers={"Origin": page, **SDP}, data="garbage") as response:
            assert response.status == 400
            assert response.headers["Access-Control-Allow-Origin"] == page
            assert "Location" in response.headers["Access-Control-Expose-Headers"]
        async with client.options("/whip", headers={"Origin": "https://evil.example"}) as response:
            assert not [name for name in response.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("localhost:8080", 200), ("127.0.0.1", 200), ("[::1]:8080", 200), ("swap.example", 200)),
        *(("evil.example", 403), ("127.0.0.1.evil.example:8080", 403), ("[", 403), ("", 403)),
    ],
)
async def test_a_name_that_was_made_to_lead_here_is_not_answered(studio: Studio, host: str, status: int) -> None:
    async with opened(studio, origins=("https://swap.example",)) as client:
        for path in ("/", "/api/identities", "/metrics"):
            answer = await said_raw(client, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert answer.startswith(f"HTTP/1.1 {status}".encode()), answer


async def test_every_answer_has_the_headers_that_keep_browsers_careful(client: aiohttp.ClientSession) -> None:
    for method, path in (("GET", "/"), ("GET", "/nothing"), ("PUT", "/whip"), ("POST", "/offer"), ("OPTIONS", "/whip")):
        async with client.request(method, path) as response:
            for name, value in HEADERS:
                assert response.headers[name] == value, (path, name)
            assert response.headers["Cache-Control"] in ("no-store", "no-cache")


def test_the_page_may_load_nothing_from_elsewhere() -> None:
    policy = dict(HEADERS)["Content-Security-Policy"]
    sources = {source for rule in policy.split(";") for source in rule.split()[1:]}
    assert sources == {"'none'", "'self'", "blob:", "data:"}
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    "path",
    [
        *("/page/../server.py", "/page/../../../pyproject.toml", "/page/%2e%2e/server.py", "/page/%2e%2e%2fserver.py"),
        *("/page//etc/passwd", "/page/%2Fetc%2Fpasswd", "/page/..%5cserver.py", "/page/index.html%00.js", "/page/."),
        *("/page/people", "/page/people/", "/page/../index.html/../../guard.py", "/server.py", "/../../etc/passwd"),
        *(
            "/api/identities/..%2f..%2fserver.py.jpg",
            "/api/identities/../x.jpg",
            "/api/identities/%2e%2e%2findex.html.jpg",
        ),
    ],
)
async def test_no_file_of_the_host_can_be_read(client: aiohttp.ClientSession, path: str) -> None:
    answer = await said_raw(client, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert re.match(rb"HTTP/1.1 40[04] ", answer), answer
    assert b"root:" not in answer
    assert b"import" not in answer


@pytest.mark.parametrize("path", ["/whip", "/offer"])
async def test_a_huge_body_is_refused_before_it_is_taken(client: aiohttp.ClientSession, path: str) -> None:
    kind = "application/sdp" if path == "/whip" else "application/json"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 9999999999\r\n\r\n"
    answer = await said_raw(client, head.encode())
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("kind", ["application/sdp", "application/json"])
async def test_a_huge_body_in_chunks_is_refused_as_well(client: aiohttp.ClientSession, kind: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(600):
            yield b"a=x" * 200

    path = "/whip" if kind == "application/sdp" else "/offer"
    async with client.post(path, data=chunks(), headers={"Content-Type": kind}) as response:
        assert response.status == 413
        assert str(64 * 1024 if path == "/whip" else 256 * 1024) in await error_of(response)


async def test_a_large_sdp_within_json_is_refused(client: aiohttp.ClientSession) -> None:
    async with client.post("/offer", json={"type": "offer", "sdp": "v=0" + "\n" * 70_000}) as response:
        assert response.status == 413
        assert "65536" in await error_of(response)


async def test_a_small_body_that_unpacks_to_a_huge_one_is_refused(client: aiohttp.ClientSession) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < bodies.MOST_BYTES
    async with client.post("/whip", data=bomb, headers={**SDP, "Content-Encoding": "gzip"}) as response:
        assert response.status == 413


@pytest.mark.parametrize(
    ("more", "body"),
    [
        ("Transfer-Encoding: chunked", "zz\r\nnot a chunk\r\n0\r\n\r\n"),
        ("Content-Encoding: gzip\r\nContent-Length: 11", "not gzipped"),
        ("Content-Length: 2", "\xff\xfe"),
    ],
)
async def test_a_broken_body_is_malformed(client: aiohttp.ClientSession, more: str, body: str) -> None:
    head = f"POST /whip HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\n{more}\r\n\r\n"
    answer = await said_raw(client, (head + body).encode("latin-1"))
    assert re.match(rb"HTTP/1.[01] 400 ", answer), answer


async def test_a_body_that_never_ends_is_given_up(
    client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 0.2)
    head = "POST /whip HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: 500\r\n\r\nv=0"
    answer = await said_raw(client, head.encode())
    assert answer.startswith(b"HTTP/1.1 408")


async def test_offers_beyond_the_pace_are_told_when_to_come_back(studio: Studio) -> None:
    async with opened(studio, offers_per_minute=3) as client:
        for path in ("/offer", "/whip", "/whep/x"):
            async with client.post(path) as response:
                assert response.status in (404, 415)
        async with client.post("/offer") as response:
            assert response.status == 429
            assert 1 <= int(response.headers["Retry-After"]) <= 20
        async with client.get("/healthz") as response:
            assert response.status == 200


async def test_behind_a_proxy_each_client_has_a_pace_of_its_own(studio: Studio) -> None:
    async with opened(studio, offers_per_minute=1, behind_proxy=True) as client:
        for address, status in (("192.0.2.1", 415), ("192.0.2.1", 429), ("192.0.2.2", 415)):
            forged = {"X-Forwarded-For": f"{ipaddress.IPv4Address(status)}, {address}"}
            async with client.post("/whip", headers=forged) as response:
                assert response.status == status
    async with opened(studio, offers_per_minute=1) as client:
        for address, status in (("192.0.2.1", 415), ("192.0.2.2", 429)):
            async with client.post("/whip", headers={"X-Forwarded-For": address}) as response:
                assert response.status == status


@pytest.mark.parametrize(
    ("seen", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("rubbish", "unknown"),
    ],
)
def test_a_client_is_an_address_or_the_network_that_it_has_to_itself(seen: str, client: str) -> None:
    assert client_of(seen) == client


def test_a_pace_lets_a_minutes_worth_through_at_once_and_then_evenly() -> None:
    now = [100.0]
    pace = Pace(60, lambda: now[0])
    assert [pace.wait("ann") for _ in range(60)] == [0.0] * 60
    assert pace.wait("ann") == pytest.approx(1.0)
    assert pace.wait("ben") == 0.0
    now[0] += 1.0
    assert pace.wait("ann") == 0.0
    assert pace.wait("ann") == pytest.approx(1.0)


def test_a_pace_forgets_those_who_are_quiet() -> None:
    now = [0.0]
    pace = Pace(10, lambda: now[0])
    for number in range(1000):
        pace.wait(str(number))
    assert len(pace) == 1000
    now[0] = 61.0
    pace.wait("late")
    assert len(pace) == 1


NASTY = "\x1b[31mred\x07\r\nsession 1 ended\u2028\u202e"


async def test_nothing_that_clients_write_reaches_the_log_as_it_is(
    client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    nasty = NASTY.encode()
    one_line = nasty.replace(b"\r\n", b" ")
    requests = [
        b"GET /" + one_line + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x1b[2J\x07 /whip HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-\x1b[31m: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \x1b[31m\r\nUser-Agent: " + one_line + b"\r\n\r\n",
        b"POST /whip HTTP/1.1\r\nHost: localhost\r\nContent-Type: \x1b]0;x\x07\r\nContent-Length: 0\r\n\r\n",
        b"POST /whip HTTP/1.1\r\nHost: localhost\r\nContent-Length: \x1b[31m\r\n\r\n",
    ]
    for sdp in (nasty, b"v=0\r\no=" + nasty, b"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 " + nasty):
        head = f"POST /whip HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: {len(sdp)}"
        requests.append(f"{head}\r\n\r\n".encode() + sdp)
    for request in requests:
        answer = await said_raw(client, request)
        assert re.match(rb"HTTP/1.[01] [24]\d\d ", answer), (request, answer)
        assert b"\x1b" not in answer
    async with client.post("/offer", json={"type": "offer", "sdp": NASTY, "identity": NASTY}) as response:
        assert response.status in (400, 422)
    async with client.post("/whip", params={"identity": NASTY}, headers=SDP, data="v=0") as response:
        assert response.status in (400, 422)
    for record in caplog.records:
        assert record.getMessage().isprintable(), record
        assert record.exc_info is None


async def test_a_fault_nobody_expected_is_told_without_its_words_and_logged_in_one_line(
    studio: Studio, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError(NASTY)

    monkeypatch.setattr(studio, "session", broken)
    async with opened(studio) as client:
        async with client.post("/whip", headers=SDP, data="v=0") as response:
            assert response.status == 500
            assert "red" not in await error_of(response)
        async with client.get("/metrics") as response:
            assert 'address="/whip",method="POST",status="500"} 1.0' in await response.text()
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "ZeroDivisionError" in record.getMessage()
    assert "broken" in record.getMessage()
    assert record.getMessage().isprintable()


def test_what_is_escaped_is_short_and_plain() -> None:
    assert escaped("a\nb\x1b\u202e") == "a\\nb\\x1b\\u202e"
    assert len(escaped("x" * 10_000)) == 300
    assert told(ValueError("a\nb")).startswith("ValueError: a\\nb (in ")


async def test_a_client_that_leaves_in_the_middle_does_no_harm(client: aiohttp.ClientSession) -> None:
    base = client._base_url
    assert base is not None
    for part in (b"", b"POST /wh", b"POST /whip HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nv"):
        _, writer = await asyncio.open_connection(base.host, base.port)
        writer.write(part)
        await writer.drain()
        writer.close()
    async with client.get("/healthz") as response:
        assert response.status == 200
