"""`liveswap-train consent` and `liveswap-train extract`: from a person's agreement and footage to a faceset."""

import datetime
import os
from pathlib import Path
from typing import Annotated

import cv2
import typer

from realtime.errors import LiveswapError
from training.consent import read_consent, template
from training.extract.extract import ExtractSettings
from training.extract.extract import extract as run
from training.extract.watch import WatchSettings


def consent(
    out: Annotated[Path, typer.Argument(help="The file to write.")] = Path("consent.toml"),
) -> None:
    """Write a consent file to be filled in together with the person whose face is to be learned."""
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(template(datetime.date.today()))
    except FileExistsError as error:
        raise LiveswapError(f"{out} is there already and was left as it is") from error
    except OSError as error:
        raise LiveswapError(f"{out} cannot be written: {error.strerror}") from error
    typer.echo(f"{out}: fill in every line together with the person, then: liveswap-train extract --consent {out}")


def extract(
    footage: Annotated[list[Path], typer.Argument(help="Videos, pictures, folders of them; of one person.")],
    out: Annotated[Path, typer.Option(help="The folder for the faceset; an interrupted run goes on.")],
    consent: Annotated[
        Path | None, typer.Option(help="What the person agreed to: `liveswap-train consent` writes a template.")
    ] = None,
    person: Annotated[
        list[int] | None, typer.Option(help="Whose faces, where several people are seen; may be given several times.")
    ] = None,
    size: Annotated[int, typer.Option(help="Pixels of a side of the crops that are kept.")] = 256,
    least_side: Annotated[
        float, typer.Option(min=16, help="Pixels of the video that a face and its surroundings must cover.")
    ] = 64.0,
    most: Annotated[int, typer.Option(help="Faces to keep.")] = 5000,
    workers: Annotated[int, typer.Option(min=1, help="Parts of the footage looked at side by side.")] = os.cpu_count()
    or 2,
    provider: Annotated[str, typer.Option(metavar="auto|cpu|cuda|...", help="Where models run.")] = "cpu",
) -> None:
    """Turn footage of a person who agreed into a faceset to train with."""
    if consent is None:
        raise LiveswapError(
            "nobody's face is learned without their consent: `liveswap-train consent` writes a file to fill in, "
            "wanted --consent consent.toml"
        )
    card = read_consent(consent, datetime.date.today())
    cv2.setNumThreads(1)  # the parts are what is worked on side by side
    watching = WatchSettings(size=size, least_side=least_side, workers=workers, provider=provider)
    said = run(footage, out, card, ExtractSettings(watching, tuple(person or ()), most, min(40, most)))
    typer.echo(f"{out}: {said['faces']} faces of {said['name']}, {said['covered']} of them covered")
    typer.echo(f"look at {out / 'overview.jpg'}")
