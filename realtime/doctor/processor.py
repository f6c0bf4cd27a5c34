"""The processor: which of its abilities the networks use."""

import ctypes
import platform
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Final

from realtime.cores import AUTO, placement, written
from realtime.doctor.finding import NOTE, OK, Finding
from realtime.report import machine
from realtime.swap.session import SessionSettings

TOPIC: Final = "processor"
# What an ability is called in /proc/cpuinfo, and here.
ABILITIES: Final = MappingProxyType(
    {
        "avx2": "AVX2",
        "avx512f": "AVX-512",
        "avx512_vnni": "AVX-512 VNNI",
        "avx_vnni": "AVX VNNI",
        "amx_int8": "AMX",
        "asimd": "NEON",
        "asimddp": "dot product",
        "i8mm": "I8MM",
    }
)
WIDE: Final = ("avx2", "asimd")  # one of them: networks run at a useful speed
INTEGER: Final = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp")  # one of them: int8 networks are quick
_WINDOWS: Final = MappingProxyType({40: "avx2", 41: "avx512f", 43: "asimddp"})  # of IsProcessorFeaturePresent


def findings() -> Iterator[Finding]:
    """Looks at this processor."""
    own = machine()
    yield judged(f"{own['processor']}, {own['cores']} cores", abilities(Path("/proc/cpuinfo")))
    place = placement(AUTO, SessionSettings().threads)
    figures = {"cores": None if place.cores is None else written(place.cores)}
    yield Finding(TOPIC, "cores", OK, f"work on frames: {place.said}", figures=figures)


def judged(name: str, able: frozenset[str] | None) -> Finding:
    """What the abilities mean for the networks; None: unknown."""
    if able is None:
        return Finding(TOPIC, "abilities", OK, f"{name}; this system does not say what it can do")
    named = [title for flag, title in ABILITIES.items() if flag in able]
    seen = f"{name}: {', '.join(named) or 'none that networks use'}"
    figures = {"abilities": [flag for flag in ABILITIES if flag in able]}
    if not able.intersection(WIDE):
        return Finding(TOPIC, "abilities", NOTE, f"{seen}; networks run slowly", "liveswap run --size small", figures)
    if not able.intersection(INTEGER):
        slow = f"{seen}; no VNNI, so the int8 detector takes longer and is less exact"
        return Finding(TOPIC, "abilities", NOTE, slow, "liveswap run --size small, where it is too slow", figures)
    return Finding(TOPIC, "abilities", OK, seen, figures=figures)


def abilities(cpuinfo: Path) -> frozenset[str] | None:
    """Those of ABILITIES that the processor has, as far as the system says; None where it says nothing."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text("utf-8", "replace").splitlines():
            key, _, words = line.partition(":")
            if key.strip().lower() in ("flags", "features"):
                return frozenset(words.split()).intersection(ABILITIES)
        return None
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return frozenset({"asimd", "asimddp"})  # every Apple processor has them
    if platform.system() == "Windows":
        present = getattr(ctypes, "windll").kernel32.IsProcessorFeaturePresent  # noqa: B009  (Windows alone has it)
        known = frozenset(flag for number, flag in _WINDOWS.items() if present(number))
        return known if known.intersection(INTEGER) else None  # it does not tell of VNNI
    return None
