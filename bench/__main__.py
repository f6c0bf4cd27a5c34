"""The `liveswap-bench` command: the numbers of docs/benchmarks.md, measured again."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench import latency as bench_latency
from bench import stages as bench_stages
from bench.detection import detection
from bench.landmarks import landmarks
from bench.quality import quality
from bench.report import runs_table, with_origin, write
from realtime.__main__ import DEMO
from realtime.errors import LiveswapError
from realtime.settings import load
from realtime.status import speak

app = typer.Typer(
    help="Measure again what docs/benchmarks.md says.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Source = Annotated[Path, typer.Option(metavar="FILE", help="Another clip than the bundled one.")]
Identity = Annotated[str | None, typer.Option(metavar="NAME|FILE.onnx")]
ModelFolder = Annotated[str | None, typer.Option(metavar="FOLDER", help="Models in place of the embedded ones.")]
Seconds = Annotated[float | None, typer.Option(metavar="S", help="Of the clip; all of it by default.")]
Threads = Annotated[int | None, typer.Option(metavar="N", help="Of each model on the CPU.")]
Provider = Annotated[str | None, typer.Option(metavar="auto|cpu|cuda|...")]
Size = Annotated[int | None, typer.Option(metavar="PIXELS", help="Fit the clip into this size.")]
Out = Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers as JSON as well.")]


def main() -> None:
    """The console script. An expected fault is one sentence on stderr and exit code 2."""
    try:
        app()
    except LiveswapError as error:
        typer.echo(f"liveswap-bench: {error}", err=True)
        sys.exit(2)


@app.command()
def latency(
    source: Source = DEMO,
    identity: Identity = None,
    models: ModelFolder = None,
    seconds: Seconds = None,
    runs: Annotated[int, typer.Option(min=1, max=100, help="How often; medians are shown.")] = 3,
    width: Size = None,
    height: Size = None,
    threads: Threads = None,
    provider: Provider = None,
    out: Out = None,
) -> None:
    """A clip at camera speed into nothing: fps, drops, age at delivery, time of each stage."""
    speak(0)
    flags = {"source": str(source), "identity": identity, "models": models, "duration": seconds}
    settings = load(None, {**flags, "width": width, "height": height, "threads": threads, "provider": provider})
    numbers = bench_latency.measure(settings, runs)
    Console().print(runs_table(source.name, {f"median of {runs}": numbers["summary"]}))
    keep(numbers, out)


@app.command()
def stages(
    source: Source = DEMO,
    identity: Identity = None,
    models: ModelFolder = None,
    seconds: Seconds = None,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="How often each; medians are shown.")] = 2,
    threads: Threads = None,
    provider: Provider = None,
    out: Out = None,
) -> None:
    """Which work should share a loop: three groupings, in turns."""
    speak(0)
    flags = {"source": str(source), "identity": identity, "models": models, "duration": seconds}
    settings = load(None, {**flags, "threads": threads, "provider": provider})
    numbers = bench_stages.compare(settings, rounds)
    console = Console()
    console.print(runs_table(source.name, numbers["groupings"]))
    console.print(f"best: {numbers['best']}; in use: {numbers['in_use']}")
    keep(numbers, out)


app.command()(detection)
app.command()(landmarks)
app.command()(quality)


def keep(numbers: dict[str, Any], path: Path | None) -> None:
    """Writes the numbers where a file was named. Raises SinkError."""
    if path is not None:
        write(path, with_origin(numbers, shlex.join(["liveswap-bench", *sys.argv[1:]])))


if __name__ == "__main__":
    main()
