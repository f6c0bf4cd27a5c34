"""Folders of pictures as sources."""

import asyncio
from pathlib import Path

import cv2
import pytest

from realtime.errors import SourceError, SourceMissing
from realtime.sources.folder import Folder, pictures_of
from tests.realtime.clips import number_of, numbered, read_all


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures whose names sort wrongly as text, and things that are no pictures."""
    for number, image in enumerate(numbered(12)):
        (tmp_path / f"shot{number + 1}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_bytes(b"not a picture either")
    (tmp_path / "more").mkdir()
    return tmp_path


async def test_every_picture_is_a_frame_in_the_order_in_which_people_count(folder: Path) -> None:
    async with Folder(folder, fps=10) as source:
        frames = await read_all(source)
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.at for frame in frames] == pytest.approx([number / 10 for number in range(12)])


async def test_a_live_folder_skips_pictures_for_who_reads_slowly(folder: Path) -> None:
    async with Folder(folder, live=True, fps=50) as source:
        first = await source.read()
        await asyncio.sleep(0.1)
        second = await source.read()
        rest = await read_all(source)
    assert second.index - first.index >= 4
    assert number_of(second.image) == second.index
    assert rest[-1].index == 11  # the last one is never skipped
    assert rest[-1].captured_at - first.captured_at == pytest.approx(11 / 50, abs=0.001)


def test_names_sort_by_their_numbers_then_letters(tmp_path: Path) -> None:
    wanted = ["2.png", "10.png", "a1b2.png", "a1b10.png", "A2.png", "b.png"]
    for name in wanted:
        (tmp_path / name).touch()
    assert [picture.name for picture in pictures_of(tmp_path)] == wanted


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("nowhere", SourceMissing, "there is no folder"),
        ("more", SourceMissing, "holds no pictures: wanted files that end in .avif, .bmp"),
        ("notes.txt", SourceError, "cannot be read as a folder"),
    ],
)
async def test_a_folder_without_pictures_is_one_sentence(
    folder: Path, name: str, error: type[SourceError], words: str
) -> None:
    with pytest.raises(error, match=words):
        async with Folder(folder / name):
            pass


async def test_a_broken_picture_is_named(folder: Path) -> None:
    (folder / "shot3.png").write_bytes(b"gone")
    with pytest.raises(SourceError, match=r"shot3\.png is no picture"):
        async with Folder(folder) as source:
            await read_all(source)
