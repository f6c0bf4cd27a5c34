"""What both training loops need: how long to run, a thread that prepares batches, averaged weights."""

import copy
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import torch
from torch import nn

from realtime.errors import LiveswapError, SettingsError

T = TypeVar("T")
Net = TypeVar("Net", bound=nn.Module)
PATIENCE: Final = 20  # steps in a row with a loss that is no number


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


def warm_cosine(progress: float, step: int, warm: int, hold: float, floor: float) -> float:
    """A factor for the learning rate: rises over `warm` steps, stays 1 until progress `hold`, falls to `floor`."""
    rise = min(1.0, (step + 1) / warm)
    fall = 0.0 if progress <= hold else (progress - hold) / (1 - hold)
    return rise * (floor + (1 - floor) * (0.5 + 0.5 * math.cos(math.pi * fall)))


class Clock:
    """Seconds trained, those before a resume included."""

    def __init__(self, before: float = 0.0) -> None:
        self._start = time.perf_counter() - before

    def seconds(self) -> float:
        """Since the very first start, pauses not counted."""
        return time.perf_counter() - self._start


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
    """Lets single losses pass that are no number, and ends a training that has gone astray."""

    def __init__(self) -> None:
        self._bad = 0

    def fine(self, loss: torch.Tensor, step: int) -> bool:
        """Whether to learn from this loss. Raises LiveswapError after PATIENCE bad ones in a row."""
        if math.isfinite(loss.item()):
            self._bad = 0
            return True
        self._bad += 1
        if self._bad >= PATIENCE:
            raise LiveswapError(f"the loss has been no number for {PATIENCE} steps up to step {step}; training stopped")
        return False


@contextmanager
def prepared(make: Callable[[int], T], first: int, depth: int = 4) -> Iterator[Iterator[T]]:
    """make(first), make(first + 1), ... each computed ahead in one thread; an error in make is raised here."""
    ready: queue.Queue[T | BaseException] = queue.Queue(depth)
    done = threading.Event()

    def work() -> None:
        number = first
        while not done.is_set():
            try:
                item: T | BaseException = make(number)
            except BaseException as error:  # handed to the consumer, who raises it
                item = error
            while not done.is_set():
                try:
                    ready.put(item, timeout=0.2)
                    break
                except queue.Full:
                    continue
            number += 1

    def items() -> Iterator[T]:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        yield items()
    finally:
        done.set()
        thread.join()
