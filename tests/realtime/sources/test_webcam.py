"""Cameras, played by a stand-in for OpenCV's, since no test machine has one."""

import asyncio
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.errors import SettingsError, SourceError, SourceLost, SourceMissing
from realtime.flow.pipeline import Pipeline
from realtime.sources.webcam import Webcam, WebcamSettings
from tests.realtime.flow.things import Collector


class FakeCapture:
    """cv2.VideoCapture, as far as it is used: gives `pictures` numbered frames, one every `period` seconds."""

    opens = True
    pictures = 5
    period = 0.002
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


async def test_pictures_come_in_order_from_one_thread_that_is_not_the_event_loops(
    device: str, cameras: list[FakeCapture]
) -> None:
    async with Webcam(WebcamSettings(device)) as source:
        frames = [await source.read() for _ in range(5)]
    assert source.live
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 3, 4, 5]
    assert frames[0].at is None
    assert np.diff([frame.captured_at for frame in frames]).min() > 0
    assert len(cameras[0].threads) == 1
    assert threading.current_thread().name not in cameras[0].threads
    assert cameras[0].released


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
    assert cameras[0].released


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
    assert cameras[0].released


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


async def test_cancelling_a_read_ends_with_the_next_picture(
    device: str, cameras: list[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeCapture, "period", 0.1)
    async with Webcam(WebcamSettings(device)) as source:
        reading = asyncio.create_task(source.read())
        await asyncio.sleep(0.02)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert cameras[0].given == 1
    assert cameras[0].released


async def test_a_camera_that_opens_for_nobody_any_more_is_released(
    device: str, cameras: list[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(capture: FakeCapture) -> bool:
        time.sleep(0.05)
        return True

    monkeypatch.setattr(FakeCapture, "isOpened", slowly)
    opening = asyncio.create_task(Webcam(WebcamSettings(device)).__aenter__())
    while not cameras:
        await asyncio.sleep(0.001)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert cameras[0].released


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
