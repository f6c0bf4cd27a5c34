"""What checkpoints become: the forms of their networks, one of each kept, and identities to compare."""

import datetime
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from numpy.typing import NDArray
from torch import Tensor

from export.cards import cards_of
from export.compare import Subject
from export.crops import faceset_crops, has_split, is_faceset, read_crops, stored_crops
from export.expression import Drawn, Reader
from export.forms import Form, Sample, chosen
from export.parity import INT8, Agreement, Bounds, Running, reading_agreement, torch_parity
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
from realtime.swap.contract import Contract, expect
from realtime.swap.identity import MODELS, SIZES
from training.checkpoint import load_landmarks, load_swap
from training.consent import check_dates
from training.directions import SOURCES, read_sources
from training.model import Decoder, Encoder, EncoderShape
from training.origin import read_weights
from training.swap import FILE as SWAP_FILE

CALIBRATION: Final = 200  # crops that the calibration sees
CHECKED: Final = 100  # other crops, on which the forms are compared

Cards = Callable[[Collection[str], Mapping[str, Any]], dict[str, ModelCard]]  # by the names and record of a checkpoint


@dataclass(frozen=True, slots=True)
class Asked:
    """How networks are exported."""

    data: Path | None  # crops to calibrate int8 with and to compare on; None: those that are stored, and no int8
    work: Path  # a folder for the files of all forms
    licence: str  # of the weights
    threads: int  # for the timing
    cards: Cards = cards_of
    precision: str = "auto"
    least_r: float = INT8.r  # how far int8 must follow each expression of fp32, a correlation

    def near(self, bounds: Bounds) -> Bounds:
        """The bounds of a form; those of int8 with the correlation that is asked for."""
        return replace(bounds, r=self.least_r) if bounds == INT8 else bounds


def landmark_forms(checkpoint: Path, asked: Asked) -> list[Form]:
    """The landmark network's forms, one of them kept. Raises LiveswapError."""
    net, record = load_landmarks(checkpoint)
    path = asked.work / "landmarks.fp32.onnx"
    contract = export_landmarks(net, path, asked.licence, record)
    sample = crop_sample(asked.data, contract)
    difference = torch_parity(LandmarkGraph(net), path, sample.checked)
    reference = Running.open(path)(sample.checked)

    def judge(candidate: Path, bounds: Bounds) -> Agreement:
        return reading_agreement(Running.open(candidate)(sample.checked), reference, contract.size)

    return chosen("landmarks", path, difference, sample, judge, asked.threads, asked.precision)


def swap_forms(checkpoint: Path, asked: Asked) -> list[Form]:
    """The forms of the encoder and of each decoder, one of each kept. Raises LiveswapError.

    Each form is judged by the decoded pictures, and decoders with the codes of the encoder that was kept, so that the
    bounds hold for the whole way from crop to picture.
    """
    encoder, decoders, record = load_swap(checkpoint)
    chosen_cards = asked.cards(tuple(decoders), record)
    path = asked.work / "encoder.fp32.onnx"
    contract = export_encoder(encoder, path, asked.licence, record)
    paths = {name: asked.work / f"{name}.fp32.onnx" for name in decoders}
    for name, decoder in decoders.items():
        export_decoder(decoder, paths[name], chosen_cards[name], contract.encoder, asked.licence, record)
    sample = crop_sample(asked.data, contract)
    difference = torch_parity(EncoderGraph(encoder), path, sample.checked)
    codes = Running.open(path)(sample.checked)["code"]
    differences = {name: torch_parity(DecoderGraph(decoder), paths[name], codes) for name, decoder in decoders.items()}
    reader = Reader.load(asked.threads)
    judges = {name: Drawn.by(Running.open(paths[name])(codes), reader) for name in decoders}

    def through_encoder(candidate: Path, bounds: Bounds) -> Agreement:
        seen = Running.open(candidate)(sample.checked)["code"]
        said = {name: judges[name](paths[name], seen, asked.near(bounds)) for name in decoders}
        return next((a for a in said.values() if not a.passed), next(iter(said.values())))

    forms = chosen("encoder", path, difference, sample, through_encoder, asked.threads, asked.precision)
    kept = Running.open(next(form.path for form in forms if form.kept))
    coded = sample.through(lambda crops: kept(crops)["code"])
    for name in decoders:
        judge = partial(_judged, judges[name], coded.checked, asked)
        forms += chosen(name, paths[name], differences[name], coded, judge, asked.threads, asked.precision)
    return forms


def decoder_forms(swap: Path, encoder: Path, asked: Asked) -> list[Form]:
    """The forms of the decoders that learned alone, for the encoder file that they learned against.

    They are judged with the codes of that very file. Raises LiveswapError.
    """
    net, decoders, record = load_swap(swap)
    weights, contract = read_weights(encoder)
    expect(contract, "encoder")
    check_same(net, weights, swap, encoder)
    forms: list[Form] = []
    names = record.get("only") or tuple(decoders)
    chosen_cards = asked.cards(names, record)
    sample = crop_sample(asked.data, contract)
    for name in names:
        path = asked.work / f"{name}.fp32.onnx"
        export_decoder(decoders[name], path, chosen_cards[name], contract.encoder, asked.licence, record)
        forms += forms_of_decoder(name, path, decoders[name], encoder, sample, asked)
    return forms


def own_forms(checkpoint: Path, identity: str | None, asked: Asked) -> list[Form]:
    """The forms of one identity of a run on footage, one of them kept. Raises LiveswapError.

    One that learned against an embedded encoder needs that one, others bring their encoder along in the same file.
    Without data they are measured on the facesets that the run learned from.
    """
    encoder, decoders, record = load_swap(checkpoint)
    identity = _named(record, identity, checkpoint)
    card = asked.cards((identity,), record)[identity]
    check_dates(card, f"the consent in {checkpoint}", datetime.date.today())
    path, said = asked.work / f"{identity}.fp32.onnx", own_record(record, identity)
    sample = _own_sample(asked, checkpoint.parent, encoder.shape)
    if record["only"]:
        weights, contract = embedded_encoder(encoder)
        export_decoder(decoders[identity], path, card, contract.encoder, asked.licence, said)
        return forms_of_decoder(identity, path, decoders[identity], weights, sample, asked)
    export_whole(encoder, decoders[identity], path, card, asked.licence, said)
    difference = torch_parity(WholeGraph(encoder, decoders[identity]), path, sample.checked)
    drawn = Drawn.by(Running.open(path)(sample.checked), Reader.load(asked.threads))
    return chosen(
        identity,
        path,
        difference,
        sample,
        partial(_judged, drawn, sample.checked, asked),
        asked.threads,
        asked.precision,
    )


def forms_of_decoder(
    name: str, path: Path, decoder: Decoder, encoder: Path, sample: Sample, asked: Asked
) -> list[Form]:
    """The forms of a decoder that was written to path, judged with the codes of the encoder file that it needs."""
    running = Running.open(encoder)
    coded = sample.through(lambda crops: running(crops)["code"])
    difference = torch_parity(DecoderGraph(decoder), path, coded.checked)
    drawn = Drawn.by(Running.open(path)(coded.checked), Reader.load(asked.threads))
    judge = partial(_judged, drawn, coded.checked, asked)
    return chosen(name, path, difference, coded, judge, asked.threads, asked.precision)


def _judged(drawn: Drawn, items: NDArray[Any], asked: Asked, candidate: Path, bounds: Bounds) -> Agreement:
    return drawn(candidate, items, asked.near(bounds))


def embedded_encoder(net: Encoder) -> tuple[Path, Contract]:
    """The embedded encoder that net is, and its contract. Raises LiveswapError where it is none of them."""
    for folder in SIZES.values():
        path = MODELS / folder / "encoder.onnx"
        weights, contract = read_weights(path)
        if contract.size == net.shape.size:
            check_same(net, weights, Path(SWAP_FILE), path)
            return path, contract
    raise SettingsError(f"there is no embedded encoder of {net.shape.size} px")


def subject_of_run(run: Path, identity: str | None) -> Subject:
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


def crop_sample(data: Path | None, shape: Contract | EncoderShape) -> Sample:
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


def _own_sample(asked: Asked, run: Path, shape: EncoderShape) -> Sample:
    """Crops of data, or else of the facesets that the run learned from; "auto" does without where these are gone."""
    if asked.data is None and (asked.precision == "int8" or (run / SOURCES).is_file()):
        try:
            return Sample(*faceset_crops(read_sources(run), shape.size, shape.coverage, CALIBRATION, CHECKED))
        except LiveswapError as error:
            if asked.precision == "int8":
                raise SettingsError(f"int8 is calibrated on faces: {error}; or --data names a faceset") from error
            print(f"without int8, since {error}; --data names a faceset", file=sys.stderr)
    return crop_sample(asked.data, shape)
