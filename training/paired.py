"""How near a swap is to the truth that rendered talks have: both people doing the same, pixel by pixel."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from realtime.errors import LiveswapError
from training.batches import PairBatch, Pairs
from training.checkpoint import load_swap_net
from training.dataset import Dataset
from training.directions import mean_face
from training.evaluate import CHUNK, Guess, scores, swapped, truth_of, unchanged
from training.faceset import Faceset
from training.losses import TONE
from training.model import DecoderShape, EncoderShape
from training.snapshots import core_minutes, snapshots_in
from training.swap import FILE

TRUTH: Final = "truth"  # the folder of the dataset among talks
ANSWERS: Final = ("swapped", "input", "mean")
SHOWN: Final[Mapping[str, str]] = {
    "L1": "face_l1", "SSIM": "face_ssim", "PSNR": "face_psnr", "eyes SSIM": "eyes_ssim", "mouth SSIM": "mouth_ssim",
}  # fmt: skip


class Paired:
    """The moments of a truth, from each person to each."""

    def __init__(self, folder: Path, encoder: EncoderShape, decoder: DecoderShape, items: int | None = None) -> None:
        """folder: of the talks or of their truth. items: moments of each direction. Raises LiveswapError."""
        inside = folder / TRUTH
        self.data = Dataset.open(inside if inside.is_dir() else folder, "test")
        self.names = self.data.description.identities
        self._pairs = Pairs(self.data, encoder, decoder, len(self.names), 0)
        people = np.concatenate(self.data.column("person"))
        self._items = {name: _spread(np.flatnonzero(people == who), items) for who, name in enumerate(self.names)}
        lacking = [name for name, rows in self._items.items() if not len(rows)]
        if lacking:
            raise LiveswapError(
                f"{self.data.folder} is no truth of talks: it never shows {', '.join(lacking)} as anybody"
            )

    def batches(self, person: str, identity: str) -> Iterator[PairBatch]:
        """The moments of person, with what identity looks like in them as the target, in chunks."""
        rows = self._items[person]
        for start in range(0, len(rows), CHUNK):
            yield self._pairs.clean(identity, rows[start : start + CHUNK])

    @torch.no_grad()
    def scored(self, person: str, identity: str, guess: Guess) -> dict[str, float]:
        """The mean of each measure over the moments, by region ("face_ssim"); "face_l1" in 255ths."""
        rows: dict[str, list[Tensor]] = {}
        for batch in self.batches(person, identity):
            truth, face = truth_of(batch), guess(batch)
            found = scores(face, truth, torch.from_numpy(batch.points))
            off = difference(face, truth.face, truth.seen)
            for name, values in {**found, "face_l1": 255 * off}.items():
                rows.setdefault(name, []).append(values)
        return {name: float(torch.cat(values).nanmean()) for name, values in rows.items()}


def evaluate_paired(
    run: Path,
    talks: Path,
    sources: Sequence[str],
    items: int | None = None,
    device: str = "cpu",
    tell: Callable[[str], None] = lambda said: None,
) -> dict[str, Any]:
    """The checkpoint and the snapshots of a run against the truth of talks, beside what needs no training.

    {"moments", "directions": [{"from", "to", "swapped" | "input" | "mean": {measure: value}}], "snapshots": [{"steps",
    "core_minutes", "directions": [{"from", "to", "swapped"}]}]}. sources: the run's facesets, of which the means are.
    tell hears what is being measured. Raises LiveswapError.
    """
    net, record = load_swap_net(run / FILE)
    encoder, decoder = net.encoder.shape, DecoderShape.read(record["decoder"])
    paired = Paired(talks, encoder, decoder, items)
    facesets = {faceset.name: faceset for faceset in (Faceset.open(source) for source in sources)}
    ways = _ways(paired.names, facesets, record["identities"], run)
    where = torch.device(device)
    tell("what needs no training")
    means = {name: mean_face(faceset, encoder, decoder) for name, faceset in facesets.items()}
    directions = [
        {
            "from": person, "to": identity,
            "input": paired.scored(person, identity, unchanged(decoder.size)),
            "mean": paired.scored(person, identity, _always(means[identity])),
        }
        for person, identity in ways
    ]  # fmt: skip

    def drawn(path: Path) -> tuple[dict[str, Any], list[dict[str, float]]]:
        net, record = load_swap_net(path)
        net.to(where)
        return record, [paired.scored(person, one, swapped(net, one, where)) for person, one in ways]

    tell(FILE)
    _, found = drawn(run / FILE)
    snapshots = []
    for path in snapshots_in(run):
        tell(path.name)
        record, scored = drawn(path)
        both = zip(ways, scored, strict=True)
        snapshots.append(
            {
                "steps": int(record["steps"]), "core_minutes": core_minutes(record),
                "directions": [{"from": person, "to": one, "swapped": values} for (person, one), values in both],
            }
        )  # fmt: skip
    return {
        "moments": sum(len(batch.pictures) for batch in paired.batches(*ways[0])),
        "directions": [{**one, "swapped": values} for one, values in zip(directions, found, strict=True)],
        "snapshots": snapshots,
    }  # fmt: skip


def difference(face: Tensor, true: Tensor, inside: Tensor) -> Tensor:
    """The mean absolute difference of pictures (n, 3, S, S) where inside (n, 1, S, S) is 1, (n,), 0..1.

    Both are brought to the very same mean colour first: who pastes a face gives it the scene's.
    """
    area = inside.sum((2, 3), keepdim=True).clamp(min=1)

    def evened(picture: Tensor) -> Tensor:
        mean = (picture * inside).sum((2, 3), keepdim=True) / area
        return (picture * torch.tensor(TONE)[None, :, None, None] / mean.clamp(min=1e-3)).clamp(0, 1)

    off = (evened(face) - evened(true)).abs() * inside
    return off.sum((1, 2, 3)) / (3 * area[:, 0, 0, 0])


def table(result: Mapping[str, Any]) -> Table:
    """The result of evaluate_paired for a terminal."""
    shown = Table("from", "to", "answer", *SHOWN, title="against the truth: L1 in 255ths, PSNR in dB")
    for entry in result["directions"]:
        for answer in ANSWERS:
            values = [entry[answer][name] for name in SHOWN.values()]
            shown.add_row(entry["from"], entry["to"], answer, *(f"{v:.3f}" if v < 1 else f"{v:.1f}" for v in values))
    return shown


def crossing(directions: Sequence[Mapping[str, Any]], answer: str, measure: str) -> float:
    """The mean of an answer's measure over the directions in which somebody becomes somebody else."""
    return float(np.mean([one[answer][measure] for one in directions if one["from"] != one["to"]]))


def better(directions: Sequence[Mapping[str, Any]], measure: str) -> float:
    """The mean over those directions of the better of the two answers that need no training."""
    best = max if measure.endswith(("ssim", "psnr")) else min
    crossed = [one for one in directions if one["from"] != one["to"]]
    return float(np.mean([best(one["input"][measure], one["mean"][measure]) for one in crossed]))


def _spread(rows: np.ndarray, items: int | None) -> np.ndarray:
    return rows[np.arange(count) * len(rows) // count] if (count := min(items or len(rows), len(rows))) else rows


def _always(face: Tensor) -> Guess:
    return lambda batch: face.expand(len(batch.pictures), -1, -1, -1)


def _ways(
    names: Sequence[str], facesets: Mapping[str, Faceset], identities: Sequence[str], run: Path
) -> list[tuple[str, str]]:
    """From whom to whom. Raises LiveswapError where the run knows nobody of the truth."""
    known = [name for name in identities if name in names and name in facesets]
    if not known:
        raise LiveswapError(f"{run} draws {', '.join(identities)}, wanted somebody of the truth: {', '.join(names)}")
    return [(person, identity) for person in names for identity in known]
