"""Cameras, played by a stand-in for OpenCV's, since no test machine has one."""

import asyncio
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.errors import SettingsError, SourceError, SourceLost, SourceMissing
from realtime.flow.pipeline import Pipeline
from realtime.sources.cameras import Camera
from realtime.sources.draining import Patience
from realtime.sources.formats import Format
from realtime.sources.webcam import Webcam, WebcamSettings, compressed_wanted
from tests.realtime.clips import read_all
from tests.realtime.flow.things import Collector


class FakeCapture:
    """cv2.VideoCapture, as far as it is used: gives `pictures` numbered frames, one every `period` seconds."""

    opens = True
    pictures = 5
    period = 0.002
    gives: ClassVar[dict[int, float]] = {}  # what it says of itself
    stamp_s = 0.0  # how long ago the driver says each picture was taken; 0: the driver says nothing

    def __init__(self, device: int | str, api: int) -> None:
        self.device = device
        self.asked: list[tuple[int, float]] = []
        self.given = 0
        self.released = False
        self.threads: set[str] = set()

    def isOpened(self) -> bool:  # noqa: N802
        return self.opens

    def set(self, what: int, value: float) -> bool:
        self.asked.append((what, value))
        return True

    def get(self, what: int) -> float:
        if what in self.gives:
            return self.gives[what]
        if what == cv2.CAP_PROP_POS_MSEC:
            return (time.perf_counter() - self.stamp_s) * 1000 if self.stamp_s else 0.0
        return 0.0

    def grab(self) -> bool:
        self.threads.add(threading.current_thread().name)
        time.sleep(self.period)
        self.given += 1
        return self.given <= self.pictures

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        return True, np.full((4, 4, 3), self.given, np.uint8)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def device(tmp_path: Path) -> str:
    """A path that exists, as a camera's would."""
    path = tmp_path / "video7"
    path.touch()
    return str(path)


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> list[FakeCapture]:
    """The stand-ins that were opened."""
    opened: list[FakeCapture] = []

    def open_one(device: int | str, api: int) -> FakeCapture:
        opened.append(FakeCapture(device, api))
        return opened[-1]

    monkeypatch.setattr(cv2, "VideoCapture", open_one)
    return opened


async def released(camera: FakeCapture) -> None:
    """Waits until its thread has given it back; that takes a moment, and no more than five seconds."""
    async with asyncio.timeout(5):
        while not camera.released:
            await asyncio.sleep(0.002)


async def test_pictures_come_in_order_from_one_thread_that_is_not_the_event_loops(
    device: str, cameras: list[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeCapture, "pictures", 1000)
    async with Webcam(WebcamSettings(device)) as source:
        frames = [await source.read() for _ in range(5)]
    assert source.live
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [frame.index + 1 for frame in frames]
    assert np.diff([frame.index for frame in frames]).min() > 0
    assert frames[0].at is None
    assert np.diff([frame.captured_at for frame in frames]).min() > 0
    assert len(cameras[0].threads) == 1
    assert threading.current_thread().name not in cameras[0].threads
    await released(cameras[0])


@pytest.mark.parametrize(("width", "height", "mjpg"), [(1280, 720, True), (640, 480, False)])
async def test_the_camera_is_asked_for_compressed_pictures_first_where_raw_ones_are_too_many(
    device: str, cameras: list[FakeCapture], width: int, height: int, mjpg: bool
) -> None:
    async with Webcam(WebcamSettings(device, width, height, 30)):
        pass
    wanted: list[tuple[int, float]] = [
        (cv2.CAP_PROP_FRAME_WIDTH, width),
        (cv2.CAP_PROP_FRAME_HEIGHT, height),
        (cv2.CAP_PROP_FPS, 30),
        (cv2.CAP_PROP_BUFFERSIZE, 1),
    ]
    format_first = [(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))] if mjpg else []
    assert cameras[0].asked == format_first + wanted


async def test_a_camera_that_stops_is_lost_after_so_many_frames(device: str, cameras: list[FakeCapture]) -> None:
    sink = Collector()
    with pytest.raises(SourceLost, match=f"{device} stopped after 5 frames"):
        async with Webcam(WebcamSettings(device)) as source:
            await Pipeline(source, [], sink).run()
    assert sink.numbers[-1] == 4
    await released(cameras[0])


async def test_a_camera_that_gives_nothing_is_probably_busy(
    device: str, cameras: list[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeCapture, "pictures", 0)
    async with Webcam(WebcamSettings(device)) as source:
        with pytest.raises(SourceError, match="gave no picture: another program may be using it"):
            await source.read()


async def test_a_camera_that_does_not_open_is_probably_busy(
    device: str, cameras: list[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeCapture, "opens", False)
    with pytest.raises(SourceError, match=f"{device} does not open as a camera: another program") as caught:
        async with Webcam(WebcamSettings(device)):
            pass
    assert not isinstance(caught.value, SourceMissing)
    await released(cameras[0])


@pytest.mark.skipif(sys.platform != "linux", reason="cameras are files on Linux only")
@pytest.mark.parametrize("absent", [57, "/dev/video57"])
async def test_no_camera_is_one_sentence(absent: int | str) -> None:
    with pytest.raises(SourceMissing, match="there is no camera /dev/video57"):
        async with Webcam(WebcamSettings(absent)):
            pass


async def test_age_counts_from_when_the_driver_says_the_picture_was_taken(
    device: str, cameras: list[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 5 ms: the stand-in is asked about a moment after the picture came."""
    for stamp, seen in {0.040: 0.040, 0.0: 0.0, 500.0: 0.0, -3.0: 0.0}.items():
        monkeypatch.setattr(FakeCapture, "stamp_s", stamp)
        async with Webcam(WebcamSettings(device)) as source:
            frame = await source.read()
            assert time.perf_counter() - frame.captured_at >= seen - 1e-3
            assert frame.captured_at <= time.perf_counter()
            if not seen:
                assert time.perf_counter() - frame.captured_at < 0.5


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 0}, "width 0 is no picture's size: wanted 1 to 8192 pixels"),
        ({"height": 9000}, "height 9000 is no picture's size"),
        ({"fps": -1}, "-1 frames a second is no camera's rate"),
    ],
)
def test_absurd_settings_are_one_sentence(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        WebcamSettings(**settings)


RAW_TOO_SLOW = (Format("MJPG", 1280, 720, (30.0,)), Format("YUYV", 1280, 720, (10.0,)))
RAW_FAST = (Format("MJPG", 1280, 720, (30.0,)), Format("YUYV", 1280, 720, (30.0, 15.0)))
RAW_ONLY = (Format("YUYV", 1280, 720, (10.0,)),)
MJPG_ELSEWHERE = (Format("MJPG", 1920, 1080, (30.0,)), Format("YUYV", 1280, 720, (10.0,)))
BOTH_SLOW = (Format("MJPG", 1280, 720, (25.0,)), Format("YUYV", 1280, 720, (25.0,)))


@pytest.mark.parametrize(
    ("formats", "wanted"),
    [(RAW_TOO_SLOW, True), (RAW_FAST, False), (RAW_ONLY, False), (MJPG_ELSEWHERE, False), (BOTH_SLOW, False)],
    ids=["raw too slow", "raw fast", "raw only", "mjpg elsewhere", "both slow"],
)
def test_compressed_pictures_are_wanted_where_raw_ones_would_cap_the_rate(
    formats: tuple[Format, ...], wanted: bool
) -> None:
    assert compressed_wanted(WebcamSettings(0, 1280, 720, 30.0), formats) == wanted


MJPG = float(cv2.VideoWriter.fourcc(*"MJPG"))


@pytest.mark.parametrize(
    ("gives", "level", "words"),
    [
        ((1280, 720, 30.0, MJPG), logging.INFO, "{} opened: 1280 x 720 at 30 fps (MJPG)"),
        ((640, 480, 30.0, 0), logging.WARNING, "{} was asked for 1280 x 720 at 30 fps and gives 640 x 480 at 30 fps"),
        ((1280, 720, 15.0, 0), logging.WARNING, "{} was asked for 1280 x 720 at 30 fps and gives 1280 x 720 at 15 fps"),
        ((1280, 720, 29.97, 0), logging.INFO, "{} opened: 1280 x 720 at 29.97 fps"),
        ((1280, 720, 0.0, 0), logging.INFO, "{} opened: 1280 x 720 at a rate that it does not say"),
    ],
)
async def test_what_is_obtained_is_said_and_a_difference_from_what_was_asked_is_a_warning(
    device: str,
    cameras: list[FakeCapture],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    gives: tuple[float, float, float, float],
    level: int,
    words: str,
) -> None:
    keys = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS, cv2.CAP_PROP_FOURCC)
    monkeypatch.setattr(FakeCapture, "gives", dict(zip(keys, gives, strict=True)))
    with caplog.at_level(logging.INFO, "realtime"):
        async with Webcam(WebcamSettings(device)):
            pass
    said = [(record.levelno, record.getMessage()) for record in caplog.records if "x 720" in record.getMessage()]
    assert said[-1] == (level, words.format(device))


async def test_a_camera_whose_read_hangs_is_lost_and_left_behind(
    device: str, cameras: list[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    freed = threading.Event()

    def hanging(capture: FakeCapture) -> bool:
        capture.given += 1
        return capture.given <= 2 or freed.wait(20.0)

    monkeypatch.setattr(FakeCapture, "grab", hanging)
    async with Webcam(WebcamSettings(device), Patience(next=0.1)) as source:
        with pytest.raises(SourceLost, match=f"{device} stopped after 2 frames: no picture for"):
            await read_all(source)
    assert not cameras[0].released
    freed.set()
    await released(cameras[0])


@pytest.mark.skipif(sys.platform != "linux", reason="named pipes are files on Linux")
async def test_a_pipe_is_no_camera_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "video9")
    with pytest.raises(SourceError, match="video9 is no camera: wanted a video device"):
        async with Webcam(WebcamSettings(str(tmp_path / "video9"))):
            pass


async def test_a_camera_is_found_by_a_part_of_its_name_wherever_it_is_by_then(
    device: str, cameras: list[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.sources.cameras.cameras", lambda formats: (Camera(device, "HD Pro Webcam C920"),))
    async with Webcam(WebcamSettings("c920")):
        pass
    assert cameras[0].device == device
    with pytest.raises(SourceMissing, match=f"there is no camera 'brio': wanted one of HD Pro Webcam C920 .{device}"):
        async with Webcam(WebcamSettings("brio")):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="devices are files on Linux")
async def test_another_device_is_no_camera(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="/dev/null is no camera: wanted a video device"):
        async with Webcam(WebcamSettings("/dev/null")):
            pass
    assert capfd.readouterr().err == ""


async def test_a_virtual_camera_that_nobody_writes_to_says_so(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_char_device", lambda _: True)
    monkeypatch.setattr("realtime.sources.webcam.captures", lambda _: False)
    with pytest.raises(SourceError, match="gives no pictures: it is no camera, or a virtual one that nobody writes to"):
        async with Webcam(WebcamSettings(device)):
            pass


async def test_a_camera_that_gives_black_pictures_is_named(
    device: str, cameras: list[FakeCapture], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After a twentieth of a second instead of three; the stand-in's first pictures are almost black."""
    monkeypatch.setattr("realtime.sources.watch.PATIENCE_S", 0.05)
    monkeypatch.setattr("realtime.sources.watch.DARK", 255)
    monkeypatch.setattr(FakeCapture, "pictures", 250)
    with caplog.at_level(logging.WARNING, "realtime"):
        async with asyncio.timeout(30), Webcam(WebcamSettings(device)) as source:
            while not caplog.messages:
                await source.read()
    assert caplog.messages == [f"{device} has been black for 0.05 s: is the lens covered, or its shutter closed?"]
