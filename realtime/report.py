"""The numbers of a run: as JSON, as a table, with the machine that made them."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from realtime.errors import SinkError
from realtime.flow.meters import Meters

# Distributions whose versions matter to a measurement; either onnxruntime may be the one that is installed.
_PACKAGES: Final = ("liveswap", "numpy", "opencv-python", "onnxruntime", "onnxruntime-gpu", "av")


def report(meters: Meters, identity: str, provider: str, precision: str) -> dict[str, Any]:
    """The run in numbers, with what ran it and where; ready for JSON."""
    ran = {"identity": identity, "provider": provider, "precision": precision}
    return {**meters.report(), **ran, "machine": machine(), "versions": versions()}


def machine() -> dict[str, Any]:
    """The processor, the cores that this process may use, and the system."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Python and the packages that a measurement depends on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # a checkout that is not installed, or the other onnxruntime
    return found


def write(path: Path, numbers: Mapping[str, Any]) -> None:
    """The numbers as a JSON file. Raises SinkError."""
    try:
        path.write_text(json.dumps(numbers, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror}") from error


def table(numbers: Mapping[str, Any], title: str) -> Table:
    """The numbers as a person reads them."""
    shown = Table(title=title, show_header=False, title_justify="left")
    age, frames = numbers["age_ms"], numbers["frames_in"]
    ages = "nothing was delivered" if age["p50"] is None else ", ".join(f"{k} {v:.0f} ms" for k, v in age.items())
    share = 100 * numbers["dropped"] / frames if frames else 0.0
    shown.add_row("frames", f"{frames} in, {numbers['frames_out']} out, {numbers['dropped']} dropped ({share:.1f} %)")
    shown.add_row("rate", f"{numbers['fps']:.1f} fps over {numbers['duration_s']:.1f} s")
    shown.add_row("age at delivery", ages)
    for name, sink in numbers.get("sinks", {}).items():
        shown.add_row(Text(name), f"{sink['dropped']} of {numbers['frames_out']} dropped, too slow for them")
    for name, taken in numbers["stages"].items():
        shown.add_row(name, f"p50 {taken['p50']:.1f} ms, p95 {taken['p95']:.1f} ms")
    runs = numbers["detector_runs"]
    if numbers["unchanged"]:
        shown.add_row("unchanged", f"{numbers['unchanged']} frames, whose faces were not read and drawn again")
    shown.add_row("faces", f"on {numbers['frames_with_face']} frames, the detector ran {runs} times")
    shown.add_row("identity", f"{numbers['identity']}, {numbers['precision']} on {numbers['provider']}")
    shown.add_row("machine", f"{numbers['machine']['processor']}, {numbers['machine']['cores']} cores")
    return shown


def _processor() -> str:
    """The processor's name; /proc/cpuinfo knows it on Linux, where platform says x86_64 or nothing."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for entry in info.read_text("utf-8", "replace").splitlines():
            if entry.startswith("model name"):
                return entry.partition(":")[2].strip()
    return platform.processor() or platform.machine()
