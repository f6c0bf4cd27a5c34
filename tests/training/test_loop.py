"""The loop follows its plan, survives interruption exactly, and stops when there is nothing to learn from."""

import itertools
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from realtime.errors import LiveswapError, SettingsError
from training import checkpoint
from training.loop import Average, Course, Plan, State, fit, pace, prepared, warm_cosine


class Line:
    """A line to be learned from noisy points: the smallest of trainings."""

    def __init__(self, path: Path, stop_at: int | None = None, nonsense: bool = False) -> None:
        torch.manual_seed(0)
        self.net, self.path, self.stop_at, self.nonsense = nn.Linear(2, 1), path, stop_at, nonsense
        self.average = Average(self.net, 0.9)
        groups = [{"params": list(self.net.parameters()), "initial_lr": 0.05}]
        self.optimiser = torch.optim.Adam(groups, 0.05)

    def batch(self, number: int) -> Tensor:
        if number == self.stop_at:
            raise KeyboardInterrupt
        return torch.randn(16, 2, generator=torch.Generator().manual_seed(number))

    def losses(self, x: Tensor) -> dict[str, Tensor]:
        wanted = x @ torch.tensor([[2.0], [-1.0]]) + 0.5
        error = (self.net(x) - wanted).square().mean()
        return {"error": error * torch.nan if self.nonsense else error}

    def keep(self, state: State) -> None:
        record = {"steps": state.step, "seconds": state.seconds, "shape": "line"}
        content = checkpoint.contents(record, self.net, self.average.net, self.optimiser)
        checkpoint.save(self.path, "line", content)

    def run(self, plan: Plan, state: State | None = None) -> State:
        def factor(progress: float, step: int) -> float:
            return warm_cosine(progress, step, 3, 0.5, 0.1)

        def test() -> dict[str, float]:
            return {"slope": float(self.average.net.weight[0, 0])}

        course = Course(self.batch, self.losses, factor, test, self.keep, log_steps=10, test_steps=10)
        return fit(course, plan, self.optimiser, self.average, state or State())

    def resume(self) -> State:
        return State(
            *checkpoint.resume(self.path, "line", {"shape": "line"}, self.net, self.average.net, self.optimiser)
        )


def test_a_line_is_learned(tmp_path: Path) -> None:
    state = Line(tmp_path / "line.pt").run(Plan(steps=200))
    assert state.step == 200
    assert state.numbers["slope"] == pytest.approx(2, abs=0.05)


def test_an_interrupted_training_that_goes_on_ends_where_the_whole_one_does(tmp_path: Path) -> None:
    whole, first = Line(tmp_path / "whole.pt"), Line(tmp_path / "parts.pt", stop_at=7)
    whole.run(Plan(steps=20))
    assert first.run(Plan(steps=20)).step == 7
    second = Line(tmp_path / "parts.pt")
    state = second.resume()
    assert state.step == 7
    assert second.run(Plan(steps=20), state).step == 20
    torch.testing.assert_close(second.net.weight, whole.net.weight)
    torch.testing.assert_close(second.average.net.weight, whole.average.net.weight)


def test_a_plan_by_the_clock_ends_in_time(tmp_path: Path) -> None:
    state = Line(tmp_path / "line.pt").run(Plan(minutes=0.2 / 60))
    assert state.step > 0
    assert 0.2 <= state.seconds < 5


def test_a_plan_by_the_clock_counts_what_was_trained_before(tmp_path: Path) -> None:
    state = Line(tmp_path / "line.pt").run(Plan(minutes=1), State(step=5, seconds=60.0))
    assert state.step == 5


def test_a_training_that_has_gone_astray_ends_and_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    line = Line(tmp_path / "line.pt", nonsense=True)
    line.keep(State(step=3))
    with pytest.raises(LiveswapError, match="no number for 20 steps"):
        line.run(Plan(steps=100))
    assert checkpoint.load(tmp_path / "line.pt", "line")["record"]["steps"] == 3
    assert bool(torch.isfinite(line.net.weight).all())


def test_an_error_while_preparing_a_batch_is_raised_in_the_loop() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise ValueError("no batch 2")
        return number

    with prepared(make, 0) as batches:
        assert [next(batches), next(batches)] == [0, 1]
        with pytest.raises(ValueError, match="no batch 2"):
            next(batches)


def test_batches_of_several_threads_come_in_order() -> None:
    second = threading.Event()

    def make(number: int) -> int:
        if number == 0:
            assert second.wait(10)  # the first batch is ready only after the next one
        if number == 1:
            second.set()
        return number

    with prepared(make, 0, workers=3) as batches:
        assert [next(batches) for _ in range(20)] == list(range(20))


def test_the_log_says_how_quick_it_is_and_how_long_it_takes_yet() -> None:
    state = State(step=120, seconds=60.0)
    assert pace(state, Plan(steps=240)) == " | 2.0 steps/s, 1.0 min left"
    assert pace(state, Plan(minutes=4)) == " | 2.0 steps/s, 3.0 min left"
    assert pace(State(), Plan(minutes=4)).startswith(" | 0.0 steps/s")


@pytest.mark.parametrize("plan", [{}, {"minutes": 1.0, "steps": 1}, {"steps": 0}, {"minutes": -1.0}])
def test_a_plan_needs_one_end(plan: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        Plan(**plan)  # type: ignore[arg-type]


def test_the_learning_rate_rises_stays_and_falls() -> None:
    factors = [warm_cosine(k / 100, k, warm=10, hold=0.5, floor=0.1) for k in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[10:51] == pytest.approx([1.0] * 41)
    assert factors[-1] == pytest.approx(0.1)
    assert all(a >= b for a, b in itertools.pairwise(factors[50:]))
