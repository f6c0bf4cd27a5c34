"""`liveswap-train heads`: renders people who do not exist, for training."""

import os
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.heads import assets as packing
from training.heads.clip import ClipSettings, film, write_clip
from training.heads.looks import EMBEDDED
from training.heads.pairs import PairSettings, overview, write_pairs
from training.heads.portrait import portraits as draw_portraits
from training.heads.talks import TALKERS, TalkSettings, write_talks

app = typer.Typer(help="Render people who do not exist: pairs for training, and the assets they are made from.")

AssetsFolder = Annotated[
    Path, typer.Option("--assets", help="Folder with ict_facekit.npz (see `heads pack`) and hair_*.npz, hair_*.png.")
]


@app.callback(invoke_without_command=True)
def heads(
    context: typer.Context,
    assets: Annotated[Path | None, typer.Option(help="Folder with ict_facekit.npz and hair_*.npz, hair_*.png.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write shards into; an interrupted run goes on.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Pairs of each identity to render.")] = 10_000,
    size: Annotated[int, typer.Option(help="Side of the template crop in pixels; stored a quarter larger.")] = 192,
    held_out: Annotated[int, typer.Option(min=0, help="Further pairs of people kept for testing.")] = 384,
    frames: Annotated[int, typer.Option(min=1, help="Pictures of each random person.")] = 12,
    people: Annotated[int, typer.Option(min=1, help="Random people in each shard.")] = 16,
    sharing: Annotated[int, typer.Option(min=1, help="How many of them are seen in the same shot.")] = 3,
    identity: Annotated[
        list[str] | None, typer.Option(help="Only this identity; may be repeated. One suffices the landmark network.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other people.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Render pairs: anybody and each embedded identity under the same expression, pose, gaze and light."""
    if context.invoked_subcommand is not None:
        return
    if assets is None or out is None:
        raise typer.BadParameter("rendering needs --assets DIR and --out DIR")
    settings = PairSettings(
        size=size,
        frames=frames,
        people=people,
        sharing=sharing,
        seed=seed,
        identities=tuple(identity or EMBEDDED),
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("pairs", total=count + held_out)
        for done in write_pairs(assets, out, count, held_out, settings, workers):
            progress.update(task, completed=done, total=max(done, count + held_out))
    first = sorted([*out.glob("test-*"), *out.glob("shard-*")])[-1]
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in first.glob("*.npy")}
    cv2.imwrite(str(out / "overview.jpg"), overview(arrays, settings.identities))
    typer.echo(f"{out}: look at {out / 'overview.jpg'}")


@app.command()
def pack(
    clone: Annotated[Path, typer.Argument(help="A clone of ICT-VGL/ICT-FaceKit (MIT).")],
    out: Annotated[Path, typer.Option(help="Folder for ict_facekit.npz.")],
    modes: Annotated[int, typer.Option(min=1, max=100, help="Identity modes to keep.")] = 50,
) -> None:
    """Make the assets file from a clone of ICT-FaceKit, so that anyone can repeat the training."""
    typer.echo(f"wrote {packing.pack(clone, out, modes)}")


@app.command()
def clip(
    assets: AssetsFolder,
    out: Annotated[Path, typer.Option(help="The video to write, .mp4.")],
    seconds: Annotated[float, typer.Option(min=0.2, max=600, help="How long.")] = 10.0,
    width: Annotated[int, typer.Option(min=64, max=4096)] = 1280,
    height: Annotated[int, typer.Option(min=64, max=4096)] = 720,
    fps: Annotated[int, typer.Option(min=1, max=120)] = 30,
    seed: Annotated[int, typer.Option(help="Who it is and what they do.")] = 11,
) -> None:
    """Film a rendered person talking to the camera: footage of nobody, to try things on."""
    settings = ClipSettings(width=width, height=height, fps=fps, seconds=seconds, seed=seed)
    packed = packing.Assets.load(assets)
    with Progress() as progress:
        task = progress.add_task("frames", total=round(seconds * fps))
        for done in write_clip(out, film(packed, settings), fps):
            progress.update(task, completed=done)


@app.command()
def talks(
    assets: AssetsFolder,
    out: Annotated[Path, typer.Option(help="Folder for the videos and the truth; an interrupted run goes on.")],
    takes: Annotated[int, typer.Option(min=1, max=98, help="Videos of each person to learn from.")] = 8,
    seconds: Annotated[float, typer.Option(min=0.2, max=600, help="Of each video.")] = 15.0,
    fps: Annotated[int, typer.Option(min=1, max=120)] = 25,
    width: Annotated[int, typer.Option(min=64, max=4096)] = 640,
    height: Annotated[int, typer.Option(min=64, max=4096)] = 480,
    size: Annotated[int, typer.Option(min=32, max=512, help="Side of the template in the truth, pixels.")] = 160,
    seed: Annotated[int, typer.Option(help="What they do.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Film two rendered people talking, and both doing the same: footage, with the truth to measure a swap by."""
    settings = TalkSettings(width, height, fps, takes, seconds, size=size, seed=seed)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("frames", total=None)
        for done, total in write_talks(assets, out, settings, workers):
            progress.update(task, completed=done, total=total)
    typer.echo(f"{out}: {takes} videos of each of {', '.join(TALKERS)}; look at {out / 'overview.jpg'}")


@app.command()
def portraits(
    assets: AssetsFolder,
    out: Annotated[Path, typer.Option(help="Folder for one NAME.jpg for each embedded identity.")],
    size: Annotated[int, typer.Option(min=32, max=1024, help="Pixels of a side.")] = 256,
) -> None:
    """Draw the embedded identities, for lists in which somebody chooses one."""
    out.mkdir(parents=True, exist_ok=True)
    for name, picture in draw_portraits(packing.Assets.load(assets), size):
        cv2.imwrite(str(out / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
        typer.echo(str(out / f"{name}.jpg"))
