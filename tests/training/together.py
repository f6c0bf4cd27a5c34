"""One of two processes that train together, for test_processes: what happens when they agree and when one differs."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from tests.training.test_own import SETTINGS, TINY
from training.batches import PairBatch
from training.loop import Moment, Plan
from training.own import train_own
from training.presets import Start
from training.processes import ALONE, Processes, gathered
from training.step import Drawn, Step

ONCE = replace(SETTINGS, precision="fp32", test_steps=1000)
STEPS = 6
NONSENSE = range(2, 22)  # the steps whose loss is no number, in the process that does not lead


class Seen:
    """Keeps the losses of each step."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []

    def step(self, moment: Moment) -> None:
        if not (moment.first or moment.last):
            self.losses.append(dict(moment.losses))

    def picture(self, step: int, picture: object) -> None:
        """Nothing to keep of it."""


def train(people: list[str], out: Path, processes: Processes = ALONE, resume: bool = False, steps: int = STEPS) -> Seen:
    """Tiny networks, some steps."""
    seen = Seen()
    train_own(people, out, Plan(steps=steps), Start(None, *TINY), resume, ONCE, processes=processes, watch=seen)
    return seen


def main(out: Path, people: list[str]) -> None:
    """All of it, one after the other, with a line of JSON from each process at the end."""
    torch.set_num_threads(1)
    with gathered("cpu") as (processes, device):
        losses = train(people, out / "two", processes).losses
        on = train(people, out / "one", processes, resume=True, steps=STEPS + 2).losses

        ended = train_own(
            people, out / "ended", Plan(steps=50), Start(None, *TINY), settings=ONCE, processes=processes,
            ended=iter([False, False, not processes.leads, True]).__next__,
        )  # fmt: skip

        real, calls = Step.forward, iter(range(1000))

        def forward(step: Step, batch: PairBatch) -> tuple[dict[str, torch.Tensor], Drawn]:
            found, drawn = real(step, batch)
            bad = next(calls) in NONSENSE and not processes.leads
            return {name: value * (torch.nan if bad else 1.0) for name, value in found.items()}, drawn

        Step.forward = forward  # type: ignore[assignment, method-assign]
        back = train_own(people, out / "back", Plan(steps=24), Start(None, *TINY), settings=ONCE, processes=processes)
        said = {
            "device": device, "losses": losses, "on": on, "ended": ended.step, "skipped": back.skipped,
            "back": back.step,
        }  # fmt: skip
        sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
