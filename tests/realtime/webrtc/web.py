"""A server on a free port of this machine, and what its tests say to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import cv2
import numpy as np

from realtime.webrtc.server import ServeSettings, listening
from realtime.webrtc.studio import Studio
from tests.realtime.webrtc.people import PATIENCE, Looks, Seen

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = "application/trickle-ice-sdpfrag"


@asynccontextmanager
async def opened(studio: Studio, **settings: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a server that is open inside `async with`; settings as ServeSettings has them.

    It turns nobody away unless told to: tests run on machines that are busy.
    """
    async with (
        listening(studio, ServeSettings(port=0, **{"turn_away": False, **settings})) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        yield client


async def said_raw(client: aiohttp.ClientSession, request: bytes, pause: float = 5.0) -> bytes:
    """What the server answers to these very bytes, until it closes or is silent for pause seconds."""
    base = client._base_url
    assert base is not None
    reader, writer = await asyncio.open_connection(base.host, base.port)
    try:
        writer.write(request)
        await writer.drain()
        answer = b""
        while chunk := await asyncio.wait_for(reader.read(65536), pause):
            answer += chunk
            if _is_whole(answer):
                break
        return answer
    finally:
        writer.close()


async def shows(seen: Seen, looks: Looks, who: str, count: int = 5) -> None:
    """Waits until so many of the pictures seen show somebody; a busy machine sends smaller and coarser ones."""
    async with asyncio.timeout(PATIENCE):
        while True:
            images = (np.asarray(cv2.resize(image, (640, 360)), np.uint8) for image in seen.images[-count:])
            if [looks.who(image) for image in images] == [who] * count:
                return
            await seen.until(len(seen.frames) + 1)


async def error_of(response: aiohttp.ClientResponse) -> str:
    """The sentence of an error, which is one line."""
    answer = await response.json()
    assert set(answer) == {"error"}
    sentence: str = answer["error"]
    assert sentence
    assert sentence.isprintable()
    return sentence


def _is_whole(answer: bytes) -> bool:
    """Whether an answer with a Content-Length is complete."""
    head, found, body = answer.partition(b"\r\n\r\n")
    sizes = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(found and sizes and len(body) >= int(sizes[0]))
