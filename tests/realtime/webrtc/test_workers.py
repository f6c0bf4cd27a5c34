"""`liveswap serve --workers`: sessions in several processes behind one port, and what becomes of all when one dies."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from realtime.errors import LiveswapError, SettingsError
from realtime.settings import Settings
from realtime.webrtc import metrics_of_all, workers
from realtime.webrtc.answers import Refusal
from realtime.webrtc.front import application
from realtime.webrtc.lobby import Ticket
from realtime.webrtc.media import MediaSettings
from realtime.webrtc.orders import HEADER, from_headers, in_header
from realtime.webrtc.server import ServeSettings
from realtime.webrtc.whereabouts import Whereabouts
from realtime.webrtc.workers import Workers, threads_each
from tests.realtime.conftest import Say
from tests.realtime.webrtc.people import PATIENCE, Client, Clip, demo
from tests.realtime.webrtc.test_fuzz import CHECKS, FUZZED, OPERATIONS, in_both_ways, negatable
from tests.realtime.webrtc.test_whip import publishing, watching
from tests.realtime.webrtc.web import FRAGMENT, SDP, error_of

ROOT = Path(__file__).resolve().parents[3]
FPS = 8.0  # of the cameras here: several at once, on two busy cores
pytestmark = pytest.mark.skipif(os.name != "posix", reason="workers want Unix sockets")


@dataclass(frozen=True, slots=True)
class Server:
    """`liveswap serve` in a process of its own."""

    process: "subprocess.Popen[str]"
    url: str

    @property
    def workers(self) -> list[int]:
        """The process numbers of its workers."""
        return children(self.process.pid)


def children(process: int) -> list[int]:
    """The processes that a process has started and that live."""
    listed = Path("/proc").glob("[0-9]*/stat")
    found = []
    for path in listed:
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == process and fields[0] != "Z":
            found.append(int(path.parent.name))
    return sorted(found)


def alive(process: int) -> bool:
    """Whether a process lives, even one that is nobody's child here."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def serving(*flags: str, folder: Path | None = None) -> Server:
    """A server with two workers that is up; they are killed with whoever started them."""
    usual = ("--port", "0", "--workers", "2", "--no-session-log", "--no-turn-away")  # a busy machine is no error
    command = (sys.executable, "-m", "realtime", "serve", *usual, *flags)
    environment = {**os.environ, **({"TMPDIR": str(folder)} if folder else {})}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    return Server(process, process.stdout.readline().strip())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with two workers and room for three sessions."""
    server = serving("--max-sessions", "3", "--offers-per-minute", "100000")
    yield server
    processes = server.workers
    server.process.terminate()
    server.process.communicate(timeout=PATIENCE)
    assert server.process.returncode == 128 + signal.SIGTERM
    assert not any(map(alive, processes))


@pytest.fixture
async def client(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the server, where nobody is left of the test before."""
    async with aiohttp.ClientSession(server.url) as client:
        await until(client, 0)
        yield client


@asynccontextmanager
async def visitor(client: aiohttp.ClientSession, fps: float = FPS) -> AsyncIterator[tuple[Client, str]]:
    """Somebody who came in by the page, connected, and the key of the session."""
    one, clip = Client(), Clip(demo(), fps)
    one.connection.addTrack(clip)
    try:
        async with client.post("/offer", json={"type": "offer", "sdp": await one.offer()}) as response:
            assert response.status == 200, await response.text()
            answer = await response.json()
        await one.take(answer["sdp"])
        await one.connected()
        yield one, answer["session"]
    finally:
        clip.stop()
        await one.close()


async def health(client: aiohttp.ClientSession) -> dict[str, Any]:
    async with client.get("/healthz") as response:
        assert response.status == 200
        found: dict[str, Any] = await response.json()
        return found


async def until(client: aiohttp.ClientSession, sessions: int) -> None:
    """Waits until the server has so many sessions."""
    async with asyncio.timeout(2 * PATIENCE):
        while (await health(client))["sessions"] != sessions:
            await asyncio.sleep(0.05)


async def spread(client: aiohttp.ClientSession) -> list[int]:
    """How many sessions each worker has."""
    return [worker["sessions"] for worker in (await health(client))["workers"]]


async def test_sessions_are_spread_and_all_limits_hold_over_all_workers(client: aiohttp.ClientSession) -> None:
    async with visitor(client) as (one, key), visitor(client) as (other, _):
        assert await spread(client) == [1, 1]
        await asyncio.gather(one.video.until(3), other.video.until(3))
        async with client.get(f"/offer/{key}/snapshot.png") as response:
            assert (response.status, response.content_type) == (200, "image/png")
            assert (await response.read()).startswith(b"\x89PNG")
        async with client.get(f"/offer/{key}/snapshot.bmp") as response:
            assert response.status == 404
            assert "wanted snapshot.png or snapshot.jpg" in await error_of(response)
        async with publishing(client, "?name=third"):
            assert sorted(await spread(client)) == [1, 2]
            for path, body in (("/whip", "v=0"), ("/whip?name=third", "v=0")):
                async with client.post(path, data=body, headers=SDP) as response:
                    assert response.status == 503
                    assert int(response.headers["Retry-After"]) > 0
                    assert "3 sessions" in await error_of(response)
            async with client.delete(f"/offer/{key}") as response:
                assert await response.json() == {"ended": True}
            async with client.post("/whip?name=third", data="v=0", headers=SDP) as response:
                assert response.status == 409  # a name is taken wherever its session is
            async with client.delete(f"/offer/{key}") as response:
                assert response.status == 404
    await until(client, 0)  # peers that leave are noticed


async def test_a_camera_is_watched_and_changed_wherever_its_session_is(client: aiohttp.ClientSession) -> None:
    async with visitor(client), publishing(client, "?name=obs&identity=cedar") as (_, camera):
        assert camera.watching == "/whep/obs"
        async with watching(client, "/whep/obs") as (one, viewer):
            await one.video.until(3)
            tags = {"Content-Type": FRAGMENT, "If-Match": viewer.etag}
            line = "a=candidate:1 1 udp 2113937151 192.0.2.1 54400 typ host"
            async with client.patch(viewer.location, data=viewer.fragment(line), headers=tags) as response:
                assert response.status == 204, await response.text()
            async with client.patch(camera.location, data=camera.fragment(line), headers=tags) as response:
                assert response.status == 412
            restart = {"Content-Type": FRAGMENT, "If-Match": "*"}
            async with client.patch(camera.location, data=camera.fragment(line), headers=restart) as response:
                assert response.status == 422
                assert "new offer" in await error_of(response)
            async with client.delete(viewer.location) as response:
                assert response.status == 200
            async with client.delete(viewer.location) as response:
                assert response.status == 404
        async with client.delete(camera.location) as response:
            assert response.status == 200
        async with client.post("/whep/obs", data="v=0", headers=SDP) as response:
            assert response.status == 404


async def test_what_workers_refuse_is_told_as_they_say_it(client: aiohttp.ClientSession) -> None:
    for path, kind, body, status, said in (
        ("/whip", "text/plain", "v=0", 415, "application/sdp"),
        ("/whip?name=a%2Fb", "application/sdp", "v=0", 400, "name"),
        ("/whip?name=a&name=b", "application/sdp", "v=0", 400, "once"),
        ("/whip?identity=%2Fetc%2Fpasswd", "application/sdp", "v=0", 422, "aster"),
        ("/whip", "application/sdp", "x" * 70_000, 413, "65536"),
        ("/whip", "application/sdp", "x" * 300_000, 413, "262144"),
        ("/offer", "application/json", "{", 400, "JSON"),
        ("/offer", "application/json", '{"type": "offer", "sdp": "v=0"}', 422, "video"),
    ):
        async with client.post(path, data=body, headers={"Content-Type": kind}) as response:
            assert response.status == status
            assert said in await error_of(response)
            assert response.headers["X-Content-Type-Options"] == "nosniff"
    foreign = {"Origin": "https://elsewhere.example"}
    async with client.delete("/offer/x", headers=foreign) as response:
        assert response.status == 403
    forged = {HEADER: "1 key name", **SDP}  # what is between the server and its workers is not for clients to say
    one, clip = Client(), Clip(demo(), FPS)
    one.connection.addTrack(clip)
    async with client.post("/whip", data=await one.offer(), headers=forged) as response:
        assert response.status == 201
        assert response.headers["Location"] != "/whip/key"
        await client.delete(response.headers["Location"])
    clip.stop()
    await one.close()
    assert (await health(client))["sessions"] == 0  # refused offers take no room


async def test_the_page_and_the_figures_of_all_are_there(client: aiohttp.ClientSession) -> None:
    async with client.get("/") as response:
        assert response.content_type == "text/html"
    async with client.get("/api/identities") as response:
        assert [card["name"] for card in await response.json()] == ["aster", "birch", "cedar", "dahlia"]
    async with client.get("/api/settings") as response:
        assert (await response.json())["width"] == 1280
    async with visitor(client) as (one, _):
        await one.video.until(3)
        async with client.get("/metrics") as response:
            families = {one.name: one for one in text_string_to_metric_families(await response.text())}
    values = {one.labels["worker"]: one.value for one in families["liveswap_sessions"].samples}
    assert sorted(values.values()) == [0, 1]
    assert [one.value for one in families["liveswap_worker_up"].samples] == [1, 1]
    assert [one.value for one in families["liveswap_sessions_most"].samples] == [3]
    memory = {one.labels["worker"] for one in families["process_resident_memory_bytes"].samples}
    assert memory == {"0", "1", "front"}
    asked = [one for one in families["liveswap_http_answers"].samples if one.labels["address"] == "/offer"]
    assert all("worker" not in one.labels for one in asked)  # counted once, by the server


async def test_a_worker_that_dies_takes_its_own_sessions_alone(server: Server, client: aiohttp.ClientSession) -> None:
    async with visitor(client) as (_, first), visitor(client) as (other, second):
        before = server.workers
        restarts = [worker["restarts"] for worker in (await health(client))["workers"]]
        os.kill(before[0], signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            while (await health(client))["sessions"] != 1:
                await asyncio.sleep(0.05)
        await other.video.until(len(other.video.frames) + 5)  # it goes on
        found = {}
        for key in (first, second):
            async with client.delete(f"/offer/{key}", headers={"Origin": server.url.rstrip("/")}) as response:
                found[response.status] = await response.json()
        assert set(found) == {200, 410}
        assert "new offer" in found[410]["error"]
        async with asyncio.timeout(PATIENCE):
            while not all(worker["up"] for worker in (await health(client))["workers"]):
                await asyncio.sleep(0.05)
    after = [worker["restarts"] for worker in (await health(client))["workers"]]
    assert sum(after) == sum(restarts) + 1
    assert len(set(server.workers) - set(before)) == 1
    async with visitor(client) as (one, _), visitor(client) as (two, _):
        await asyncio.gather(one.video.until(2), two.video.until(2))
        assert await spread(client) == [1, 1]


@pytest.mark.parametrize("kind", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL])
async def test_nobody_outlives_the_server(kind: signal.Signals, tmp_path: Path) -> None:
    """Neither the one that is asked to end, nor the one that is killed and can say nothing any more."""
    server = await asyncio.to_thread(serving, folder=tmp_path)
    try:
        async with aiohttp.ClientSession(server.url) as client, visitor(client) as (one, _):
            await one.video.until(2)
            processes = server.workers
            assert len(processes) == 2
            began = time.perf_counter()
            server.process.send_signal(kind)
            while any(map(alive, (*processes, server.process.pid))):
                assert time.perf_counter() - began < PATIENCE
                if server.process.poll() is not None and not any(map(alive, processes)):
                    break
                await asyncio.sleep(0.02)
    finally:
        server.process.kill()
        server.process.communicate()
    assert server.process.returncode == (128 + kind if kind == signal.SIGTERM else -kind)
    assert time.perf_counter() - began < 5 + PATIENCE / 2  # a second on quiet cores
    assert not list(tmp_path.glob("liveswap-*"))


def test_a_setting_that_no_worker_can_have_is_one_sentence(say: Say) -> None:
    for flags, sentence in (
        (("--models", "nowhere"), "nowhere"),
        (("--certfile", "missing.pem"), "missing.pem"),
    ):
        told = say("serve", "--port", 0, "--workers", 2, *flags)
        assert told.code == 2
        assert sentence in told.err
        assert len(told.err.strip().splitlines()) == 1
    assert "workers is 0" in say("serve", "--workers", 0).err


SAYS = "import json; print(json.dumps({'ready': []}), flush=True); "


@asynccontextmanager
async def feigned(
    monkeypatch: pytest.MonkeyPatch, program: str, **times: float
) -> AsyncIterator[tuple[Workers, Whereabouts]]:
    """Two workers that run this program instead, and times as workers.py names them."""
    monkeypatch.setattr(workers, "PROGRAM", program)
    for name, value in times.items():
        monkeypatch.setattr(workers, name, value)
    where = Whereabouts(4)
    async with Workers(Settings(), MediaSettings(), ServeSettings(workers=2), where) as found:
        yield found, where


async def test_a_worker_that_keeps_dying_is_started_after_growing_pauses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with feigned(monkeypatch, SAYS, FIRST_PAUSE_S=0.05, LONGEST_PAUSE_S=0.2) as (found, _):
        async with asyncio.timeout(PATIENCE):
            while min(found.restarts) < 4:
                await asyncio.sleep(0.05)
    said = [record.getMessage() for record in caplog.records if "ended with exit code" in record.getMessage()]
    assert len(said) >= 8


def test_pauses_double_up_to_the_longest_and_begin_anew_for_who_lived_well() -> None:
    pauses = workers.Pauses()
    seen = [pauses.after(1.0) for _ in range(8)]
    assert seen == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [pauses.after(100.0), pauses.after(1.0)] == [0.5, 1]


async def test_a_worker_that_lives_and_answers_no_more_is_killed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    silent = SAYS + "import time; time.sleep(60)"
    times = {"PULSE_S": 0.05, "HUNG_S": 0.3, "FIRST_PAUSE_S": 0.05}
    async with feigned(monkeypatch, silent, **times) as (found, where):
        where.reserve(0)
        async with asyncio.timeout(PATIENCE):
            while min(found.restarts) < 1:
                await asyncio.sleep(0.05)
        assert not len(where)
    assert any("not answered" in record.getMessage() for record in caplog.records)


async def test_a_worker_that_ends_before_it_is_ready_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LiveswapError, match="exit code 3"):
        async with feigned(monkeypatch, "raise SystemExit(3)"):
            pass
    with pytest.raises(LiveswapError, match=r"not ready after 0\.2 s"):
        async with feigned(monkeypatch, "import time; time.sleep(60)", STARTING_S=0.2):
            pass


def test_whereabouts_know_who_is_where_until_they_are_told_otherwise() -> None:
    where = Whereabouts(3)
    one, other = where.reserve(0, "obs"), where.reserve(1)
    assert (where.of_key(one.key), where.of_name("obs"), where.of_name(other.key)) == (0, 0, 1)
    assert (len(where), where.held(0), where.held(1)) == (2, 1, 1)
    for call, status in (
        (lambda: where.reserve(1, "obs"), 409),
        (lambda: where.of_key("obs"), 404),
        (lambda: where.of_name("elsewhere"), 404),
    ):
        with pytest.raises(Refusal) as refused:
            call()
        assert refused.value.status == status
    where.reserve(1)
    with pytest.raises(Refusal, match="3 sessions"):
        where.reserve(0)
    assert where.lose(1) == 2
    with pytest.raises(Refusal, match="died") as refused:
        where.of_key(other.key)
    assert refused.value.status == 410
    where.forget(other.key)  # its own end is heard later
    assert len(where) == 1
    where.forget(one.key)
    with pytest.raises(Refusal) as refused:
        where.of_name("obs")
    assert refused.value.status == 404
    where.reserve(0, "obs")
    assert where.lose(0) == 1
    assert where.of_key(where.reserve(1, "obs").key) == where.of_name("obs") == 1  # the name is of use again


def test_sessions_that_were_lost_are_remembered_but_not_for_ever() -> None:
    where = Whereabouts(3, remembered=2)
    keys = [where.reserve(0).key for _ in range(3)]
    where.lose(0)
    found = []
    for key in keys:
        with pytest.raises(Refusal) as refused:
            where.of_key(key)
        found.append(refused.value.status)
    assert found == [404, 410, 410]


def test_a_ticket_comes_through_a_header_as_it_was() -> None:
    ticket = Ticket.made(7, "obs")
    assert from_headers({HEADER: in_header(ticket)}) == ticket
    assert from_headers({}) is None


@pytest.mark.parametrize(
    ("threads", "workers", "cores", "each"), [(2, 2, 2, 1), (2, 2, 8, 2), (2, 8, 4, 1), (8, 2, 8, 4), (2, 1, 1, 1)]
)
def test_all_workers_together_take_no_more_threads_than_there_are_cores(
    threads: int, workers: int, cores: int, each: int
) -> None:
    assert threads_each(threads, workers, cores) == each


def test_figures_of_several_workers_are_one_family_of_each_name() -> None:
    text = "# HELP liveswap_sessions Sessions.\n# TYPE liveswap_sessions gauge\nliveswap_sessions {}\n"
    found = {one.name: one for one in metrics_of_all.labelled({0: text.format(1), 2: text.format(3)})}
    assert [(one.labels, one.value) for one in found["liveswap_sessions"].samples] == [
        ({"worker": "0"}, 1),
        ({"worker": "2"}, 3),
    ]


def test_a_system_without_unix_sockets_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("socket.AF_UNIX")
    with pytest.raises(SettingsError, match="Unix sockets"):
        ServeSettings(workers=2)
    assert ServeSettings().workers == 1


def test_the_front_takes_every_call_that_one_process_takes() -> None:
    where, asked = Whereabouts(4), ServeSettings(workers=2)
    found = application(Workers(Settings(), MediaSettings(), asked, where), where, MediaSettings(), asked).router
    taken = {(route.method, route.resource.canonical) for route in found.routes() if route.resource}
    places = {"/page/{file}": "/page/{name}", "/api/identities/{identity}.jpg": "/api/identities/{name}.jpg"}
    said = {(one.method.upper(), places.get(one.path, one.path)) for one in OPERATIONS}
    assert {(method, path) for method, path in taken if method != "HEAD"} == said


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS, ids=[f"{one.method} {one.path}" for one in OPERATIONS])
def test_the_front_does_what_the_file_says(server: Server, operation: Any) -> None:
    from hypothesis import given
    from hypothesis import strategies as st

    @FUZZED
    @given(st.one_of(*in_both_ways(operation)) if negatable(operation) else operation.as_strategy())
    def answered(case: Any) -> None:
        response = case.call(base_url=server.url.rstrip("/"), timeout=PATIENCE)
        case.validate_response(response, checks=list(CHECKS))

    answered()
