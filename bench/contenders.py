"""Our network and those of others in one loop: each is trained for so long and held against the truth."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.rebuilt import DfShape, OriginalShape, Rebuilt
from training.batches import PairBatch, to_input
from training.faceset import Faceset
from training.loop import Average, Course, Plan, State, fit, warm_cosine
from training.model import Decoder, DecoderShape, EncoderShape, SwapNet
from training.paired import Paired
from training.step import Step
from training.swap import SwapSettings
from training.warped import Warped

SIZE: Final = 128  # px in which faces are held against the truth
STEPS: Final = 10**9  # more than anybody takes: the processor's time ends a training


@dataclass(frozen=True, slots=True)
class Contender:
    """A network, how large its pictures are, and the rate it learns at."""

    name: str
    size: int
    rate: float
    make: Callable[[Sequence[str]], nn.Module]

    def told(self, batch: PairBatch) -> PairBatch:
        """What of a batch it can learn from: only our encoder is asked for blend weights."""
        return batch if self.name == "ours" else replace(batch, blend=None)


def contenders(size: int = SIZE) -> tuple[Contender, ...]:
    """Ours from scratch, and theirs in their default sizes, all three in our loop."""
    ours = EncoderShape(size=size), DecoderShape(size=size)
    return (
        Contender("ours", size, 1e-3, lambda names: SwapNet(*ours, names)),
        Contender("df", 128, 3e-4, lambda names: Rebuilt(DfShape(), names)),
        Contender("original", 64, 3e-4, lambda names: Rebuilt(OriginalShape(), names)),
    )


def trained(
    one: Contender,
    people: Sequence[Faceset],
    truth: Path,
    minutes: float,
    batch: int,
    items: int | None = None,
    precision: str = "fp32",
) -> dict[str, Any]:
    """Trains a network from scratch for so many minutes of the processor; what it costs and how good it is."""
    settings = SwapSettings(batch=batch, rate=one.rate, precision=precision)
    names = [person.name for person in people]
    encoder, decoder = EncoderShape(size=one.size), DecoderShape(size=one.size)
    paired = Paired(truth, encoder, DecoderShape(size=SIZE), items)
    torch.manual_seed(settings.seed)
    net = one.make(names).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = Warped(people, encoder, decoder, batch, settings.seed)
    step = Step(net, names, settings.weights, precision=precision)
    optimiser = torch.optim.Adam(
        [{"params": list(net.parameters()), "initial_lr": one.rate}], one.rate, betas=(0.7, 0.99)
    )
    average, begun = Average(net, settings.average), time.process_time()

    def progress() -> float:
        return min(1.0, (time.process_time() - begun) / (60 * minutes))

    course = Course(
        batches=lambda number: one.told(batches(number)),
        losses=lambda cut: step(cut)[0],
        factor=lambda _, taken: warm_cosine(progress(), taken, 80, settings.hold, settings.floor),
        test=dict,
        keep=lambda state: None,
        ended=lambda: progress() >= 1,
        log_steps=STEPS,  # nothing is said in between
        test_steps=STEPS,
        save_seconds=float("inf"),
    )
    state = fit(course, Plan(steps=STEPS), optimiser, average, State())
    spent = time.process_time() - begun
    ways = [(a, b) for a in names for b in names if a != b]
    scored = [paired.scored(a, b, _guess(average.net, b)) for a, b in ways]
    return {
        "name": one.name, "size": one.size, "rate": one.rate, "steps": state.step,
        "steps_a_core_second": state.step / spent,
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "ssim": sum(way["face_ssim"] for way in scored) / len(scored),
        "l1": sum(way["face_l1"] for way in scored) / len(scored),
        "psnr": sum(way["face_psnr"] for way in scored) / len(scored),
    }  # fmt: skip


def _guess(net: nn.Module, identity: str) -> Callable[[PairBatch], Tensor]:
    """What net draws, in the size of the truth."""

    def guess(batch: PairBatch) -> Tensor:
        pictures = to_input(batch.pictures, torch.device("cpu"))
        if isinstance(net, Rebuilt):
            face = net.draw(pictures, identity)
        else:
            assert isinstance(net, SwapNet)
            drawer = net.decoders[identity]
            assert isinstance(drawer, Decoder)
            face, _ = drawer.decode(net.encoder(pictures))
        return F.interpolate(face, (SIZE, SIZE), mode="bilinear", align_corners=False)

    return guess
