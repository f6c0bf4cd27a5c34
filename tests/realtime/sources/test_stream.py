"""Streams: cameras that a thread serves over HTTP and RTSP, and servers that are silent or not there."""

import asyncio
import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from realtime.errors import SettingsError, SourceError, SourceLost
from realtime.sources.draining import Patience
from realtime.sources.reopening import Reopening
from realtime.sources.stream import Stream, is_stream, public
from tests.realtime.clips import number_of, numbered, read_all
from tests.realtime.sources import rtsp
from tests.realtime.sources.mjpeg import Cast, jpegs, served

PICTURES = jpegs(numbered(30, 160, 120))
IMPATIENT = Patience(opening=5.0, first=5.0, next=0.4)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port at which somebody listens and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def nobody() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


async def test_pictures_come_as_they_are_sent_and_the_newest_only() -> None:
    with served(Cast(PICTURES)) as address:
        async with asyncio.timeout(30), Stream(address) as source:
            first = await source.read()
            await asyncio.sleep(0.3)
            second = await source.read()
    assert source.live
    assert first.image.shape == (120, 160, 3)
    assert 0 <= number_of(first.image) < 30
    assert second.index > first.index + 1
    assert (number_of(second.image) - number_of(first.image)) % 30 == (second.index - first.index) % 30
    assert second.captured_at > first.captured_at


async def test_pictures_are_fitted_into_the_size_that_is_asked_for() -> None:
    with served(Cast(PICTURES)) as address:
        async with asyncio.timeout(30), Stream(address, 80, 80) as source:
            assert (await source.read()).image.shape == (80, 80, 3)


@pytest.mark.parametrize("hangs", [False, True], ids=["it ends", "it hangs"])
async def test_a_stream_that_stops_is_lost(hangs: bool) -> None:
    with served(Cast(PICTURES, lasts=[20], hangs=hangs)) as address:
        async with asyncio.timeout(30), Stream(address, patience=IMPATIENT) as source:
            with pytest.raises(SourceLost, match=r"cam\.mjpeg stopped after \d+ frames"):
                await read_all(source)


async def test_a_stream_that_was_lost_is_connected_to_again() -> None:
    cast = Cast(PICTURES, lasts=[20])
    with served(cast) as address:
        async with asyncio.timeout(30), Reopening(lambda: Stream(address), "card", 50, (0.05,)) as source:
            seen = [await source.read()]
            while not (seen[-1].index > seen[0].index and not seen[-1].instead and any(one.instead for one in seen)):
                seen.append(await source.read())
    assert cast.connections == 2


async def test_a_camera_that_speaks_rtsp_is_seen_and_lost() -> None:
    pictures = rtsp.encoded(numbered(30, 160, 120))
    with rtsp.served(pictures, lasts=60) as address:
        async with asyncio.timeout(30), Stream(address, patience=IMPATIENT) as source:
            frames = [await source.read() for _ in range(10)]
            with pytest.raises(SourceLost, match=r"/live stopped after \d+ frames"):
                await read_all(source)
    assert {frame.image.shape for frame in frames} == {(120, 160, 3)}
    steps = [(number_of(b.image) - number_of(a.image)) % 30 - (b.index - a.index) for a, b in pairwise(frames)]
    assert not any(steps)


async def test_nobody_there_is_one_sentence_without_the_password(nobody: int) -> None:
    for scheme in ("http", "rtsp"):
        with pytest.raises(SourceError) as caught:
            async with asyncio.timeout(30), Stream(f"{scheme}://me:secret@127.0.0.1:{nobody}/a?key=secret"):
                pass
        assert str(caught.value) == f"{scheme}://127.0.0.1:{nobody}/a does not open: connection refused"


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
async def test_a_server_that_never_answers_is_given_up(silent: int, scheme: str) -> None:
    with pytest.raises(
        SourceError, match=r"127\.0\.0\.1:\d+/a does not answer within 0\.5 s|did not open within 0\.5 s"
    ):
        async with asyncio.timeout(30), Stream(f"{scheme}://127.0.0.1:{silent}/a", patience=Patience(opening=0.5)):
            pass


async def test_cancelling_does_not_wait_for_a_server_that_never_answers(silent: int) -> None:
    """Five seconds are a wide margin for what needs none; the stream itself would wait for 10."""
    opening = asyncio.create_task(Stream(f"rtsp://127.0.0.1:{silent}/a").__aenter__())
    await asyncio.sleep(0.2)
    opening.cancel()
    began = time.perf_counter()
    await asyncio.wait([opening], timeout=8)
    assert opening.cancelled()
    assert time.perf_counter() - began < 5


async def test_a_page_is_no_video() -> None:
    with served(Cast([b"<html>no picture</html>"])) as address, pytest.raises(SourceError, match=r"cam\.mjpeg"):
        async with asyncio.timeout(30), Stream(address, patience=Patience(opening=3.0, first=1.0)) as source:
            await source.read()


@pytest.mark.parametrize(
    ("text", "stream"),
    [
        ("rtsp://host/a", True),
        ("RTSPS://host/a", True),
        ("https://host/a.mjpeg", True),
        ("clip.mp4", False),
        ("rtsp:", False),
        ("file:///etc/passwd", False),
        ("concat://a", False),
        ("", False),
    ],
)
def test_only_addresses_of_cameras_are_streams(text: str, stream: bool) -> None:
    """FFmpeg knows many more, some of which read files."""
    assert is_stream(text) == stream


@pytest.mark.parametrize("address", ["http://", "rtsp:///path", "http://[x/"])
def test_an_address_without_a_host_is_one_sentence(address: str) -> None:
    with pytest.raises(SettingsError, match=r"has no host: wanted|cannot be read"):
        Stream(address)


def test_what_may_be_shown_of_an_address() -> None:
    assert public("rtsp://me:p@ss@cam.local:554/live/1?token=x#y") == "rtsp://cam.local:554/live/1"
    assert Path(public("http://cam/a.mjpeg")).name == "a.mjpeg"
