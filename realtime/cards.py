"""`liveswap identities sign` and `liveswap import-dfm`: cards into model files, signed with the user's key."""

from pathlib import Path
from typing import Annotated

import typer

from realtime.errors import ModelError, SettingsError
from realtime.status import speak
from realtime.swap import dfm
from realtime.swap.card import ModelCard
from realtime.swap.contract import DRAWING, PREFIX
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import model_files
from realtime.swap.sealing import replace_file, seal
from realtime.swap.signing import Signer

CardFile = typer.Option(metavar="CARD.toml", help="What the person agreed to; see docs/models.md.")
KeyFile = typer.Option("--key", metavar="FILE.pem", help="An Ed25519 key in place of your own.")


def sign(
    models: Annotated[Path, typer.Argument(metavar="FOLDER|FILE.onnx", help="Identities; all of a folder.")],
    card: Annotated[Path | None, CardFile] = None,
    key: Annotated[Path | None, KeyFile] = None,
) -> None:
    """Put a card into a model file and sign both; rendered identities, and those with a card, need no --card."""
    speak(0)
    said = ModelCard.read(card) if card else None
    paths = identities_in(models)
    if said and len(paths) > 1:
        raise SettingsError(f"{models} holds {len(paths)} identities, wanted one file for one --card")
    signer = Signer.own(_existing(key))
    for path in paths:
        done = seal(path, signer, said)
        typer.echo(f"{path} holds {done.name} ({done.kind}), signed with the key {signer.public[:16]}")


def import_dfm(
    model: Annotated[Path, typer.Argument(metavar="MODEL.dfm", help="What DeepFaceLab exported.")],
    card: Annotated[Path, CardFile],
    out: Annotated[Path | None, typer.Option(metavar="FILE.onnx", help="NAME.onnx here, unless given.")] = None,
    key: Annotated[Path | None, KeyFile] = None,
    licence: Annotated[str, typer.Option(help="Of the weights, an SPDX name.")] = dfm.Wrapping().licence,
    coverage: Annotated[
        float, typer.Option(help="Side of its crops, in distances between the brows' outer ends.")
    ] = dfm.Wrapping().coverage,
    morph: Annotated[float, typer.Option(help="0 to 1, for models that take one.")] = dfm.Wrapping().morph,
) -> None:
    """Wrap a DFM model into a model file of liveswap, with a complete card, signed with your key."""
    speak(0)
    said, how = ModelCard.read(card), dfm.Wrapping(licence, coverage, morph)
    place = out or Path(f"{said.name}.onnx")
    if place.suffix != ".onnx":
        raise SettingsError(f"--out is {place}, wanted a file that ends with .onnx")
    if place.exists():
        raise SettingsError(f"{place} exists already, wanted another --out")
    file = ModelFile.read(model)
    signer = Signer.own(_existing(key))
    replace_file(place, dfm.wrapped(file, said, signer, how))
    typer.echo(f"{place} holds {said.name} ({said.kind}), signed with the key {signer.public[:16]}")


def identities_in(models: Path) -> tuple[Path, ...]:
    """The files of identities in a folder, or the one file. Raises ModelError where there is none."""
    if not models.is_dir():
        return (models,)
    paths = [path for path in model_files(models) if ModelFile.read(path).metadata.get(PREFIX + "role") in DRAWING]
    if not paths:
        raise ModelError(f"{models} holds no identities, wanted .onnx files as liveswap-export writes them")
    return tuple(paths)


def _existing(key: Path | None) -> Path | None:
    """A key that was named is not made. Raises SettingsError."""
    if key is not None and not key.is_file():
        raise SettingsError(f"there is no key {key}")
    return key
