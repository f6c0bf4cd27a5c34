"""Several processes that train one network, as `torchrun` starts them: who leads, and what all of them agree on."""

import datetime
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from realtime.errors import LiveswapError, SettingsError

Module = TypeVar("Module", bound=nn.Module)
PATIENCE: Final = datetime.timedelta(minutes=30)  # for whoever leads, who tests and writes while the others wait


@dataclass(frozen=True, slots=True)
class Processes:
    """One of `count` processes, each of which learns from its part of every batch; alone where nothing is said."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this one writes, shows and measures for all."""
        return self.rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """The mean of all processes' values, of one shape; what gradients are taken of never goes through here."""
        if self.count == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.count

    def agreed(self, seconds: float, ended: bool) -> tuple[float, bool]:
        """The leading one's clock, and whether anybody wants to end: the same for all, so that nobody waits in vain."""
        if self.count == 1:
            return seconds, ended
        said = torch.tensor([seconds if self.leads else 0.0, float(ended)], dtype=torch.float64)
        dist.all_reduce(said)
        return float(said[0]), bool(said[1] > 0)

    def share(self, each: int) -> range:
        """Which of a person's `each` places in a batch are this process's. Raises SettingsError for unequal parts."""
        if each % self.count:
            raise SettingsError(
                f"a batch has {each} faces of each person, which {self.count} processes cannot share out evenly"
            )
        part = each // self.count
        return range(self.rank * part, (self.rank + 1) * part)

    def joined(self, module: Module, idle: bool = False) -> Module | DistributedDataParallel:
        """module, with gradients that are the mean of all processes'; idle: some of what could learn has none."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module, find_unused_parameters=idle)


ALONE: Final = Processes()


@contextmanager
def gathered(device: str) -> Iterator[tuple[Processes, str]]:
    """Joins the processes that torchrun started, if it did; which one this is, and the device that is its own.

    Raises LiveswapError where a process finds no GPU of its own.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE, device
        return
    if device == "cuda":
        local, found = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local >= found:
            raise LiveswapError(f"process {local + 1} of this machine has no GPU of its own, {found} were found")
        device = f"cuda:{local}"
        torch.cuda.set_device(local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device != "cpu" else "gloo", timeout=PATIENCE)
    processes = Processes(dist.get_rank(), dist.get_world_size())
    if not processes.leads:
        logging.getLogger().setLevel(logging.WARNING)
    yield processes, device
    dist.destroy_process_group()  # not after an error: the others may never come
