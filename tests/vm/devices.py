"""The virtual machine's video devices: a webcam whose cable can be pulled, the virtual camera, and its readers."""

import fcntl
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.vm.kit import OUT, Process, Steps, asked, killed, until

CLIP: Final = Path(__file__).resolve().parents[2] / "clip.mkv"
SOURCE: Final = Path("/dev/video0")
VIRTUAL: Final = Path("/dev/video1")
HARDWARE: Final = Path("/dev/video2")  # the kernel's test driver: a test picture, and a cable that can be pulled
AWAY: Final = Path("/dev/unplugged")
QUERYCAP: Final = 0x80685600  # VIDIOC_QUERYCAP
STREAMON: Final = 0x40045612  # VIDIOC_STREAMON
TO_WRITE: Final = 2  # V4L2_BUF_TYPE_VIDEO_OUTPUT
CAPTURE: Final = 0x1
OUTPUT: Final = 0x2
APART_S: Final = 2.0  # between two pictures that a reader keeps: emulated runs draw one in about three seconds


class Webcam:
    """What plays the clip into the source's device; its cable can be pulled."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._player: Process | None = None

    def play(self) -> None:
        """Gives the clip to the source's device, for ever, as a webcam would."""
        command = ["ffmpeg", "-hide_banner", "-loglevel", "warning", "-nostdin", "-re", "-stream_loop", "-1"]
        command += ["-i", str(CLIP), "-pix_fmt", "yuyv422", "-f", "v4l2", str(SOURCE)]
        self._player = self._steps.start(command, "player.log")
        until(lambda: abilities(SOURCE) & CAPTURE, 60, "the source captures")

    def stop(self) -> None:
        """Nothing plays; the device is there and gives nothing."""
        if self._player is not None:
            killed(self._player)

    def unplug(self) -> None:
        """Nothing plays, and the device is not there."""
        self.stop()
        SOURCE.rename(AWAY)

    def plug_in(self) -> None:
        """The device is there again, and plays."""
        freed(AWAY)
        AWAY.rename(SOURCE)
        self.play()


def abilities(device: Path) -> int:
    """The capability bits of a video device; 0 where it cannot be asked."""
    answer = bytearray(104)
    with suppress(OSError), device.open("rb", buffering=0) as node:
        fcntl.ioctl(node, QUERYCAP, answer)
        return int(struct.unpack_from("=I", answer, 88)[0])
    return 0


def freed(device: Path) -> None:
    """Makes the device ready for its next player, which v4l2loopback 0.12 otherwise refuses."""
    with device.open("rb+", buffering=0) as node:
        for request, argument in ((STREAMON, struct.pack("=i", TO_WRITE)), (QUERYCAP, bytearray(104))):
            with suppress(OSError):
                fcntl.ioctl(node, request, argument)


def reader(name: str, frames: int) -> list[str]:
    """An ffmpeg that keeps so many pictures of the virtual camera, some time apart."""
    apart = f"select=isnan(prev_selected_t)+gte(t-prev_selected_t\\,{APART_S})"
    command = ["ffmpeg", "-hide_banner", "-loglevel", "warning", "-nostdin", "-f", "v4l2"]
    command += ["-use_wallclock_as_timestamps", "1", "-i", str(VIRTUAL), "-vf", apart, "-fps_mode", "passthrough"]
    return [*command, "-frames:v", str(frames), "-y", f"{OUT}/{name}-%02d.png"]


def pictures(name: str) -> list[str]:
    """The pictures that a reader has kept."""
    return sorted(path.name for path in OUT.glob(f"{name}-*.png"))


def read(name: str, frames: int, seconds: float = 120) -> dict[str, Any]:
    """Lets a reader read; its pictures and how it went."""
    facts = asked(reader(name, frames), seconds)
    return {"pictures": pictures(name), "code": facts["code"], "err": facts["err"]}


def streamed(name: str, frames: int) -> list[str]:
    """A v4l2-ctl that takes so many frames, one after the other, and keeps none."""
    return ["v4l2-ctl", "-d", str(VIRTUAL), "--stream-mmap", f"--stream-count={frames}", f"--stream-to=/tmp/{name}.raw"]
