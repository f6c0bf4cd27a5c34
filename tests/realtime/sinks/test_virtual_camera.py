"""The virtual camera, with a stand-in for pyvirtualcam: a test machine has no driver."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.errors import MissingExtra, SinkError
from realtime.sinks.virtual_camera import LOOPBACKS, VirtualCamera, driver_advice
from tests.realtime.flow.things import frame


class FakeDriver:
    """pyvirtualcam.Camera, as far as it is used."""

    opened: list["FakeDriver"]
    fault: RuntimeError | None = None

    def __init__(self, width: int, height: int, fps: float, *, fmt: str, device: str | None) -> None:
        if self.fault is not None:
            raise self.fault
        self.width, self.height, self.fps, self.fmt = width, height, fps, fmt
        self.device = device or "/dev/video10"
        self.sent: list[NDArray[np.uint8]] = []
        self.closed = False
        self.opened.append(self)

    def send(self, image: NDArray[np.uint8]) -> None:
        assert image.shape == (self.height, self.width, 3)  # the real one raises
        self.sent.append(image)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> type[FakeDriver]:
    class Driver(FakeDriver):
        opened: list[FakeDriver] = []  # noqa: RUF012  (one list for each test)

    package = SimpleNamespace(Camera=Driver, PixelFormat=SimpleNamespace(BGR="bgr"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", package)
    return Driver


@pytest.fixture
def loopbacks(tmp_path: Path) -> Path:
    """What Linux shows where v4l2loopback is loaded."""
    (tmp_path / "video10").mkdir()
    return tmp_path


async def test_frames_are_sent_as_bgr_in_the_size_of_the_first(driver: type[FakeDriver], loopbacks: Path) -> None:
    async with VirtualCamera(fps=25, loopbacks=loopbacks) as sink:
        for index in range(3):
            await sink.write(frame(index, size=(64, 48)))
    (camera,) = driver.opened
    assert (camera.width, camera.height, camera.fps, camera.fmt) == (64, 48, 25, "bgr")
    assert [int(image[0, 0, 0]) for image in camera.sent] == [0, 1, 2]
    assert camera.closed


async def test_odd_sizes_are_made_even(driver: type[FakeDriver], loopbacks: Path) -> None:
    async with VirtualCamera(loopbacks=loopbacks) as sink:
        await sink.write(frame(9, size=(63, 47)))
    assert driver.opened[0].sent[0].shape == (48, 64, 3)
    assert driver.opened[0].sent[0].min() == 9


async def test_later_frames_of_another_size_are_letterboxed(driver: type[FakeDriver], loopbacks: Path) -> None:
    async with VirtualCamera(loopbacks=loopbacks) as sink:
        await sink.write(frame(1, size=(64, 48)))
        await sink.write(frame(200, size=(30, 90)))
    seen = driver.opened[0].sent[1]
    assert seen.shape == (48, 64, 3)
    assert seen[:, :20].max() == 0
    assert seen[24, 32].tolist() == [200, 200, 200]


async def test_without_the_package_the_user_learns_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)  # importing it now raises ImportError
    with pytest.raises(MissingExtra, match=r"pip install 'liveswap\[virtualcam\]'"):
        async with VirtualCamera():
            pytest.fail("opened")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux lists its drivers")
async def test_without_the_driver_the_user_learns_what_to_do_before_any_work(
    driver: type[FakeDriver], tmp_path: Path
) -> None:
    with pytest.raises(MissingExtra, match="sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=liveswap"):
        async with VirtualCamera(loopbacks=tmp_path):
            pytest.fail("opened")
    assert driver.opened == []


@pytest.mark.skipif(sys.platform != "linux" or any(LOOPBACKS.glob("*")), reason="this machine may have a driver")
async def test_this_very_machine_lacks_the_package_or_the_driver_and_says_so() -> None:
    with pytest.raises(MissingExtra, match=r"virtual camera .*install"):
        async with VirtualCamera():
            pytest.fail("opened")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a fault means that OBS is missing")
async def test_a_camera_that_does_not_open_is_one_sentence(driver: type[FakeDriver], loopbacks: Path) -> None:
    driver.fault = RuntimeError("Virtual camera device /dev/video10 could not be opened: Device or resource busy")
    with pytest.raises(SinkError, match=r"does not open: .* resource busy"):
        async with VirtualCamera("/dev/video10", loopbacks=loopbacks) as sink:
            await sink.write(frame(0))


@pytest.mark.parametrize(("platform", "words"), [("linux", "modprobe"), ("win32", "OBS"), ("darwin", "OBS")])
def test_the_advice_fits_the_system(platform: str, words: str) -> None:
    assert words in driver_advice(platform)
