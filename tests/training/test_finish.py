"""The last stage sharpens decoders alone, loses nothing, and takes the place of what was only within bounds."""

import logging
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from realtime.errors import LiveswapError
from tests.training.facesets import write_faceset
from tests.training.test_command import run as command
from tests.training.test_own import tiny
from training import __main__ as cli
from training import finish as stage
from training.checkpoint import SWAP, load, load_swap
from training.finish import FINISH, FinishSettings, Judge, detail, finish, shown_to_judge, within_bounds
from training.loop import Plan
from training.processes import Processes
from training.step import Drawn

FEW = FinishSettings(log_steps=1, test_steps=100, save_seconds=1000)
BEFORE = {"ann_psnr": 24.0, "ann_ssim": 0.85, "ann_sharp": 0.5}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[str, str], Path]:
    """Two people, and a training of a few steps."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("finished")
    people = str(write_faceset(folder / "aster", "aster")), str(write_faceset(folder / "cedar", "cedar", seed=1))
    tiny(people, folder / "run", 2)
    return people, folder / "run"


@pytest.fixture
def run(trained: tuple[tuple[str, str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained[1], tmp_path / "run"))


def test_decoders_alone_learn_and_stay_apart_where_faces_become_worse(
    trained: tuple[tuple[str, str], Path], run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = (run / "swap.pt").read_bytes()
    monkeypatch.setattr(stage, "within_bounds", lambda *_: False)
    assert not finish(trained[0], run, Plan(steps=3), FEW)
    assert (run / "swap.pt").read_bytes() == before
    assert "it stays in finish.pt alone" in caplog.text
    content, old = load(run / FINISH, SWAP), load(run / "swap.pt", SWAP)
    assert content["record"]["steps"] == 3
    assert {"please", "match", "l1"} <= set(content["record"]["smoothed"])
    for name, value in content["average"].items():
        if not name.startswith("decoders."):
            assert torch.equal(value, old["average"][name]), name
    assert any(not torch.equal(value, old["average"][name]) for name, value in content["average"].items())
    assert (run / "finish" / "preview.jpg").is_file()


def test_what_is_within_bounds_becomes_the_training_and_can_be_trained_on(
    trained: tuple[tuple[str, str], Path], run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stage, "within_bounds", lambda *_: True)
    assert finish(trained[0], run, Plan(steps=2), FEW)
    content, done = load(run / "swap.pt", SWAP), load(run / FINISH, SWAP)
    assert all(torch.equal(value, done["average"][name]) for name, value in content["average"].items())
    assert content["record"]["finish"]["steps"] == 2
    assert set(content["record"]["finish"]["before"]) == set(content["record"]["test"])
    load_swap(run / FINISH)  # a checkpoint like any
    caplog.set_level(logging.INFO)
    assert finish(trained[0], run, Plan(steps=2), FEW)
    assert "is finished already" in caplog.text
    tiny(trained[0], run, 3, resume=True)
    assert load(run / "swap.pt", SWAP)["record"]["steps"] == 3


def test_a_stage_that_goes_on_is_the_same_bit_for_bit(
    trained: tuple[tuple[str, str], Path], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "within_bounds", lambda *_: False)
    other = Path(shutil.copytree(run, tmp_path / "other"))
    finish(trained[0], run, Plan(steps=4), FEW)
    calls = iter(range(100))
    assert not finish(trained[0], other, Plan(steps=4), FEW, ended=lambda: next(calls) >= 2)
    assert load(other / FINISH, SWAP)["record"]["steps"] == 2
    finish(trained[0], other, Plan(steps=4), FEW)
    one, two = (load(place / FINISH, SWAP) for place in (run, other))
    for part in ("net", "average", "judge"):
        assert all(torch.equal(value, two[part][name]) for name, value in one[part].items()), part


def test_other_facesets_are_refused(trained: tuple[tuple[str, str], Path], run: Path, tmp_path: Path) -> None:
    again = str(write_faceset(tmp_path / "again", "cedar", seed=9))
    with pytest.raises(LiveswapError, match="learned from other facesets than these"):
        finish((trained[0][0], again), run, Plan(steps=1), FEW)


def test_a_judge_learns_what_is_drawn() -> None:
    torch.manual_seed(0)
    judge, true = Judge((4, 8)), torch.rand(4, 3, 32, 32)
    assert judge(true)[0].shape == (4, 1, 8, 8)
    optimiser = torch.optim.Adam(judge.parameters(), 0.02)
    flat = true.mean((2, 3), keepdim=True).expand_as(true)
    for _ in range(30):
        verdict, its = judge(true)[0], judge(flat)[0]
        optimiser.zero_grad()
        (torch.relu(1 - verdict).mean() + torch.relu(1 + its).mean()).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        assert float(judge(true)[0].mean()) > float(judge(flat)[0].mean()) + 0.2
    mask = torch.zeros(4, 1, 32, 32)
    shown, _ = shown_to_judge(Drawn(true, true, mask))
    assert bool((shown == 0.5).all())  # nothing outside the mask is judged


def test_detail_tells_sharp_from_blurred() -> None:
    torch.manual_seed(0)
    sharp, inside = torch.rand(2, 3, 32, 32), torch.ones(2, 1, 32, 32)
    blurred = torch.nn.functional.avg_pool2d(sharp, 3, 1, 1)
    assert float(detail(blurred, inside)) < 0.5 * float(detail(sharp, inside))


@pytest.mark.parametrize(
    ("change", "fine"),
    [
        ({"ann_sharp": 0.7}, True),
        ({"ann_sharp": 0.7, "ann_ssim": 0.845, "ann_psnr": 23.6}, True),
        ({"ann_sharp": 0.7, "ann_ssim": 0.83}, False),
        ({"ann_sharp": 0.7, "ann_psnr": 23.4}, False),
        ({"ann_sharp": 0.5}, False),
        ({"ann_sharp": 0.7, "ann_ssim": float("nan")}, False),
    ],
)
def test_bounds(change: dict[str, float], fine: bool) -> None:
    assert within_bounds(BEFORE, BEFORE | change) is fine


def test_many_processes_do_not_finish(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(cli, "gathered", lambda device: nullcontext((Processes(0, 2), device)))
    assert command(monkeypatch, "train", "a", "b", "--out", str(tmp_path), "--steps", "1", "--finish-gan", "1") == 2
    assert "--finish-gan runs in one process" in capsys.readouterr().err
