"""Which cores the work on frames belongs on: the fast ones of a hybrid processor, and all of them beside one memory."""

import os
import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from realtime.errors import SettingsError

AUTO: Final = "auto"  # what the system tells of its cores decides
ALL: Final = "all"  # the system puts work where it likes
LEAST: Final = 2  # cores that are enough to be preferred: one for each loop
FAST: Final = 0.85  # of the highest clock: cores of one kind differ by a tenth, the small ones of a hybrid by a quarter
SYSTEM: Final = Path("/sys/devices")

Cores = frozenset[int]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where work goes, and why."""

    cores: Cores | None  # None: wherever the system puts it
    said: str


def check_cores(text: str) -> None:
    """Raises SettingsError for what is neither auto, nor all, nor a list of cores such as 0-3,8."""
    if text not in (AUTO, ALL):
        parsed(text)


def parsed(text: str) -> Cores:
    """The cores of a list such as 0-3,8, as the kernel writes them as well. Raises SettingsError."""
    if not re.fullmatch(r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*", text):
        raise SettingsError(f"cores is {text!r}, wanted {AUTO}, {ALL}, or a list such as 0-3,8")
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    if not found:
        raise SettingsError(f"cores is {text!r}, which names none: wanted a list such as 0-3,8")
    return frozenset(found)


def placement(text: str, threads: int, allowed: Cores | None = None, system: Path = SYSTEM) -> Placement:
    """Where the work of a run goes; text as in the settings, threads of one model.

    allowed are the cores that this process may use; None asks the system, where it says. Raises SettingsError for
    cores that may not be used, or cannot be chosen.
    """
    if allowed is None:
        allowed = frozenset(os.sched_getaffinity(0)) if sys.platform == "linux" else None
    if text == ALL:
        return Placement(None, "wherever the system puts it")
    if text != AUTO:
        return Placement(_asked(text, allowed), "chosen by --cores")
    if allowed is None:
        return Placement(None, "this system chooses by itself")
    return _preferred(allowed, max(LEAST, threads), system)


def threads_of_one(cores: int | None = None) -> int:
    """How many threads each model takes on a machine of so many cores; None: those that this process may use.

    One on two cores: finding, drawing and composing keep both busy with several frames at once, and a model in two
    threads waits for whichever core is late. It takes a tenth more of the processor for nothing.
    """
    if cores is None:
        cores = usable()
    return 1 if cores <= 2 else 2


def spread(
    text: str, threads: int, workers: int, allowed: Cores | None = None, system: Path = SYSTEM
) -> tuple[Placement, ...]:
    """Where the work of each of so many processes goes: as placement() has it, and each beside one memory, in turns.

    Fast cores are enough where all of them together have one for each thread. Raises SettingsError.
    """
    if allowed is None:
        allowed = frozenset(os.sched_getaffinity(0)) if sys.platform == "linux" else None
    if text != AUTO or allowed is None:
        return (placement(text, threads, allowed, system),) * workers
    fast = _fast(allowed, system)
    cores = fast if len(fast) >= max(LEAST, threads * workers) else allowed
    memories = [mine for mine in _memories(cores, system) if len(mine) >= max(LEAST, threads)]
    groups = memories if len(memories) > 1 else [cores]
    placements = [Placement(None if one == allowed else one, written(one)) for one in groups]
    return tuple(placements[number % len(placements)] for number in range(workers))


@contextmanager
def held_to(cores: Cores | None) -> Iterator[None]:
    """Until the end, this thread, and those that it starts for good, run on these cores; None changes nothing."""
    if cores is None or sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    keep_to(cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def keep_to(cores: Cores | None) -> None:
    """From now on, this thread alone runs on these cores; None changes nothing."""
    if cores is not None and sys.platform == "linux":
        os.sched_setaffinity(0, cores)  # 0 is the calling thread, not its process


def usable() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def written(cores: Collection[int]) -> str:
    """As a list such as 0-3,8."""
    runs: list[list[int]] = []
    for core in sorted(cores):
        if runs and runs[-1][-1] == core - 1:
            runs[-1].append(core)
        else:
            runs.append([core])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _asked(text: str, allowed: Cores | None) -> Cores:
    wanted = parsed(text)
    if allowed is None:
        raise SettingsError(f"cores is {text!r}: this system lets nobody choose, wanted {AUTO} or {ALL}")
    if not wanted <= allowed:
        raise SettingsError(f"cores is {text!r}, and this process may use {written(allowed)}")
    return wanted


def _preferred(allowed: Cores, least: int, system: Path) -> Placement:
    """The fast cores, then those beside one memory, each where they differ and are enough."""
    cores, said = allowed, f"{len(allowed)} cores alike"
    fast = _fast(allowed, system)
    if least <= len(fast) < len(cores):
        cores, said = fast, f"the {len(fast)} fast ones of {len(allowed)} cores"
    near = _near(cores, system)
    if least <= len(near) < len(cores):
        cores, said = near, f"{said}, and of them the {len(near)} beside one memory"
    if cores == allowed:
        return Placement(None, f"{said}: wherever the system puts it")
    return Placement(cores, f"{said}: {written(cores)}")


def _fast(allowed: Cores, system: Path) -> Cores:
    """The performance cores: Intel's hybrids name them, elsewhere the highest clock tells; all where nobody does."""
    named = _list(system / "cpu_core" / "cpus") & allowed
    if named:
        return named
    clocks = {
        core: _number(system / "system" / "cpu" / f"cpu{core}" / "cpufreq" / "cpuinfo_max_freq") for core in allowed
    }
    highest = max(clocks.values())
    return frozenset(core for core, clock in clocks.items() if clock >= FAST * highest)


def _near(cores: Cores, system: Path) -> Cores:
    """Those beside the memory that most of them are beside; all where there is one memory, or nobody says."""
    return max(_memories(cores, system), key=len, default=cores)


def _memories(cores: Cores, system: Path) -> list[Cores]:
    """The cores beside each memory, those without any left out; none where nobody says."""
    nodes = sorted((system / "system" / "node").glob("node[0-9]*/cpulist"), key=lambda path: path.parent.name)
    return [mine for path in nodes if (mine := _list(path) & cores)]


def _list(path: Path) -> Cores:
    """The cores that a file of the kernel lists; none where it is missing or says something else."""
    try:
        return parsed(path.read_text("ascii").strip())
    except (OSError, ValueError, SettingsError):
        return frozenset()


def _number(path: Path) -> int:
    """The number in a file of the kernel; 0 where it is missing or says something else."""
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return 0
