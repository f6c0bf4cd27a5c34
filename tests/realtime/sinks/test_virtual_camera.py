"""The virtual camera, with a stand-in for pyvirtualcam: a test machine has no driver."""

import sys
from pathlib import Path

import pytest

from realtime.errors import MissingExtra, SinkError
from realtime.flow.pipeline import Pipeline
from realtime.sinks.fan_out import FanOut
from realtime.sinks.loopback import Kernel
from realtime.sinks.virtual_camera import VirtualCamera, ready
from tests.realtime.flow.things import Collector, FakeCamera, frame
from tests.realtime.sinks.driver import FakeDriver, installed
from tests.realtime.sinks.kernel import FakeKernel, faked

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux lists its drivers")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> type[FakeDriver]:
    return installed(monkeypatch)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    """Linux with v4l2loopback loaded."""
    fake = faked(tmp_path, monkeypatch)
    fake.add(10)
    return fake


async def test_frames_are_sent_as_bgr_in_the_size_of_the_first(driver: type[FakeDriver], fake: FakeKernel) -> None:
    async with VirtualCamera(fps=250, live=False, kernel=fake.kernel) as sink:
        for index in range(1, 4):
            await sink.write(frame(index, size=(64, 48)))
    (camera,) = driver.opened
    assert (camera.width, camera.height, camera.fps, camera.fmt) == (64, 48, 250, "bgr")
    assert sorted(set(camera.values)) == [1, 2, 3]
    assert camera.values == sorted(camera.values)
    assert camera.closed


async def test_a_late_frame_is_bridged_by_the_last_one(driver: type[FakeDriver], fake: FakeKernel) -> None:
    async with VirtualCamera(fps=250, kernel=fake.kernel) as sink:
        await sink.write(frame(7, size=(64, 48)))
        (camera,) = driver.opened
        camera.wait_until(lambda values: values.count(7) >= 5)
        await sink.write(frame(8, size=(64, 48)))
        camera.wait_until(lambda values: values.count(8) >= 2)
    assert camera.values == sorted(camera.values)


async def test_odd_sizes_are_made_even(driver: type[FakeDriver], fake: FakeKernel) -> None:
    async with VirtualCamera(kernel=fake.kernel) as sink:
        await sink.write(frame(9, size=(63, 47)))
    assert driver.opened[0].sent[0].shape == (48, 64, 3)
    assert driver.opened[0].sent[0].min() == 9


async def test_later_frames_of_another_size_are_letterboxed(driver: type[FakeDriver], fake: FakeKernel) -> None:
    async with VirtualCamera(fps=250, live=False, kernel=fake.kernel) as sink:
        await sink.write(frame(1, size=(64, 48)))
        await sink.write(frame(200, size=(30, 90)))
    seen = driver.opened[0].sent[-1]
    assert seen.shape == (48, 64, 3)
    assert seen[:, :20].max() == 0
    assert seen[24, 32].tolist() == [200, 200, 200]


@linux
@pytest.mark.parametrize("device", ["video11", "11", "second"])
async def test_one_of_several_cameras_is_chosen(driver: type[FakeDriver], fake: FakeKernel, device: str) -> None:
    path = fake.add(11, "my second video11")
    async with VirtualCamera(device, kernel=fake.kernel) as sink:
        await sink.write(frame(0))
    assert driver.opened[0].device == str(path)


@linux
async def test_a_camera_is_ready_for_its_next_writer_when_it_was_closed(
    driver: type[FakeDriver], fake: FakeKernel
) -> None:
    async with VirtualCamera(kernel=fake.kernel) as sink:
        await sink.write(frame(0))
        assert fake.streamed == []
        fake.locked.add(fake.kernel.devices / "video10")  # as v4l2loopback 0.12 leaves it
    assert fake.streamed == [fake.kernel.devices / "video10"]
    assert not fake.locked


async def test_beside_a_slow_sink_the_camera_gets_every_frame(driver: type[FakeDriver], fake: FakeKernel) -> None:
    """The slow one is still busy with its first frames when the source ends."""
    slow = Collector(period=0.5)
    camera = VirtualCamera(fps=1000, kernel=fake.kernel)
    async with FanOut([slow, camera], live=True) as sink:
        await Pipeline(FakeCamera((frame(index) for index in range(100)), period=0.005), [], sink).run()
    seen = set(driver.opened[0].values)
    assert len(seen) >= 40  # of 100: margin for a busy machine
    assert len(slow.frames) < len(seen) / 2


async def test_without_the_package_the_user_learns_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)  # importing it now raises ImportError
    with pytest.raises(MissingExtra, match=r"pip install 'liveswap\[virtualcam\]'"):
        async with VirtualCamera():
            pytest.fail("opened")
    with pytest.raises(MissingExtra, match="pip install"):
        ready()


@linux
async def test_what_is_in_the_way_is_said_before_any_work(
    driver: type[FakeDriver], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = faked(tmp_path, monkeypatch).kernel
    with pytest.raises(MissingExtra, match="sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=liveswap"):
        async with VirtualCamera(kernel=kernel):
            pytest.fail("opened")
    assert driver.opened == []
    with pytest.raises(MissingExtra, match="sudo modprobe v4l2loopback"):
        ready(kernel)


@linux
def test_nothing_is_in_the_way_of_a_free_camera(driver: type[FakeDriver], fake: FakeKernel) -> None:
    assert ready(fake.kernel) == f"{fake.kernel.devices / 'video10'} (liveswap)"
    assert driver.opened == []


def test_where_obs_is_the_driver_its_camera_is_tried(driver: type[FakeDriver], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")
    assert ready() == "OBS Virtual Camera"
    assert [camera.closed for camera in driver.opened] == [True]
    driver.fault = RuntimeError("'obs' backend: virtual camera output could not be started")
    with pytest.raises(SinkError, match=r"OBS Virtual Camera does not open: close the .* or install OBS"):
        ready()


@pytest.mark.skipif(sys.platform != "linux" or bool(Kernel().loopbacks()), reason="this machine may have a driver")
async def test_this_very_machine_lacks_the_package_or_the_driver_and_says_so() -> None:
    with pytest.raises(MissingExtra, match=r"virtual camera .*install"):
        async with VirtualCamera():
            pytest.fail("opened")


@linux
async def test_a_camera_that_does_not_open_is_one_sentence(driver: type[FakeDriver], fake: FakeKernel) -> None:
    driver.fault = RuntimeError("'v4l2loopback' backend: could not be configured:\nDevice or resource busy")
    with pytest.raises(SinkError, match=r"takes no pictures: close the .* \(seen: .* resource busy\)") as error:
        async with VirtualCamera(kernel=fake.kernel) as sink:
            await sink.write(frame(0))
    assert "\n" not in str(error.value)
