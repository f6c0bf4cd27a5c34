"""What other processes take of the machine, as Linux tells it: who started whom, processor time, memory."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

AFTER_NAME: Final = ") "  # in /proc/PID/stat; the name before it may hold anything
PARENT: Final = 1  # which of the words after the name (proc(5))
OWN_TIME: Final = slice(11, 13)  # ticks in the program and in the kernel


def family(pid: int) -> tuple[int, ...]:
    """A process and all that it has started, itself first; itself alone where the system does not say."""
    if sys.platform != "linux":
        return (pid,)
    parents = {int(path.name): int(words[PARENT]) for path in _processes() if (words := _words(path))}
    found = [pid]
    for one in found:
        found += [child for child, parent in sorted(parents.items()) if parent == one]
    return tuple(found)


def processor_seconds(pids: Iterable[int]) -> float | None:
    """What these have used of all cores since they began; of those that are gone nothing. None off Linux."""
    if sys.platform != "linux":
        return None
    words = [_words(Path("/proc") / str(pid)) for pid in pids]
    return sum(int(ticks) for one in words for ticks in one[OWN_TIME]) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float | None:
    """What a process holds in memory; None where it is gone or the system does not say."""
    try:
        pages = int((Path("/proc") / str(pid) / "statm").read_text("ascii").split()[1])
    except (OSError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _processes() -> list[Path]:
    return [path for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _words(process: Path) -> list[str]:
    """What /proc/PID/stat says after the name; nothing where the process is gone."""
    try:
        return (process / "stat").read_text("utf-8", "replace").rpartition(AFTER_NAME)[2].split()
    except OSError:
        return []
