"""The server against whatever there is: its OpenAPI file, offers gone wrong, and a flood, while a session goes on."""

import asyncio
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import aiohttp
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import checks

from realtime.webrtc.server import ServeSettings, application, listening
from realtime.webrtc.studio import Studio
from tests.realtime.webrtc.people import PATIENCE, Client, Clip, demo
from tests.realtime.webrtc.test_obs import OFFER as CAMERA
from tests.realtime.webrtc.web import FRAGMENT, SDP

API: Final = Path(__file__).resolve().parents[3] / "docs" / "openapi.yaml"
LONGEST_GAP_S: Final = 4.0  # between two frames of a session that goes on, on two busy cores
CHECKS: Final = (
    *(checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance),
    *(checks.response_headers_conformance, checks.response_schema_conformance, checks.allow_header_conformance),
)
FUZZED: Final = settings(
    max_examples=12,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
Result = TypeVar("Result")

SCHEMA: Final = schemathesis.openapi.from_path(API)
OPERATIONS: Final[tuple[Any, ...]] = tuple(found.ok() for found in SCHEMA.get_all_operations())  # type: ignore[union-attr]

# The server's thread draws random numbers while Hypothesis draws its own, and so does schemathesis.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")


class Running:
    """A server in a thread of its own, and a session in it that sends and sees the rendered clip all the time."""

    def __init__(self, studio: Studio, asked: ServeSettings) -> None:
        self._studio = studio
        self._asked = asked
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server")
        self._open = AsyncExitStack()
        self._visitor = Client()
        self._clip = Clip(demo())
        self.url = ""
        self.offer = ""  # of the session that goes on
        self.session = ""  # its address
        self.etag = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self.do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of what runs in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * PATIENCE)

    def longest_gap(self, since: float) -> float:
        """Seconds between two frames that the session saw, at most, from then on till now."""
        arrived = [at for at, _ in tuple(self._visitor.video.frames) if at >= since]
        moments = [since, *arrived, time.perf_counter()]
        return max(later - earlier for earlier, later in pairwise(moments))

    async def _start(self) -> None:
        port = await self._open.enter_async_context(listening(self._studio, self._asked))
        self.url = f"http://127.0.0.1:{port}"
        self._visitor.connection.addTrack(self._clip)
        self.offer = await self._visitor.offer()
        async with (
            aiohttp.ClientSession(self.url) as client,
            client.post("/whip", data=self.offer, headers=SDP) as response,
        ):
            assert response.status == 201, await response.text()
            self.session, self.etag = response.headers["Location"], response.headers["ETag"]
            await self._visitor.take(await response.text())
        await self._visitor.video.until(10)

    async def _stop(self) -> None:
        self._clip.stop()
        await self._visitor.close()
        await self._open.aclose()
        await self._studio.close()


@pytest.fixture(scope="module")
def running(loaded: Studio) -> Iterator[Running]:
    """A server that takes as many offers as anybody likes."""
    asked = ServeSettings(port=0, offers_per_minute=100_000, turn_away=False)  # a busy machine is no error
    with Running(other(loaded), asked) as running:
        yield running


@pytest.fixture(autouse=True)
def the_session_goes_on(running: Running, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """In every test here, frames keep coming to the session that goes on, and the log stays clean."""
    began = time.perf_counter()
    yield
    assert running.longest_gap(began) < LONGEST_GAP_S
    assert requests.get(f"{running.url}/healthz", timeout=PATIENCE).json()["status"] == "ok"
    assert not [record for record in caplog.get_records("call") if not record.getMessage().isprintable()]
    assert not [record for record in caplog.get_records("call") if record.exc_info]


def other(loaded: Studio) -> Studio:
    """A studio with the same models, for another event loop."""
    return Studio(loaded.settings, loaded.media, loaded.shelf, loaded.networks)


def negatable(operation: Any) -> bool:
    """Whether the file says something of the request that one may do otherwise."""
    return bool(operation.body) or bool(operation.headers) or bool(operation.query)


def in_both_ways(operation: Any) -> tuple[Any, ...]:
    """Requests as the file has them, and as it has them not."""
    return tuple(operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode)


def refused(response: requests.Response) -> str:
    """The sentence of an error; it is one line."""
    answer = response.json()
    assert set(answer) == {"error"}
    assert answer["error"].isprintable()
    return str(answer["error"])


def test_the_file_says_every_call_that_the_server_takes(loaded: Studio) -> None:
    """And no other; HEAD goes without saying."""
    routes = application(other(loaded), ServeSettings()).router.routes()
    taken = {(route.method, route.resource.canonical) for route in routes if route.resource and route.method != "HEAD"}
    said = {(operation.method.upper(), operation.path) for operation in OPERATIONS}
    places = {"/page/{file}": "/page/{name}", "/api/identities/{identity}.jpg": "/api/identities/{name}.jpg"}
    assert {(method, places.get(path, path)) for method, path in said} == taken


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def as_text(_: schemathesis.SerializationContext, value: Any) -> bytes:
    """SDP goes as it is; what is no text at all, as JSON has it."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("operation", OPERATIONS, ids=[f"{one.method} {one.path}" for one in OPERATIONS])
def test_the_server_does_what_its_file_says(running: Running, operation: Any) -> None:
    """Whatever is asked, as the file has it and not as it has it: a status that it names, of the shape it gives."""

    @FUZZED
    @given(st.one_of(*in_both_ways(operation)) if negatable(operation) else operation.as_strategy())
    def answered(case: Any) -> None:
        response = case.call(base_url=running.url, timeout=PATIENCE)
        case.validate_response(response, checks=list(CHECKS))

    answered()


@st.composite
def spoiled(draw: st.DrawFn, text: str) -> str:
    """A text of lines, a few of which are gone, doubled, moved, cut, or say something else."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(lines) - 1))
        line = lines[place]
        what = draw(st.sampled_from(("drop", "double", "move", "cut", "number", "word", "junk")))
        if what == "drop" and len(lines) > 1:
            del lines[place]
        elif what == "double":
            lines[place:place] = [line] * draw(st.sampled_from((1, 5, 300)))
        elif what == "move":
            lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(place))
        elif what == "cut":
            lines[place] = line[: draw(st.integers(0, len(line)))]
        elif what == "number":
            number = draw(st.sampled_from(("-1", "0", "65536", "4294967296", "9" * 5000, "1e9", "\u0663", "")))
            lines[place] = re.sub(r"\d+", number, line, count=draw(st.integers(1, 3)))
        elif what == "word":
            words = line.split(" ")
            words[draw(st.integers(0, len(words) - 1))] = draw(st.text(max_size=8))
            lines[place] = " ".join(words)
        else:
            lines.insert(place, draw(st.text(max_size=40)))
    return "\r\n".join(lines) + "\r\n"


def sent(running: Running, method: str, path: str, body: str, **headers: str) -> requests.Response:
    """The answer to these very letters, as UTF-8 as far as they can be."""
    data = body.encode("utf-8", "surrogatepass")
    return requests.request(method, running.url + path, data=data, headers=headers, timeout=PATIENCE)


def expect_sense(running: Running, response: requests.Response) -> None:
    """A session, which ends at once, or a refusal; nothing else."""
    if response.status_code == 201:
        assert sent(running, "DELETE", response.headers["Location"], "").status_code == 200
    elif response.status_code == 200:
        assert sent(running, "DELETE", f"/offer/{response.json()['session']}", "").status_code == 200
    else:
        assert response.status_code in (400, 413, 422), response.text
        refused(response)


@pytest.mark.parametrize("camera", ["obs", "page"])
def test_an_offer_gone_wrong_is_refused_or_taken_and_nothing_else(running: Running, camera: str) -> None:
    @settings(FUZZED, max_examples=40)
    @given(spoiled(CAMERA if camera == "obs" else running.offer), st.booleans())
    def offered(sdp: str, as_json: bool) -> None:
        if as_json:
            body, kind = json.dumps({"type": "offer", "sdp": sdp}), "application/json"
        else:
            body, kind = sdp, "application/sdp"
        path = "/offer" if as_json else "/whip"
        expect_sense(running, sent(running, "POST", path, body, **{"Content-Type": kind}))

    offered()


def test_an_offer_to_watch_gone_wrong_harms_nobody(running: Running) -> None:
    watching = running.offer.replace("a=sendrecv", "a=recvonly")
    path = running.session.replace("/whip/", "/whep/")

    @settings(FUZZED, max_examples=30)
    @given(spoiled(watching))
    def offered(sdp: str) -> None:
        expect_sense(running, sent(running, "POST", path, sdp, **SDP))

    offered()


def test_a_fragment_gone_wrong_harms_nobody(running: Running) -> None:
    kept = [line for line in running.offer.splitlines() if line.startswith(("m=", "a=ice-", "a=mid", "a=candidate"))]

    @settings(FUZZED, max_examples=60)
    @given(spoiled("\n".join(kept)))
    def patched(fragment: str) -> None:
        headers = {"Content-Type": FRAGMENT, "If-Match": running.etag}
        response = sent(running, "PATCH", running.session, fragment, **headers)
        assert response.status_code in (204, 400, 413, 422), response.text

    patched()


GARBAGE: Final = st.one_of(st.text(), st.binary().map(lambda data: data.decode("latin-1")))


def test_garbage_is_malformed(running: Running) -> None:
    @settings(FUZZED, max_examples=40)
    @given(GARBAGE, st.sampled_from(("/whip", "/offer")))
    def sent_there(text: str, path: str) -> None:
        kind = "application/sdp" if path == "/whip" else "application/json"
        response = sent(running, "POST", path, text, **{"Content-Type": kind})
        assert response.status_code == 400
        refused(response)

    sent_there()


def videos(count: int) -> str:
    """The camera's offer with so many video tracks."""
    audio_and_before, _, video = CAMERA.partition("m=video")
    more = "".join("m=video" + video.replace("a=mid:1", f"a=mid:{number}") for number in range(1, count + 1))
    mids = " ".join(str(number) for number in range(count + 1))
    return audio_and_before.replace("BUNDLE 0 1", f"BUNDLE {mids}") + more


@pytest.mark.parametrize(
    ("sdp", "status", "said"),
    [
        (videos(0), 422, "no video"),
        (videos(5), 422, "5 video"),
        (CAMERA.replace("H264/90000", "AV1/90000"), 422, "codec"),
        (CAMERA.replace("opus/48000/2", "EVRC/8000"), 422, "codec"),
        (CAMERA.replace("a=sendonly", "a=inactive"), 422, "video is inactive"),
        (CAMERA.replace("m=video", "m=holograph"), 422, "video"),
        (CAMERA + "a=x\r\n" * 20_000, 413, "65536"),
        ("v=0\r\n" + "a=rtpmap:96 H264/90000\r\n" * 2500, 400, ""),
        ("m=video" * 9000, 400, "SDP"),
        ("v=0\r\nm=video", 400, "SDP"),
        ("\0" * 1000, 400, "SDP"),
    ],
)
@pytest.mark.parametrize("path", ["/whip", "/offer"])
def test_offers_that_are_of_no_use_are_told_why(running: Running, path: str, sdp: str, status: int, said: str) -> None:
    as_json = path == "/offer"
    body = json.dumps({"type": "offer", "sdp": sdp}) if as_json else sdp
    began = time.perf_counter()
    headers = {"Content-Type": "application/json" if as_json else "application/sdp"}
    response = sent(running, "POST", path, body, **headers)
    assert response.status_code == status, response.text
    assert said in refused(response)
    assert time.perf_counter() - began < PATIENCE / 10


def test_two_hundred_offers_a_second_from_one_client_harm_nobody_else(loaded: Studio) -> None:
    """Two seconds of them, by eight at once: a minute's worth is heard, the others are told when to come back."""
    statuses: Counter[int] = Counter()
    gaps: list[float] = []

    async def flood(url: str, count: int) -> None:
        async with aiohttp.ClientSession(url) as client:
            for _ in range(count):
                async with client.post("/whip", data=CAMERA, headers=SDP) as response:
                    statuses[response.status] += 1
                    if response.status in (429, 503):
                        assert int(response.headers["Retry-After"]) > 0
                    await response.read()

    async def all_at_once(url: str) -> None:
        await asyncio.gather(*(flood(url, 50) for _ in range(8)))

    asked = ServeSettings(port=0, offers_per_minute=30, max_sessions=3, turn_away=False)
    with Running(other(loaded), asked) as running:
        began = time.perf_counter()
        asyncio.run(all_at_once(running.url))
        time.sleep(1.0)
        gaps.append(running.longest_gap(began))
        health = requests.get(f"{running.url}/healthz", timeout=PATIENCE).json()
    assert set(statuses) == {201, 503, 429}
    assert statuses[201] == 2  # beside the session that goes on
    assert statuses[429] >= 400 - 60  # a slow machine takes seconds for them, each of which allows for more
    assert health["sessions"] == 3
    assert max(gaps) < LONGEST_GAP_S
