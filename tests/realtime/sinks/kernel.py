"""A stand-in for Linux with virtual cameras, which a test machine lacks: its folders, and what its driver answers."""

import errno
import struct
from pathlib import Path
from typing import Any

import pytest

from realtime.sinks.loopback import QUERYCAP, STREAMON, Kernel

CAPTURE, OUTPUT = 0x1, 0x2


class FakeKernel:
    """Devices are plain files under dev/; what fcntl.ioctl is asked about them is answered and noted here."""

    def __init__(self, root: Path) -> None:
        self.kernel = Kernel(root / "sys", root / "dev", root / "proc")
        self.streamed: list[Path] = []  # devices that somebody began to stream to
        self.locked: set[Path] = set()  # taken by a writer, or left so by one, as v4l2loopback 0.12 does
        self.heals = True  # whether streaming frees a locked one
        for folder in (self.kernel.cameras, self.kernel.devices, self.kernel.programs):
            folder.mkdir()

    def add(self, number: int, name: str = "liveswap") -> Path:
        """One more virtual camera."""
        folder = self.kernel.cameras / f"video{number}"
        folder.mkdir()
        (folder / "name").write_text(f"{name}\n")
        path = self.kernel.devices / folder.name
        path.touch()
        return path

    def hold(self, path: Path, program: str, number: int) -> None:
        """A program has the device open."""
        opened = self.kernel.programs / str(number) / "fd"
        opened.mkdir(parents=True)
        (opened / "7").symlink_to(path)
        (opened.parent / "comm").write_text(f"{program}\n")

    def ioctl(self, device: int, request: int, argument: Any) -> int:
        """As fcntl.ioctl."""
        path = Path(f"/proc/self/fd/{device}").readlink()
        if request == STREAMON:
            assert struct.unpack("=i", argument) == (2,)
            self.streamed.append(path)
            if self.heals:
                self.locked.discard(path)
            raise OSError(errno.EINVAL, "Invalid argument")  # as 0.12 does before a format is set
        if request != QUERYCAP or path.parent != self.kernel.devices:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        struct.pack_into("=I", argument, 88, CAPTURE if path in self.locked else OUTPUT)
        return 0


def faked(root: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    """A kernel without virtual cameras yet."""
    fake = FakeKernel(root)
    monkeypatch.setattr("fcntl.ioctl", fake.ioctl)
    return fake
