"""`liveswap identities`: who a face can become, who agreed to it, and who may not be used and why."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from realtime.cards import sign
from realtime.errors import ModelError, SettingsError, UnknownIdentity
from realtime.options import ModelFolder, NetworkSize
from realtime.places import config_folder
from realtime.settings import load
from realtime.status import speak
from realtime.swap.consent import Consent
from realtime.swap.contract import DRAWING, Contract, expect
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import model_files
from realtime.swap.signing import FILE, RELEASE, Signer

# The keys of a card that are shown, and how.
WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "who": "agreed",
        "contact": "record kept by",
        "statement": "statement",
        "scope": "scope",
        "date": "on",
        "until": "until",
        "revocation": "withdrawn at",
        "training_set": "training set",
    }
)

app = typer.Typer(invoke_without_command=True, add_completion=False, pretty_exceptions_enable=False)

app.command("sign")(sign)

AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Revocations = Annotated[str | None, typer.Option(metavar="FILE.toml", help="Identities that must not be used.")]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one identity, whether it may be used or not."""

    name: str
    kind: str  # rendered or person
    licence: str
    size: int  # pixels of the square face it draws
    precision: str  # fp32, fp16 or int8
    file: str  # where it lies
    file_bytes: int
    training: dict[str, Any]  # the training record
    digest: str  # hex SHA-256 of the file, whose beginning marks carry
    weights: str  # hex digest of what is signed beside the card; empty where the signature does not fit
    card: dict[str, Any]  # as the file has it; empty where there is none
    signed_by: str  # a public key in hex; empty where the signature does not fit
    refused: str  # why it may not be used; empty when it may

    @classmethod
    def of(cls, path: Path, file: ModelFile, contract: Contract, encoder: Contract | None, consent: Consent) -> "Entry":
        """The entry of a model file. Raises ModelError for one with weights outside of the file."""
        signed_by = weights = refused = ""
        try:
            grant = consent.examined(file, contract)
            weights, signed_by = grant.weights, grant.card.key
            consent.check(grant, file.name)
            if contract.role == "decoder" and encoder is not None:
                expect(contract, "decoder", encoder.encoder)
        except ModelError as error:
            refused = str(error)
        return cls(
            name=contract.identity,
            kind=contract.kind,
            licence=contract.licence,
            size=contract.size,
            precision=contract.precision,
            file=str(path),
            file_bytes=len(file.data),
            training=contract.training,
            digest=file.digest(),
            weights=weights,
            card=contract.consent,
            signed_by=signed_by,
            refused=refused,
        )


@app.callback()
def identities(
    context: typer.Context,
    as_json: AsJson = False,
    models: ModelFolder = None,
    size: NetworkSize = None,
    revoked: Revocations = None,
) -> None:
    """List who a face can become; `identities show NAME` says all that is known of one."""
    context.obj = {"models": models, "size": size, "revoked": revoked}
    if context.invoked_subcommand is not None:
        return
    speak(0)
    found = entries(context.obj)
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in found], indent=2))
        return
    Console().print(table(found))
    for entry in found:
        if entry.refused:
            typer.echo(f"not to be used: {entry.refused}")


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|FILE.onnx", help="One of those that `identities` lists.")],
    as_json: AsJson = False,
    models: ModelFolder = None,
    size: NetworkSize = None,
    revoked: Revocations = None,
) -> None:
    """Say all that is known of one identity: its card, who signed it, its digests, its training."""
    speak(0)
    given = {"models": models, "size": size, "revoked": revoked}
    found = entries({**context.obj, **{key: value for key, value in given.items() if value is not None}}, name)
    if as_json:
        typer.echo(json.dumps(asdict(found[0]), indent=2))
        return
    typer.echo("\n".join(in_full(found[0])))


def entries(flags: dict[str, Any], wanted: str = "") -> tuple[Entry, ...]:
    """Of the folder of models that the flags mean, in the order of their names; only the wanted one where one is.

    A path to an .onnx file is wanted as well. Raises UnknownIdentity, ModelError, SettingsError.
    """
    settings = load(None, flags)
    paths = (Path(wanted),) if wanted.endswith(".onnx") else model_files(settings.folder)
    read = [(path, file, Contract.from_metadata(file.metadata, file.name))
            for path, file in ((path, ModelFile.read(path)) for path in paths)]  # fmt: skip
    encoder = next((contract for _, _, contract in read if contract.role == "encoder"), None)
    found = [
        Entry.of(path, file, contract, encoder, settings.consent)
        for path, file, contract in read
        if contract.role in DRAWING
    ]
    kept = [entry for entry in found if wanted in ("", entry.name) or wanted.endswith(".onnx")]
    if wanted and not kept:
        there = ", ".join(sorted(entry.name for entry in found)) or "none at all"
        raise UnknownIdentity(f"there is no identity {wanted!r}, wanted one of {there}")
    return tuple(sorted(kept, key=lambda entry: entry.name))


def table(found: tuple[Entry, ...]) -> Table:
    """One line for each identity."""
    said = Table("identity", "kind", "agreed", "until", "signed by", "draws", "usable")
    for entry in found:
        who, until = (str(entry.card.get(key, "")) for key in ("who", "until"))
        row = (entry.name, entry.kind, who, until, short(entry.signed_by), f"{entry.size} px")
        said.add_row(*(escape(plain(text, 0)) for text in row), "no" if entry.refused else "yes")
    return said


def in_full(entry: Entry) -> list[str]:
    """All that is known of one identity, in lines."""
    own = _own_key()
    signer = {"": "nobody who can be checked", RELEASE: f"{RELEASE} (liveswap)", own: f"{own} (your own key)"}
    said = {
        "identity": entry.name,
        "kind": "rendered: nobody who exists" if entry.kind == "rendered" else "a person who exists",
        "may be used": f"no: {entry.refused}" if entry.refused else "yes",
        **{WORDS[key]: str(entry.card[key]) for key in WORDS if key in entry.card},
        "signed by": signer.get(entry.signed_by, entry.signed_by),
        "licence": entry.licence,
        "draws": f"{entry.size} px, {entry.precision}",
        "file": f"{entry.file}, {entry.file_bytes / 1e6:.1f} MB",
        "digest": entry.digest,
        "weights": entry.weights,
        "training": ", ".join(f"{key} {value}" for key, value in entry.training.items() if is_short(value)),
    }
    wide = max(map(len, said))
    return [f"{key:{wide}}  {plain(value, wide + 2)}" for key, value in said.items() if value]


def plain(text: str, indent: int) -> str:
    """A text without what a terminal would obey, its further lines below the first."""
    lines = ["".join(each if each.isprintable() else "?" for each in line) for line in text.split("\n")]
    return f"\n{'':{indent}}".join(lines)


def is_short(value: object) -> bool:
    """Whether a value of the training record fits into a line; JSON has all of them."""
    return isinstance(value, str | int | float) and len(str(value)) < 40


def short(key: str) -> str:
    """The beginning of a key, or whose it is."""
    return "liveswap" if key == RELEASE else f"{key[:8]}..." if key else ""


def _own_key() -> str:
    """The user's public key; empty where there is none yet."""
    with suppress(SettingsError):
        if (config_folder() / FILE).exists():
            return Signer.own().public
    return "none yet"
