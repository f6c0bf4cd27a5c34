"""The `liveswap-train` command: rendered people, the landmark net, the swap net, and looking at what came out."""

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import cv2
import torch
import typer
from rich.console import Console

from realtime.errors import LiveswapError
from realtime.swap.identity import MODELS
from training import directions, paired
from training import evaluate as measuring
from training.checkpoint import load_swap_net
from training.dataset import Dataset
from training.directions import evaluate_own, read_sources, write_sources
from training.ending import Ending
from training.extract import commands as footage
from training.finish import FOLDER as FINISH_FOLDER
from training.finish import finish
from training.heads.commands import app as heads
from training.landmarks import LandmarkSettings, train_landmarks
from training.loop import Plan
from training.losses import Features
from training.model import DecoderShape, EncoderShape
from training.own import learned_from_footage, train_own
from training.presets import EMBEDDED, PRESETS, start_of
from training.preview import grid
from training.processes import gathered
from training.report.report import write_report
from training.step import AUTO
from training.swap import FILE as SWAP_FILE
from training.swap import SwapSettings, landmark_trunk, train_swap
from training.watching import watched

app = typer.Typer(
    help="Train identities, of people who agreed and of people who do not exist, and measure what came out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(heads, name="heads")
app.command()(footage.consent)
app.command()(footage.extract)

Data = Annotated[Path, typer.Argument(help="A dataset that `liveswap-train heads` wrote.")]
Out = Annotated[Path, typer.Option("--out", help="The folder for the checkpoint and what belongs to it.")]
Minutes = Annotated[float | None, typer.Option(help="How long to train altogether, time before a resume included.")]
Steps = Annotated[int | None, typer.Option(help="Instead of --minutes: how many steps altogether.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")]
Batch = Annotated[int, typer.Option(help="Crops in a step.")]
Rate = Annotated[float | None, typer.Option(help="Peak of the learning rate; less after a start from weights.")]
Seed = Annotated[int, typer.Option(help="Another seed, other batches.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of the network; more than there are idle cores slows it.")]
Workers = Annotated[int, typer.Option(min=1, help="Threads that make batches; a GPU wants as many as there are cores.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Precision = Annotated[
    str, typer.Option(metavar="auto|fp32|bf16", help="auto: the faster one, where bf16 says what fp32 says.")
]


def main() -> None:
    """The console script. An expected fault is one sentence on stderr and exit code 2; others keep their traceback."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        app()
    except LiveswapError as error:
        typer.echo(f"liveswap-train: {error}", err=True)
        sys.exit(2)


@app.command()
def landmarks(
    data: Data,
    out: Out,
    minutes: Minutes = None,
    steps: Steps = None,
    resume: Resume = False,
    batch: Batch = 32,
    seed: Seed = 0,
    threads: Threads = 1,
    workers: Workers = 1,
    device: Device = "auto",
    start: Annotated[Path | None, typer.Option(help="A landmarks.onnx to start from.")] = None,
    more: Annotated[
        list[Path] | None, typer.Option(help="Another dataset to learn from besides; may be repeated.")
    ] = None,
    rate: Rate = None,
    precision: Precision = AUTO,
) -> None:
    """Train the landmark net; writes landmarks.pt into --out."""
    where = prepare(threads, device)
    settings = LandmarkSettings(batch=batch, seed=seed, workers=workers, precision=precision)
    settings = replace(settings, rate=rate) if rate is not None else settings
    with Ending() as ending:
        train_landmarks(data, out, Plan(minutes, steps), resume, settings, None, where, start, more or (), ending)
    _left(ending)


@app.command()
def swap(
    data: Data,
    out: Out,
    landmarks: Annotated[
        Path | None, typer.Option(help="The landmark net's checkpoint; the encoder's trunk starts from it.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Instead: a swap.pt or a folder of model files that everything starts from.")
    ] = None,
    minutes: Minutes = None,
    steps: Steps = None,
    resume: Resume = False,
    batch: Batch = 32,
    size: Annotated[
        int | None, typer.Option(help="Pixels of the crop that goes in and of the face that is drawn; 192.")
    ] = None,
    up: Annotated[str, typer.Option(help="How decoders enlarge: nearest, shuffle or transposed.")] = "shuffle",
    seed: Seed = 0,
    threads: Threads = 1,
    workers: Workers = 1,
    device: Device = "auto",
    rate: Rate = None,
    features: Annotated[
        Path | None, typer.Option(help="A landmark net, .pt or .onnx, whose first layers judge sharpness as well.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="An identity whose decoder alone learns, more than once for more; all else stays as it is."),
    ] = None,
    mirror: Annotated[
        float,
        typer.Option(
            help="How many of the crops, 0 to 1, are mirrored with what is drawn; more data where faces are symmetric."
        ),
    ] = 0.0,
    precision: Precision = AUTO,
) -> None:
    """Train the shared encoder and a decoder for each identity; writes swap.pt and preview.jpg into --out."""
    if not (landmarks or start or resume):
        raise LiveswapError("a training starts from --landmarks or --start, or goes on with --resume; none was given")
    where, plan = prepare(threads, device), Plan(minutes, steps)
    settings = SwapSettings(batch=batch, seed=seed, workers=workers, precision=precision, mirrored=mirror)
    settings = replace(settings, rate=rate) if rate is not None else settings
    if size and only:
        raise LiveswapError("--only keeps the size that there is, wanted no --size")
    encoder, decoder = EncoderShape(size=size or 192), DecoderShape(size=size or 192, up=up)
    names = only or ()
    with Ending() as ending:
        train_swap(
            data, landmarks, out, plan, resume, settings, encoder, decoder, where, start, features, names, ending
        )
    _left(ending)


@app.command()
def train(
    facesets: Annotated[list[str], typer.Argument(help="What `liveswap-train extract` wrote, one for each person.")],
    out: Out,
    preset: Annotated[
        str, typer.Option(metavar="small|live|large", help="128, 192 or 320 px; large wants a GPU.")
    ] = "live",
    start: Annotated[
        str,
        typer.Option(
            "--from", metavar="embedded|scratch|NAME|PATH", help="NAME: only a new decoder learns, beside it."
        ),
    ] = EMBEDDED,
    encoder: Annotated[
        str | None, typer.Option(metavar="stays|learns", help="An embedded one stays where nothing is said.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Instead of the preset's: pixels of the crop that goes in and of the face.")
    ] = None,
    minutes: Minutes = None,
    steps: Steps = None,
    resume: Resume = False,
    batch: Annotated[int | None, typer.Option(help="Crops in a step.")] = None,
    rate: Rate = None,
    seed: Seed = 0,
    threads: Threads = 1,
    workers: Workers = 1,
    device: Device = "auto",
    features: Annotated[
        bool, typer.Option(help="The landmark network's first layers judge sharpness as well.")
    ] = False,
    precision: Precision = AUTO,
    finish_gan: Annotated[
        float | None,
        typer.Option(
            min=0.0, metavar="MINUTES|STEPS", help="A last stage for sharpness; in the unit of --minutes or --steps."
        ),
    ] = None,
    snapshots: Annotated[
        float | None, typer.Option(min=0.0, help="Keep the weights every so many minutes of the processor.")
    ] = None,
    tensorboard: Annotated[
        bool | None,
        typer.Option("--tensorboard/--no-tensorboard", help="Write what TensorBoard shows; where it is installed."),
    ] = None,
) -> None:
    """Train identities on people's own footage; writes swap.pt, preview.jpg and a history into --out."""
    settings = SwapSettings(batch=batch or PRESETS[preset].batch, seed=seed, workers=workers, log_steps=20)
    settings = replace(settings, precision=precision)
    settings = replace(settings, rate=rate) if rate is not None else settings
    with gathered(prepare(threads, device)) as (processes, where), Ending() as ending:
        if finish_gan and processes.count > 1:
            raise LiveswapError(
                "--finish-gan runs in one process: train with many, then --resume --finish-gan with one"
            )
        begun = start_of(preset, start, size, encoder)
        eyes = Features(landmark_trunk(MODELS / "landmarks.onnx")).to(where) if features else None
        if processes.leads:
            write_sources(facesets, out)
        console, plan = Console(stderr=True) if processes.leads else None, Plan(minutes, steps)
        with watched(out, settings.log_steps, console, tensorboard) as watch:
            train_own(facesets, out, plan, begun, resume, settings, where, eyes, ending, processes, watch, snapshots)
        if finish_gan and ending.by is None:
            last = Plan(minutes=finish_gan) if minutes is not None else Plan(steps=round(finish_gan))
            with watched(out / FINISH_FOLDER, settings.log_steps, console, tensorboard) as watch:
                finish(facesets, out, last, device=where, features=eyes, ended=ending, watch=watch)
        if processes.leads and ending.by is None:
            typer.echo(f"look at {out / 'preview.jpg'} and {write_report(out)}")
    _left(ending)


def _left(ending: Ending) -> None:
    """Says with the exit code by which signal a training was ended, if it was."""
    if ending.by is not None:
        raise typer.Exit(128 + ending.by)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="The folder of a training.")],
    data: Annotated[
        list[str] | None,
        typer.Argument(help="The pairs that it learned from; of footage the facesets, where they lie elsewhere now."),
    ] = None,
    items: Annotated[
        int | None, typer.Option(min=1, help="Held-out pairs, or moments of the truth; all if not given.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="TALKS", help="What `heads talks` wrote: the swap against the truth as well.")
    ] = None,
    threads: Threads = 1,
    device: Device = "auto",
) -> None:
    """Measure on what was held out, beside what needs no training; writes evaluation.json into the folder."""
    where, console = prepare(threads, device), Console()
    if learned_from_footage(run / SWAP_FILE):
        sources = data or read_sources(run)
        found = evaluate_own(run / SWAP_FILE, sources, where, threads)
        shown = [directions.table(found)]
        if truth:
            with console.status("the truth") as status:
                found["truth"] = paired.evaluate_paired(run, truth, sources, items, where, status.update)
            shown.append(paired.table(found["truth"]))
    else:
        if not data:
            raise LiveswapError(f"{run} learned from pairs, wanted their folder after its name")
        found = measuring.evaluate(run / SWAP_FILE, Path(data[0]), items, where)
        shown = [measuring.table(found)]
    measuring.write(found, run / "evaluation.json")
    for one in shown:
        console.print(one)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="The folder of a training on footage.")]) -> None:
    """Write report.html into the folder: curves, previews, measures, settings and consents in one file."""
    typer.echo(f"look at {write_report(run)}")


@app.command()
def preview(
    run: Annotated[Path, typer.Argument(help="The folder of a swap training.")],
    data: Data,
    columns: Annotated[int, typer.Option(min=1, max=100, help="Held-out moments to show.")] = 12,
    threads: Threads = 1,
) -> None:
    """Draw held-out people: rows of anybody, then for each identity drawn, true and pasted; writes preview.png."""
    where = torch.device(prepare(threads, "cpu"))
    if learned_from_footage(run / SWAP_FILE):
        raise LiveswapError(f"{run} learned from footage, its pictures are in {run / 'previews'}")
    net, record = load_swap_net(run / SWAP_FILE)
    decoder = DecoderShape.read(record["decoder"])
    subject = measuring.Subject(Dataset.open(data, "test"), net.encoder.shape, decoder)
    cv2.imwrite(str(run / "preview.png"), grid(net, subject, where, columns))
    typer.echo(f"look at {run / 'preview.png'}")


def prepare(threads: int, device: str) -> str:
    """Sets the libraries' threads and says which device to use. Raises LiveswapError for one that is not there."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)  # batches are cut in one thread of their own
    found = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("auto", "cpu", "cuda") or (device == "cuda" and found != "cuda"):
        raise LiveswapError(f"there is no device '{device}' here, wanted auto, cpu{', cuda' * (found == 'cuda')}")
    return found if device == "auto" else device


if __name__ == "__main__":
    main()
