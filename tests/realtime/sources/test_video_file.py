"""Video files as sources: recorded, and live as a camera would be."""

import asyncio
import contextlib
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from realtime.errors import EndOfStream, SourceError, SourceMissing
from realtime.sources.video_file import ROUNDED, Film, Shot, VideoFile, as_bgr
from tests.realtime.clips import click, number_of, numbered, read_all, write_clip


async def test_every_frame_of_a_recording_is_read_in_order_with_its_time(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", numbered(30), fps=25)
    async with VideoFile(path) as source:
        frames = await read_all(source)
        assert not source.live
    assert [frame.index for frame in frames] == list(range(30))
    assert [number_of(frame.image) for frame in frames] == list(range(30))
    assert [frame.at for frame in frames] == pytest.approx([number / 25 for number in range(30)], abs=1e-4)
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[0].image.dtype == np.uint8


async def test_a_variable_frame_rate_is_kept(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.5, 0.52, 1.0]
    path = write_clip(tmp_path / "clip.mp4", numbered(6), times=times)
    async with VideoFile(path) as source:
        assert [frame.at for frame in await read_all(source)] == pytest.approx(times, abs=1e-4)


async def test_a_timeline_that_starts_late_is_counted_from_its_start(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.ts", numbered(5), fps=25)  # a transport stream starts at 1.4 s
    async with VideoFile(path) as source:
        assert [frame.at for frame in await read_all(source)] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16], abs=1e-4)


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "libx264"), ("clip.mkv", "libx264"), ("clip.avi", "mjpeg")])
async def test_colours_survive(tmp_path: Path, name: str, codec: str) -> None:
    """Flat colours within 4 of 255: chroma is 8 bit and the range is narrowed."""
    for bgr in [(200, 40, 60), (30, 180, 90), (128, 128, 128), (60, 90, 220)]:
        image = np.empty((48, 64, 3), np.uint8)
        image[:] = bgr
        path = write_clip(tmp_path / name, [image] * 3, video_codec=codec)
        async with VideoFile(path) as source:
            seen = (await source.read()).image.reshape(-1, 3).mean(axis=0)
        assert np.abs(seen - bgr).max() <= 4


@pytest.mark.parametrize("format", ["yuv420p", "yuvj420p", "yuv422p", "nv12", "yuv420p10le"])
def test_the_quick_way_to_bgr_is_as_right_as_the_slow_one(format: str) -> None:
    """The mean of each colour within 0.3 of 255, and where colours change slowly each pixel within 5."""
    across, down = np.meshgrid(np.linspace(30, 220, 1280), np.linspace(30, 220, 720))
    image = np.stack([across, down, 250 - across / 2 - down / 2], -1).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=format, interpolation=ROUNDED)
    exact = frame.reformat(format="bgr24", src_colorspace="ITU709", interpolation=ROUNDED).to_ndarray().astype(int)
    quick = as_bgr(frame, frame.width)
    assert np.abs((quick - exact).mean((0, 1))).max() < 0.3
    assert np.abs(quick - exact).max() <= 5


@pytest.mark.parametrize("rotation", [90, 180, -90])
async def test_pictures_are_upright_when_the_file_says_how_they_were_filmed(tmp_path: Path, rotation: int) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = 255  # white in the upper left
    path = write_clip(tmp_path / "clip.mp4", [image] * 3, rotation=rotation)
    async with VideoFile(path) as source:
        seen = (await source.read()).image
    wanted = np.rot90(image, rotation // 90)
    assert seen.shape == wanted.shape
    assert np.abs(seen.astype(int) - wanted).mean() < 8


async def test_pictures_are_fitted_into_the_size_asked_for(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", [np.full((48, 64, 3), 255, np.uint8)] * 2)
    for (width, height), shape in {(32, None): (24, 32), (None, 96): (96, 128), (128, 128): (128, 128)}.items():
        async with VideoFile(path, width=width, height=height) as source:
            image = (await source.read()).image
        assert image.shape[:2] == shape
    assert image[2].max() == 0  # 128 x 96 in 128 x 128: bars above and below
    assert image[64].min() > 240


async def test_live_frames_come_at_the_files_own_speed_and_never_early(tmp_path: Path) -> None:
    """Each frame within 60 ms after its time (3 ms without any other load), none before it."""
    path = write_clip(tmp_path / "clip.mp4", numbered(20), fps=25)
    late = []
    async with VideoFile(path, live=True) as source:
        assert source.live
        first = await source.read()
        while True:
            try:
                frame = await source.read()
            except EndOfStream:
                break
            assert frame.at is not None
            assert frame.captured_at - first.captured_at == pytest.approx(frame.at, abs=1e-6)
            late.append(time.perf_counter() - frame.captured_at)
    assert min(late) >= 0
    assert float(np.median(late)) < 0.060
    assert frame.index == 19
    assert frame.captured_at - first.captured_at == pytest.approx(19 / 25, abs=1e-3)


async def test_who_reads_a_live_file_slowly_gets_the_newest_frame_and_gaps(tmp_path: Path) -> None:
    """Frames last 20 ms; each is one whose time was not over when it was asked for, except the very last."""
    path = write_clip(tmp_path / "clip.mp4", numbered(40), fps=50)
    frames, asked = [], []
    async with VideoFile(path, live=True) as source:
        with contextlib.suppress(EndOfStream):
            while True:
                asked.append(time.perf_counter())
                frames.append(await source.read())
                assert time.perf_counter() >= frames[-1].captured_at
                await asyncio.sleep(0.13)
    numbers = [frame.index for frame in frames]
    assert numbers[0] == 0
    assert numbers[-1] == 39
    assert min(np.diff(numbers)[:-1]) >= 6
    assert [number_of(frame.image) for frame in frames] == numbers
    assert all(frame.captured_at + 0.020 > when for frame, when in list(zip(frames, asked, strict=False))[:-1])


async def test_the_last_frame_of_a_live_file_is_given_however_late(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", numbered(10), fps=50)
    async with VideoFile(path, live=True) as source:
        await source.read()
        await asyncio.sleep(0.4)
        assert (await source.read()).index == 9
        with pytest.raises(EndOfStream):
            await source.read()


async def test_a_file_that_breaks_off_gives_what_there_is(tmp_path: Path) -> None:
    noise = list(np.random.default_rng(0).integers(0, 255, (40, 96, 128, 3), np.uint8))
    whole = write_clip(tmp_path / "whole.mkv", noise)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    async with VideoFile(cut) as source:
        count = len(await read_all(source))
    assert 5 < count < 40


async def test_a_file_whose_index_promises_more_than_there_is_gives_what_there_is(tmp_path: Path) -> None:
    """The index of an MP4 stands in front here (faststart), as in films that a browser was still loading."""
    whole = tmp_path / "whole.mp4"
    noise = list(np.random.default_rng(0).integers(0, 255, (40, 96, 128, 3), np.uint8))
    write_clip(whole, noise, options={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    async with VideoFile(cut) as source:
        assert 5 < len(await read_all(source)) < 40


async def test_nothing_is_left_open(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    path = write_clip(tmp_path / "clip.mp4", numbered(5))
    async with VideoFile(path) as source:
        await source.read()
    assert set(threading.enumerate()) <= before


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _truncated(folder: Path) -> Path:
    whole = write_clip(folder / "whole.mp4", numbered(20))
    return _write(folder / "cut.mp4", whole.read_bytes()[:200])


def _song(folder: Path) -> Path:
    import av

    path = folder / "song.mp4"
    with av.open(path, "w") as container:
        heard = container.add_stream("aac", rate=48_000)
        samples = av.AudioFrame.from_ndarray(click(0.2, 0.1)[None], format="fltp", layout="mono")
        samples.sample_rate, samples.pts = 48_000, 0
        container.mux(heard.encode(samples))
        container.mux(heard.encode(None))
    return path


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda folder: folder / "none.mp4", SourceMissing, "there is no file"),
        (lambda folder: _write(folder / "empty.mp4", b""), SourceError, "is no video that can be read"),
        (lambda folder: _write(folder / "noise.mp4", bytes(range(256)) * 40), SourceError, "is no video"),
        (lambda folder: _write(folder / "text.txt", b"Dear diary,\nno film today.\n" * 50), SourceError, "a text file"),
        (_truncated, SourceError, "is no video that can be read"),
        (_song, SourceError, "has no moving picture"),
        (lambda folder: folder, SourceError, "is no video that can be read"),
    ],
    ids=["missing", "empty", "noise", "text", "truncated", "song", "folder"],
)
async def test_what_is_no_video_is_one_sentence(tmp_path: Path, make, error, words: str) -> None:  # type: ignore[no-untyped-def]
    path = make(tmp_path)
    with pytest.raises(error, match=words) as caught:
        async with VideoFile(path) as source:
            await source.read()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may be allowed everything, so the system's answer is played by a stand-in."""
    import av

    path = write_clip(tmp_path / "secret.mp4", numbered(2))

    def refuse(*args: object, **options: object) -> None:
        raise av.error.PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("realtime.sources.video_file.av.open", refuse)
    with pytest.raises(SourceError, match=r"secret\.mp4 may not be read by this user"):
        async with VideoFile(path):
            pass


async def test_pictures_larger_than_8192_are_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "wide.avi", [np.zeros((16, 8208, 3), np.uint8)], video_codec="mjpeg")
    with pytest.raises(SourceError, match="has pictures of 8208x16: wanted 1 to 8192"):
        async with VideoFile(path):
            pass


async def test_a_file_too_heavy_for_the_machine_plays_slower_instead_of_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Decoding takes 30 ms here and a frame lasts 20: skipping alone would never catch up."""
    decode = Film.next

    def slowly(film: Film) -> Shot:
        time.sleep(0.030)
        return decode(film)

    monkeypatch.setattr(Film, "next", slowly)
    monkeypatch.setattr("realtime.sources.video_file.PATIENCE_S", 0.05)
    path = write_clip(tmp_path / "clip.mp4", numbered(24), fps=50)
    ages = []
    async with VideoFile(path, live=True) as source:
        frames = [await source.read()]
        while frames[-1].index < 22:
            frames.append(await source.read())
            ages.append(time.perf_counter() - frames[-1].captured_at)
    assert len(frames) >= 4
    assert "plays slower than its own speed" in caplog.text
    assert max(ages) < 1  # it does not grow


async def test_damage_in_the_middle_costs_frames_not_the_film(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    noise = list(np.random.default_rng(0).integers(0, 255, (40, 96, 128, 3), np.uint8))
    path = write_clip(tmp_path / "clip.avi", noise, video_codec="mjpeg")
    data = bytearray(path.read_bytes())
    middle = data.index(b"\xff\xd8", len(data) // 2)  # where a JPEG begins
    end = data.index(b"\xff\xd9", middle)  # and where it ends
    data[middle:end] = bytes(end - middle)
    path.write_bytes(data)
    async with VideoFile(path) as source:
        frames = await read_all(source)
    assert 38 <= len(frames) <= 39
    assert frames[-1].at == pytest.approx(39 / 30, abs=1e-3)
    assert "a damaged packet after frame" in caplog.text
