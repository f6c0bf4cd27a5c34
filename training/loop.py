"""The training loop, whatever is trained: how long to run, batches from a thread, averaged weights, checkpoints."""

import copy
import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import torch
from torch import nn

from realtime.errors import LiveswapError, SettingsError
from training.processes import ALONE, Processes

logger = logging.getLogger(__name__)

T = TypeVar("T")
Net = TypeVar("Net", bound=nn.Module)
PATIENCE: Final = 20  # steps in a row with a loss or a gradient that is no number
RETURNS: Final = 3  # times that a training goes back before it ends
RECENT: Final = 50  # steps over which the present speed is measured


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to train altogether, resumed time included: by the clock or by steps."""

    minutes: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise SettingsError("say how long to train, either in minutes or in steps")
        if (self.minutes or self.steps or 0) <= 0:
            raise SettingsError(f"training takes more than {self.minutes or self.steps or 0} minutes or steps")

    def progress(self, seconds: float, steps: int) -> float:
        """From 0 at the start to 1 when it is time to stop."""
        if self.steps is not None:
            return min(1.0, steps / self.steps)
        assert self.minutes is not None  # by __post_init__
        return min(1.0, seconds / (60 * self.minutes))

    def left(self, seconds: float, steps: int) -> float:
        """About how many seconds it takes yet, at the pace so far; by steps it is 0 before the first."""
        if self.minutes is not None:
            return max(0.0, 60 * self.minutes - seconds)
        progress = self.progress(seconds, steps)
        return seconds * (1 - progress) / max(progress, 1e-9)


def warm_cosine(progress: float, step: int, warm: int, hold: float, floor: float) -> float:
    """A factor for the learning rate: rises over `warm` steps, stays 1 until progress `hold`, falls to `floor`."""
    rise = min(1.0, (step + 1) / warm)
    fall = 0.0 if progress <= hold else (progress - hold) / (1 - hold)
    return rise * (floor + (1 - floor) * (0.5 + 0.5 * math.cos(math.pi * fall)))


class Average(Generic[Net]):
    """An exponential moving average of a network's weights: steadier than the weights themselves."""

    def __init__(self, net: Net, decay: float) -> None:
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self._decay = decay
        pairs = zip(self.net.state_dict().values(), net.state_dict().values(), strict=True)
        moving = [(mine, its) for mine, its in pairs if mine.is_floating_point()]
        self._mine, self._its = [mine for mine, _ in moving], [its for _, its in moving]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves towards the net; faster in the first steps, whose weights are worth little."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._mine, self._its, 1 - decay)


class Guard:
    """Lets single steps pass whose loss or gradient is no number, and knows when a training has gone astray."""

    def __init__(self) -> None:
        self._bad = 0  # in a row

    @property
    def fine(self) -> bool:
        """Whether the last step was one to learn from."""
        return self._bad == 0

    @property
    def astray(self) -> bool:
        """Whether PATIENCE steps in a row taught nothing."""
        return self._bad >= PATIENCE

    def sees(self, number: float) -> bool:
        """Whether a loss, or the size of a gradient, is a number to learn from."""
        if math.isfinite(number):
            return True
        self._bad += 1
        return False

    def learned(self) -> None:
        """A step was taken."""
        self._bad = 0


@contextmanager
def prepared(make: Callable[[int], T], first: int, workers: int = 1) -> Iterator[Iterator[T]]:
    """make(first), make(first + 1), ... in order, computed ahead by `workers` threads; an error in make is raised here.

    One thread keeps up with a step on a CPU. A GPU wants more: the work is OpenCV's, which lets threads run.
    """
    numbers = itertools.count(first)
    with ThreadPoolExecutor(workers, "batches") as pool:
        ahead = deque(pool.submit(make, next(numbers)) for _ in range(2 * workers + 2))

        def items() -> Iterator[T]:
            while True:
                item = ahead.popleft().result()
                ahead.append(pool.submit(make, next(numbers)))
                yield item

        try:
            yield items()
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(slots=True)
class State:
    """How far a training has come; what a checkpoint says of it."""

    step: int = 0
    seconds: float = 0.0  # trained, pauses not counted
    numbers: dict[str, float] = field(default_factory=dict)  # the last test
    skipped: int = 0  # batches that were left behind when the training went back to an earlier step
    losses: dict[str, float] = field(default_factory=dict)  # weighted, smoothed


@dataclass(frozen=True, slots=True)
class Moment:
    """What there is to see of a training: before its first step, where it begins or goes on, and after each."""

    step: int
    seconds: float  # trained
    left: float  # seconds to go, about
    speed: float  # steps a second, of late
    rate: float  # of learning, of the last group of weights
    losses: Mapping[str, float]  # weighted, smoothed
    numbers: Mapping[str, float]  # of the last test
    tested: bool  # whether that was after this step
    first: bool = False  # before any step
    last: bool = False  # after all, once more


@dataclass(frozen=True, slots=True)
class Course(Generic[T]):
    """What is learned and how it is watched."""

    batches: Callable[[int], T]  # batch number k, always the same
    losses: Callable[[T], dict[str, torch.Tensor]]  # scalars, weighted: their sum is minimised
    factor: Callable[[float, int], float]  # of the learning rate, from the progress and the step
    test: Callable[[], dict[str, float]]  # numbers for the log, on held-out items
    keep: Callable[[State], None]  # writes the checkpoint
    back: Callable[[], int] | None = None  # goes back to the last checkpoint; its step
    watch: Callable[[Moment], None] | None = None  # sees each step; where nobody does, lines go to the log
    processes: Processes = ALONE  # that train together; one of them tests, keeps and watches
    tests_kept: bool = False  # whether there is a test before each checkpoint
    ended: Callable[[], bool] = lambda: False  # whether somebody wants it to end
    clip: float = 3.0  # largest norm of a gradient
    workers: int = 1  # threads that make batches
    log_steps: int = 100
    test_steps: int = 400
    save_seconds: float = 120.0


def fit(course: Course[T], plan: Plan, optimiser: torch.optim.Optimizer, average: Average[Net], state: State) -> State:
    """Trains until the plan is over, somebody ends it or Ctrl-C, then tests and keeps a checkpoint once more.

    The peak of each group's learning rate is under "initial_lr". Where loss or gradient stay no number, it goes back
    to the last checkpoint and on with other batches, where the course can, at most RETURNS times.
    A checkpoint that cannot be written is tried again later, but the last one. Raises LiveswapError.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    start, saved, guard, running = time.perf_counter() - state.seconds, state.seconds, Guard(), state.losses
    returns, together, recent = 0, course.processes, deque[float](maxlen=RECENT)

    def seen(tested: bool, first: bool = False, last: bool = False) -> None:
        if course.watch and together.leads:
            speed = (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0
            rate, left = float(optimiser.param_groups[-1]["lr"]), plan.left(state.seconds, state.step)
            course.watch(
                Moment(state.step, state.seconds, left, speed, rate, dict(running), state.numbers, tested, first, last)
            )

    seen(tested=bool(state.numbers), first=True)

    with prepared(course.batches, state.step + state.skipped, course.workers) as batches:
        try:
            while True:
                state.seconds, ended = together.agreed(state.seconds, course.ended())
                if ended or (progress := plan.progress(state.seconds, state.step)) >= 1:
                    break
                for group in optimiser.param_groups:
                    group["lr"] = group["initial_lr"] * course.factor(progress, state.step)
                losses = course.losses(next(batches))
                loss = torch.stack(list(losses.values())).sum()
                parts = together.mean(torch.stack([part.detach() for part in losses.values()]).cpu()).tolist()
                optimiser.zero_grad(set_to_none=True)
                if guard.sees(sum(parts)):
                    loss.backward()  # type: ignore[no-untyped-call]
                    if guard.sees(torch.nn.utils.clip_grad_norm_(parameters, course.clip).item()):
                        optimiser.step()
                        guard.learned()
                        for name, part in zip(losses, parts, strict=True):
                            running[name] = 0.98 * running.get(name, part) + 0.02 * part
                state.step += 1
                average.update(state.step)
                state.seconds = time.perf_counter() - start
                recent.append(state.seconds)
                if guard.astray:
                    returns += 1
                    _go_back(course, state, returns)
                    guard.learned()
                if not together.leads:
                    continue
                keeps = state.seconds - saved > course.save_seconds and guard.fine
                tested = state.step % course.test_steps == 0 or (keeps and course.tests_kept)
                if tested:
                    state.numbers = course.test()
                if state.step % course.log_steps == 0 and not course.watch:
                    logger.info("%s%s", line(state, running), pace(state, plan))
                seen(tested)
                if keeps:
                    saved = state.seconds
                    _keep(course, state)
        except KeyboardInterrupt:
            logger.info("interrupted at step %d, the checkpoint is kept", state.step)
        if together.leads:
            state.numbers = course.test()
            seen(tested=True, last=True)
            course.keep(state)
    logger.info("%s", line(state, running))
    return state


def _go_back(course: Course[T], state: State, returns: int) -> None:
    """Raises LiveswapError where there is nothing to go back to, or going back did not help."""
    said = f"the loss has been no number for {PATIENCE} steps up to step {state.step}"
    if course.back is None or returns > RETURNS:
        raise LiveswapError(f"{said}; training stopped{', going back did not help' if course.back else ''}")
    reached = state.step
    state.step = course.back()
    state.skipped += reached - state.step
    logger.warning("%s; went back to step %d", said, state.step)


def _keep(course: Course[T], state: State) -> None:
    try:
        course.keep(state)
    except LiveswapError as error:
        logger.warning("%s; the one before stays, the training goes on", error)


def line(state: State | Moment, losses: Mapping[str, float]) -> str:
    """One line for the log: step, seconds, weighted losses, the last test."""
    said = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
    tested = " ".join(f"{name} {value:.3f}" for name, value in state.numbers.items())
    return f"step {state.step} {state.seconds:.0f} s {said} | {tested}"


def pace(state: State, plan: Plan) -> str:
    """What a line for the log says of time: steps a second, and about how many minutes are left."""
    left = plan.left(state.seconds, state.step) / 60
    return f" | {state.step / max(state.seconds, 1e-9):.1f} steps/s, {left:.1f} min left"
