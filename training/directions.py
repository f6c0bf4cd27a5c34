"""How good identities from footage are, in each direction, on the end of the footage, which training never sees."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor

from realtime.errors import LiveswapError
from realtime.face.geometry import Image, template, to_pixels
from realtime.face.landmarks import BLEND, Landmarker, Reading
from realtime.swap.session import SessionSettings
from training.batches import PairBatch, to_input
from training.checkpoint import load_swap_net
from training.evaluate import REGIONS, SCORES, as_bytes, scores, truth_of
from training.extract.sighting import pose_of
from training.faceset import Faceset
from training.losses import toned
from training.model import DecoderShape, EncoderShape, SwapNet
from training.own import draw
from training.warped import Warped

SOURCES: Final = "facesets.json"  # where the facesets of a run lie
MOST: Final = 200  # held-out faces of a person
FEWEST: Final = 8  # faces, below which a correlation says nothing
MARGIN: Final = 1.5  # of a drawn face's side: what it is put into to be read
CARRIED: Final = ("yaw", "mouth", "jaw", "blink", "smile", "gaze")
CHUNK: Final = 32

Values = NDArray[np.float64]


def write_sources(sources: Sequence[str], out: Path) -> None:
    """Notes where the facesets of a run lie; not in the checkpoint, which travels. Raises LiveswapError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / SOURCES).write_text(json.dumps([_absolute(source) for source in sources]), "utf-8")
    except OSError as error:
        raise LiveswapError(f"{out} cannot be written: {error.strerror}") from error


def read_sources(run: Path) -> list[str]:
    """Where the facesets of a run lie. Raises LiveswapError."""
    try:
        said = json.loads((run / SOURCES).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise LiveswapError(f"{run} does not say where its facesets lie, wanted them after its name") from error
    return [str(source) for source in said]


def evaluate_own(path: Path, sources: Sequence[str], device: str = "cpu", threads: int = 1) -> dict[str, Any]:
    """The scores of the checkpoint at path on the held-out faces of its facesets.

    {"record", "people": {name: faces}, "directions": [{"from", "to", "carried": {...}, "drawn", "mean"}]}; the last
    two, against the truth, only where a person is drawn as themselves. Raises LiveswapError.
    """
    net, record = load_swap_net(path)
    where = torch.device(device)
    net.to(where)
    facesets = [Faceset.open(source) for source in sources]
    _check_same(facesets, record, path)
    encoder, decoder = net.encoder.shape, DecoderShape.read(record["decoder"])
    landmarker = Landmarker.load(settings=SessionSettings(provider="cpu", threads=threads))
    directions = []
    for faceset in facesets:
        batch = Warped([faceset], encoder, decoder, 1, 0).clean(faceset, MOST)
        for name in record["identities"]:
            face, mask = _drawn(net, name, batch, where)
            entry: dict[str, Any] = {
                "from": faceset.name, "to": name, "carried": carried(faceset, batch, face, mask, landmarker),
            }  # fmt: skip
            if name == faceset.name:
                entry |= {
                    "drawn": _against_truth(face, batch),
                    "mean": _against_truth(mean_face(faceset, encoder, decoder).expand_as(face), batch),
                }
            directions.append(entry)
    people = {faceset.name: len(faceset.held_out) for faceset in facesets}
    return {"record": record, "people": people, "directions": directions}


def carried(
    faceset: Faceset, batch: PairBatch, face: Tensor, mask: Tensor, landmarker: Landmarker
) -> dict[str, float | None]:
    """How what the drawn faces do goes along with what the person does: CARRIED's correlations; None where unknown.

    Drawn faces (n, 3, S, S) are read over a plain ground, so that nothing of the person's picture helps.
    """
    if batch.blend is None:
        return dict.fromkeys(CARRIED)
    size = face.shape[-1]
    before = [doing(point * size, blend) for point, blend in zip(batch.points, batch.blend, strict=True)]
    after = []
    for picture, alpha in zip(as_bytes(face), mask[:, 0].numpy(), strict=True):
        reading = read_over_plain(picture, alpha, landmarker)
        after.append(doing(np.concatenate([reading.landmarks, reading.irises]), reading.blend))
    columns = zip(np.array(before).T, np.array(after).T, strict=True)
    return {name: _together(one, other) for name, (one, other) in zip(CARRIED, columns, strict=True)}


def read_over_plain(face: Image, mask: NDArray[np.float32], landmarker: Landmarker) -> Reading:
    """What the landmark network reads in a drawn face (S, S, 3) over its own mean colour; mask (S, S) in 0..1."""
    size = face.shape[0]
    inside = mask > 0.5
    ground = face[inside].mean(0) if inside.any() else face.mean((0, 1))
    side, first = round(MARGIN * size), round((MARGIN - 1) / 2 * size)
    canvas = np.full((side, side, 3), ground.round(), np.uint8)
    mixed = face * mask[..., None] + ground * (1 - mask[..., None])
    canvas[first : first + size, first : first + size] = np.clip(mixed + 0.5, 0, 255)
    start = to_pixels(template(), size) + np.float32(first)
    return landmarker.follow(canvas, landmarker.follow(canvas, start).landmarks)


def doing(points: NDArray[np.float32], blend: NDArray[np.float32]) -> list[float]:
    """CARRIED of points (70, 2) in px and blend weights (10,)."""
    said = dict(zip(BLEND, blend.tolist(), strict=True))
    nose = max(float(np.linalg.norm(points[33] - points[27])), 1e-6)
    return [
        float(pose_of(points[:68])[0]),
        float(np.linalg.norm(points[66] - points[62])) / nose,
        said["jawOpen"],
        (said["eyeBlinkLeft"] + said["eyeBlinkRight"]) / 2,
        said["mouthSmile"],
        (said["gazeYawLeft"] + said["gazeYawRight"]) / 2,
    ]


def mean_face(faceset: Faceset, encoder: EncoderShape, decoder: DecoderShape) -> Tensor:
    """The mean of the faces that training sees, toned, (1, 3, S, S): an answer that needs no training."""
    rows = faceset.learned[np.linspace(0, len(faceset.learned) - 1, min(MOST, len(faceset.learned))).astype(int)]
    target = to_input(Warped([faceset], encoder, decoder, 1, 0).as_they_are(faceset, rows).targets, torch.device("cpu"))
    inside = (target[:, 3:] > 0.5).float()
    total = (toned(target[:, :3], inside) * inside).sum(0, keepdim=True)
    return total / inside.sum(0, keepdim=True).clamp(min=1)


def table(result: Mapping[str, Any]) -> Table:
    """The result of evaluate_own for a terminal."""
    columns = [f"{region} {name}" for region in REGIONS for name in SCORES]
    shown = Table("from", "to", *columns, *(f"{name} r" for name in CARRIED))
    for entry in result["directions"]:
        for answer in ("drawn", "mean") if "drawn" in entry else ("",):
            values = [entry[answer][column.replace(" ", "_")] for column in columns] if answer else []
            carries = entry["carried"].values() if answer != "mean" else ()
            shown.add_row(
                entry["from"], "(mean picture)" if answer == "mean" else entry["to"],
                *([f"{value:.2f}" if value > 2 else f"{value:.3f}" for value in values] or [""] * len(columns)),
                *("" if value is None else f"{value:.2f}" for value in carries),
            )  # fmt: skip
    return shown


def _absolute(source: str) -> str:
    return str(Path(source).resolve())


def _check_same(facesets: Sequence[Faceset], record: Mapping[str, Any], path: Path) -> None:
    """Raises LiveswapError where the facesets are others than those that the run learned from."""
    for faceset in facesets:
        known = record["training_sets"].get(faceset.name)
        if known is None:
            raise LiveswapError(f"{path} knows {', '.join(record['training_sets'])}, not {faceset.name}")
        if known != faceset.digest:
            raise LiveswapError(f"{path} learned from another faceset of {faceset.name} than this one")


def _drawn(net: SwapNet, name: str, batch: PairBatch, device: torch.device) -> tuple[Tensor, Tensor]:
    parts = [
        draw(
            net,
            name,
            PairBatch(batch.pictures[k : k + CHUNK], batch.targets, batch.occluded, batch.points, None),
            device,
        )
        for k in range(0, len(batch.pictures), CHUNK)
    ]
    return torch.cat([face for face, _ in parts]), torch.cat([mask for _, mask in parts])


def _against_truth(face: Tensor, batch: PairBatch) -> dict[str, float]:
    found = scores(face, truth_of(batch), torch.from_numpy(batch.points))
    return {name: float(values.nanmean()) for name, values in found.items()}


def _together(one: Values, other: Values) -> float | None:
    """Pearson's correlation; None where it says nothing."""
    if len(one) < FEWEST or one.std() < 1e-6 or other.std() < 1e-6:
        return None
    return float(np.corrcoef(one, other)[0, 1])
