"""Which forms of a model are made, and which one is kept."""

from dataclasses import replace
from pathlib import Path

import pytest

from export.checkpoints import Asked
from export.forms import Form, Judge, Sample, check_precision, chosen, table
from export.parity import FP16, INT8, Agreement, Bounds
from realtime.errors import ModelError, SettingsError
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from tests.export.small import LAYERS, codes, write_small

SAMPLE = Sample(codes()[:16], codes()[16:])
ALONE = Sample(None, codes()[16:])


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    return write_small(tmp_path / "aster.fp32.onnx")


def judge_of(words: str = "", passed: bool = True) -> Judge:
    def judge(path: Path, bounds: Bounds) -> Agreement:
        assert bounds == (FP16 if path.name.endswith("fp16.onnx") else INT8)
        return Agreement(passed, words)

    return judge


def made(decoder: Path, precision: str, sample: Sample = SAMPLE, judge: Judge | None = None) -> list[Form]:
    return chosen("aster", decoder, 1e-6, sample, judge or judge_of(), 1, precision)


def kept(forms: list[Form]) -> Form:
    (form,) = [form for form in forms if form.kept]
    return form


def precision_in(path: Path) -> str:
    return Contract.from_metadata(ModelFile.read(path).metadata).precision


@pytest.mark.parametrize(
    ("precision", "sample", "names"),
    [
        ("fp32", SAMPLE, ["fp32"]),
        ("fp16", SAMPLE, ["fp32", "fp16"]),
        ("fp16", ALONE, ["fp32", "fp16"]),
        ("int8", SAMPLE, ["fp32", "int8, heads fp32", "int8"]),
        ("auto", SAMPLE, ["fp32", "int8, heads fp32", "int8"]),
        ("auto", ALONE, ["fp32"]),
    ],
)
def test_what_is_made(decoder: Path, precision: str, sample: Sample, names: list[str]) -> None:
    forms = made(decoder, precision, sample)
    assert [form.precision for form in forms] == names
    assert all(precision_in(form.path) == form.precision[:4] for form in forms)
    if precision != "auto":
        assert kept(forms).precision.startswith(precision)


def test_int8_without_crops_is_refused(decoder: Path) -> None:
    with pytest.raises(SettingsError, match="aster in int8 is calibrated on real crops, wanted --data"):
        made(decoder, "int8", ALONE)


def test_what_is_asked_of_expressions_is_asked_of_int8_alone(tmp_path: Path) -> None:
    usual, less = Asked(None, tmp_path, "Apache-2.0", 1), Asked(None, tmp_path, "Apache-2.0", 1, least_r=0.95)
    assert usual.near(INT8) == INT8
    assert less.near(INT8) == replace(INT8, r=0.95)
    assert less.near(FP16) == FP16


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(SettingsError, match="'fp8' is unknown, wanted one of auto, fp32, fp16, int8"):
        check_precision("fp8")


def test_fp16_out_of_bounds_names_the_layer_that_deviates_most(decoder: Path) -> None:
    with pytest.raises(
        ModelError, match=r"aster in fp16 is out of bounds \(SSIM 0\.5\): decoder\.\S+ deviates most, by"
    ):
        made(decoder, "fp16", judge=judge_of("SSIM 0.5", passed=False))


def test_int8_out_of_bounds_names_the_layer_that_loses_most(decoder: Path) -> None:
    with pytest.raises(ModelError, match=r"in int8 is out of bounds \(SSIM 0\.5\) even .* decoder\.\S+ deviates most"):
        made(decoder, "int8", judge=judge_of("SSIM 0.5", passed=False))


def test_auto_stays_with_fp32_where_int8_is_out_of_bounds(decoder: Path) -> None:
    forms = made(decoder, "auto", judge=judge_of("SSIM 0.5", passed=False))
    assert kept(forms).precision == "fp32"
    assert len(forms) == 3


def test_layers_that_gave_way_are_counted_and_named(decoder: Path) -> None:
    seen: list[Path] = []

    def judge(path: Path, bounds: Bounds) -> Agreement:
        seen.append(path)
        return Agreement(len(seen) == 3, f"{len(seen)} seen")

    forms = made(decoder, "int8", judge=judge)
    assert kept(forms).precision == "int8, heads and 2 layers fp32"
    assert len(kept(forms).exact) == 2
    assert set(kept(forms).exact) < set(LAYERS)
    assert [form.kept for form in forms] == [False, True, False]
    assert table(forms).row_count == 3
