"""Trains the swap net on pairs: a shared encoder, and for each identity a decoder that draws its face and mask."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from realtime.errors import LiveswapError, SettingsError
from training import checkpoint
from training.batches import PairBatch, Pairs, to_input
from training.dataset import Dataset
from training.evaluate import Subject, quick
from training.loop import Average, Clock, Guard, Plan, prepared, warm_cosine
from training.losses import TONE, auxiliary_loss, dssim, focus, toned
from training.model import DecoderShape, EncoderShape, SwapNet
from training.preview import grid

logger = logging.getLogger(__name__)

FILE: Final = "swap.pt"
PREVIEW: Final = "preview.jpg"


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part of the loss counts."""

    l1: float = 6.0
    dssim: float = 4.0
    mask: float = 0.5
    auxiliary: float = 6.0


@dataclass(frozen=True, slots=True)
class SwapSettings:
    """How to train."""

    batch: int = 32  # shared out evenly among the identities
    rate: float = 1e-3
    trunk_rate: float = 0.35  # of the rate, for the trunk that comes from the landmark net
    hold: float = 0.5  # the progress up to which the rate stays
    floor: float = 0.02  # of the rate, at the end
    average: float = 0.999  # of the moving average, each step
    weights: Weights = Weights()
    seed: int = 0
    log_steps: int = 100
    test_steps: int = 400
    save_seconds: float = 120.0
    test_items: int = 64

    def __post_init__(self) -> None:
        if self.batch < 2 or not self.rate > 0:
            raise SettingsError(
                f"a batch of {self.batch} and a rate of {self.rate} were given, wanted at least 2 and above 0"
            )


def loss_parts(net: SwapNet, batch: PairBatch, names: tuple[str, ...], device: torch.device) -> dict[str, Tensor]:
    """The parts of the loss, by the names of Weights, of a batch whose equal parts belong to names in order."""
    with torch.autocast(device.type, torch.bfloat16):
        code = net.encoder(to_input(batch.pictures, device))
        codes = code.chunk(len(names))
        drawn = (
            torch.cat([net.decoders[name](part) for name, part in zip(names, codes, strict=True)]).float().contiguous()
        )
    told = [net.auxiliary(part.float(), name) for name, part in zip(names, codes, strict=True)]
    points, blend = torch.from_numpy(batch.points).to(device), torch.from_numpy(batch.blend).to(device)
    target = to_input(batch.targets, device).contiguous()  # mixed memory layouts are slow
    mask = target[:, 3:]
    seen = mask * (1 - to_input(batch.occluded[..., None], device))
    truth, face = toned(target[:, :3], mask), torch.sigmoid(drawn[:, :3])
    # What is hidden behind a hand is drawn too, and counts a little: the mask's soft edge shows some of it.
    weight = 0.25 * mask + 0.75 * seen * focus(points, target.shape[-1])
    everywhere = weight + 0.01
    return {
        "l1": (F.smooth_l1_loss(face, truth, reduction="none", beta=0.01) * everywhere).sum() / (3 * everywhere.sum()),
        "dssim": dssim(face * mask, truth * mask, weight),
        "mask": F.binary_cross_entropy_with_logits(drawn[:, 3:], seen),
        "auxiliary": auxiliary_loss(
            torch.cat([p for p, _ in told]), torch.cat([b for _, b in told]), points, blend
        ),
    }  # fmt: skip


def train_swap(
    folder: Path,
    landmarks: Path | None,
    out: Path,
    plan: Plan,
    resume: bool = False,
    settings: SwapSettings | None = None,
    encoder: EncoderShape | None = None,
    decoder: DecoderShape | None = None,
    device: str = "cpu",
) -> dict[str, float]:
    """Trains on the pairs in folder, writes out/swap.pt and out/preview.jpg, gives back the last quick test.

    The encoder's trunk starts from the landmark net of the checkpoint `landmarks`, batch normalisation folded into
    the convolutions, and stays trainable at a lower rate. Raises LiveswapError for what cannot be used.
    """
    settings, where = settings or SwapSettings(), torch.device(device)
    encoder, decoder = encoder or EncoderShape(), decoder or DecoderShape()
    torch.manual_seed(settings.seed)
    data, held_out = Dataset.open(folder, "train", settings.batch), Dataset.open(folder, "test")
    names = data.description.identities
    if settings.batch < len(names):
        raise SettingsError(f"a batch of {settings.batch} is too small for {len(names)} identities")
    pairs = Pairs(data, encoder, decoder, settings.batch, settings.seed)
    net = SwapNet(encoder, decoder, names)
    origin: dict[str, Any] = {}
    if landmarks is not None:
        origin = warm_start(net, landmarks)
    net = net.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Average(net, settings.average)
    optimiser = torch.optim.Adam(groups(net, settings), settings.rate, betas=(0.7, 0.99), fused=True)
    step, before = _resume(out / FILE, net, average, optimiser, encoder, decoder) if resume else (0, 0.0)
    test = Subject(held_out, encoder, decoder, settings.test_items)
    clock, guard, parts = Clock(before), Guard(), asdict(settings.weights)
    saved, running, numbers = clock.seconds(), dict[str, float](), dict[str, float]()
    logger.info("swap: %d pairs of %d people with each of %s, from step %d", len(data), data.people(), names, step)

    def keep() -> None:
        record = {
            "encoder": encoder.record(), "decoder": decoder.record(), "identities": list(names), "tone": list(TONE),
            "data": folder.name, "pairs": len(data), "people": data.people(), "steps": step,
            "seconds": round(clock.seconds(), 1), "seed": settings.seed, "batch": settings.batch,
            "blend": list(data.description.blend), "losses": parts, "landmarks": origin, "test": numbers,
        }  # fmt: skip
        checkpoint.save(out / FILE, checkpoint.SWAP, {
            "record": record, "net": net.state_dict(), "average": average.net.state_dict(),
            "optimiser": optimiser.state_dict(),
        })  # fmt: skip
        cv2.imwrite(str(out / PREVIEW), grid(average.net, test, where))

    with prepared(pairs, step) as batches:
        try:
            while (progress := plan.progress(clock.seconds(), step)) < 1:
                for group in optimiser.param_groups:
                    factor = warm_cosine(progress, step, 80, settings.hold, settings.floor)
                    group["lr"] = settings.rate * group["share"] * factor
                losses = loss_parts(net, next(batches), names, where)
                loss = torch.stack([parts[name] * part for name, part in losses.items()]).sum()
                optimiser.zero_grad(set_to_none=True)
                if guard.fine(loss, step):
                    loss.backward()  # type: ignore[no-untyped-call]
                    torch.nn.utils.clip_grad_norm_(net.parameters(), 3.0)
                    optimiser.step()
                    for name, part in losses.items():
                        running[name] = 0.98 * running.get(name, part.item()) + 0.02 * part.item()
                step += 1
                average.update(step)
                if step % settings.test_steps == 0:
                    numbers = quick(average.net, test, where)
                if step % settings.log_steps == 0:
                    logger.info("%s", _line(step, clock.seconds(), before, running, numbers))
                if clock.seconds() - saved > settings.save_seconds:
                    keep()
                    saved = clock.seconds()
        except KeyboardInterrupt:
            logger.info("interrupted at step %d, the checkpoint is kept", step)
        numbers = quick(average.net, test, where)
        keep()
    logger.info("%s", _line(step, clock.seconds(), before, running, numbers))
    return numbers


def warm_start(net: SwapNet, path: Path) -> dict[str, Any]:
    """Starts the encoder's trunk from a landmark net; what to remember of that net.

    Raises LiveswapError when its trunk is another one.
    """
    read, record = checkpoint.load_landmarks(path)
    if read.shape.activation != net.encoder.shape.activation:
        raise LiveswapError(
            f"{path} has the activation {read.shape.activation}, the encoder wants {net.encoder.shape.activation}"
        )
    net.encoder.trunk.load_state_dict(read.trunk.state_dict())
    return {"steps": record["steps"], "seconds": record["seconds"], "test": record["test"]}


def groups(net: SwapNet, settings: SwapSettings) -> list[dict[str, Any]]:
    """The optimiser's groups: the trunk, which has learned something already, and the rest."""
    trunk = list(net.encoder.trunk.parameters())
    known = {id(parameter) for parameter in trunk}
    rest = [parameter for parameter in net.parameters() if id(parameter) not in known]
    return [{"params": trunk, "share": settings.trunk_rate}, {"params": rest, "share": 1.0}]


def _line(step: int, seconds: float, before: float, losses: dict[str, float], numbers: dict[str, float]) -> str:
    said = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
    tested = " ".join(f"{name} {value:.3f}" for name, value in numbers.items())
    return f"step {step} {seconds:.0f} s {said} | {tested}"


def _resume(
    path: Path,
    net: SwapNet,
    average: Average[SwapNet],
    optimiser: torch.optim.Optimizer,
    encoder: EncoderShape,
    decoder: DecoderShape,
) -> tuple[int, float]:
    """Fills net, average and optimiser from the checkpoint; the step and the seconds to go on from."""
    content = checkpoint.load(path, checkpoint.SWAP)
    record = content["record"]
    shapes, wanted = (EncoderShape.read(record["encoder"]), DecoderShape.read(record["decoder"])), (encoder, decoder)
    if shapes != wanted:
        raise LiveswapError(f"{path} was trained with the shapes {shapes}, wanted {wanted}")
    try:
        net.load_state_dict(content["net"])
        average.net.load_state_dict(content["average"])
        optimiser.load_state_dict(content["optimiser"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise LiveswapError(f"{path} does not hold what a swap training needs to go on") from error
    return int(record["steps"]), float(record["seconds"])
