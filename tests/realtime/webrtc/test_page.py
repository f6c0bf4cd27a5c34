"""The page in a real Chromium, as a visitor uses it: two clicks, controls, keyboard, narrow screens, accessibility."""

from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from realtime.egress.credentials import read
from realtime.egress.evidence import Reader
from tests.realtime.webrtc.visitor import ALLOWED, Served, Visit, browsing, film, needs_chromium, visiting, write_camera

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
module_wide = pytest_asyncio.fixture(loop_scope="module", scope="module")


@module_wide
async def served() -> AsyncIterator[Served]:
    """The server that all tests of this file share."""
    async with Served("--offers-per-minute", "1000") as running:
        yield running


@module_wide
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """A browser whose visitor allows the camera at once."""
    camera = write_camera(tmp_path_factory.mktemp("camera") / "camera.mjpeg", film(60))
    async with browsing(ALLOWED, camera=camera) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def visit(served: Served, browser: Browser) -> AsyncIterator[Visit]:
    """A visitor who has just come; at the end the console has to be silent."""
    async with visiting(browser, served.url) as coming:
        await coming.page.wait_for_selector(".person")
        yield coming
    assert coming.complaints == []


async def violations(page: Page) -> list[str]:
    """What axe-core finds wrong, by rule and place."""
    found = await Axe().run(page)
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ]


async def test_one_click_and_the_permission_show_a_swapped_picture(visit: Visit) -> None:
    assert await visit.page.inner_text("#status") == "Ready"
    await visit.start()
    assert "Live as Aster" in await visit.page.inner_text("#status")
    assert "rendered person who does not exist" in await visit.page.inner_text(".notice")
    assert (await visit.picture()).std() > 20


async def test_the_figures_are_live(visit: Visit) -> None:
    await visit.start()
    for figure in ("fps", "round-trip", "age"):
        numbers = f"() => /^[0-9]+$/.test(document.getElementById('figure-{figure}').textContent)"
        await visit.page.wait_for_function(numbers, timeout=10_000)
    sizes = "() => document.getElementById('figure-detail').textContent.includes('640 × 480')"
    await visit.page.wait_for_function(sizes, timeout=10_000)


async def test_holding_compare_shows_the_original_for_that_long(visit: Visit) -> None:
    await visit.start()
    button = visit.page.locator("#compare")
    await button.hover()
    await visit.page.mouse.down()
    assert await button.get_attribute("aria-pressed") == "true"
    assert await visit.page.is_visible(".original")
    await visit.page.mouse.up()
    assert await button.get_attribute("aria-pressed") == "false"
    await button.focus()
    await visit.page.keyboard.down("Space")
    assert await visit.page.is_visible(".original")
    await visit.page.keyboard.up("Space")
    assert not await visit.page.is_visible(".original")


async def test_a_snapshot_is_saved_with_label_mark_and_content_credentials(visit: Visit, tmp_path: Path) -> None:
    await visit.start()
    async with visit.page.expect_download() as saving:
        await visit.page.click("#snapshot")
    saved = tmp_path / "snapshot.png"
    await (await saving.value).save_as(saved)
    assert (await saving.value).suggested_filename.startswith("liveswap 2")
    assert saved.read_bytes().startswith(b"\x89PNG")
    manifest = read(saved)
    assert manifest is not None
    assert manifest.faults == ()
    assert manifest.composite
    assert [one.identity for one in manifest.shown] == ["aster"]
    reading = Reader().read_picture(np.asarray(cv2.imread(str(saved), cv2.IMREAD_GRAYSCALE), np.uint8))
    assert reading.marked
    assert reading.payload is not None
    assert manifest.session.startswith(reading.payload.session)


async def test_full_screen_keeps_the_buttons(visit: Visit) -> None:
    await visit.start()
    await visit.page.click("#full-screen")
    await visit.page.wait_for_function("() => document.fullscreenElement?.id === 'studio'")
    assert await visit.page.is_visible("#compare")
    await visit.page.click("#full-screen")
    await visit.page.wait_for_function("() => !document.fullscreenElement")


async def test_the_microphone_is_off_until_it_is_switched_on_and_then_sound_comes_back(visit: Visit) -> None:
    await visit.start()
    assert not await visit.page.is_checked("#microphone")
    assert not await visit.page.is_visible("#hear")
    await visit.page.check("#microphone")
    await visit.page.wait_for_selector("#hear", state="visible")  # once the browser has given the microphone
    assert await visit.page.evaluate("document.getElementById('heard').muted")
    await visit.page.check("#hear")
    assert not await visit.page.evaluate("document.getElementById('heard').muted")
    await visit.page.wait_for_function(_HEARS, timeout=15_000)
    await visit.page.uncheck("#microphone")
    assert await visit.page.evaluate("document.getElementById('heard').muted")
    await visit.state("live")


async def test_two_tabs_at_once_are_two_people(visit: Visit, served: Served, browser: Browser) -> None:
    await visit.start()
    async with visiting(browser, served.url) as other:
        await other.page.check("input[value=cedar]")
        await other.start()
        assert await served.sessions() == 2
        assert "Live as Cedar" in await other.page.inner_text("#status")
    assert "Live as Aster" in await visit.page.inner_text("#status")
    assert other.complaints == []


async def test_the_link_shows_the_picture_to_somebody_else(visit: Visit, browser: Browser) -> None:
    await visit.start()
    link = await visit.page.input_value("#watch-link")
    async with visiting(browser, link) as watcher:
        await watcher.live()
        assert (await watcher.picture()).std() > 20
        assert not await watcher.page.is_visible("#own")
        assert await violations(watcher.page) == []
    assert watcher.complaints == []


async def test_who_watches_is_told_when_there_is_nothing(served: Served, browser: Browser) -> None:
    async with visiting(browser, f"{served.url}#watch=nobody") as watcher:
        assert await watcher.told() == "There is nothing to watch here"


async def test_everything_is_done_by_keyboard(visit: Visit) -> None:
    page = visit.page
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.id") == "start"
    await page.keyboard.press("Tab")
    await page.keyboard.press("ArrowRight")
    assert await page.evaluate("document.activeElement.value") != "aster"
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Enter")
    await visit.live()
    assert await page.evaluate("document.activeElement.id") == "stop"
    await page.keyboard.press("Enter")
    await visit.state("idle")
    assert await page.evaluate("document.activeElement.id") == "start"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_wrong(visit: Visit, scheme: str) -> None:
    await visit.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    assert await violations(visit.page) == []
    await visit.start()
    await visit.page.check("#microphone")
    assert await violations(visit.page) == []


async def test_360_pixels_are_enough(visit: Visit) -> None:
    await visit.page.set_viewport_size({"width": 360, "height": 740})
    await visit.start()
    for selector in ("#stop", "#compare", "#snapshot", "#full-screen"):
        box = await visit.page.locator(selector).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        assert box["height"] >= 44
    assert await visit.page.evaluate("document.documentElement.scrollWidth") == 360


async def test_who_wants_less_motion_sees_none(visit: Visit) -> None:
    await visit.page.emulate_media(reduced_motion="reduce")
    await visit.page.click("#start")
    assert await visit.page.evaluate("document.getAnimations().length") == 0


_HEARS = """async () => {
  const { srcObject } = document.getElementById("heard");
  const context = new AudioContext();
  const listener = context.createAnalyser();
  context.createMediaStreamSource(srcObject).connect(listener);
  const heard = new Float32Array(listener.fftSize);
  const until = performance.now() + 3000;
  let loudest = 0;
  while (performance.now() < until && loudest < 0.01) {
    await new Promise((done) => setTimeout(done, 50));
    listener.getFloatTimeDomainData(heard);
    loudest = Math.max(loudest, ...heard.map(Math.abs));
  }
  await context.close();
  return loudest >= 0.01;
}"""
