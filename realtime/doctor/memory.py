"""Memory: how much is free, and whether that is enough."""

import ctypes
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from realtime.doctor.finding import NOTE, OK, WRONG, Finding

TOPIC: Final = "memory"
MB: Final = 1_000_000
NEEDED: Final = 500 * MB  # bytes: a run of the bundled clip takes 290 MB
ROOMY: Final = 1500 * MB  # bytes: a video-call program beside it


def findings() -> Iterator[Finding]:
    """Looks now."""
    yield judged(available(Path("/")))


def judged(free: int | None) -> Finding:
    """Whether so many free bytes are enough; None: unknown."""
    if free is None:
        return Finding(TOPIC, "free", OK, "this system does not say how much is free")
    seen, figures = f"{free / 1e9:.1f} GB", {"free_bytes": free}
    if free < NEEDED:
        return Finding(TOPIC, "free", WRONG, seen, f"close other programs: a run wants {NEEDED / 1e9:g} GB", figures)
    if free < ROOMY:
        return Finding(TOPIC, "free", NOTE, seen, "close other programs, should it stutter", figures)
    return Finding(TOPIC, "free", OK, seen, figures=figures)


def available(root: Path) -> int | None:
    """Bytes that a program can still get, also inside a container; None where the system does not say."""
    found = [size for size in (_of_linux(root), _of_container(root), _of_windows()) if size is not None]
    return min(found, default=None)


def _of_linux(root: Path) -> int | None:
    try:
        lines = (root / "proc/meminfo").read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return sizes[0] if sizes else None


def _of_container(root: Path) -> int | None:
    group = root / "sys/fs/cgroup"
    try:
        most, used = (group / "memory.max").read_text().strip(), int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    return max(0, int(most) - used) if most.isdecimal() else None


def _of_windows() -> int | None:
    if platform.system() != "Windows":
        return None

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            ("total", ctypes.c_uint64),
            ("available", ctypes.c_uint64),
            ("rest", ctypes.c_uint64 * 5),
        )

    status = Status(length=ctypes.sizeof(Status))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009  (ctypes has it on Windows alone)
    return int(status.available) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None
