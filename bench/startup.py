"""How long a user waits: from the start of the program to the first swapped frame, and where that time goes."""

import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.apart import told
from bench.report import with_origin, write
from realtime.__main__ import DEMO
from realtime.errors import LiveswapError

TARGETS: Final = (("warm", 1.5), ("cold", 3.0))  # seconds
LIMIT_S: Final = 120.0  # for one start
STEPS: Final = ("imported", "loaded", "swapped")

# What `liveswap run` does until its first frame is composed; it says when each step was done, seconds since the epoch.
PROGRAM: Final = """
import asyncio, json, sys, time
from realtime.carrying import Models, carry, stages
from realtime.flow.meters import Meters
from realtime.settings import load
said = {"imported": time.time()}
flags = {"source": sys.argv[1], "models": sys.argv[2] or None, "sink": ("null",), "duration": 1.0, "session_log": False}
settings = load(None, flags)
models = Models.load(settings)
said["loaded"] = time.time()
def group(find, swap, compose):
    def composed(swapped):
        frame = compose(swapped)
        if swapped.faces:
            said.setdefault("swapped", time.time())
        return frame
    return stages(find, swap, composed)
asyncio.run(carry(settings, models, Meters(), group=group))
print(json.dumps(said))
"""


def startup(
    source: Annotated[Path, typer.Option(metavar="FILE", help="Another clip than the bundled one.")] = DEMO,
    models: Annotated[str, typer.Option(metavar="FOLDER", help="Models in place of the embedded ones.")] = "",
    runs: Annotated[int, typer.Option(min=1, max=100, help="Starts of each kind; medians are shown.")] = 5,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers as JSON as well.")] = None,
) -> None:
    """From the start of the program to the first swapped frame: warm, and cold (nothing compiled yet)."""
    taken: dict[str, list[dict[str, float]]] = {name: [] for name, _ in TARGETS}
    once(source, models, cold=False)  # so that what is warm is warm
    for _ in track(range(runs), "starting", console=Console(stderr=True)):
        for name in taken:
            taken[name].append(once(source, models, cold=name == "cold"))
    numbers = {
        name: {step: round(statistics.median(one[step] for one in rows), 3) for step in STEPS}
        for name, rows in taken.items()
    }
    Console().print(table(numbers))
    if out:
        write(out, with_origin({"seconds": numbers, "starts": taken}, "liveswap-bench startup"))


def once(source: Path, models: str, cold: bool) -> dict[str, float]:
    """Seconds from the start until each of STEPS is done. Raises LiveswapError."""
    with tempfile.TemporaryDirectory() as empty:
        aside = {"PYTHONPYCACHEPREFIX": empty, "PYTHONDONTWRITEBYTECODE": "1"} if cold else {}
        began = time.time()
        around = {**os.environ, **aside}
        said: dict[str, float] = told("a start", PROGRAM, str(source), models, seconds=LIMIT_S, around=around)
    if "swapped" not in said:
        raise LiveswapError(f"{source} shows no face in its first second")
    return {step: said[step] - began for step in STEPS}


def table(numbers: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row for each kind of start, with its target."""
    made = Table("start")
    for title in ("imports, s", "models loaded, s", "first swapped frame, s", "wanted, s"):
        made.add_column(title, justify="right")
    for name, target in TARGETS:
        made.add_row(name, *(f"{numbers[name][step]:.2f}" for step in STEPS), f"{target:g}")
    return made
