"""Layers give way to fp32 where int8 loses most, and no more of them than it takes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from export.fallback import FELT, Mixed, _felt, to_mixed
from export.layers import exposed
from export.parity import INT8, Agreement, Running, likeness
from export.quantize import KEPT
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from tests.export.small import LAYERS, changed, codes, write_small


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("decoder") / "aster.onnx")


def content_from(count: int) -> Callable[[Path], Agreement]:
    """A judge who is content from the count-th file on."""
    seen: list[Path] = []

    def judge(path: Path) -> Agreement:
        seen.append(path)
        return Agreement(len(seen) >= count, f"{len(seen)} seen")

    return judge


def mixed(source: Path, target: Path, judge: Callable[[Path], Agreement]) -> Mixed:
    return to_mixed(source, target, codes()[:16], codes()[16:], judge)


def in_int8(path: Path) -> set[str]:
    names = {entry.name for entry in onnx.load(path).graph.initializer}
    return {name.removesuffix(".weight_quantized") for name in names if name.endswith(".weight_quantized")}


def said_by(path: Path) -> Contract:
    return Contract.from_metadata(ModelFile.read(path).metadata)


def test_where_int8_is_near_enough_only_the_heads_stay(decoder: Path, tmp_path: Path) -> None:
    found = mixed(decoder, tmp_path / "mixed.onnx", content_from(1))
    assert (found.agreement.passed, found.kept, found.losses) == (True, (), {})
    assert in_int8(tmp_path / "mixed.onnx") == set(LAYERS[:-1])
    said = said_by(tmp_path / "mixed.onnx")
    assert (said.precision, said.training) == ("int8", {"steps": 34, KEPT: [LAYERS[-1]]})


def test_layers_give_way_in_the_order_of_what_they_lose(decoder: Path, tmp_path: Path) -> None:
    found = mixed(decoder, tmp_path / "mixed.onnx", content_from(3))
    assert found.agreement.passed
    assert list(found.kept) == sorted(found.losses, key=lambda name: -found.losses[name])[:2]
    assert all(loss > 0 for loss in found.losses.values())
    assert in_int8(tmp_path / "mixed.onnx") == set(LAYERS[:-1]) - set(found.kept)
    assert set(said_by(tmp_path / "mixed.onnx").training[KEPT]) == {LAYERS[-1], *found.kept}


def test_the_layer_that_was_spoilt_gives_way_first(decoder: Path, tmp_path: Path) -> None:
    def spoil(weight: Any) -> Any:
        weight[:, 0] *= 1e-4  # what it reads there counts for nothing, so its other numbers have few steps
        weight[:, 0, 0, 0] = 3
        return weight

    spoilt = changed(decoder, tmp_path / "spoilt.onnx", "decoder.layers.2.first", spoil)
    found = mixed(spoilt, tmp_path / "mixed.onnx", content_from(2))
    assert found.kept == ("decoder.layers.2.first",)


def test_where_nothing_is_near_enough_that_is_said(decoder: Path, tmp_path: Path) -> None:
    found = mixed(decoder, tmp_path / "mixed.onnx", content_from(1000))
    assert not found.agreement.passed
    assert set(found.kept) == set(LAYERS[:-1])


def test_a_file_in_int8_still_draws(decoder: Path, tmp_path: Path) -> None:
    wanted = Running.open(decoder)(codes())

    def judge(path: Path) -> Agreement:
        drawn = Running.open(path)(codes())
        return likeness(drawn["face"], drawn["mask"], wanted["face"], wanted["mask"]).against(INT8)

    found = mixed(decoder, tmp_path / "mixed.onnx", judge)
    assert found.agreement.passed
    assert np.isfinite(Running.open(tmp_path / "mixed.onnx")(codes())["face"]).all()


def test_what_a_relu_cuts_away_takes_no_levels(decoder: Path) -> None:
    model = onnx.load(decoder)
    ((name, (low, high)),) = _felt(model, codes()).items()
    assert name == "around_conv"
    answers = Running.open(exposed(model, [name, "sum"]))(codes())
    kept = answers[name][answers["sum"] > 0]
    assert kept.min() <= low < 0 < high <= kept.max()
    assert (low, high) == pytest.approx(tuple(np.percentile(kept, FELT)), rel=0.05)
    assert high - low < 0.8 * np.ptp(answers[name])
