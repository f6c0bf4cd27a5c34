"""Swaps rendered people whose every identity is known, and measures how far the result is from the truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track as progress
from torch import Tensor

from bench import sheet
from bench.ruler import Given, points_of, read
from realtime.errors import LiveswapError
from realtime.face.face import Face
from realtime.face.geometry import Image, transform
from realtime.face.landmarks import Landmarker, Reading
from realtime.face.track import box_of
from realtime.frame import Frame
from realtime.swap.compose import Swapped, SwappedFace, compose
from realtime.swap.contract import Contract
from realtime.swap.fallback import Fallback
from realtime.swap.identity import Identity, Shelf
from realtime.swap.swapper import Swapper
from realtime.swap.views import crop_of
from training.augment import recrop, warp
from training.batches import PairBatch, Pairs, to_input
from training.dataset import Dataset, Item
from training.evaluate import compared, correlations, mean_face, scores, truth_of, unchanged
from training.landmarks import face_size
from training.losses import toned
from training.model import DecoderShape, EncoderShape

CHUNK: Final = 16
APART: Final = 10.0  # seconds between two items: nothing is remembered from one to the next
ROWS: Final = 3  # of each identity on the sheet
ANSWERS: Final = ("swapped", "input", "mean", "truth")  # what is measured; the last is the ruler's own error

Pictures = NDArray[np.float32]  # (n, S, S, 3) BGR 0..1
Masks = NDArray[np.float32]  # (n, S, S) 0..1


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody draws for some items."""

    faces: Pictures  # in the decoder's crop
    masks: Masks | None  # the unchanged input has none
    composed: list[Image]  # the item's whole picture with the face in it
    readings: list[Reading]  # of the composed pictures


@dataclass(frozen=True, slots=True)
class Scene:
    """An item as a frame with one face, found without error: the alignment is the dataset's own."""

    frame: Frame
    face: Face

    @classmethod
    def of(cls, item: Item, number: int, data: Dataset) -> "Scene":
        """The stored crop is the frame."""
        size, coverage = data.description.size, data.description.coverage
        to_template = recrop(np.eye(3), size, 1, 1 / coverage)
        to_template[:, 2] += 0.5
        landmarks = item.x_points[:68]
        image = np.ascontiguousarray(item.x)
        face = Face(box_of(landmarks), landmarks, 1.0, number, to_template)
        return cls(Frame(image, number, APART * number), face)

    def drawn(self, identity: Contract, face: NDArray[np.float32], mask: NDArray[np.float32]) -> Swapped:
        """As if the identity had drawn face (S, S, 3) 0..1 and mask (S, S)."""
        to_crop = crop_of(self.face, identity.size, identity.coverage)
        return Swapped(self.frame, (SwappedFace(self.face, identity.identity, face * np.float32(255), mask, to_crop),))


class Subject:
    """The held-out items of a dataset as one identity should draw them."""

    def __init__(self, folder: Path, shelf: Shelf, identity: Identity, landmarker: Landmarker, items: int) -> None:
        """Raises LiveswapError for a dataset that cannot be used."""
        self.data = Dataset.open(folder, "test")
        count = min(items, len(self.data))
        self.items = np.arange(count, dtype=np.int64) * len(self.data) // count
        self._identity, self._landmarker, self._given = identity, landmarker, Given()
        self._swapper = Swapper(self._given, shelf, identity.name, Fallback(unsure="raise"))
        encoder, decoder = shapes(shelf.encoder.contract, identity.contract)
        self._pairs = Pairs(self.data, encoder, decoder, len(self.data.description.identities), 0)
        mean, mask = mean_face(Dataset.open(folder, "train"), encoder, decoder, identity.name)
        self._mean = _pictures(mean)[0], mask[0, 0].numpy()

    def chunk(self, numbers: NDArray[np.int64]) -> "Chunk":
        """Some items, answered in every way."""
        batch = self._pairs.clean(self._identity.name, numbers)
        items = [self.data[int(number)] for number in numbers]
        scenes = [Scene.of(item, int(number), self.data) for item, number in zip(items, numbers, strict=True)]
        swapped = [self._swapped(scene) for scene in scenes]
        answers = {
            "swapped": self._answer(scenes, swapped),
            "input": self._unchanged(scenes, batch),
            "mean": self._answer(scenes, [scene.drawn(self._identity.contract, *self._mean) for scene in scenes]),
            "truth": self._answer(scenes, self._true(scenes, batch)),
        }
        name = self._identity.name
        points = np.stack([transform(item.onto[name], item.points[name]) for item in items])
        shown = zip(swapped, answers["swapped"].composed, strict=True)
        pictures = [sheet.moment(one, output, self._whole()) for one, output in shown]
        return Chunk(batch, answers, points, self._to_target(), pictures)

    def _swapped(self, scene: Scene) -> Swapped:
        self._given.faces = (scene.face,)
        return self._swapper(scene.frame)

    def _true(self, scenes: Sequence[Scene], batch: PairBatch) -> list[Swapped]:
        """The identity's own picture, shown where nothing is in front of it."""
        target = to_input(batch.targets, torch.device("cpu"))
        faces = _pictures(toned(target[:, :3], target[:, 3:]))
        shown = target[:, 3].numpy() * (1 - batch.occluded.astype(np.float32) / 255)
        return [s.drawn(self._identity.contract, f, m) for s, f, m in zip(scenes, faces, shown, strict=True)]

    def _answer(self, scenes: Sequence[Scene], drawn: Sequence[Swapped]) -> Answer:
        faces = [swapped.faces[0] for swapped in drawn]
        images, masks = np.stack([face.image for face in faces]), np.stack([face.mask for face in faces])
        composed = [compose(swapped).image for swapped in drawn]
        return Answer(images / np.float32(255), masks, composed, self._readings(scenes, composed))

    def _unchanged(self, scenes: Sequence[Scene], batch: PairBatch) -> Answer:
        """The input as it is."""
        faces, frames = unchanged(self._identity.contract.size)(batch), [scene.frame.image for scene in scenes]
        return Answer(_pictures(faces), None, frames, self._readings(scenes, frames))

    def _readings(self, scenes: Sequence[Scene], images: Sequence[Image]) -> list[Reading]:
        """Of whole pictures: over a plain one the ruler would be less exact, and the mean picture's row shows
        that what is left of the input round the mask hardly helps."""
        both = zip(scenes, images, strict=True)
        return [read(self._landmarker, image, scene.face.landmarks) for scene, image in both]

    def _to_target(self) -> NDArray[np.float32]:
        """Stored px to px of the decoder's crop."""
        said, contract = self.data.description, self._identity.contract
        return recrop(np.eye(3), said.size, contract.size, contract.coverage / said.coverage)

    def _whole(self) -> NDArray[np.float32]:
        """Stored px to px of a cell that shows the template."""
        return recrop(np.eye(3), self.data.description.size, sheet.CELL, 1 / self.data.description.coverage)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some items: the truth, and the answers to it."""

    batch: PairBatch
    answers: Mapping[str, Answer]
    points: NDArray[np.float32]  # (n, 70, 2) the identity's, stored px
    to_target: NDArray[np.float32]  # (2, 3) stored px to px of the decoder's crop
    pictures: list[Image]  # for the sheet

    def pictures_scored(self, name: str, side: int | None = None) -> dict[str, Tensor]:
        """PSNR and SSIM of each item, (n,): the face toned, and "composed_": the whole mask of the picture.

        side: px of the pictures that are compared, which networks of several sizes have in common; else the decoder's.
        """
        size = side or self.batch.targets.shape[1]
        targets, occluded = (of_side(pictures, size) for pictures in (self.batch.targets, self.batch.occluded))
        batch, points = replace(self.batch, targets=targets, occluded=occluded), torch.from_numpy(self.batch.points)
        result = scores(_tensor(of_side(self.answers[name].faces, size)), truth_of(batch), points)
        inside = (torch.from_numpy(targets[:, None, :, :, 3]) > 127).float()
        composed, true = (self._cut(self.answers[one].composed, size) for one in (name, "truth"))
        whole = compared(composed, true, inside, points)
        return result | {f"composed_{key}": values for key, values in whole.items()}

    def masks_scored(self, name: str) -> dict[str, NDArray[np.int64]]:
        """What is shared and what there is in all, px of each item, (n, 2).

        "mask": the identity's face region, where nothing is in front; "occluder": what the mask leaves out inside of
        that region, against what is truly in front of it.
        """
        masks = self.answers[name].masks
        if masks is None:
            return {}
        shown, region, covered = masks > 0.5, self.batch.targets[..., 3] > 127, self.batch.occluded > 127
        return {
            "mask": _shared(shown & ~covered, region & ~covered),
            "occluder": _shared(~shown & region, covered & region),
        }

    def points_scored(self, name: str) -> NDArray[np.float64]:
        """The mean landmark error of each item in shares of the face's size (the outer-eye distance), (n,)."""
        read = np.stack([points_of(reading) for reading in self.answers[name].readings])
        size = face_size(torch.from_numpy(self.points)).numpy()
        return np.asarray(np.linalg.norm(read - self.points, axis=2).mean(1) / size, np.float64)

    def blend(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the ruler says and what is true, (n, 10)."""
        assert self.batch.blend is not None  # of pairs it is known
        return np.stack([reading.blend for reading in self.answers[name].readings]), self.batch.blend

    def _cut(self, composed: Sequence[Image], size: int) -> Tensor:
        own = self.batch.targets.shape[1]
        cut = np.stack([warp(image, self.to_target, own) for image in composed])
        return to_input(of_side(cut, size), torch.device("cpu"))


def measure(
    folder: Path, shelf: Shelf, names: Sequence[str], landmarker: Landmarker, items: int, side: int | None = None
) -> tuple[dict[str, Any], list[Image]]:
    """The numbers of every identity that the dataset draws as JSON takes them, and rows for a sheet.

    side: px of the pictures that are compared; else each decoder's own.
    Raises LiveswapError, also when the dataset draws none of the names.
    """
    data = Dataset.open(folder, "test")
    known = [name for name in names if name in data.description.identities]
    if not known:
        raise LiveswapError(
            f"{folder} has pairs of {', '.join(data.description.identities)}, wanted one of {', '.join(names)}"
        )
    result: dict[str, Any] = {}
    rows: list[Image] = []
    for name in known:
        subject = Subject(folder, shelf, shelf[name], landmarker, items)
        parts = [subject.items[start : start + CHUNK] for start in range(0, len(subject.items), CHUNK)]
        tally = Tally(side)
        for part in progress(parts, f"pairs of {name}"):
            tally.add(subject.chunk(part))
        result[name] = tally.numbers()
        rows += sheet.rows(tally.pictures, ROWS)
    count = min(items, len(data))
    return {"items": count, "people": data.people(), "side": side, "identities": result}, rows


class Tally:
    """Collects the scores of chunks; what is kept of a chunk is small."""

    def __init__(self, side: int | None = None) -> None:
        self.pictures: list[Image] = []
        self._side = side
        self._scores: dict[str, dict[str, list[Tensor]]] = {name: {} for name in ANSWERS}
        self._masks: dict[str, dict[str, list[NDArray[np.int64]]]] = {name: {} for name in ANSWERS}
        self._points: dict[str, list[NDArray[np.float64]]] = {name: [] for name in ANSWERS}
        self._blend: dict[str, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = {name: [] for name in ANSWERS}

    def add(self, chunk: Chunk) -> None:
        """Takes a chunk's scores."""
        self.pictures += chunk.pictures[:2]
        for name in ANSWERS:
            for key, values in chunk.pictures_scored(name, self._side).items():
                self._scores[name].setdefault(key, []).append(values)
            for key, areas in chunk.masks_scored(name).items():
                self._masks[name].setdefault(key, []).append(areas)
            self._points[name].append(chunk.points_scored(name))
            self._blend[name].append(chunk.blend(name))

    def numbers(self) -> dict[str, dict[str, float | None]]:
        """{answer: {measure: value}}. The truth has no scores as a picture: it is what the others are held against."""
        return {name: self._ruled(name) | ({} if name == "truth" else self._drawn(name)) for name in ANSWERS}

    def _drawn(self, name: str) -> dict[str, float | None]:
        pictures = {key: float(torch.cat(values).nanmean()) for key, values in self._scores[name].items()}
        areas = {key: np.concatenate(values) for key, values in self._masks[name].items()}
        return {**pictures, **{f"{key}_iou": _ratio(area) for key, area in areas.items()}}

    def _ruled(self, name: str) -> dict[str, float | None]:
        said, true = (torch.from_numpy(np.concatenate(column)) for column in zip(*self._blend[name], strict=True))
        error = float(np.concatenate(self._points[name]).mean())
        return {"landmarks_percent": 100 * error, **correlations(said, true)}


def shapes(encoder: Contract, decoder: Contract) -> tuple[EncoderShape, DecoderShape]:
    """What the crops of two model files need. Raises LiveswapError where they differ in coverage."""
    if encoder.coverage != decoder.coverage:
        raise LiveswapError(
            f"{encoder.title} sees {encoder.coverage:g} of the template and {decoder.title} draws "
            f"{decoder.coverage:g}, wanted the same of both"
        )
    return EncoderShape(size=encoder.size, coverage=encoder.coverage), DecoderShape(size=decoder.size)


def _ratio(areas: NDArray[np.int64]) -> float | None:
    """Intersection over union of all items together; None where there is nothing in either."""
    shared, union = areas.sum(0)
    return float(shared / union) if union else None


def _shared(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Intersection and union of masks (n, h, w), px, (n, 2)."""
    return np.stack([(one & other).sum((1, 2)), (one | other).sum((1, 2))], 1).astype(np.int64)


def of_side(pictures: NDArray[Any], side: int) -> NDArray[Any]:
    """Pictures (n, s, s) or (n, s, s, c) in another size, each pixel the mean of those that it covers."""
    if pictures.shape[1] == side:
        return pictures
    how = cv2.INTER_AREA if side < pictures.shape[1] else cv2.INTER_CUBIC
    return np.stack([cv2.resize(picture, (side, side), interpolation=how) for picture in pictures])


def _pictures(faces: Tensor) -> Pictures:
    """(n, 3, S, S) to (n, S, S, 3)."""
    return np.ascontiguousarray(faces.permute(0, 2, 3, 1).numpy())


def _tensor(faces: Pictures) -> Tensor:
    """(n, S, S, 3) to (n, 3, S, S)."""
    return torch.from_numpy(np.ascontiguousarray(faces.transpose(0, 3, 1, 2)))
