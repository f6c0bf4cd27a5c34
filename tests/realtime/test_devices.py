"""Cameras and virtual cameras, on a machine that may have neither."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from realtime import devices as module
from realtime.devices import Devices, VirtualCamera, found_devices, table
from realtime.sinks.loopback import Loopback
from realtime.sources.cameras import Camera
from realtime.sources.formats import Format
from tests.realtime.conftest import Say

FORMATS = (
    Format("MJPG", 1920, 1080, (30.0, 15.0)),
    Format("MJPG", 1280, 720, (60.0,)),
    Format("YUYV", 640, 480, ()),
)
CAMERAS = (Camera("/dev/video0", "HD [Pro] Webcam", FORMATS), Camera("/dev/video7", "Silent"))
MACS = Camera("0", "FaceTime HD", (Format("", 1280, 720, (30.0, 1.0)),))
VIRTUAL = VirtualCamera(True, "/dev/video9 (liveswap)", (Loopback(Path("/dev/video9"), "liveswap"),))


def test_devices_are_ready_for_json() -> None:
    found = found_devices()
    assert isinstance(found, Devices)
    assert set(found.as_dict()) == {"cameras", "virtual_camera"}
    assert found.virtual_camera.detail


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two cameras and a virtual one."""
    monkeypatch.setattr(module, "found_devices", lambda: Devices(CAMERAS, VIRTUAL))


def test_as_json_everything_is_said(there: None, say: Say) -> None:
    said = json.loads(say("devices", "--json").out)
    assert said["cameras"][0] == {
        "source": "/dev/video0",
        "name": "HD [Pro] Webcam",
        "formats": [
            {"fourcc": "MJPG", "width": 1920, "height": 1080, "rates": [30.0, 15.0]},
            {"fourcc": "MJPG", "width": 1280, "height": 720, "rates": [60.0]},
            {"fourcc": "YUYV", "width": 640, "height": 480, "rates": []},
        ],
    }
    assert said["cameras"][1] == {"source": "/dev/video7", "name": "Silent", "formats": []}
    assert said["virtual_camera"]["devices"] == [{"sink": "virtualcam:/dev/video9", "name": "liveswap"}]


def test_as_a_table_each_format_is_a_line(there: None, say: Say) -> None:
    shown = say("devices").out
    for words in ("/dev/video0", "/dev/video7", "Silent", "virtual camera  --sink virtualcam  /dev/video9 (liveswap)"):
        assert words in shown


def test_the_table_has_names_sizes_and_rates() -> None:
    console = Console(width=200)
    with console.capture() as shown:
        console.print(table((*CAMERAS, MACS)))
    lines = shown.get().splitlines()
    (mjpg,) = (line for line in lines if "MJPG" in line)
    (yuyv,) = (line for line in lines if "YUYV" in line)
    (silent,) = (line for line in lines if "Silent" in line)
    assert "HD [Pro] Webcam" in mjpg
    assert "1920x1080 at 30, 1280x720 at 60" in mjpg
    assert "640x480 " in yuyv
    assert "the system does not say" in silent
    (facetime,) = (line for line in lines if "FaceTime" in line)
    assert "the system's choice" in facetime
    assert "1280x720 at 30" in facetime
