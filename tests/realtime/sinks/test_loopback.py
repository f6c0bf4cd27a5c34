"""Linux's virtual cameras: which one is meant, what is in the way, and what frees it."""

import os
import sys
from pathlib import Path

import pytest

from realtime.errors import MissingExtra, SinkError
from realtime.sinks.loopback import free
from tests.realtime.sinks.kernel import FakeKernel, faked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these are Linux's")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    return faked(tmp_path, monkeypatch)


def test_a_camera_is_meant_by_path_number_or_part_of_its_name(fake: FakeKernel) -> None:
    first, second = fake.add(3, "OBS Virtual Camera"), fake.add(12, "liveswap")
    for device, meant in (
        *((None, first), (str(first), first), ("3", first), ("obs virtual", first)),
        *((str(second), second), ("12", second), ("Swap", second)),
    ):
        assert fake.kernel.writable(device) == meant


def test_cameras_are_in_the_order_of_their_numbers(fake: FakeKernel) -> None:
    paths = [fake.add(number, f"camera {number}") for number in (10, 9, 2)]
    assert [camera.path for camera in fake.kernel.loopbacks()] == paths[::-1]


def test_without_the_driver_it_says_how_to_load_it(fake: FakeKernel) -> None:
    with pytest.raises(MissingExtra, match="sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=liveswap"):
        fake.kernel.writable(None)


@pytest.mark.parametrize("device", ["/dev/video0", "1", "zoom"])
def test_a_camera_that_is_not_there_is_one_sentence_with_those_that_are(fake: FakeKernel, device: str) -> None:
    path = fake.add(10)
    with pytest.raises(SinkError) as error:
        fake.kernel.writable(device)
    assert str(error.value) == f"there is no virtual camera {device!r}: wanted one of {path} (liveswap)"


def test_one_that_was_left_locked_is_freed(fake: FakeKernel) -> None:
    path = fake.add(10)
    fake.locked.add(path)
    assert fake.kernel.writable(None) == path
    assert fake.streamed == [path]


def test_one_that_a_program_holds_is_left_alone_and_the_program_named(fake: FakeKernel) -> None:
    path = fake.add(10)
    fake.locked.add(path)
    fake.hold(path, "obs", 4321)
    with pytest.raises(
        SinkError, match=r"video10 takes no pictures: close what holds it \(obs \(4321\)\), name"
    ) as error:
        fake.kernel.writable(str(path))
    assert "sudo modprobe -r v4l2loopback && sudo modprobe v4l2loopback devices=1" in str(error.value)
    assert fake.streamed == []


def test_another_one_is_taken_where_the_first_is_busy(fake: FakeKernel) -> None:
    busy, idle = fake.add(10), fake.add(11)
    fake.locked.add(busy)
    fake.hold(busy, "obs", 4321)
    assert fake.kernel.writable(None) == idle


def test_one_that_an_unseen_program_writes_to_is_left_to_it(fake: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next picture locks the camera again."""
    path = fake.add(10)
    fake.locked.add(path)
    monkeypatch.setattr("time.sleep", lambda _: fake.locked.add(path))
    with pytest.raises(SinkError, match="takes no pictures"):
        fake.kernel.writable(None)
    assert fake.streamed == [path]


def test_one_that_stays_locked_is_one_sentence(fake: FakeKernel) -> None:
    path = fake.add(10)
    fake.locked.add(path)
    fake.heals = False
    with pytest.raises(SinkError, match=r"takes no pictures: close the program that writes to it"):
        fake.kernel.writable(None)


def test_one_that_the_kernel_lists_and_nobody_made_is_one_sentence(fake: FakeKernel) -> None:
    fake.add(10).unlink()
    with pytest.raises(SinkError, match=r"video10 does not open: the kernel lists it .*container"):
        fake.kernel.writable(None)


def test_one_that_this_user_may_not_open_is_one_sentence(fake: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake.add(10)
    opened = os.open

    def denied(file: Path, flags: int) -> int:
        if file == path:
            raise PermissionError(13, "Permission denied")  # tests may run as root, who may open everything
        return opened(file, flags)

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(SinkError, match=r"may not write to it; sudo usermod -aG video"):
        fake.kernel.writable(None)


def test_freeing_what_cannot_be_freed_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file is no camera")
    before = len(list(Path("/proc/self/fd").iterdir()))
    free(tmp_path / "file")
    free(tmp_path / "absent")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert (tmp_path / "file").read_text() == "a file is no camera"


def test_programs_that_hold_a_file_are_found(fake: FakeKernel) -> None:
    path = fake.add(10)
    fake.hold(path, "zoom", 77)
    fake.hold(fake.add(11), "obs", 78)
    fake.hold(path, "liveswap", os.getpid())  # this program itself does not count
    assert fake.kernel.holders(path) == ("zoom (77)",)
