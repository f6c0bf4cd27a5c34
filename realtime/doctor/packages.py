"""Python and the packages: whether those that are needed are there, and new enough."""

import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from realtime.doctor.finding import NOTE, OK, WRONG, Finding

TOPIC: Final = "packages"
PYTHON: Final = (3, 11)
NOT_FOR_RUNS: Final = ("dev", "training", "ray", "gpu")  # extras that no run asks for; the GPU has a topic of its own
# Packages that write to the same folder, so that one of them has to be there and only one may be.
SIBLINGS: Final = MappingProxyType(
    {
        "onnxruntime": (
            *("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
            *("onnxruntime-migraphx", "onnxruntime-rocm", "onnxruntime-silicon"),
        ),
        "opencv-python": (
            *("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
        ),
    }
)
_REQUIREMENT: Final = re.compile(
    r"([\w.-]+)(?:\[[^\]]*\])?(?:[^;]*?>=\s*([\d.]+))?[^;]*(?:;.*extra == ['\"]([\w-]+)['\"])?"
)
_SYSTEM: Final = re.compile(r"sys_platform\s*([!=]=)\s*['\"](\w+)['\"]")


@dataclass(frozen=True, slots=True)
class Need:
    """A package that liveswap, or one of its extras, asks for."""

    package: str
    least: str  # version; empty for any
    extra: str  # empty for the base installation

    @classmethod
    def parse(cls, requirement: str) -> "Need":
        """From a line of the metadata, such as "pyvirtualcam>=0.12; extra == 'virtualcam'"."""
        found = _REQUIREMENT.match(requirement)
        assert found is not None, requirement
        return cls(found[1], found[2] or "", found[3] or "")


def findings() -> Iterator[Finding]:
    """Looks at what is installed."""
    yield python(sys.version_info[:2])
    try:
        needs = [Need.parse(line) for line in importlib.metadata.requires("liveswap") or () if applies(line)]
    except importlib.metadata.PackageNotFoundError:
        yield Finding(TOPIC, "liveswap", NOTE, "is not installed, so its needs are unknown", "pip install -e .")
        return
    yield from judged(needs, installed())


def applies(requirement: str, system: str = sys.platform) -> bool:
    """Whether a line of the metadata asks for something on this system; many name a system with `sys_platform`."""
    found = _SYSTEM.search(requirement)
    return found is None or (found[1] == "==") == (found[2] == system)


def python(version: tuple[int, ...]) -> Finding:
    """Whether Python is new enough."""
    seen = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if version < PYTHON:
        return Finding(TOPIC, "Python", WRONG, seen, f"install Python {PYTHON[0]}.{PYTHON[1]} or newer")
    return Finding(TOPIC, "Python", OK, seen)


def installed() -> dict[str, str]:
    """Every installed package's version, by its name in lower case with hyphens."""
    return {
        re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower(): found.version
        for found in importlib.metadata.distributions()
        if found.metadata["Name"]
    }


def judged(needs: Sequence[Need], there: Mapping[str, str]) -> Iterator[Finding]:
    """What is missing, too old or there twice; a line for the base installation and one for each extra."""
    for package, names in SIBLINGS.items():
        if len(twice := [name for name in names if name in there]) > 1:
            remedy = f"pip uninstall --yes {' '.join(twice)}, then install the one that you want"
            seen = f"{' and '.join(twice)} are both installed and overwrite each other's files"
            yield Finding(TOPIC, package, WRONG, seen, remedy)
    for extra in dict.fromkeys(("", *(need.extra for need in needs))):
        if extra not in NOT_FOR_RUNS:
            yield _group(extra, [need for need in needs if need.extra == extra], there)


def _group(extra: str, needs: Sequence[Need], there: Mapping[str, str]) -> Finding:
    seen = {need.package: _found(need.package, there) for need in needs}
    missing = [need.package for need in needs if not seen[need.package][1]]
    old = [
        f"{seen[need.package][0]} {seen[need.package][1]}, wanted {need.least} or newer"
        for need in needs
        if seen[need.package][1] and numbers(seen[need.package][1]) < numbers(need.least)
    ]
    good = ", ".join(f"{name} {version}" for name, version in seen.values() if version)
    figures = {name: version for name, version in seen.values() if version}
    name = f"for {extra}" if extra else "needed"
    if not missing and not old:
        return Finding(TOPIC, name, OK, good, figures=figures)
    wrong = "; ".join([*([f"{', '.join(missing)} missing"] if missing else []), *old])
    remedy = f"pip install -c constraints.txt -e '.[{extra}]'" if extra else "pip install -c constraints.txt -e ."
    return Finding(TOPIC, name, NOTE if extra else WRONG, wrong, remedy, figures)


def _found(package: str, there: Mapping[str, str]) -> tuple[str, str]:
    """The name and version of the package, or of the sibling that stands for it; an empty version: missing."""
    names = SIBLINGS.get(package, (package.lower().replace("_", "-"),))
    name = next((name for name in names if name in there), package)
    return name, there.get(name, "")


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, for comparing: "2.13.0+cpu" is (2, 13, 0)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
