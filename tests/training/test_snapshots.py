"""Snapshots of a training are taken by the processor's clock, and tell how good it was after how long."""

import logging
from pathlib import Path

import pytest
import torch

from tests.training.test_own import TINY, one_thread, people, tiny  # noqa: F401  two are fixtures
from tests.training.test_watching import moment
from training.checkpoint import SWAP, load, load_swap_net
from training.snapshots import SNAPSHOTS, Snapshots, core_minutes, snapshots_in


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def taken(out: Path, clock: Clock) -> Snapshots:
    return Snapshots(out, 2.0, lambda: {"record": {"steps": -1}, "average": {"w": torch.zeros(1)}}, clock)


def times(run: Path) -> list[float]:
    return [core_minutes(load(path, SWAP)["record"]) for path in snapshots_in(run)]


def test_they_are_taken_at_the_start_in_between_and_at_the_end(tmp_path: Path) -> None:
    clock = Clock()
    snapshots = taken(tmp_path, clock)
    snapshots.step(moment(0, first=True))
    for step in range(1, 8):
        clock.seconds += 50
        snapshots.step(moment(step))
    snapshots.step(moment(7, last=True))
    assert [path.stem for path in snapshots_in(tmp_path)] == [f"step-{step:08d}" for step in (0, 3, 6, 7)]
    assert times(tmp_path) == pytest.approx([0, 2.5, 5.0, 350 / 60], abs=1e-3)


def test_a_training_that_goes_on_counts_on_and_drops_what_it_lost(tmp_path: Path) -> None:
    clock = Clock()
    before = taken(tmp_path, clock)
    before.step(moment(0, first=True))
    for step in (5, 9):
        clock.seconds += 120
        before.step(moment(step))
    after = taken(tmp_path, clock)
    after.step(moment(7, first=True))
    clock.seconds += 60
    after.step(moment(8))
    clock.seconds += 60
    after.step(moment(10))
    assert [path.stem[-2:] for path in snapshots_in(tmp_path)] == ["00", "05", "10"]
    assert times(tmp_path) == [0, 2, 4]


def test_a_disk_that_takes_none_ends_no_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / SNAPSHOTS).write_text("a file is in the way")
    with caplog.at_level(logging.WARNING):
        taken(tmp_path, Clock()).step(moment(0, first=True))
    assert "cannot be written" in caplog.text


def test_a_snapshot_draws_what_the_training_draws_at_its_end(
    people: tuple[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    tiny(people, tmp_path, 3, snapshots=1000.0)
    first, last = snapshots_in(tmp_path)
    net, record = load_swap_net(last)
    assert (record["steps"], record["encoder"]["size"]) == (3, TINY[0].size)
    wanted = load(tmp_path / "swap.pt", SWAP)["average"]
    assert all(torch.equal(value, wanted[name]) for name, value in net.state_dict().items())
    assert first.stat().st_size < (tmp_path / "swap.pt").stat().st_size / 2  # no optimiser, no second set of weights
