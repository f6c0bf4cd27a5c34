"""`liveswap-bench all`: every measurement that needs no camera, no network and no further data, one after the other."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.report import with_origin, write
from realtime.errors import LiveswapError, SinkError

LIMIT_S: Final = 1800.0  # for one part
WIDE: Final = "118"  # columns of the tables in the report


@dataclass(frozen=True, slots=True)
class Part:
    """One command of liveswap-bench, and what it is called with; {folder} stands for where results go."""

    name: str
    words: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()  # instead, where minutes count
    plot: str = ""  # the file that it draws


PARTS: Final = (
    Part("latency", (), ("--runs", "1", "--seconds", "3")),
    Part(
        "stages",
        ("--plot", "{folder}/stages.png"),
        ("--rounds", "1", "--seconds", "2", "--repeats", "20"),
        "stages.png",
    ),
    Part("switch", (), ("--rounds", "1", "--switches", "4", "--seconds", "3")),
    Part("compose", (), ("--repeats", "20")),
    Part("counts", (), ("--frames", "20")),
    Part("startup", (), ("--runs", "1")),
    Part("targets", (), ("--seconds", "2")),
    Part("tracking", (), ("--frames", "30", "--pictures", "1")),
    Part("detection", (), ("--repeats", "2")),
    Part("policies", ("--plot", "{folder}/policies.png"), ("--seconds", "2", "--fps", "10"), "policies.png"),
    Part(
        "glass",
        ("--seconds", "30", "--plot", "{folder}/glass.png"),
        ("--seconds", "3", "--paths", "inprocess"),
        "glass.png",
    ),
)


def suite(
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Where numbers, report and plots go.")] = Path(
        "out/bench"
    ),
    only: Annotated[
        list[str] | None, typer.Option(metavar="PART", help="Some parts instead of all; more than once for more.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Seconds of each, to see that all of it works.")] = False,
) -> None:
    """All of it: all.json, all.md and the plots, in one folder."""
    parts = wanted(only)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{folder} cannot be made: {error.strerror}") from error
    results, failed = measure(parts, folder, quick)
    command = shlex.join(["liveswap-bench", *sys.argv[1:]])
    write(
        folder / "all.json",
        with_origin({"quick": quick, "parts": {name: one.numbers for name, one in results.items()}}, command),
    )
    (folder / "all.md").write_text(markdown(command, results, parts, quick), "utf-8")
    print(f"{folder / 'all.json'}  every number\n{folder / 'all.md'}  the tables")
    if failed:
        raise LiveswapError(f"{len(failed)} of {len(parts)} parts failed: {'; '.join(failed)}")


@dataclass(frozen=True, slots=True)
class Result:
    """What one part said."""

    text: str  # its tables
    numbers: dict[str, Any]
    seconds: float


def wanted(only: Sequence[str] | None) -> tuple[Part, ...]:
    """The parts of these names, all without any. Raises LiveswapError for an unknown one."""
    names = [part.name for part in PARTS]
    for name in only or ():
        if name not in names:
            raise LiveswapError(f"there is no part {name!r}, wanted {', '.join(names)}")
    return tuple(part for part in PARTS if not only or part.name in only)


def measure(parts: Sequence[Part], folder: Path, quick: bool) -> tuple[dict[str, Result], list[str]]:
    """What each part said, in a process of its own, and a sentence for each that failed."""
    results: dict[str, Result] = {}
    failed: list[str] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("measuring", total=len(parts))
        for part in parts:
            progress.update(task, description=part.name)
            try:
                results[part.name] = run(part, folder, quick)
            except LiveswapError as error:
                failed.append(f"{part.name} ({error})")
            progress.advance(task)
    return results, failed


def run(part: Part, folder: Path, quick: bool) -> Result:
    """One part. Raises LiveswapError where it fails or takes more than LIMIT_S."""
    out = folder / f"{part.name}.json"
    words = [word.format(folder=folder) for word in (part.quick if quick else part.words)]
    command = [sys.executable, "-m", "bench", part.name, *words, "--out", str(out)]
    began = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            env={**os.environ, "COLUMNS": WIDE},
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LiveswapError(f"it took more than {LIMIT_S:.0f} s") from None
    if done.returncode:
        raise LiveswapError(reason(done.stderr) or f"exit code {done.returncode}")
    numbers = json.loads(out.read_text("utf-8"))
    return Result(done.stdout.rstrip(), numbers, time.perf_counter() - began)


def reason(stderr: str) -> str:
    """The last line that says something: usage errors come in a frame."""
    lines = [line.strip(" │") for line in stderr.splitlines()]
    return next((line for line in reversed(lines) if re.search(r"\w", line)), "").removeprefix("liveswap-bench: ")


def markdown(command: str, results: Mapping[str, Result], parts: Sequence[Part], quick: bool) -> str:
    """The tables of all parts under headings, with the machine and the versions."""
    origin = with_origin({}, command)
    said = [f"# `{command}`", "", ", ".join(f"{key} {value}" for key, value in origin["machine"].items()), ""]
    said += [", ".join(f"{key} {value}" for key, value in origin["versions"].items()), ""]
    for part in parts:
        if part.name in results:
            one = results[part.name]
            said += [f"## {part.name}", "", f"{one.seconds:.0f} s", "", "```", one.text, "```", ""]
            if part.plot and not quick:
                said += [f"![{part.name}]({part.plot})", ""]
    return "\n".join(said)
