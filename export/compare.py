"""All forms of an identity beside each other: PyTorch, fp32, fp16, int8 and TensorRT on the same crops."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from numpy.typing import NDArray
from rich.table import Table
from torch import nn

from export.expression import Drawn, Reader
from export.fallback import to_mixed
from export.forms import Sample
from export.half import halve
from export.layers import worst, worst_from_torch
from export.parity import BATCH, EXACT, FP16, INT8, Agreement, Bounds, Likeness, Running, milliseconds
from export.to_onnx import DecoderGraph, WholeGraph, digest, export_decoder, export_whole
from export.to_tensorrt import device, options
from realtime.errors import LiveswapError, ModelError, NoAcceleration
from realtime.swap.card import ModelCard
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import MODELS, SIZES
from realtime.swap.session import engine_session
from training.model import Decoder, DecoderShape, Encoder, EncoderShape
from training.origin import loaded, read_weights

_CHUNK: Final = 16  # items that PyTorch draws at once


@dataclass(frozen=True, slots=True)
class Subject:
    """An identity in PyTorch, and what is known of it."""

    name: str
    graph: nn.Module  # WholeGraph or DecoderGraph, in eval mode
    file: Path | None = None  # where its weights came from; None: a checkpoint
    precision: str = "fp32"  # of that file
    encoder: Path | None = None  # the file that makes the codes of a decoder; None where it takes crops


@dataclass(frozen=True, slots=True)
class Row:
    """One form beside PyTorch."""

    form: str
    likeness: Likeness | None = None  # None: not measured
    bounds: Bounds | None = None
    note: str = ""  # why it was not measured, or which layer deviates most where it is out of bounds
    megabytes: float | None = None  # of its file, 10^6 bytes each
    milliseconds: float | None = None  # of one face; None: not measured

    @property
    def passed(self) -> bool | None:
        """Whether it is within its bounds; None where it was not measured."""
        return self.likeness.within(self.bounds) if self.likeness and self.bounds else None

    def numbers(self) -> dict[str, Any]:
        """As JSON takes it."""
        measured = asdict(self.likeness) | {"r": dict(self.likeness.r)} if self.likeness else None
        told = {"form": self.form, "passed": self.passed, "note": self.note, "measured": measured}
        return {**told, "megabytes": self.megabytes, "milliseconds": self.milliseconds}


def subject_of(path: Path) -> Subject:
    """The identity in a model file that this project exported, its 8-bit weights multiplied out.

    Raises LiveswapError for one that shows nobody, or whose network PyTorch does not have.
    """
    weights, contract = read_weights(path)
    if contract.role not in ("decoder", "whole"):
        raise ModelError(f"{path} is {contract.title}, wanted a decoder or a whole identity of this project's training")
    decoder = Decoder(_decoder_shape(contract, path))
    loaded(decoder, "decoder.", weights)
    if contract.role == "decoder":
        return Subject(
            contract.identity, DecoderGraph(decoder).eval(), path, contract.precision, encoder_of(contract, path)
        )
    encoder = Encoder(_encoder_shape(contract, path))
    loaded(encoder, "encoder.", weights)
    return Subject(contract.identity, WholeGraph(encoder, decoder).eval(), path, contract.precision)


def taken_by(subject: Subject) -> EncoderShape:
    """What crops its encoder takes. Raises LiveswapError."""
    if isinstance(subject.graph, WholeGraph):
        return subject.graph.encoder.shape
    if subject.encoder is None:
        raise ModelError(f"{subject.name} takes codes, wanted the encoder that makes them")
    return _encoder_shape(read_weights(subject.encoder)[1], subject.encoder)


def encoder_of(contract: Contract, path: Path) -> Path:
    """The encoder file of a decoder: beside it, or the embedded one. Raises ModelError."""
    for place in (path.with_name("encoder.onnx"), *(MODELS / folder / "encoder.onnx" for folder in SIZES.values())):
        if place.is_file() and read_weights(place)[1].encoder == contract.encoder:
            return place
    raise ModelError(f"{path} needs the encoder {contract.encoder[:8]}, wanted it beside the file as encoder.onnx")


def compare(subject: Subject, sample: Sample, threads: int = 2) -> list[Row]:
    """Every form of the subject beside PyTorch, on the crops of sample.checked. Raises LiveswapError.

    int8 is the subject's own file where that is int8, and made anew where the sample has crops to calibrate with. A
    decoder draws from the codes of its encoder's file as it is.
    """
    if subject.encoder is not None:
        running = Running.open(subject.encoder, threads)
        sample = sample.through(lambda crops: running(crops)["code"])
    drawn = Drawn.by(by_torch(subject.graph, sample.checked), Reader.load(threads))
    with _written(subject) as plain:
        forms = _forms(subject, plain, sample, drawn)

        def row(form: str, path: Path, bounds: Bounds, taken: float) -> Row:
            likeness = drawn.likeness(Running.open(path, threads), sample.checked)
            told = Row(form, likeness, bounds, "", path.stat().st_size / 1e6, taken)
            if told.passed:
                return told
            if bounds == EXACT:
                return replace(told, note=worst_from_torch(subject.graph, path, sample.checked))
            return replace(told, note=worst(plain, path, sample.checked))

        times = milliseconds([path for _, path, _ in forms], sample.checked[:1], threads)
        rows = [row(*form, taken) for form, taken in zip(forms, times, strict=True)]
        if not any(one.form.startswith("int8") for one in rows):
            rows.append(Row("int8", note="not measured: it is calibrated on real crops, wanted --data"))
        return [*rows, _on_tensorrt(plain.with_name("half.onnx"), drawn, sample.checked)]


def _forms(subject: Subject, plain: Path, sample: Sample, drawn: Drawn) -> list[tuple[str, Path, Bounds]]:
    """The forms that run on a processor: what each is called, its file, and how near it must be."""
    half, mixed = plain.with_name("half.onnx"), plain.with_name("mixed.onnx")
    halve(plain, half, sample.checked)
    forms = [("fp32", plain, EXACT), ("fp16", half, FP16)]
    if subject.file is not None and subject.precision == "int8":
        forms.append(("int8 as it is", subject.file, INT8))
    if sample.calibration is not None:

        def agreement(path: Path) -> Agreement:
            return drawn(path, sample.checked, INT8)

        kept = to_mixed(plain, mixed, sample.calibration, sample.checked, agreement).kept
        forms.append((f"int8 made anew, {' and '.join(('heads', *kept))} fp32", mixed, INT8))
    return forms


def _on_tensorrt(half: Path, drawn: Drawn, items: NDArray[Any]) -> Row:
    """The fp16 form on TensorRT, where it runs here; its engine lies beside the file."""
    try:
        device()
        contract = Contract.from_metadata(ModelFile.read(half).metadata, half.name)
        told = options(half, contract, half.parent, half.parent, BATCH)
        return Row("TensorRT, fp16", drawn.likeness(Running.of(engine_session(half, told)), items), FP16)
    except NoAcceleration as error:
        return Row("TensorRT", note=f"not measured: {error}")


def by_torch(graph: nn.Module, items: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
    """What the graph in PyTorch draws of items (n, ...): face and mask."""
    parts = []
    with torch.inference_mode():
        for first in range(0, len(items), _CHUNK):
            parts.append(graph(torch.from_numpy(items[first : first + _CHUNK])))
    return {name: torch.cat([part[k] for part in parts]).numpy() for k, name in enumerate(("face", "mask"))}


def check(rows: Mapping[str, Sequence[Row]]) -> None:
    """Raises ModelError where forms are out of their bounds, naming the first and its layer that deviates most."""
    out = [(name, row) for name, forms in rows.items() for row in forms if row.passed is False]
    for name, row in out[:1]:
        words = row.likeness.words if row.likeness else ""
        more = f"; and so are {len(out) - 1} more" if len(out) > 1 else ""
        raise ModelError(f"{name}, {row.form}, is out of bounds ({words}): {row.note}{more}")


def table(name: str, rows: Sequence[Row]) -> Table:
    """The forms of an identity that were measured for a terminal, each in a column of its own."""
    shown = Table(title=f"{name}: other forms against PyTorch, inside the mask")
    measured = [(row, row.likeness) for row in rows if row.likeness is not None]
    shown.add_column("")
    for row, _ in measured:
        shown.add_column(row.form, justify="right")
    shown.add_row("largest difference, of 1", *(f"{told.largest:.2g}" for _, told in measured))
    shown.add_row("mean difference, of 1", *(f"{told.mean:.2g}" for _, told in measured))
    shown.add_row("PSNR, dB", *(f"{told.psnr:.1f}" for _, told in measured))
    shown.add_row("SSIM", *(f"{told.ssim:.4f}" for _, told in measured))
    shown.add_row("mask off by", *(f"{told.mask:.2g}" for _, told in measured))
    shown.add_row("worst square", *(f"{told.tile:.2g}" for _, told in measured))
    shown.add_row("least r", *(_least(told.r) for _, told in measured))
    shown.add_row("one face, ms", *(_number(row.milliseconds) for row, _ in measured))
    shown.add_row("file, MB", *(_number(row.megabytes) for row, _ in measured))
    shown.add_row("", *("" if row.passed else "out of bounds" for row, _ in measured))
    return shown


def notes(rows: Sequence[Row]) -> list[str]:
    """What is to be said of forms below their table: why one was not measured, which layer deviates most in one."""
    return [f"{row.form}: {row.note}" for row in rows if row.note]


def _least(r: Mapping[str, float]) -> str:
    least = min(r, key=lambda one: r[one], default="")
    return f"{r[least]:.4f} ({least})" if least else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


@contextmanager
def _written(subject: Subject) -> Iterator[Path]:
    """The subject as an fp32 file, which is there until the block ends."""
    card = ModelCard(name=subject.name, kind="rendered")  # the file leaves this block in no form
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fp32.onnx"
        if isinstance(subject.graph, WholeGraph):
            export_whole(subject.graph.encoder, subject.graph.decoder, path, card, "none", {})
        elif isinstance(subject.graph, DecoderGraph):
            export_decoder(subject.graph.decoder, path, card, digest(subject.graph), "none", {})
        yield path


def _encoder_shape(contract: Contract, path: Path) -> EncoderShape:
    try:
        return EncoderShape.read({"mouth": 0, **contract.training["encoder"]})
    except (KeyError, TypeError) as error:
        raise LiveswapError(f"{path} does not say what shape its encoder has: {error!r}") from error


def _decoder_shape(contract: Contract, path: Path) -> DecoderShape:
    try:
        return DecoderShape.read(contract.training["decoder"])
    except (KeyError, TypeError) as error:
        raise LiveswapError(f"{path} does not say what shape its decoder has: {error!r}") from error
