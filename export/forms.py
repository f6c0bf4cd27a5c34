"""The forms of one model (fp32, fp16, int8), each measured against fp32, and which one of them is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray
from rich.table import Table

from export.fallback import Mixed, to_mixed
from export.half import halve
from export.layers import worst
from export.parity import FP16, INT8, Agreement, Bounds, milliseconds
from export.quantize import RECIPES, quantize
from realtime.errors import ModelError, SettingsError

PRECISIONS: Final = ("auto", "fp32", "fp16", "int8")
NEARLY: Final = 0.9  # a form that is less than a tenth faster is not worth its inexactness
LARGER: Final = 2.0  # times as large as another int8 form within the same bounds: too large for what it gains

Judge = Callable[[Path, Bounds], Agreement]  # of a form's file with fp32


@dataclass(frozen=True, slots=True)
class Form:
    """One form of one model, measured."""

    model: str
    precision: str  # in words: fp32, fp16, int8 and what of it stayed fp32
    path: Path
    milliseconds: float
    agreement: Agreement
    kept: bool = False
    exact: tuple[str, ...] = ()  # layers that stayed fp32 because int8 lost too much in them, the worst first

    @property
    def megabytes(self) -> float:
        """The file's size, MB of 10^6 bytes."""
        return self.path.stat().st_size / 1e6


@dataclass(frozen=True, slots=True)
class Sample:
    """Inputs of one model: to calibrate int8 with, and others to compare on."""

    calibration: NDArray[Any] | None  # None: there are none, and so no int8
    checked: NDArray[Any]

    def through(self, encode: Callable[[NDArray[Any]], NDArray[Any]]) -> "Sample":
        """What an encoder makes of them."""
        return Sample(None if self.calibration is None else encode(self.calibration), encode(self.checked))


@dataclass(frozen=True, slots=True)
class _Tried:
    precision: str
    path: Path
    agreement: Agreement
    exact: tuple[str, ...] = ()


def check_precision(precision: str) -> None:
    """Raises SettingsError for one that there is not."""
    if precision not in PRECISIONS:
        raise SettingsError(f"the precision {precision!r} is unknown, wanted one of {', '.join(PRECISIONS)}")


def chosen(
    model: str, path: Path, difference: float, sample: Sample, judge: Judge, threads: int, precision: str
) -> list[Form]:
    """The fp32 form at path, those beside it that precision asks for, and one of them kept (see choice).

    difference is what torch_parity said of fp32. "auto" takes int8 where there is something to calibrate on and it is
    worth it, and never fp16, whose speed a CPU does not show. Raises ModelError where what was asked for stays out of
    bounds, naming the layer that deviates most.
    """
    found = [_Tried("fp32", path, Agreement(True, f"(from torch {difference:.1e})"))]
    if precision == "fp16":
        found.append(_half(model, path, sample, judge))
    elif precision == "int8" or (precision == "auto" and sample.calibration is not None):
        found += _int8(model, path, sample, judge, precision)
    times = milliseconds([one.path for one in found], sample.checked[:1], threads)
    asked = [precision == "auto" or one.precision.startswith(precision) for one in found]
    passed = [one.agreement.passed and fits for one, fits in zip(found, asked, strict=True)]
    best = choice(times, handy([one.path.stat().st_size for one in found], passed))
    return [
        Form(model, one.precision, one.path, taken, one.agreement, place == best, one.exact)
        for place, (one, taken) in enumerate(zip(found, times, strict=True))
    ]


def handy(sizes: Sequence[int], passed: Sequence[bool]) -> list[bool]:
    """Which of the forms that passed are not too large; the first is fp32, whose size is what it is."""
    light = min((size for size, fine in zip(sizes[1:], passed[1:], strict=True) if fine), default=0)
    return [passed[0], *(f and size <= LARGER * light for size, f in zip(sizes[1:], passed[1:], strict=True))]


def choice(times: Sequence[float], passed: Sequence[bool]) -> int:
    """Which form to keep, of forms that come in the order of their exactness, fp32 first, each with its time.

    The fastest of those that passed; a more exact one where it is nearly as fast, or chance would decide.
    """
    passing = [place for place, fine in enumerate(passed) if fine]
    fastest = min(times[place] for place in passing)
    return next(place for place in passing if times[place] <= fastest / NEARLY)


def table(forms: Sequence[Form]) -> Table:
    """All forms for a terminal; the kept ones are marked."""
    shown = Table(title="exported models, the kept forms marked")
    for heading in ("model", "form", "ms", "MB", "against fp32", "kept"):
        shown.add_column(heading, justify="right" if heading in ("ms", "MB") else "left")
    for form in forms:
        kept = "yes" if form.kept else "" if form.agreement.passed else "out of bounds"
        shown.add_row(
            form.model, form.precision, f"{form.milliseconds:.2f}", f"{form.megabytes:.2f}", form.agreement.words, kept
        )
    return shown


def _half(model: str, path: Path, sample: Sample, judge: Judge) -> _Tried:
    target = path.with_name(f"{model}.fp16.onnx")
    halve(path, target, sample.checked)
    agreement = judge(target, FP16)
    if not agreement.passed:
        raise ModelError(f"{model} in fp16 is out of bounds ({agreement.words}): {worst(path, target, sample.checked)}")
    return _Tried("fp16", target, agreement)


def _int8(model: str, path: Path, sample: Sample, judge: Judge, precision: str) -> list[_Tried]:
    if sample.calibration is None:
        raise SettingsError(f"{model} in int8 is calibrated on real crops, wanted --data with a faceset or a dataset")

    def agreement(candidate: Path) -> Agreement:
        return judge(candidate, INT8)

    mixed, full = path.with_name(f"{model}.mixed.onnx"), path.with_name(f"{model}.int8.onnx")
    reached = to_mixed(path, mixed, sample.calibration, sample.checked, agreement)
    quantize(path, full, sample.calibration, RECIPES[-1])
    found = [_Tried(_words(reached), mixed, reached.agreement, reached.kept), _Tried("int8", full, agreement(full))]
    if precision == "int8" and not any(one.agreement.passed for one in found):
        layer = reached.kept[0]
        raise ModelError(
            f"{model} in int8 is out of bounds ({reached.agreement.words}) even with all layers but one in fp32: "
            f"{layer} deviates most, by {100 * reached.losses[layer]:.2g} % when it alone is in int8"
        )
    return found


def _words(reached: Mixed) -> str:
    more, last = len(reached.kept), "heads" if reached.heads else "sigmoid"
    return f"int8, {last} fp32" if not more else f"int8, {last} and {more} layer{'s' * (more > 1)} fp32"
