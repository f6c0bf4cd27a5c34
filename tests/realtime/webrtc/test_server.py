"""The server as its page, its operator and its Prometheus see it; `liveswap serve` from the outside."""

import asyncio
import datetime
import ipaddress
import json
import os
import re
import signal
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client.parser import text_string_to_metric_families

from realtime.errors import SettingsError, UnknownIdentity
from realtime.settings import Settings
from realtime.webrtc import server
from realtime.webrtc.server import ServeSettings, listening
from realtime.webrtc.session import Session
from realtime.webrtc.site import PAGE, page_files
from realtime.webrtc.studio import Studio
from tests.realtime.conftest import Say
from tests.realtime.webrtc.people import PATIENCE, Client, Clip, Looks, demo
from tests.realtime.webrtc.web import error_of, opened, shows

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
async def client(studio: Studio) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a server."""
    async with opened(studio, max_sessions=2) as client:
        yield client


@asynccontextmanager
async def visitor(client: aiohttp.ClientSession, **wishes: str) -> AsyncIterator[tuple[Client, dict[str, Any]]]:
    """Somebody who came in by the page, connected, and what the server answered."""
    one, clip = Client(), Clip(demo())
    one.connection.addTrack(clip)
    try:
        offer = {"type": "offer", "sdp": await one.offer(), **wishes}
        async with client.post("/offer", json=offer) as response:
            assert response.status == 200, await response.text()
            answer: dict[str, Any] = await response.json()
        await one.take(answer["sdp"])
        await one.connected()
        yield one, answer
    finally:
        clip.stop()
        await one.close()


async def figures(client: aiohttp.ClientSession) -> dict[str, float]:
    """What Prometheus reads, by name; without labels."""
    async with client.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        families = text_string_to_metric_families(await response.text())
        return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


async def until(client: aiohttp.ClientSession, sessions: int) -> None:
    """Waits until the server has so many sessions."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with client.get("/healthz") as response:
                health = await response.json()
            assert health["status"] == "ok"
            if health["sessions"] == sessions:
                return
            await asyncio.sleep(0.05)


async def test_the_page_and_its_files_are_there(client: aiohttp.ClientSession) -> None:
    async with client.get("/") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        page = await response.text()
    named = re.findall(r'(?:src|href)="(/page/[^"#?]+)"', page)
    assert named
    for path in (*named, *(f"/page/{name}" for name in page_files(PAGE))):
        async with client.get(path) as response:
            assert response.status == 200, path
            assert response.content_type != "application/octet-stream", path


def test_a_page_consists_of_the_kinds_of_files_that_pages_consist_of(tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    for name in ("index.html", "people/ann.jpg", "secret.py", "notes.md", ".hidden", "key.pem"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder.js").mkdir()
    assert page_files(tmp_path) == {
        "index.html": ("text/html; charset=utf-8", b"index.html"),
        "people/ann.jpg": ("image/jpeg", b"people/ann.jpg"),
    }


async def test_identities_are_listed_with_what_they_look_like(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/identities") as response:
        cards = await response.json()
    assert [card["name"] for card in cards] == ["aster", "birch", "cedar", "dahlia"]
    for card in cards:
        assert set(card) == {"name", "kind", "licence", "thumbnail"}
        assert card["kind"] == "rendered"
        if card["thumbnail"] is not None:
            async with client.get(card["thumbnail"]) as response:
                assert response.status == 200
                assert (await response.read()).startswith(b"\xff\xd8")
    async with client.get("/api/identities/nobody.jpg") as response:
        assert response.status == 404


async def test_the_page_learns_the_settings(client: aiohttp.ClientSession, studio: Studio) -> None:
    async with client.get("/api/settings") as response:
        settings = await response.json()
    assert settings.pop("version")
    wanted = {"ice_servers": [], "needs_token": False}
    assert settings == {**wanted, "width": studio.media.width, "height": studio.media.height, "fps": studio.media.fps}


async def test_a_visitor_sees_its_picture_swapped_until_it_leaves(client: aiohttp.ClientSession, looks: Looks) -> None:
    async with visitor(client, identity="cedar") as (one, answer):
        assert (answer["type"], set(answer)) == ("answer", {"type", "sdp", "session", "whep"})
        assert answer["whep"] != f"/whep/{answer['session']}"  # to watch is not to own
        await shows(one.video, looks, "cedar")
        seen = await figures(client)
        assert seen["liveswap_sessions"] == 1
        assert seen["liveswap_sessions_most"] == 2
        assert seen["liveswap_frames_in_total"] >= seen["liveswap_frames_out_total"] >= 5
        async with client.delete(f"/offer/{answer['session']}") as response:
            assert response.status == 200
            assert await response.json() == {"ended": True}
        async with client.delete(f"/offer/{answer['session']}") as response:
            assert response.status == 404
            assert "session" in await error_of(response)
    await until(client, 0)
    after = await figures(client)
    assert after["liveswap_frames_out_total"] >= seen["liveswap_frames_out_total"]
    assert "liveswap_slowest_fps" not in after


async def test_a_session_without_its_peer_is_forgotten(client: aiohttp.ClientSession, studio: Studio) -> None:
    async with visitor(client) as (one, answer):
        await one.video.until(1)
        await until(client, 1)
    await until(client, 0)
    assert not studio.sessions
    for status in (200, 404):  # who closes and says so may be heard in this order; it is known once
        async with client.delete(f"/offer/{answer['session']}") as response:
            assert response.status == status


async def test_a_full_server_says_so_and_has_room_again(client: aiohttp.ClientSession) -> None:
    async with visitor(client), visitor(client) as (_, answer):
        one = Client()
        one.connection.addTrack(Clip(demo()))
        offer = {"type": "offer", "sdp": await one.offer()}
        async with client.post("/offer", json=offer) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
            assert "2 sessions" in await error_of(response)
        async with client.delete(f"/offer/{answer['session']}") as response:
            assert response.status == 200
        async with client.post("/offer", json=offer) as response:
            assert response.status == 200
        await one.close()


@pytest.mark.parametrize("turn_away", [True, False])
async def test_nobody_else_comes_while_a_session_is_starved(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, turn_away: bool
) -> None:
    async with opened(studio, turn_away=turn_away) as client:
        first, second = Client(), Client()
        for one in (first, second):
            one.connection.addTrack(Clip(demo()))
        async with client.post("/offer", json={"type": "offer", "sdp": await first.offer()}) as response:
            assert response.status == 200
        offer = {"type": "offer", "sdp": await second.offer()}
        with monkeypatch.context() as patched:
            patched.setattr(Session, "starved", True)
            async with client.post("/offer", json=offer) as response:
                assert response.status == (503 if turn_away else 200)
                if turn_away:
                    assert int(response.headers["Retry-After"]) > 0
                    assert "two of three frames" in await error_of(response)
        if turn_away:  # it is quieter now
            async with client.post("/offer", json=offer) as response:
                assert response.status == 200
        await first.close()
        await second.close()


GOOD = {"type": "offer", "sdp": "v=0"}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("", 400, "JSON"),
        ("{", 400, "JSON"),
        ("[]", 400, "object"),
        ('"offer"', 400, "object"),
        ("null", 400, "object"),
        ("{}", 400, "type"),
        ("[" * 60_000, 400, "JSON"),
        ('{"type": "offer", "sdp": "\\ud800"}', 400, "sdp"),
        (json.dumps({**GOOD, "type": "answer"}), 400, "type"),
        (json.dumps({**GOOD, "sdp": 5}), 400, "sdp"),
        (json.dumps({**GOOD, "sdp": ""}), 400, "sdp"),
        (json.dumps({**GOOD, "sdp": None}), 400, "sdp"),
        (json.dumps({"type": "offer"}), 400, "sdp"),
        (json.dumps({**GOOD, "identity": ["aster"]}), 400, "identity"),
        (json.dumps({**GOOD, "no_face": "show everything"}), 400, "no_face"),
        (json.dumps({**GOOD, "label": "nowhere"}), 400, "label"),
        (json.dumps({**GOOD, "identety": "aster"}), 400, "keys"),
        (json.dumps({**GOOD, "identity": "nobody"}), 422, "nobody"),
        (json.dumps({**GOOD, "identity": "/etc/passwd"}), 422, "aster"),
        (json.dumps(GOOD), 422, "video"),
        (json.dumps({**GOOD, "sdp": "hello"}), 400, "SDP"),
    ],
)
async def test_an_offer_of_the_wrong_shape_is_told_what_was_wanted(
    client: aiohttp.ClientSession, studio: Studio, body: str, status: int, said: str
) -> None:
    async with client.post("/offer", data=body, headers={"Content-Type": "application/json"}) as response:
        assert response.status == status
        assert said in await error_of(response)
    assert not studio.sessions


async def test_an_offer_that_is_no_json_by_its_own_words_is_not_read(client: aiohttp.ClientSession) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/sdp"):
        async with client.post("/offer", data=json.dumps(GOOD), headers={"Content-Type": kind}) as response:
            assert response.status == 415


async def test_a_method_that_an_address_does_not_take_is_told_which_it_does(client: aiohttp.ClientSession) -> None:
    for method, path, allowed in (
        ("PUT", "/offer", {"POST", "OPTIONS"}),
        ("GET", "/offer", {"POST", "OPTIONS"}),
        ("POST", "/offer/x", {"DELETE", "OPTIONS"}),
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("DELETE", "/", {"GET", "HEAD"}),
    ):
        async with client.request(method, path) as response:
            assert response.status == 405
            assert set(response.headers["Allow"].split(", ")) == allowed
            await error_of(response)


async def test_requests_are_counted_by_pattern_so_that_there_are_few(client: aiohttp.ClientSession) -> None:
    for path in ("/offer/a", "/offer/b", "/elsewhere/a", "/elsewhere/b"):
        async with client.delete(path):
            pass
    async with client.put("/"):
        pass
    async with client.get("/metrics") as response:
        text = await response.text()
    assert 'liveswap_http_answers_total{address="/offer/{key}",method="DELETE",status="404"} 2.0' in text
    assert 'liveswap_http_answers_total{address="other",method="DELETE",status="404"} 2.0' in text
    assert 'address="other",method="other",status="405"} 1.0' in text
    assert "process_resident_memory_bytes" in text


async def test_two_servers_count_for_themselves(studio: Studio) -> None:
    async with opened(studio) as one, opened(studio) as other:
        async with one.get("/healthz"):
            pass
        async with other.get("/metrics") as response:
            assert "/healthz" not in await response.text()


async def test_sessions_end_with_the_server(studio: Studio) -> None:
    async with opened(studio) as client, visitor(client) as (one, _):
        await one.video.until(1)
        assert studio.sessions
    assert not studio.sessions


async def test_visitors_that_come_and_go_leave_nothing_behind(studio: Studio) -> None:
    """Threads and tasks; the first visitor may bring up what all share."""
    async with opened(studio) as client:
        left: list[tuple[int, int]] = []
        for _ in range(6):
            async with visitor(client) as (one, answer):
                await one.video.until(3)
                async with client.delete(f"/offer/{answer['session']}") as response:
                    assert response.status == 200
            await asyncio.sleep(0.2)
            left.append((threading.active_count(), len(asyncio.all_tasks())))
        assert left[-1][0] <= left[1][0] + 1, left
        assert left[-1][1] <= left[1][1] + 1, left
        assert not studio.sessions


async def test_who_is_shown_without_a_choice_is_a_setting(loaded: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded, "settings", Settings(identity="cedar", no_face="blur"))
    async with opened(loaded) as client, visitor(client):
        (session,) = loaded.sessions
        assert (session.wish.identity, session.wish.no_face) == ("cedar", "blur")
    monkeypatch.setattr(loaded, "settings", Settings(identity="nobody"))
    with pytest.raises(UnknownIdentity, match="nobody"):
        server.application(loaded, ServeSettings())


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine that it signed itself, and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "liveswap test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths[1].write_bytes(key.private_bytes(*form))
    return paths


async def test_a_certificate_turns_https_on(studio: Studio, tmp_path: Path) -> None:
    certfile, keyfile = certificate(tmp_path)
    settings = ServeSettings(port=0, certfile=str(certfile), keyfile=str(keyfile))
    trusting = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=certfile))
    async with listening(studio, settings) as port, aiohttp.ClientSession(connector=trusting) as client:
        assert settings.url(port).startswith("https://")
        url = f"https://127.0.0.1:{port}"
        async with client.get(f"{url}/healthz") as response:
            assert response.status == 200
        async with client.delete(f"{url}/offer/x", headers={"Origin": url}) as response:
            assert response.status == 404
        async with client.delete(f"{url}/offer/x", headers={"Origin": url.replace("https", "http")}) as response:
            assert response.status == 403


async def test_a_port_that_is_taken_is_one_sentence(studio: Studio) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port}"):
            async with listening(studio, ServeSettings(port=port)):
                pass


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--host", "0.0.0.0"), "--token"),
        (("--token", "short"), "token"),
        (("--port", "99999"), "port"),
        (("--width", "3"), "width"),
        (("--ice-server", "http://x"), "ICE server"),
        (("--identity", "nobody"), "nobody"),
        (("--certfile", "missing.pem"), "missing.pem"),
        (("--models", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(say: Say, flags: tuple[str, ...], said: str) -> None:
    told = say("serve", "--port", 0, *flags)
    assert told.code == 2
    assert said in told.err
    assert len(told.err.strip().splitlines()) == 1


def test_without_the_extra_it_says_what_to_install(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("realtime.webrtc")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiortc", None)
    told = say("serve")
    assert told.code == 2
    assert "pip install 'liveswap[webrtc]'" in told.err


async def served(*flags: str, **environment: str) -> tuple[asyncio.subprocess.Process, str]:
    """`liveswap serve` in a process of its own, and the address that it says."""
    command = [sys.executable, "-m", "realtime", "serve", "--port", "0", *flags]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return process, (await process.stdout.readline()).decode().strip()


@pytest.mark.skipif(os.name != "posix", reason="signals as terminals send them")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_server_and_its_sessions(kind: signal.Signals) -> None:
    process, url = await served("-v")
    async with aiohttp.ClientSession(url) as client, visitor(client) as (one, _):
        await one.video.until(3)
        process.send_signal(kind)
        async with asyncio.timeout(PATIENCE):
            _, said = await process.communicate()
    assert process.returncode == 128 + kind
    assert "session 1 ended" in said.decode()
    assert "Traceback" not in said.decode()


@pytest.mark.skipif(os.name != "posix", reason="signals as terminals send them")
async def test_on_the_network_it_takes_a_token_from_the_environment_and_warns_without_https() -> None:
    process, url = await served("--host", "0.0.0.0", LIVESWAP_TOKEN="correct-horse")
    assert url.endswith("/#token=correct-horse")
    async with aiohttp.ClientSession(url.partition("#")[0]) as client:
        async with client.get("/healthz") as response:
            assert response.status == 401
        async with client.get("/healthz", headers={"Authorization": "Bearer correct-horse"}) as response:
            assert response.status == 200
    process.terminate()
    _, said = await process.communicate()
    assert "HTTPS" in said.decode()
    assert "correct-horse" not in said.decode()
