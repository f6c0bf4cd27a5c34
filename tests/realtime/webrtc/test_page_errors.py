"""What the page tells a visitor for whom something does not work, each time with the thing itself missing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.realtime.webrtc.test_page import violations
from tests.realtime.webrtc.visitor import ALLOWED, Served, browsing, film, needs_chromium, visiting, write_camera

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
module_wide = pytest_asyncio.fixture(loop_scope="module", scope="module")

TOKEN = "a-secret-for-friends"
ELSEWHERE = "liveswap.test"  # a name that is no name of this machine for the browser: no secure context
LOST_S = 60.0  # for the page to be live again after its server was away, on two busy cores


@module_wide
async def guarded() -> AsyncIterator[Served]:
    """A server with a token and one place."""
    flags = ("--token", TOKEN, "--max-sessions", "1", "--offers-per-minute", "1000")
    async with Served(*flags, "--origin", f"http://{ELSEWHERE}") as running:
        yield running


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the rendered clip."""
    return write_camera(tmp_path_factory.mktemp("camera") / "camera.mjpeg", film(60))


async def test_without_a_camera_the_page_says_so(guarded: Served) -> None:
    async with browsing(ALLOWED) as browser, visiting(browser, guarded.url) as visit:
        await visit.page.click("#start")
        assert await visit.told() == "No camera was found"
        assert await visit.page.is_visible("#retry")
        assert await violations(visit.page) == []


async def test_a_refused_camera_is_told_and_nothing_is_sent(guarded: Served, camera: Path) -> None:
    async with browsing(camera=camera) as browser, visiting(browser, guarded.url) as visit:
        await visit.page.click("#start")
        assert await visit.told() == "The camera was not allowed"
        assert await guarded.sessions() == 0


async def test_without_the_token_the_page_asks_for_it(guarded: Served, camera: Path) -> None:
    mistaken = f"http://127.0.0.1:{guarded.port}/#token=a-wrong-one"
    async with browsing(ALLOWED, camera=camera) as browser, visiting(browser, mistaken) as visit:
        assert await visit.told() == "This server asks for its token"
        assert await violations(visit.page) == []
        await visit.page.fill("#token", TOKEN)
        await visit.page.click("#token-form button")
        await visit.page.wait_for_selector(".person")
        await visit.start()


async def test_a_full_server_is_told_and_has_room_again(guarded: Served, camera: Path) -> None:
    async with browsing(ALLOWED, camera=camera) as browser, visiting(browser, guarded.url) as late:
        async with visiting(browser, guarded.url) as early:
            await early.start()
            await late.page.click("#start")
            assert await late.told() == "All places are taken"
            await early.page.click("#stop")
            await guarded.free(within=20)
        await late.page.click("#retry")
        await late.live()


async def test_an_insecure_address_is_told_before_anything_is_pressed(guarded: Served) -> None:
    mapped, url = (
        f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
        f"http://{ELSEWHERE}:{guarded.port}/#token={TOKEN}",
    )
    async with browsing(mapped) as browser, visiting(browser, url) as visit:
        assert await visit.told() == "The camera needs a secure address"


async def test_too_many_offers_are_told(camera: Path) -> None:
    async with (
        Served("--offers-per-minute", "1") as served,
        browsing(ALLOWED, camera=camera) as browser,
        visiting(browser, served.url) as visit,
    ):
        await visit.start()
        await visit.page.click("#stop")
        await visit.page.click("#start")
        assert await visit.told() == "That was too often"


@pytest.mark.slow
async def test_a_lost_connection_comes_back_by_itself(camera: Path) -> None:
    async with Served() as served, browsing(ALLOWED, camera=camera) as browser, visiting(browser, served.url) as visit:
        await visit.start()
        port = served.port
        await served.die()
        await visit.state("waiting")
        assert await visit.told() == "The connection was lost"
        assert await violations(visit.page) == []
        await served.start(port)
        await visit.page.wait_for_selector("body[data-state=live]", timeout=LOST_S * 1000)
        assert await served.sessions() == 1


async def test_a_server_that_is_away_is_told(camera: Path) -> None:
    async with Served() as served, browsing(ALLOWED, camera=camera) as browser, visiting(browser, served.url) as visit:
        await visit.page.wait_for_selector(".person")
        await served.die()
        await visit.page.click("#start")
        assert await visit.told() == "The server does not answer"
