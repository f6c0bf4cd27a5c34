"""Takes the pictures of the page that the docs show, with the rendered clip as the camera.

A script, not a test: `python -m tests.realtime.webrtc.photographs docs`. It wants Chromium, and a machine with nothing
else to do, because the page's figures are in the pictures.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from playwright.async_api import Browser

from tests.realtime.webrtc.visitor import ALLOWED, CHROMIUM, Served, Visit, browsing, film, visiting, write_camera

CAMERA: Final = (960, 540)
FRAMES: Final = 240  # of the clip, which then repeats
SETTLED_MS: Final = 9_000  # until the picture has its size and the figures have a graph


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: what the window is like, and what the visitor has chosen."""

    name: str  # of the file, without page- and .jpg
    size: tuple[int, int]  # px of the window
    scheme: Literal["light", "dark"] = "light"
    identity: str = "aster"
    corner: str = "bottom-left"  # of the label
    style: str = "text"  # of the label


IDLE: Final = Shot("idle", (1360, 920))
LIVE: Final = (
    Shot("live", (1360, 920)),
    Shot("dark", (1360, 920), "dark", "cedar", "top-left", "icon"),
    Shot("narrow", (360, 1480), "dark", "birch"),
)
WATCH: Final = Shot("watch", (1000, 760), identity="dahlia")


async def photograph(folder: Path) -> None:
    """All of them, into the folder."""
    async with Served() as served, with_camera() as browser:
        async with coming(browser, served.url, IDLE) as visit:
            await take(visit, IDLE, folder)
        for shot in LIVE:
            async with coming(browser, served.url, shot) as visit:
                await begin(visit, shot)
                await visit.page.wait_for_timeout(SETTLED_MS)
                await take(visit, shot, folder)
        async with coming(browser, served.url, WATCH) as visit:
            await begin(visit, WATCH)
            link = await visit.page.input_value("#watch-link")
            async with coming(browser, link, WATCH) as watcher:
                await watcher.live()
                await watcher.page.wait_for_timeout(SETTLED_MS)
                await take(watcher, WATCH, folder)


@asynccontextmanager
async def with_camera() -> AsyncIterator[Browser]:
    """A browser that calls its camera by the path it is given, which is short because it begins in that folder."""
    with tempfile.TemporaryDirectory() as place:
        camera = write_camera(Path(place) / "webcam.mjpeg", film(FRAMES, CAMERA))
        with chdir(place):
            async with browsing(ALLOWED, camera=Path(camera.name)) as browser:
                yield browser


@asynccontextmanager
async def coming(browser: Browser, url: str, shot: Shot) -> AsyncIterator[Visit]:
    """A visitor with the shot's window."""
    width, height = shot.size
    window = {"viewport": {"width": width, "height": height}, "color_scheme": shot.scheme}
    async with visiting(browser, url, **window) as visit:
        await visit.page.wait_for_load_state("networkidle")
        yield visit


async def begin(visit: Visit, shot: Shot) -> None:
    """Chooses what the shot shows, and starts."""
    page = visit.page
    await page.wait_for_selector(".person")
    await page.check(f"input[value={shot.identity}]", force=True)
    await page.select_option("#label", shot.corner)
    await page.select_option("#style", shot.style)
    await visit.start()


async def take(visit: Visit, shot: Shot, folder: Path) -> None:
    """The picture as a file."""
    path = folder / f"page-{shot.name}.jpg"
    await visit.page.screenshot(path=path, type="jpeg", quality=88)
    status, often = [await visit.page.inner_text(each) for each in ("#status", "#figure-fps")]
    print(f"{path}: {status}, {often} pictures a second")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir() or not CHROMIUM:
        sys.exit("wanted a folder for the pictures, and chromium")
    asyncio.run(photograph(Path(sys.argv[1]).resolve()))
