"""Which cameras there are, from a stand-in for Linux's drivers, since no test machine has one."""

import struct
import sys
from pathlib import Path

import pytest

from realtime.errors import SourceError, SourceMissing
from realtime.sources import cameras as module
from realtime.sources.cameras import Camera, camera_meant, formats_of, linux_nodes
from realtime.sources.formats import Format

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's list of devices")

C920, C922, CHEAP = (
    Camera("/dev/video0", "HD Pro Webcam C920"),
    Camera("/dev/video2", "HD Pro Webcam C922"),
    Camera("/dev/video4", "Webcam"),
)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("c920", C920), ("C922", C922), ("webcam", CHEAP), (" WEBCAM ", CHEAP), ("pro webcam c920", C920)],
)
def test_a_part_of_a_name_means_a_camera_and_a_whole_name_wins(text: str, meant: Camera) -> None:
    assert camera_meant(text, (C920, C922, CHEAP)) == meant


def test_two_that_are_meant_are_named() -> None:
    with pytest.raises(SourceError, match=r"'hd pro' means several cameras: .*C920 \(/dev/video0\), .*C922"):
        camera_meant("hd pro", (C920, C922, CHEAP))


@pytest.mark.parametrize(
    ("there", "words"), [((), "'brio': none is there"), ((CHEAP,), r"wanted one of Webcam \(/dev/video4\)")]
)
@pytest.mark.parametrize("text", ["brio", ""])
def test_none_that_is_meant_is_one_sentence(there: tuple[Camera, ...], words: str, text: str) -> None:
    with pytest.raises(SourceMissing, match=words.replace("brio", text)):
        camera_meant(text, there)


@linux
def test_video_devices_are_listed_by_number_with_their_names(tmp_path: Path) -> None:
    """Nodes that cannot be asked what they are count as cameras, so that nothing is hidden from the user."""
    for number, name in ((210, "Late Cam"), (209, "Early Cam")):
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}" / "name").write_text(f"{name}\n")
    (tmp_path / "video211").mkdir()
    nodes = linux_nodes(tmp_path)
    assert [(node.path, node.name) for node in nodes] == [
        ("/dev/video209", "Early Cam"),
        ("/dev/video210", "Late Cam"),
        ("/dev/video211", "video211"),
    ]
    assert all(node.captures and not node.outputs for node in nodes)


@linux
def test_no_list_is_no_devices(tmp_path: Path) -> None:
    assert linux_nodes(tmp_path / "absent") == ()


def driver(device: int, request: int, question: bytearray) -> bytes | None:
    """Answers as linux/videodev2.h has it: MJPG in two sizes, YUYV in a range of sizes and of rates."""
    if request == 0x80685600:  # VIDIOC_QUERYCAP
        return struct.pack("=16s32s32sIII12x", b"uvcvideo", b"Cam", b"usb", 0, 0x85200001, 0x04200001)
    index = struct.unpack_from("=I", question)[0]
    if request == 0xC0405602:  # VIDIOC_ENUM_FMT
        fourccs = (b"YUYV", b"MJPG")
        return struct.pack("=III32s4s16x", index, 1, 0, b"words", fourccs[index]) if index < 2 else None
    fourcc = bytes(question[4:8])
    if request == 0xC02C564A:  # VIDIOC_ENUM_FRAMESIZES
        if fourcc == b"YUYV":
            return struct.pack("=I4sI6I8x", 0, fourcc, 3, 160, 640, 2, 120, 480, 2)
        sizes = ((1280, 720), (1920, 1080))
        return struct.pack("=I4sI2I24x", index, fourcc, 1, *sizes[index]) if index < 2 else None
    if request == 0xC034564B:  # VIDIOC_ENUM_FRAMEINTERVALS
        width = struct.unpack_from("=I", question, 8)[0]
        if fourcc == b"YUYV":
            return struct.pack("=I4s3I6I8x", 0, fourcc, width, 0, 3, 1, 30, 1, 5, 0, 1)
        steps = ((1, 15), (1, 30), (1001, 30000))
        return struct.pack("=I4s3I2I24x", index, fourcc, width, 0, 1, *steps[index]) if index < 3 else None
    raise AssertionError(f"asked for {request:#x}")


def test_formats_sizes_and_rates_are_read_from_the_driver_largest_and_fastest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "video0").touch()
    monkeypatch.setattr(module, "_asked", driver)
    monkeypatch.setattr(Path, "is_char_device", lambda _: True)
    fast, slow = (30.0, 29.97, 15.0), (30.0, 5.0)
    assert formats_of(tmp_path / "video0") == (
        Format("MJPG", 1920, 1080, fast),
        Format("MJPG", 1280, 720, fast),
        Format("YUYV", 640, 480, slow),
        Format("YUYV", 160, 120, slow),
    )


@linux
@pytest.mark.parametrize("path", ["/dev/null", "/dev/video57", "a file"])
def test_what_is_no_camera_has_no_formats(tmp_path: Path, path: str) -> None:
    (tmp_path / "a file").touch()
    assert formats_of(tmp_path / path) == ()


@pytest.mark.parametrize(
    ("system", "asked", "listing", "format_"),
    [
        (
            "Windows",
            [("dshow", "video=Brio"), ("dshow", "video=Cam"), ("dshow", "video=Cam", "video_device_number=1")],
            "  vcodec=mjpeg  min s=1280x720 fps=5 max s=1280x720 fps=30\n",
            Format("MJPG", 1280, 720, (30.0, 5.0)),
        ),
        (
            "Darwin",
            [("avfoundation", "Brio:none"), ("avfoundation", "Cam:none"), ("avfoundation", "Cam:none")],
            "  1280x720@[1.000000 30.000000]fps\n",
            Format("", 1280, 720, (30.0, 1.0)),
        ),
    ],
)
def test_elsewhere_ffmpeg_is_asked_for_each_camera_by_name(
    monkeypatch: pytest.MonkeyPatch, system: str, asked: list[tuple[str, ...]], listing: str, format_: Format
) -> None:
    there = (Camera("0", "Brio"), Camera("1", "Cam"), Camera("2", "Cam"))
    heard = []

    def said(*words: str) -> str:
        heard.append(words)
        return listing

    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr(module, "_listed", lambda: iter(there))
    monkeypatch.setattr(module, "_said", said)
    assert module.cameras() == tuple(Camera(one.source, one.name, (format_,)) for one in there)
    assert heard == asked
    assert module.cameras(formats=False) == there
    assert heard == asked, "nobody is asked for formats where they are not wanted"


def test_what_ffmpeg_says_comes_back_from_a_program_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Could find no file" in module._said("image2", "none%d.png", "start_number=3")
    monkeypatch.setattr(module, "_ANSWER_S", 0.001)
    assert module._said("image2", "none%d.png") == "", "one that does not answer is given up"
