"""Recordings: pictures, times, sound, and what is left of one that was interrupted."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.errors import SinkError
from realtime.flow.pipeline import Pipeline, Stage
from realtime.frame import Frame
from realtime.sinks.video_file import Recording, RecordingSettings
from realtime.sources.video_file import VideoFile
from tests.realtime.clips import (
    boxes_in,
    click,
    flash,
    loudest,
    number_of,
    numbered,
    pictures_in,
    read_all,
    write_clip,
)


def frames_of(images: Sequence[NDArray[np.uint8]], fps: float = 30.0) -> list[Frame]:
    return [Frame(image, number, 50.0 + number / fps, number / fps) for number, image in enumerate(images)]


async def record(path: Path, frames: Sequence[Frame], sound: Path | None = None) -> None:
    async with Recording(path, sound) as sink:
        for frame in frames:
            await sink.write(frame)


async def test_every_frame_is_in_the_file_at_its_time(tmp_path: Path) -> None:
    await record(tmp_path / "out.mp4", frames_of(numbered(40), fps=25))
    seen = pictures_in(tmp_path / "out.mp4")
    assert [number_of(image) for _, image in seen] == list(range(40))
    assert [at for at, _ in seen] == pytest.approx([number / 25 for number in range(40)], abs=1e-4)


async def test_what_was_written_reads_back_as_it_was(tmp_path: Path) -> None:
    """A gradient, at least 40 dB of PSNR: no shift of colour or place."""
    x, y = np.meshgrid(np.linspace(20, 235, 320), np.linspace(20, 235, 240))
    image = np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8)
    await record(tmp_path / "out.mp4", frames_of([image] * 5))
    async with VideoFile(tmp_path / "out.mp4") as source:
        seen = (await read_all(source))[-1].image
    error = np.mean((seen.astype(float) - image) ** 2)
    assert 10 * np.log10(255**2 / error) > 40
    assert (
        np.abs((seen.astype(float) - image).mean(axis=(0, 1))).max() < 2
    )  # conversion without full chroma rounds down


async def test_frames_without_a_timeline_stand_at_the_time_of_their_capture(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.05, 0.2, 0.9]
    frames = [
        replace(frame, at=None, captured_at=77.0 + at) for frame, at in zip(frames_of(numbered(5)), times, strict=True)
    ]
    await record(tmp_path / "out.mp4", frames)
    assert [at for at, _ in pictures_in(tmp_path / "out.mp4")] == pytest.approx(times, abs=1e-4)


async def test_frames_of_the_same_time_are_all_kept(tmp_path: Path) -> None:
    frames = [replace(frame, at=0.5) for frame in frames_of(numbered(5))]
    await record(tmp_path / "out.mp4", frames)
    seen = pictures_in(tmp_path / "out.mp4")
    assert [number_of(image) for _, image in seen] == [0, 1, 2, 3, 4]
    assert np.diff([at for at, _ in seen]).min() > 0


@pytest.mark.parametrize(("width", "height"), [(63, 47), (64, 47), (63, 48), (1, 1)])
async def test_odd_sizes_are_padded_by_the_edge(tmp_path: Path, width: int, height: int) -> None:
    await record(tmp_path / "out.mp4", frames_of([np.full((height, width, 3), 200, np.uint8)] * 3))
    seen = pictures_in(tmp_path / "out.mp4")[0][1]
    assert seen.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(seen.astype(int) - 200).max() <= 6


async def test_later_frames_of_another_size_are_fitted_into_the_first(tmp_path: Path) -> None:
    images = [np.full((48, 64, 3), 99, np.uint8), np.full((96, 64, 3), 200, np.uint8)]
    await record(tmp_path / "out.mp4", frames_of(images))
    seen = pictures_in(tmp_path / "out.mp4")[1][1]
    assert seen.shape == (48, 64, 3)
    assert seen[24, 32].min() > 190
    assert seen[24, 4].max() < 20


@pytest.mark.parametrize("rate", [12.5, 24, 29.97, 60])
async def test_the_file_says_its_frame_rate(tmp_path: Path, rate: float) -> None:
    async with Recording(tmp_path / "out.mp4", settings=RecordingSettings(fps=rate)) as sink:
        for frame in frames_of(numbered(30), fps=rate):
            await sink.write(frame)
    with av.open(tmp_path / "out.mp4") as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate is not None
        assert float(stream.average_rate) == pytest.approx(rate, rel=0.002)


@pytest.mark.parametrize(
    ("name", "codec", "copied"),
    [
        ("clip.mp4", "aac", True),
        ("clip.mp4", "libmp3lame", True),
        ("clip.mkv", "aac", True),
        ("clip.mkv", "libopus", False),
        ("clip.mkv", "flac", False),
        ("clip.mov", "pcm_s16le", False),
        ("clip.ts", "aac", False),  # as broadcast; its timeline starts at 1.4 s
    ],
)
async def test_sound_is_kept_and_in_step(tmp_path: Path, name: str, codec: str, copied: bool) -> None:
    """Flash and click within 40 ms of each other, and no more than that from where the source has them."""
    source = write_clip(tmp_path / name, flash(60, at=40), sound=click(2.0, at=40 / 30), sound_codec=codec)
    out = tmp_path / "out.mp4"
    async with VideoFile(source) as film, Recording(out, sound=source) as sink:
        await Pipeline(film, [Stage("same", lambda frame: frame)], sink).run()
    flashed = next(at for at, image in pictures_in(out) if image.mean() > 128)
    assert flashed == pytest.approx(40 / 30, abs=0.030)  # the start of a .ts is its sound's, 21 ms before the picture
    assert loudest(out) == pytest.approx(flashed, abs=0.040)
    with av.open(source) as before, av.open(out) as after:
        names = [file.streams.audio[0].codec_context.codec.canonical_name for file in (before, after)]
        assert names[1] == (names[0] if copied else "aac")
        assert float(after.duration or 0) / av.time_base == pytest.approx(2.0, abs=0.06)


async def test_sound_stays_in_step_when_live_frames_are_dropped(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", flash(45, at=20), sound=click(1.5, at=20 / 30))
    out = tmp_path / "out.mp4"

    def work(frame: Frame) -> Frame:
        time.sleep(0 if frame.image.mean() > 128 else 0.05)  # too slow for the rest, so that frames are lost
        return frame

    async with VideoFile(source, live=True) as film, Recording(out, sound=source) as sink:
        pipeline = Pipeline(film, [Stage("slow", work)], sink)
        await pipeline.run()
    assert pipeline.meters.report()["dropped"] > 5
    shown = pictures_in(out)
    assert shown[-1][0] == pytest.approx(44 / 30, abs=0.001)
    assert loudest(out) == pytest.approx(20 / 30, abs=0.040)


async def test_sound_ends_with_the_picture_of_a_run_that_was_stopped(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", numbered(40), sound=click(40 / 30, at=0.1))
    async with VideoFile(source) as film, Recording(tmp_path / "out.mp4", sound=source) as sink:
        await Pipeline(film, [], sink).run(duration=0.5)
    with av.open(tmp_path / "out.mp4") as container:
        assert len(pictures_in(tmp_path / "out.mp4")) == 15
        assert float(container.duration or 0) / av.time_base == pytest.approx(0.5, abs=0.03)


async def test_sound_that_outlasts_the_picture_is_kept_where_the_picture_is_complete(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", numbered(15), sound=click(1.0, at=0.9))
    async with VideoFile(source) as film, Recording(tmp_path / "out.mp4", sound=source) as sink:
        await Pipeline(film, [], sink).run()
    assert loudest(tmp_path / "out.mp4") == pytest.approx(0.9, abs=0.040)


async def test_a_silent_source_gives_a_silent_recording(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", numbered(5))
    await record(tmp_path / "out.mp4", frames_of(numbered(5)), sound=source)
    with av.open(tmp_path / "out.mp4") as container:
        assert len(container.streams.audio) == 0


@pytest.mark.parametrize("key", ["comment", "liveswap.identity"])
async def test_the_file_carries_its_description(tmp_path: Path, key: str) -> None:
    sink = Recording(tmp_path / "out.mp4")
    sink.describe({key: "AI-generated"})
    sink.describe({"title": "a test"})
    async with sink:
        for frame in frames_of(numbered(3)):
            await sink.write(frame)
        with pytest.raises(SinkError, match="already being written"):
            sink.describe({"title": "too late"})
    with av.open(tmp_path / "out.mp4") as container:
        assert container.metadata[key] == "AI-generated"
        assert container.metadata["title"] == "a test"


async def test_a_cancelled_recording_is_a_complete_file(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", numbered(40), sound=click(40 / 30, at=0.1))
    reached = asyncio.Event()

    async def run() -> None:
        async with VideoFile(source, live=True) as film, Recording(tmp_path / "out.mp4", sound=source) as sink:
            write = sink.write

            async def counted(frame: Frame) -> None:
                await write(frame)
                if frame.index >= 15:
                    reached.set()

            sink.write = counted  # type: ignore[method-assign]
            await Pipeline(film, [], sink).run()

    before = set(threading.enumerate())
    task = asyncio.create_task(run())
    await asyncio.wait_for(reached.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    seen = pictures_in(tmp_path / "out.mp4")
    assert 0.5 - 0.001 <= seen[-1][0] < 39 / 30
    assert b"moof" not in boxes_in(tmp_path / "out.mp4")
    assert set(threading.enumerate()) <= before


async def test_a_recording_that_a_fault_ends_is_a_complete_file(tmp_path: Path) -> None:
    class Unlucky(Exception):
        pass

    def work(frame: Frame) -> Frame:
        if frame.index == 12:
            raise Unlucky
        return frame

    source = write_clip(tmp_path / "clip.mp4", numbered(20))
    with pytest.raises(Unlucky):
        async with VideoFile(source) as film, Recording(tmp_path / "out.mp4") as sink:
            await Pipeline(film, [Stage("bad", work)], sink, patience=1).run()
    assert [number_of(image) for _, image in pictures_in(tmp_path / "out.mp4")] == list(
        range(len(pictures_in(tmp_path / "out.mp4")))
    )
    assert len(pictures_in(tmp_path / "out.mp4")) >= 10


KILLED = """
import asyncio, os, sys
from pathlib import Path
from realtime.sinks.video_file import Recording
from tests.realtime.clips import click, flash, write_clip
from tests.realtime.sinks.test_video_file import frames_of

async def main(folder: Path) -> None:
    source = write_clip(folder / "clip.mp4", flash(150, at=20), sound=click(5.0, at=20 / 30))
    async with Recording(folder / "out.mp4", sound=source) as sink:
        for frame in frames_of(flash(150, at=20)):
            await sink.write(frame)
        os._exit(9)

asyncio.run(main(Path(sys.argv[1])))
"""


def test_what_a_killed_program_has_recorded_still_plays(tmp_path: Path) -> None:
    """At most three of five seconds are lost: what the encoder and one fragment hold."""
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=Path.cwd(), check=False, timeout=60)
    assert killed.returncode == 9
    assert b"moof" in boxes_in(tmp_path / "out.mp4")
    seen = pictures_in(tmp_path / "out.mp4")
    assert len(seen) >= 60
    flashed = next(at for at, image in seen if image.mean() > 128)
    assert flashed == pytest.approx(20 / 30, abs=0.001)
    assert loudest(tmp_path / "out.mp4") == pytest.approx(flashed, abs=0.040)


async def test_encoding_leaves_the_event_loop_free(tmp_path: Path) -> None:
    """While 12 frames are encoded the loop turns more than twice for each; encoding in it would allow once."""
    noise = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await record(tmp_path / "out.mp4", frames_of([noise] * 12))
    ticking.cancel()
    assert ticks > 24


def _blocked(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "out.mp4"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "nowhere" / "out.mp4", "there is no folder"),
        (_blocked, "cannot be written: not a directory"),
        (lambda folder: folder, "it is a folder"),
    ],
    ids=["no-folder", "file-as-folder", "folder"],
)
async def test_an_output_that_cannot_be_written_is_one_sentence_before_any_work(tmp_path: Path, make, words) -> None:  # type: ignore[no-untyped-def]
    path = make(tmp_path)
    with pytest.raises(SinkError, match=words) as caught:
        async with Recording(path):
            pytest.fail("opened")
    assert str(path) in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
async def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").symlink_to("/dev/full")
    noise = list(np.random.default_rng(0).integers(0, 255, (90, 64, 64, 3), np.uint8))
    with pytest.raises(SinkError, match=r"out\.mp4 cannot be (written|completed): no space left"):
        await record(tmp_path / "out.mp4", frames_of(noise))


async def test_the_source_is_never_overwritten(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", numbered(3))
    before = source.read_bytes()
    with pytest.raises(SinkError, match="it is the source itself"):
        async with Recording(tmp_path / "." / "clip.mp4", sound=source):
            pytest.fail("opened")
    assert source.read_bytes() == before


async def test_without_frames_nothing_is_written_or_overwritten(tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(b"precious")
    for name in ("new.mp4", "old.mp4"):
        async with Recording(tmp_path / name):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["old.mp4"]
    assert (tmp_path / "old.mp4").read_bytes() == b"precious"
