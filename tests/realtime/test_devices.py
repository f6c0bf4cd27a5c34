"""Cameras and the virtual camera, on a machine that may have neither."""

import sys
from pathlib import Path

import pytest

from realtime.devices import Devices, devices, linux_nodes

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's list of devices")


def test_devices_are_ready_for_json() -> None:
    found = devices()
    assert isinstance(found, Devices)
    assert set(found.as_dict()) == {"cameras", "virtual_camera"}
    assert found.virtual_camera.detail


@linux
def test_video_devices_are_listed_by_number_with_their_names(tmp_path: Path) -> None:
    """Nodes that cannot be asked what they are count as cameras, so that nothing is hidden from the user."""
    for number, name in ((210, "Late Cam"), (209, "Early Cam")):
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}" / "name").write_text(f"{name}\n")
    nodes = linux_nodes(tmp_path)
    assert [(node.path, node.name) for node in nodes] == [("/dev/video209", "Early Cam"), ("/dev/video210", "Late Cam")]
    assert all(node.captures and not node.outputs for node in nodes)


@linux
def test_no_list_is_no_devices(tmp_path: Path) -> None:
    assert linux_nodes(tmp_path / "absent") == ()
