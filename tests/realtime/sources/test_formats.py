"""Listings of FFmpeg, as people with these cameras put them on record, are read; no test machine has such a camera."""

import re

import pytest

from realtime.sources.formats import Format, in_avfoundation, in_dshow

# github.com/Speykious/SeeShark/issues/33, the first lines: FFmpeg 5, each line twice.
C920 = r"""
[dshow @ 000001781c263740] DirectShow video device options (from video devices)
[dshow @ 000001781c263740]  Pin "Capture" (alternative pin name "0")
[dshow @ 000001781c263740]   pixel_format=yuyv422  min s=640x480 fps=5 max s=640x480 fps=30
[dshow @ 000001781c263740]   pixel_format=yuyv422  min s=640x480 fps=5 max s=640x480 fps=30
[dshow @ 000001781c263740]   pixel_format=yuyv422  min s=160x90 fps=5 max s=160x90 fps=30
[dshow @ 000001781c263740]   pixel_format=yuyv422  min s=160x90 fps=5 max s=160x90 fps=30
"""
# github.com/SuRGeoNix/Flyleaf/issues/299, some lines: each again with its colours.
FULL_HD = """
[dshow @ 00000184176a8080]   vcodec=mjpeg  min s=640x480 fps=30 max s=640x480 fps=30
[dshow @ 00000184176a8080]   vcodec=mjpeg  min s=640x480 fps=30 max s=640x480 fps=30 (pc, bt470bg/bt709/unknown, center)
[dshow @ 00000184176a8080]   vcodec=mjpeg  min s=160x120 fps=30 max s=160x120 fps=30
[dshow @ 00000184176a8080]   vcodec=mjpeg  min s=160x120 fps=30 max s=160x120 fps=30 (pc, bt470bg/bt709/unknown, center)
"""
# A Chinese Windows and FFmpeg 8, whose lines begin with [in#0; some lines.
PC_CAMERA = """
[in#0 @ 000001ef17c70cc0] DirectShow video device options (from video devices)
[in#0 @ 000001ef17c70cc0]  Pin "捕获" (alternative pin name "0")
[in#0 @ 000001ef17c70cc0]   vcodec=mjpeg  min s=1920x1080 fps=30 max s=1920x1080 fps=30
[in#0 @ 000001ef17c70cc0]   vcodec=mjpeg  min s=2592x1944 fps=15 max s=2592x1944 fps=15
[in#0 @ 000001ef17c70cc0]   pixel_format=yuyv422  min s=640x480 fps=30 max s=640x480 fps=30
[in#0 @ 000001ef17c70cc0]   vcodec=mjpeg  min s=640x480 fps=30 max s=640x480 fps=30 (pc, bt470bg/bt709/unknown, center)
Error opening input file video=PC CAMERA-.
"""
# In the words of libavdevice/dshow.c: a format that FFmpeg has no decoder for, a range of sizes, odd rates.
ODD = """
  unknown compression type 0x34363248  min s=1280x720 fps=29.97 max s=1920x1080 fps=59.9402
  unknown compression type 0x1  min s=0x0 fps=5 max s=320x240 fps=1e+07
"""
# github.com/qTox/qTox/issues/6056: a FaceTime HD camera.
FACETIME = """
[avfoundation @ 0xXXXXXXXXXXXX] Selected framerate (29.970030) is not supported by the device.
[avfoundation @ 0xXXXXXXXXXXXX] Supported modes:
[avfoundation @ 0xXXXXXXXXXXXX]   1280x720@[1.000000 30.000000]fps
    Last message repeated 2 times
[avfoundation @ 0xXXXXXXXXXXXX]   640x480@[1.000000 30.000000]fps
    Last message repeated 2 times
Face: Input/output error
"""
# github.com/tuarua/AVANE/issues/5, some lines: a camera of USB, asked for 1x1 as we do.
A4_TECH = """
[avfoundation @ 0x7faf9b80fa00] Selected video size (1x1) is not supported by the device
[avfoundation @ 0x7faf9b80fa00] Supported modes:
[avfoundation @ 0x7faf9b80fa00]   352x288@[30.000030 30.000030]fps
[avfoundation @ 0x7faf9b80fa00]   1280x960@[14.999993 14.999993]fps
[avfoundation @ 0x7faf9b80fa00]   352x288@[30.000030 30.000030]fps
"""
# github.com/sipeed/NanoKVM-USB/issues/99, some lines: each rate an entry of its own.
CAPTURE = """
[avfoundation @ 0x123456789]   640x480@[60.000240 60.000240]fps
[avfoundation @ 0x123456789]   640x480@[30.000030 30.000030]fps
[avfoundation @ 0x123456789]   640x480@[20.000000 20.000000]fps
"""
# FFmpeg 8 on a MacBook, and a system whose numbers have a comma.
MACBOOK = "[in#0 @ 0x7e301c000]   1080x1920@[15.000000 30.000000]fps\n"
COMMA = "[avfoundation @ 0x7f849a8be800]   16x12@[1,000000 29,970000]fps\n"

DSHOW = [
    (C920, (Format("YUYV", 640, 480, (30, 5)), Format("YUYV", 160, 90, (30, 5)))),
    (FULL_HD, (Format("MJPG", 640, 480, (30,)), Format("MJPG", 160, 120, (30,)))),
    (
        PC_CAMERA,
        (
            Format("MJPG", 2592, 1944, (15,)),
            Format("MJPG", 1920, 1080, (30,)),
            Format("MJPG", 640, 480, (30,)),
            Format("YUYV", 640, 480, (30,)),
        ),
    ),
    (
        ODD,
        (
            Format("H264", 1920, 1080, (59.94, 29.97)),
            Format("H264", 1280, 720, (59.94, 29.97)),
            Format("0x1", 320, 240, (5,)),
        ),
    ),
]
AVFOUNDATION = [
    (FACETIME, (Format("", 1280, 720, (30, 1)), Format("", 640, 480, (30, 1)))),
    (A4_TECH, (Format("", 1280, 960, (15,)), Format("", 352, 288, (30,)))),
    (CAPTURE, (Format("", 640, 480, (60, 30, 20)),)),
    (MACBOOK, (Format("", 1080, 1920, (30, 15)),)),
    (COMMA, (Format("", 16, 12, (29.97, 1)),)),
]


def as_pyav_has_it(listing: str) -> str:
    """Without what FFmpeg's own programs put before each line."""
    return re.sub(r"^\[.*?\] ", "", listing, flags=re.MULTILINE)


@pytest.mark.parametrize(("listing", "formats"), DSHOW)
def test_what_directshow_lists_is_read(listing: str, formats: tuple[Format, ...]) -> None:
    assert in_dshow(listing) == formats
    assert in_dshow(as_pyav_has_it(listing)) == formats


@pytest.mark.parametrize(("listing", "formats"), AVFOUNDATION)
def test_what_avfoundation_lists_is_read(listing: str, formats: tuple[Format, ...]) -> None:
    assert in_avfoundation(listing) == formats
    assert in_avfoundation(as_pyav_has_it(listing)) == formats


@pytest.mark.parametrize("listing", ["", "Could not find video device with name [Brio] among source devices", "fps=\n"])
def test_no_listing_is_no_formats(listing: str) -> None:
    assert in_dshow(listing) == in_avfoundation(listing) == ()
