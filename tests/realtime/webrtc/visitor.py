"""A visitor of the page: `liveswap serve` as a process of its own, and Chromium with a rendered clip as its camera."""

import asyncio
import base64
import json
import os
import shutil
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.async_api import Browser, ConsoleMessage, Error, Page, async_playwright

from realtime.__main__ import DEMO

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or ""
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium; .ci/run installs it")

WIDTH, HEIGHT, RATE = 640, 480, 30
STARTING_S: Final = 60.0  # for the server to load its models, on two busy cores
LIVE_MS: Final = 30_000  # for the first swapped picture, likewise
ALLOWED: Final = "--use-fake-ui-for-media-stream"
CAMERA: Final = "--use-fake-device-for-media-stream"

Picture = NDArray[np.uint8]


def film(count: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> list[Picture]:
    """The first pictures of the rendered clip, BGR, cut around the person to this size, width and height."""
    pictures: list[Picture] = []
    with av.open(DEMO) as container:
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="bgr24").astype(np.uint8)
            margin = (image.shape[1] - image.shape[0] * size[0] // size[1]) // 2
            cut = image[:, margin : image.shape[1] - margin]
            pictures.append(cv2.resize(cut, size, interpolation=cv2.INTER_AREA).astype(np.uint8))
            if len(pictures) == count:
                break
    return pictures


def write_camera(path: Path, pictures: Sequence[Picture]) -> Path:
    """The pictures as a file that Chromium plays in a loop for a camera."""
    with av.open(path, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=RATE, options={"qmin": "2", "qmax": "4"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuvj420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuvj420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


class Served:
    """A `liveswap serve` that runs; used with `async with`."""

    def __init__(self, *flags: str) -> None:
        self._flags = flags
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self.said: list[str] = []  # its lines besides the address
        self.url = ""  # of the page, with the token where there is one

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self._process.wait(), STARTING_S)
        if self._listening is not None:
            await self._listening

    async def start(self, port: int = 0) -> None:
        """Waits for the line with the page's address."""
        usual = ("--port", str(port), "--no-turn-away")  # a busy machine is no error
        command = [sys.executable, "-m", "realtime", "serve", *usual, *self._flags]
        pipe, same = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
        few = {**os.environ, "MALLOC_ARENA_MAX": "2"}  # or each new thread's pieces hide what sessions leave behind
        self._process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=same, env=few)
        assert self._process.stdout is not None
        try:
            self.url = await asyncio.wait_for(self._address(self._process.stdout), STARTING_S)
        except BaseException:
            self._process.kill()
            raise
        self._listening = asyncio.create_task(self._listen(self._process.stdout))

    async def die(self) -> None:
        """Ends at once, without a word to anybody."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.split("#")[0].rstrip("/").rpartition(":")[2])

    @property
    def threads(self) -> int:
        """How many threads it has now."""
        return int(self._status("Threads"))

    @property
    def megabytes(self) -> float:
        """How much memory it has in use now."""
        return int(self._status("VmRSS").split()[0]) / 1024

    async def sessions(self) -> int:
        """How many sessions it says to have."""
        return int((await asyncio.to_thread(self._health))["sessions"])

    async def free(self, within: float) -> None:
        """Waits until no session is left; fails after so many seconds."""
        async with asyncio.timeout(within):
            while await self.sessions():
                await asyncio.sleep(0.1)

    async def _address(self, lines: asyncio.StreamReader) -> str:
        async for line in lines:
            if line.startswith(b"http"):
                return line.decode().strip()
            self.said.append(line.decode().rstrip())
        raise AssertionError(f"the server ended without an address: {self.said}")

    async def _listen(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            self.said.append(line.decode().rstrip())

    def _health(self) -> dict[str, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/healthz")
        if token := self.url.partition("#token=")[2]:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            health: dict[str, Any] = json.load(answer)
        return health

    def _status(self, name: str) -> str:
        assert self._process is not None
        lines = Path(f"/proc/{self._process.pid}/status").read_text("utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


@asynccontextmanager
async def browsing(*flags: str, camera: Path | None = None) -> AsyncIterator[Browser]:
    """A Chromium of its own; the camera is a file of `write_camera`."""
    arguments = ["--no-sandbox", *flags]
    if camera is not None:
        arguments += [CAMERA, f"--use-file-for-fake-video-capture={camera}"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass(slots=True)
class Visit:
    """One tab, and what its console complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    async def start(self) -> None:
        """Presses Start and waits for the swapped picture."""
        await self.page.click("#start")
        await self.live()

    async def live(self) -> None:
        """Waits for the swapped picture; fails with the page's words where it has a problem."""
        settled = "body:is([data-state=live], [data-state=problem])"
        await self.page.wait_for_selector(settled, timeout=LIVE_MS)
        told = await self.page.inner_text("#message") if await self.page.is_visible("#message") else ""
        assert not told, told

    async def state(self, name: str) -> None:
        """Waits for a state of the page."""
        await self.page.wait_for_selector(f"body[data-state={name}]", timeout=LIVE_MS)

    async def told(self) -> str:
        """The title of the message that is shown."""
        await self.page.wait_for_selector("#message:not([hidden])", timeout=LIVE_MS)
        return await self.page.inner_text("#message-title")

    async def picture(self, element: str = "swapped") -> Picture:
        """What a video element shows now, (HEIGHT, WIDTH, 3) BGR."""
        encoded = await self.page.evaluate(_PICTURE, [element, WIDTH, HEIGHT])
        png = np.frombuffer(base64.b64decode(encoded.partition(",")[2]), np.uint8)
        return np.asarray(cv2.imdecode(png, cv2.IMREAD_COLOR), np.uint8)


@asynccontextmanager
async def visiting(browser: Browser, url: str, **looks: Any) -> AsyncIterator[Visit]:
    """A tab of its own context on that address; looks are what Playwright calls them, such as viewport."""
    context = await browser.new_context(**looks)
    try:
        visit = Visit(await context.new_page())
        visit.page.on("console", lambda message: _note(visit, message))
        visit.page.on("pageerror", lambda error: _complain(visit, error))
        await visit.page.goto(url)
        yield visit
    finally:
        await context.close()


def _note(visit: Visit, message: ConsoleMessage) -> None:
    if message.type in ("error", "warning"):
        visit.complaints.append(message.text)


def _complain(visit: Visit, error: Error) -> None:
    visit.complaints.append(str(error))


_PICTURE: Final = """([id, width, height]) => {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(document.getElementById(id), 0, 0, width, height);
  return canvas.toDataURL("image/png");
}"""
