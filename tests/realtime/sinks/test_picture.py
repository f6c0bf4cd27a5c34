"""Pictures on disk."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.errors import SinkError
from realtime.sinks.picture import Picture
from tests.realtime.clips import number_of, numbered
from tests.realtime.flow.things import frame
from tests.realtime.sinks.test_video_file import frames_of


def read(path: Path) -> int:
    image = cv2.imread(str(path))
    assert image is not None
    return number_of(np.asarray(image, np.uint8))


@pytest.mark.parametrize("name", ["out.png", "out.JPG", "out.webp", "out.bmp"])
async def test_the_last_frame_is_written(tmp_path: Path, name: str) -> None:
    async with Picture(tmp_path / name) as sink:
        for written in frames_of(numbered(7)):
            await sink.write(written)
    assert read(tmp_path / name) == 6


async def test_the_last_frame_is_written_whatever_ends_the_run(tmp_path: Path) -> None:
    async def run() -> None:
        async with Picture(tmp_path / "out.png") as sink:
            await sink.write(frames_of(numbered(3))[2])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run()
    assert read(tmp_path / "out.png") == 2


async def test_numbered_pictures_carry_the_frames_own_numbers(tmp_path: Path) -> None:
    async with Picture(tmp_path / "out-%05d.png") as sink:
        for index in (0, 3, 11):
            await sink.write(frame(index))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-00000.png", "out-00003.png", "out-00011.png"]


async def test_without_frames_nothing_is_written(tmp_path: Path) -> None:
    for name in ("out.png", "out-%d.png"):
        async with Picture(tmp_path / name):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["nowhere/out.png", "nowhere/out-%03d.png"])
async def test_a_picture_that_cannot_be_written_is_one_sentence_before_any_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(SinkError, match="there is no folder"):
        async with Picture(tmp_path / name):
            pytest.fail("opened")


@pytest.mark.parametrize("name", ["%d-%d.png", "100%.png", "%s.png", "%%.png"])
def test_a_name_with_other_places_than_one_number_is_refused(name: str) -> None:
    with pytest.raises(SinkError, match="wanted one place for a number"):
        Picture(Path(name))


async def test_a_picture_too_large_for_its_format_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"out\.webp cannot be written: a picture of 17000x1 does not fit"):
        async with Picture(tmp_path / "out.webp") as sink:
            await sink.write(frame(0, size=(17_000, 1)))
