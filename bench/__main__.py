"""The `liveswap-bench` command: the numbers of docs/benchmarks.md, measured again."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bench import compose as bench_compose
from bench import latency as bench_latency
from bench import stages as bench_stages
from bench import steps as bench_steps
from bench import switch as bench_switch
from bench.beside import policies
from bench.compare import compare as bench_of_two
from bench.counts import counts
from bench.curves import curves
from bench.detection import detection
from bench.glass import glass
from bench.gpu import gpu
from bench.landmarks import landmarks
from bench.marks import marks
from bench.networks import networks
from bench.quality import quality
from bench.report import runs_table, with_origin, write
from bench.scale import scale
from bench.sessions import sessions
from bench.soak import command as soak
from bench.startup import startup
from bench.steps_plot import check_plot, draw
from bench.suite import suite
from bench.targets import targets
from bench.tracking import tracking
from realtime.__main__ import DEMO
from realtime.errors import LiveswapError
from realtime.options import ModelFolder, NetworkSize, Provider, Revoked, Threads
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
Seconds = Annotated[float | None, typer.Option(metavar="S", help="Of the clip; all of it by default.")]
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
    revoked: Revoked = None,
    size: NetworkSize = None,
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
    flags = {
        "source": str(source),
        "identity": identity,
        "models": models,
        "revoked": revoked,
        "size": size,
        "duration": seconds,
    }
    settings = load(None, {**flags, "width": width, "height": height, "threads": threads, "provider": provider})
    numbers = bench_latency.measure(settings, runs)
    Console().print(runs_table(source.name, {f"median of {runs}": numbers["summary"]}))
    keep(numbers, out)


@app.command()
def stages(
    source: Source = DEMO,
    identity: Identity = None,
    models: ModelFolder = None,
    revoked: Revoked = None,
    size: NetworkSize = None,
    seconds: Seconds = None,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="How often each grouping; medians are shown.")] = 2,
    repeats: Annotated[int, typer.Option(min=1, max=100_000, help="Of each step alone.")] = 100,
    threads: Threads = None,
    provider: Provider = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw where the time goes.")] = None,
    out: Out = None,
) -> None:
    """Where a frame's time goes, step by step, beside the floor; and which work should share a loop, in turns."""
    speak(0)
    check_plot(plot)
    flags = {"source": str(source), "identity": identity, "models": models, "revoked": revoked, "duration": seconds}
    settings = load(None, {**flags, "size": size, "threads": threads, "provider": provider})
    numbers = {**bench_steps.measure(settings, repeats), **bench_stages.compare(settings, rounds)}
    console = Console()
    console.print(bench_steps.table(numbers))
    console.print(runs_table(source.name, numbers["groupings"]))
    console.print(f"best: {numbers['best']}; in use: {numbers['in_use']}")
    if plot:
        draw(numbers, plot)
    keep(numbers, out)


@app.command()
def switch(
    source: Source = DEMO,
    identity: Identity = None,
    models: ModelFolder = None,
    revoked: Revoked = None,
    seconds: Seconds = None,
    switches: Annotated[int, typer.Option(min=1, max=1000, help="In each run with switches.")] = 50,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="How often each; medians are shown.")] = 3,
    fade: Annotated[float | None, typer.Option(metavar="S", help="That a switch takes.")] = None,
    threads: Threads = None,
    provider: Provider = None,
    out: Out = None,
) -> None:
    """Whether switching identities holds frames up: the longest gap between two, with switches and without."""
    speak(0)
    flags = {
        "source": str(source),
        "identity": identity,
        "models": models,
        "revoked": revoked,
        "duration": seconds,
        "fade": fade,
    }
    settings = load(None, {**flags, "threads": threads, "provider": provider})
    numbers = bench_switch.measure(settings, switches, rounds)
    table = Table(source.name, *(f"{name} switches" for name in numbers["runs"]))
    for key, title, unit in (
        ("longest_gap_ms", "longest gap", " ms"),
        ("fps", "fps", ""),
        ("age_p95_ms", "age p95", " ms"),
        ("frames_in", "frames", ""),
        ("dropped", "dropped", ""),
        ("switches_seen", "switches seen", ""),
    ):
        table.add_row(title, *(f"{run[key]}{unit}" for run in numbers["runs"].values()))
    console = Console()
    console.print(table)
    verdict = "at most" if numbers["held"] else "MORE THAN"
    console.print(f"{numbers['longer_ms']} ms longer: {verdict} one frame ({numbers['frame_interval_ms']} ms)")
    keep(numbers, out)


@app.command()
def compose(
    width: Annotated[int, typer.Option(min=64, max=8192, metavar="PIXELS", help="Of the frame.")] = 1280,
    height: Annotated[int, typer.Option(min=64, max=8192, metavar="PIXELS", help="Of the frame.")] = 720,
    crop: Annotated[int, typer.Option(min=16, max=1024, metavar="PIXELS", help="Of the decoder's picture.")] = 160,
    repeats: Annotated[int, typer.Option(min=1, max=100_000, help="Frames of each kind.")] = 300,
    out: Out = None,
) -> None:
    """Composing alone, on one core: faces of four sizes, with and without colour and grain."""
    numbers = bench_compose.measure(width, height, repeats, crop)
    Console().print(bench_compose.table(numbers))
    keep(numbers, out)


app.command()(detection)
app.command()(tracking)
app.command()(landmarks)
app.command()(quality)
app.command()(glass)
app.command()(gpu)
app.command()(marks)
app.command()(policies)
app.command("soak")(soak)
app.command()(sessions)
app.command()(curves)
app.command()(networks)
app.command()(scale)
app.command()(counts)
app.command()(startup)
app.command()(targets)
app.command("all")(suite)
app.command("compare")(bench_of_two)


def keep(numbers: dict[str, Any], path: Path | None) -> None:
    """Writes the numbers where a file was named. Raises SinkError."""
    if path is not None:
        write(path, with_origin(numbers, shlex.join(["liveswap-bench", *sys.argv[1:]])))


if __name__ == "__main__":
    main()
