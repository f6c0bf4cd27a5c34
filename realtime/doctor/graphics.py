"""The graphics processors, their drivers, and whether onnxruntime has a provider for them."""

import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import onnxruntime as ort

from realtime.doctor.finding import NOTE, OK, Finding
from realtime.swap.session import ACCELERATORS, PACKAGES

TOPIC: Final = "graphics"
ASKING_S: Final = 10.0
# The maker in the words of PCI, its name, and the provider that suits it on Linux.
MAKERS: Final = MappingProxyType(
    {"0x10de": ("NVIDIA", "cuda"), "0x1002": ("AMD", "migraphx"), "0x8086": ("Intel", "openvino")}
)


@dataclass(frozen=True, slots=True)
class Card:
    """One graphics processor."""

    name: str
    driver: str  # its name or version; empty: none is loaded
    provider: str  # what would run networks on it; empty: nothing that liveswap knows


def findings() -> Iterator[Finding]:
    """Looks at this machine."""
    offered = ort.get_available_providers()
    cards = (*_nvidia(), *_listed(Path("/sys/class/drm")), *_apple())
    if not cards:
        yield Finding(TOPIC, "GPU", OK, "none seen; the networks run on the processor")
    for card in dict.fromkeys(cards):
        yield judged(card, offered)


def judged(card: Card, offered: Sequence[str]) -> Finding:
    """Whether the card can be used; offered is in onnxruntime's words."""
    figures = {"name": card.name, "driver": card.driver, "provider": card.provider}
    if not card.driver:
        return Finding(TOPIC, "GPU", NOTE, f"{card.name} without a driver", "install its maker's driver", figures)
    seen = f"{card.name}, driver {card.driver}"
    if card.provider and ACCELERATORS[card.provider] not in offered:
        package = PACKAGES[card.provider]
        remedy = f"to use it, install {package} in place of onnxruntime; see On a GPU in README.md"
        return Finding(TOPIC, "GPU", NOTE, f"{seen}; not used: onnxruntime offers no {card.provider}", remedy, figures)
    return Finding(TOPIC, "GPU", OK, seen, figures=figures)


def _nvidia() -> tuple[Card, ...]:
    """What NVIDIA's own tool tells, where it is there and works."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    words = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, timeout=ASKING_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return (Card("an NVIDIA GPU whose nvidia-smi fails", "", "cuda"),)
    rows = [[part.strip() for part in line.split(",")] for line in said.splitlines() if line.count(",") >= 2]
    return tuple(Card(f"{row[0]}, {row[2]}", row[1], "cuda") for row in rows)


def _listed(drm: Path) -> tuple[Card, ...]:
    """The cards that Linux lists; NVIDIA's only where nothing drives them, since their tool knows more."""
    found = []
    for device in sorted(folder / "device" for folder in drm.glob("card[0-9]") if (folder / "device").exists()):
        try:
            maker, provider = MAKERS[(device / "vendor").read_text().strip()]
        except (OSError, KeyError):
            continue  # a virtual machine's, or an embedded one
        driver = (device / "driver").resolve().name if (device / "driver").exists() else ""
        if maker != "NVIDIA" or not driver:
            found.append(Card(f"a card by {maker}", driver, provider))
    return tuple(found)


def _apple() -> tuple[Card, ...]:
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return (Card("Apple's own", f"macOS {platform.mac_ver()[0]}", "coreml"),)
    return ()
