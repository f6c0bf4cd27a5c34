"""A visitor in Chromium: a stamped clip as its camera, and both what it sends and what comes back read in the page."""

import asyncio
import json
import math
import shutil
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from bench import stamp
from bench.glass_camera import HEIGHT, WIDTH, Film
from bench.glass_numbers import RATE, Arrival, Run, Unwrap, settling
from bench.glass_peers import PATIENCE_S, FarEnd
from realtime.errors import LiveswapError, MissingExtra, SourceLost

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
START_KBPS: Final = 1500  # what the page tells its encoder to begin with
QUALITY: Final = 92  # of the camera's JPEGs
STARTING_S: Final = 60.0  # for `liveswap serve` to answer
LEAST_FRAMES: Final = 300  # of the camera's file, played in a circle: longer than twice any gap in what comes back
PAGE: Final = Path(__file__).with_name("glass_page.js")
ORIGIN: Final = "http://127.0.0.1/"  # where a browser allows a camera; what it loads there comes from us
Shown = Sequence[tuple[float, Sequence[int]]]  # when, seconds of the page's clock, and the strip's cells


async def browse(far_end: FarEnd, film: Film, seconds: float) -> Run:
    """What a page sees that sends the film to that far end. Raises LiveswapError."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "camera.mjpeg"
        frames = await asyncio.to_thread(save, film, clip)
        try:
            seen = await _visited(far_end, clip, seconds)
        finally:
            await far_end.close()
    return run_of(seen["sent"], seen["returned"], frames)


def save(film: Film, path: Path) -> int:
    """The film, stamped, as a file that Chromium takes for a camera and plays in a circle; how many frames that is."""
    frames = film.round * math.ceil(LEAST_FRAMES / film.round)
    with path.open("wb") as file:
        for number in range(frames):
            image = cv2.cvtColor(film.stamped(number), cv2.COLOR_YUV2BGR_I420)
            _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            file.write(packed.tobytes())
    return frames


async def _visited(far_end: FarEnd, clip: Path, seconds: float) -> dict[str, Any]:
    """What the page's visit() gives."""
    async with _page(clip) as page:
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        await page.expose_function("answer", far_end.answer)
        await page.add_script_tag(path=PAGE)
        strip = {
            "left": stamp.LEFT,
            "wide": stamp.WIDE,
            "high": stamp.HIGH,
            "rows": stamp.ROWS,
            "columns": stamp.COLUMNS,
        }
        wishes = {"width": WIDTH, "height": HEIGHT, "rate": RATE, "kbps": START_KBPS, "patience": PATIENCE_S}
        wishes |= {"seconds": settling(seconds) + seconds}
        seen: dict[str, Any] = await page.evaluate("wishes => visit(wishes)", {**wishes, "strip": strip})
        if faults:
            raise LiveswapError(f"the page failed: {faults[0]}")
        return seen


@asynccontextmanager
async def _page(camera: Path) -> AsyncIterator[Any]:
    """An empty page of a new Chromium with that camera. Raises MissingExtra."""
    try:
        from playwright.async_api import Error, async_playwright
    except ImportError:
        raise MissingExtra("the browser path needs the package playwright, wanted: pip install playwright") from None
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        raise MissingExtra(f"the browser path needs Chromium, seen none of {', '.join(BROWSERS)}")
    flags = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    flags += [f"--use-file-for-fake-video-capture={camera}", "--autoplay-policy=no-user-gesture-required"]
    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(executable_path=program, args=flags)
            page = await browser.new_page()
            await page.route(
                f"{ORIGIN}**", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html")
            )
            await page.goto(ORIGIN)
            yield page
            await browser.close()
        except Error as error:
            raise LiveswapError(f"Chromium failed: {str(error).splitlines()[0]}") from error


def run_of(sent: Shown, returned: Shown, numbers: int) -> Run:
    """What came back, with the time at which the page itself showed each frame as its capture.

    The camera's numbers start again after so many. Frames of the own camera that were never shown are put between
    those that were. Raises SourceLost where nothing came back, or nothing of the camera was seen.
    """
    count = Unwrap(numbers)
    own = {count(number): at for at, number in _read(sent) if number is not None}
    if len(own) < 2 or not any(number is not None for _, number in _read(returned)):
        raise SourceLost(f"the page saw {len(own)} frames of its camera and {len(returned)} that came back")
    known = np.array(sorted(own))
    times = np.array([own[number] for number in known])
    arrivals: list[Arrival] = []
    unread: list[float] = []
    count = Unwrap(numbers)
    rounds: int | None = None  # that the first frame to come back was behind its number
    for at, number in _read(returned):
        if number is None:
            unread.append(at)
            continue
        number = count(number)
        if rounds is None:
            newest = int(known[max(0, int(np.searchsorted(times, at, "right")) - 1)])
            rounds = (newest - number) // numbers
        number += rounds * numbers
        if known[0] <= number <= known[-1]:
            arrivals.append(Arrival(number, float(np.interp(number, known, times)), at))
    return Run(tuple(arrivals), tuple(unread))


def _read(shown: Shown) -> list[tuple[float, int | None]]:
    return [
        (at, stamp.number_of(np.array(cells, np.float64).reshape(stamp.ROWS, stamp.COLUMNS))) for at, cells in shown
    ]


class Served:
    """`liveswap serve` in a process of its own as a far end; open between `async with` and its end."""

    def __init__(self, words: Sequence[str], identity: str) -> None:
        """words are further flags of the command."""
        self._words = words
        self._identity = identity
        self._port = free_port()
        self._session: str | None = None

    async def __aenter__(self) -> "Served":
        """Raises SourceLost where the server does not come up."""
        words = ("-m", "realtime", "serve", "--no-session-log", "--port", str(self._port), *self._words)
        self._process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.DEVNULL)
        try:
            async with asyncio.timeout(STARTING_S):
                while not await asyncio.to_thread(self._healthy):
                    if self._process.returncode is not None:
                        raise SourceLost(f"liveswap serve ended with exit code {self._process.returncode}")
                    await asyncio.sleep(0.2)
        except BaseException as error:
            await self._end()
            if isinstance(error, TimeoutError):
                raise SourceLost(f"liveswap serve was not up after {STARTING_S:g} s") from None
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    @property
    def pid(self) -> int:
        """Of the server's process."""
        return self._process.pid

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    async def answer(self, offer: str) -> str:
        """SDP in, SDP out, through POST /offer. Raises SourceLost."""
        body = {"type": "offer", "sdp": offer, "identity": self._identity}
        said = json.loads(await asyncio.to_thread(self._ask, "POST", "/offer", json.dumps(body).encode()))
        self._session = said["session"]
        return str(said["sdp"])

    async def close(self) -> None:
        """Ends the session, not the server."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(SourceLost):  # it may have ended by itself, because the page is gone
                await asyncio.to_thread(self._ask, "DELETE", f"/offer/{session}", None)

    def _ask(self, method: str, path: str, body: bytes | None) -> str:
        headers = {"Content-Type": "application/json"} if body else {}
        request = urllib.request.Request(f"{self.address}{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise SourceLost(f"liveswap serve answers {method} {path} with {error.code}: {error.read()!r}") from error
        except OSError as error:
            raise SourceLost(f"liveswap serve does not answer {method} {path}: {error}") from error

    def _healthy(self) -> bool:
        try:
            self._ask("GET", "/healthz", None)
        except SourceLost:
            return False
        return True

    async def _end(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])
