"""Still pictures as sources."""

import asyncio
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.errors import EndOfStream, SettingsError, SourceError, SourceMissing
from realtime.frame import Frame
from realtime.sources.still import Still
from tests.realtime.clips import read_all


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, 32:] = (10, 200, 30)
    path = tmp_path / "päinting.png"
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return path


async def test_a_recorded_still_is_one_frame(picture: Path) -> None:
    async with Still(picture) as source:
        frames = await read_all(source)
    assert [(frame.index, frame.at) for frame in frames] == [(0, 0.0)]
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[0].image[0, 63].tolist() == [10, 200, 30]


async def test_a_live_still_is_a_steady_stream(picture: Path) -> None:
    """40 frames a second: 20 take 475 ms; allowed twice as long, never less."""
    async with Still(picture, live=True, fps=40) as source:
        frames: list[Frame] = []
        began = time.perf_counter()
        while not frames or frames[-1].index < 19:
            frames.append(await source.read())
            assert time.perf_counter() >= frames[-1].captured_at
        taken = time.perf_counter() - began
    assert 0.475 <= taken < 0.95
    assert frames[-1].captured_at - frames[0].captured_at == pytest.approx(19 / 40, abs=0.001)


async def test_who_reads_a_live_still_slowly_skips_numbers(picture: Path) -> None:
    async with Still(picture, live=True, fps=100) as source:
        first = await source.read()
        await asyncio.sleep(0.1)
        second = await source.read()
    assert second.index - first.index >= 9


async def test_a_picture_is_fitted_into_the_size_asked_for(picture: Path) -> None:
    async with Still(picture, width=100, height=48) as source:
        image = (await source.read()).image
    assert image.shape == (48, 100, 3)
    assert image[:, :18].max() == 0
    assert image[24, 80].tolist() == [10, 200, 30]


@pytest.mark.parametrize("kind", [cv2.IMREAD_GRAYSCALE, cv2.IMREAD_UNCHANGED])
async def test_grey_and_transparent_pictures_become_bgr(tmp_path: Path, kind: int) -> None:
    channels = 1 if kind == cv2.IMREAD_GRAYSCALE else 4
    path = tmp_path / "odd.png"
    path.write_bytes(cv2.imencode(".png", np.full((8, 8, channels), 99, np.uint8))[1].tobytes())
    async with Still(path) as source:
        assert (await source.read()).image.tolist() == np.full((8, 8, 3), 99).tolist()


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _png_header(width: int, height: int) -> bytes:
    import struct
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda folder: folder / "none.png", SourceMissing, "there is no file"),
        (lambda folder: _write(folder / "empty.png", b""), SourceError, "is no picture that can be read"),
        (lambda folder: _write(folder / "text.png", b"once upon a time"), SourceError, "is no picture"),
        (lambda folder: _write(folder / "huge.png", _png_header(60_000, 60_000)), SourceError, "is no picture"),
        (lambda folder: folder, SourceError, "cannot be read: is a directory"),
        (
            lambda folder: _write(
                folder / "w.png", cv2.imencode(".png", np.zeros((2, 8200, 3), np.uint8))[1].tobytes()
            ),
            SourceError,
            "has pictures of 8200x2: wanted 1 to 8192",
        ),
    ],
    ids=["missing", "empty", "text", "promises-too-much", "folder", "too-wide"],
)
async def test_what_is_no_picture_is_one_sentence(tmp_path: Path, make, error, words: str) -> None:  # type: ignore[no-untyped-def]
    path = make(tmp_path)
    with pytest.raises(error, match=f"(?i){words}") as caught:
        async with Still(path):
            pass
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("asked", [{"width": 0}, {"height": -4}, {"width": 8193}, {"fps": 0}, {"fps": 1000}])
def test_absurd_sizes_and_rates_are_refused(asked: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="wanted"):
        Still(Path("never-read.png"), **asked)  # type: ignore[arg-type]


async def test_a_live_still_never_ends_by_itself(picture: Path) -> None:
    async with Still(picture, live=True, fps=240) as source:
        for _ in range(20):
            await source.read()
    async with Still(picture) as source:
        await source.read()
        for _ in range(2):
            with pytest.raises(EndOfStream):
                await source.read()
