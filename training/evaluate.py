"""How good a trained swap net is on people it has never seen, beside two answers that need no training."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor

from training.batches import PairBatch, Pairs, correlation, to_input
from training.checkpoint import load_swap_net
from training.dataset import Dataset
from training.losses import WINDOW, ssim, toned
from training.model import Decoder, DecoderShape, EncoderShape, SwapNet

# The points of a region and the margin round them; None is all of the mask.
REGIONS: Final[Mapping[str, tuple[slice, float] | None]] = {
    "face": None, "eyes": (slice(36, 48), 0.04), "mouth": (slice(48, 68), 0.045),
}  # fmt: skip
SCORES: Final = ("psnr", "ssim")
BLENDS: Final[Mapping[str, tuple[int, ...]]] = {"blink": (0, 1), "jaw": (2,), "gaze_yaw": (6, 8), "gaze_pitch": (7, 9)}
CHUNK: Final = 32

Guess = Callable[[PairBatch], Tensor]  # to faces (n, 3, S, S) BGR 0..1


class Subject:
    """Held-out items to measure on, spread evenly over a dataset."""

    def __init__(self, data: Dataset, encoder: EncoderShape, decoder: DecoderShape, items: int | None = None) -> None:
        self.identities = data.description.identities
        self.size = decoder.size
        count = min(items or len(data), len(data))
        self.items = np.arange(count, dtype=np.int64) * len(data) // count
        self._pairs = Pairs(data, encoder, decoder, len(self.identities), 0)

    def batches(self, identity: str) -> Iterator[PairBatch]:
        """All items with this identity, in chunks."""
        for start in range(0, len(self.items), CHUNK):
            yield self._pairs.clean(identity, self.items[start : start + CHUNK])

    def some(self, identity: str, count: int) -> PairBatch:
        """A few items from all over."""
        chosen = np.linspace(0, len(self.items) - 1, min(count, len(self.items))).astype(int)
        return self._pairs.clean(identity, self.items[chosen])


@dataclass(frozen=True, slots=True)
class Truth:
    """What a batch should look like."""

    face: Tensor  # (n, 3, S, S) toned inside the mask
    seen: Tensor  # (n, 1, S, S) 1 where the mask is above one half and nothing is in front


def truth_of(batch: PairBatch) -> Truth:
    """The identity's face and where it is scored."""
    target = to_input(batch.targets, torch.device("cpu"))
    seen = (target[:, 3:] > 0.5) & (torch.from_numpy(batch.occluded)[:, None] < 128)
    return Truth(toned(target[:, :3], seen.float()), seen.float())


def boxes(points: Tensor, size: int, part: slice, margin: float) -> Tensor:
    """1 inside the box round a part of points (n, 70, 2) in unit coordinates, (n, 1, size, size)."""
    pixels = (torch.arange(size) + 0.5) / size
    low, high = points[:, part].amin(1) - margin, points[:, part].amax(1) + margin
    across = (pixels >= low[:, :1]) & (pixels <= high[:, :1])
    down = (pixels >= low[:, 1:]) & (pixels <= high[:, 1:])
    return (down[:, :, None] & across[:, None, :])[:, None].float()


def scores(face: Tensor, truth: Truth, points: Tensor) -> dict[str, Tensor]:
    """As compared, of face (n, 3, S, S) when it is toned inside the mask as the truth is."""
    return compared(toned(face, truth.seen), truth.face, truth.seen, points)


def compared(face: Tensor, true: Tensor, inside: Tensor, points: Tensor) -> dict[str, Tensor]:
    """PSNR and SSIM of each item by region ("eyes_ssim"), (n,); NaN where none of the region is to be seen.

    face and true (n, 3, S, S) count where inside (n, 1, S, S) is 1, SSIM where its whole window lies inside.
    """
    error = ((face - true) ** 2).mean(1, keepdim=True)
    like, whole, edge = ssim(face, true), 1 - F.max_pool2d(1 - inside, WINDOW, 1), WINDOW // 2
    result: dict[str, Tensor] = {}
    for region, where in REGIONS.items():
        box = torch.ones_like(error) if where is None else boxes(points, face.shape[-1], *where)
        result[f"{region}_psnr"] = -10 * torch.log10(_mean(error, box * inside) + 1e-10)
        result[f"{region}_ssim"] = _mean(like, box[:, :, edge:-edge, edge:-edge] * whole)
    return result


def _mean(values: Tensor, inside: Tensor) -> Tensor:
    """Of each item, NaN where nothing is inside."""
    area = inside.sum((1, 2, 3))
    return (values * inside).sum((1, 2, 3)) / torch.where(area > 0, area, torch.nan)


@torch.no_grad()
def score(subject: Subject, identity: str, guess: Guess) -> dict[str, float]:
    """The mean scores of a guess over all items."""
    rows: dict[str, list[Tensor]] = {}
    for batch in subject.batches(identity):
        for name, values in scores(guess(batch), truth_of(batch), torch.from_numpy(batch.points)).items():
            rows.setdefault(name, []).append(values)
    return {name: float(torch.cat(values).nanmean()) for name, values in rows.items()}


def swapped(net: SwapNet, identity: str, device: torch.device) -> Guess:
    """What the net draws."""
    decoder = net.decoders[identity]
    assert isinstance(decoder, Decoder)

    def guess(batch: PairBatch) -> Tensor:
        face, _ = decoder.decode(net.encoder(to_input(batch.pictures, device)))
        return face.cpu()

    return guess


def unchanged(size: int) -> Guess:
    """The input as it is."""

    def guess(batch: PairBatch) -> Tensor:
        pictures = to_input(batch.pictures, torch.device("cpu"))
        return F.interpolate(pictures, (size, size), mode="bilinear", align_corners=False)

    return guess


def mean_picture(data: Dataset, encoder: EncoderShape, decoder: DecoderShape, identity: str) -> Guess:
    """The mean of the identity over its training pictures, toned, whatever the input does."""
    mean, _ = mean_face(data, encoder, decoder, identity)
    return lambda batch: mean.expand(len(batch.pictures), -1, -1, -1)


def mean_face(
    data: Dataset, encoder: EncoderShape, decoder: DecoderShape, identity: str, items: int = 256
) -> tuple[Tensor, Tensor]:
    """The mean of the identity over its training pictures, toned, (1, 3, S, S), and of its masks, (1, 1, S, S)."""
    subject = Subject(data, encoder, decoder, items)
    total, area = torch.zeros(1, 3, decoder.size, decoder.size), torch.zeros(1, 1, decoder.size, decoder.size)
    for batch in subject.batches(identity):
        target = to_input(batch.targets, torch.device("cpu"))
        inside = (target[:, 3:] > 0.5).float()
        total += (toned(target[:, :3], inside) * inside).sum(0, keepdim=True)
        area += inside.sum(0, keepdim=True)
    return total / area.clamp(min=1), area / len(subject.items)


@torch.no_grad()
def told(net: SwapNet, subject: Subject, identity: str, device: torch.device) -> dict[str, float]:
    """How the auxiliary head's blend weights correlate with the truth."""
    read, true = [], []
    for batch in subject.batches(identity):
        read.append(net.auxiliary(net.encoder(to_input(batch.pictures, device)), identity)[1].cpu())
        assert batch.blend is not None  # of pairs it is known
        true.append(torch.from_numpy(batch.blend))
    return correlations(torch.cat(read), torch.cat(true))


def correlations(read: Tensor, true: Tensor, blends: Mapping[str, tuple[int, ...]] = BLENDS) -> dict[str, float]:
    """Of blend weights (n, 10), by the names of blends ("blink_r"); of those of both eyes the mean."""
    return {f"{n}_r": float(np.mean([correlation(read[:, k], true[:, k]) for k in ks])) for n, ks in blends.items()}


def quick(net: SwapNet, subject: Subject, device: torch.device) -> dict[str, float]:
    """The mean scores over the identities, and the auxiliary head's correlations; for the log of a training."""
    rows = [
        score(subject, name, swapped(net, name, device)) | told(net, subject, name, device)
        for name in subject.identities
    ]
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def evaluate(path: Path, folder: Path, items: int | None = None, device: str = "cpu") -> dict[str, Any]:
    """The scores of the checkpoint at path on the held-out people of the dataset in folder.

    {"items", "people", "record", "identities": {name: {"swapped" | "input" | "mean": {score: value}, "code": {...}}}}.
    Raises LiveswapError for a checkpoint or dataset that cannot be used.
    """
    net, record = load_swap_net(path)
    where = torch.device(device)
    net.to(where)
    held_out, train = Dataset.open(folder, "test"), Dataset.open(folder, "train")
    encoder, decoder = net.encoder.shape, DecoderShape.read(record["decoder"])
    subject = Subject(held_out, encoder, decoder, items)
    identities: dict[str, Any] = {}
    for name in record["identities"]:
        identities[name] = {
            "swapped": score(subject, name, swapped(net, name, where)),
            "input": score(subject, name, unchanged(decoder.size)),
            "mean": score(subject, name, mean_picture(train, encoder, decoder, name)),
            "code": told(net, subject, name, where),
        }
    return {
        "items": len(subject.items), "people": held_out.people(), "record": record, "identities": identities,
    }  # fmt: skip


def table(result: dict[str, Any]) -> Table:
    """The result of evaluate for a terminal."""
    shown = Table("identity", "answer", *(f"{region} {name}" for region in REGIONS for name in SCORES))
    for identity, answers in result["identities"].items():
        for answer in ("swapped", "input", "mean"):
            values = [answers[answer][f"{region}_{name}"] for region in REGIONS for name in SCORES]
            shown.add_row(identity, answer, *(f"{value:.2f}" if value > 2 else f"{value:.3f}" for value in values))
    return shown


def write(result: dict[str, Any], path: Path) -> None:
    """The result of evaluate as JSON."""
    path.write_text(json.dumps(result, indent=1))


def as_bytes(faces: Tensor) -> NDArray[np.uint8]:
    """(n, 3, s, s) in 0..1 to (n, s, s, 3) bytes."""
    return (faces.clamp(0, 1) * 255 + 0.5).byte().permute(0, 2, 3, 1).cpu().numpy()
