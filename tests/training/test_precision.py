"""bfloat16 is used where it says what float32 says, and is asked for or faster; a resume keeps what was decided."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from realtime.errors import SettingsError
from tests.training.facesets import write_faceset
from tests.training.test_own import FEW, TINY
from training import precision
from training.batches import PairBatch
from training.checkpoint import SWAP, load
from training.faceset import Faceset
from training.landmarks import Batch as Crop
from training.landmarks import LandmarkStep
from training.loop import Plan
from training.model import LandmarkNet, LandmarkShape, SwapNet
from training.own import train_own
from training.precision import Compared, compared, decided
from training.presets import Start
from training.step import Drawn, Step, Weights
from training.swap import SwapSettings
from training.warped import Warped

ALIKE = Compared(0.001, 0.999, fp32=2.0, bf16=1.0)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("people")
    return str(write_faceset(folder / "aster", "aster")), str(write_faceset(folder / "cedar", "cedar", seed=1))


@pytest.fixture(scope="module")
def batch(people: tuple[str, str]) -> PairBatch:
    return Warped([Faceset.open(place) for place in people], *TINY, 8, 0)(0)


def step_of(net: SwapNet | None = None) -> Step:
    torch.manual_seed(0)
    return Step(net or SwapNet(*TINY, ["aster", "cedar"]), ("aster", "cedar"), Weights())


def test_both_precisions_are_compared_and_nothing_is_changed(batch: PairBatch) -> None:
    step = step_of()
    before = {name: value.clone() for name, value in step.state_dict().items()}
    random = torch.get_rng_state()
    found = compared(step, batch)
    assert found.trusted
    assert 0 < found.loss < 0.02  # and they did differ
    assert 0.95 < found.direction < 1
    assert found.fp32 > 0 < found.bf16
    assert step.precision == "bf16"
    assert all(torch.equal(value, before[name]) for name, value in step.state_dict().items())
    assert all(parameter.grad is None for parameter in step.parameters())
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(("lost", "turned"), [(1.05, False), (1.0, True), (float("nan"), False)])
def test_a_bf16_that_says_something_else_is_not_used(
    lost: float, turned: bool, batch: PairBatch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its loss differs, or its gradient points elsewhere, or it is no number."""
    real = Step.forward

    def forward(step: Step, batch: PairBatch) -> tuple[dict[str, Tensor], Drawn]:
        losses, drawn = real(step, batch)
        if step.precision == "bf16":
            losses = {name: value * lost for name, value in losses.items()}
            if turned:
                losses = {name: 2 * value.detach() - value for name, value in losses.items()}
        return losses, drawn

    monkeypatch.setattr(Step, "forward", forward)
    assert decided("bf16", step_of(), batch) == "fp32"
    assert "trains in fp32: in bf16 the first loss differs" in caplog.text


@pytest.mark.parametrize(
    ("wanted", "found", "chosen"),
    [
        ("auto", ALIKE, "bf16"),
        ("auto", replace(ALIKE, bf16=2.5), "fp32"),
        ("bf16", replace(ALIKE, bf16=2.5), "bf16"),
        ("auto", replace(ALIKE, loss=0.03), "fp32"),
        ("auto", replace(ALIKE, direction=0.9), "fp32"),
        ("fp32", None, "fp32"),
    ],
)
def test_the_faster_one_is_chosen_and_a_wish_is_heard(
    wanted: str, found: Compared | None, chosen: str, batch: PairBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "compared", lambda *_: found)
    assert decided(wanted, step_of(), batch) == chosen


def test_a_training_keeps_its_precision_when_it_goes_on(
    people: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(precision, "compared", lambda *_: replace(ALIKE, bf16=9.0))
    auto, start = replace(FEW, precision="auto"), Start(None, *TINY)
    train_own(people, tmp_path, Plan(steps=1), start, settings=auto)
    assert load(tmp_path / "swap.pt", SWAP)["record"]["precision"] == "fp32"
    assert "trains in fp32: 2.00 s a step in fp32, 9.00 in bf16" in caplog.text
    seen = []
    real = Step.forward

    def forward(step: Step, batch: PairBatch) -> tuple[dict[str, Tensor], Drawn]:
        seen.append(step.precision)
        return real(step, batch)

    monkeypatch.setattr(Step, "forward", forward)
    train_own(people, tmp_path, Plan(steps=2), start, True, replace(FEW, precision="bf16"))
    assert seen == ["fp32"]
    assert "the training goes on in fp32 as it began, not in bf16" in caplog.text


def test_batch_normalisation_is_as_it_was() -> None:
    torch.manual_seed(0)
    step = LandmarkStep(LandmarkNet(LandmarkShape(size=64)))
    rng = np.random.default_rng(0)
    picture, points = rng.integers(0, 255, (4, 64, 64, 3), np.uint8), rng.random((4, 70, 2), np.float32)
    crops = Crop(picture, points, rng.random((4, 10), np.float32), np.ones(4, np.float32))
    before = {name: value.clone() for name, value in step.state_dict().items()}
    assert any("running_mean" in name for name in before)
    assert compared(step, crops).fp32 > 0
    assert all(torch.equal(value, before[name]) for name, value in step.state_dict().items())


def test_unknown_precisions_are_named() -> None:
    with pytest.raises(SettingsError, match="the precision 'fp8' is unknown, wanted one of auto, fp32, bf16"):
        SwapSettings(precision="fp8")
    with pytest.raises(SettingsError, match="the precision 'auto' is unknown, wanted one of fp32, bf16"):
        Step(SwapNet(*TINY, ["aster"]), ("aster",), Weights(), precision="auto")
