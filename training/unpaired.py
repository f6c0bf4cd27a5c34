"""Trains without pairs, as this field began: one encoder for two people, each decoder mends its own warped faces.

What the encoder has in common for both is expression, pose and light; decoding one person's code with the other's
decoder is the swap, in both directions.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from realtime.errors import SettingsError
from training import checkpoint
from training.augment import Jitter, Webcam, elastic, jittered, recrop, warp
from training.batches import PairBatch, to_input
from training.evaluate import as_bytes, scores, truth_of, unchanged
from training.faceset import Faceset
from training.loop import Average, Course, Plan, State, fit, warm_cosine
from training.losses import TONE
from training.model import Decoder, DecoderShape, EncoderShape, SwapNet, template_points
from training.preview import pasted
from training.swap import FILE, PREVIEW, SwapSettings, losses_of, optimiser_of, warm_start

logger = logging.getLogger(__name__)

JITTER: Final = Jitter(scale=0.08, degrees=8, shift=0.04)
STILL: Final = Jitter(scale=0, degrees=0, shift=0)
WARP: Final = 0.022  # of the crop's width: far enough that the decoder must know its person
HELD_OUT: Final = 10  # every tenth face is kept for the test


class Warped:
    """Cuts batches in which each person's warped crops are to become that person's crops."""

    def __init__(
        self, facesets: Sequence[Faceset], encoder: EncoderShape, decoder: DecoderShape, batch: int, seed: int
    ) -> None:
        self._facesets, self._encoder, self._size = facesets, encoder, decoder.size
        self._each, self._seed, self._webcam = batch // len(facesets), seed, Webcam(seed, 0.5)
        self._points = template_points(1.0).numpy()

    def __call__(self, number: int) -> PairBatch:
        """A training batch."""
        rng = np.random.default_rng((self._seed, number))
        rows = [
            self._cut(faceset, _training(faceset, rng), rng) for faceset in self._facesets for _ in range(self._each)
        ]
        return self._stack(rows)

    def clean(self, faceset: Faceset, count: int) -> PairBatch:
        """Faces that training never sees, as they are."""
        held_out = np.arange(0, len(faceset), HELD_OUT)
        chosen = held_out[np.linspace(0, len(held_out) - 1, min(count, len(held_out))).astype(int)]
        return self._stack([self._cut(faceset, int(k), None) for k in chosen])

    def _cut(self, faceset: Faceset, index: int, rng: Generator | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        face, small = faceset[index], self._encoder.size
        change = jittered(rng, JITTER) if rng else np.eye(3)
        coverage = self._encoder.coverage / faceset.coverage
        to_picture, to_target = (recrop(change, faceset.size, size, coverage) for size in (small, self._size))
        picture, target = np.ascontiguousarray(face[..., :3]), warp(face, to_target, self._size)
        if rng is None:
            return warp(picture, to_picture, small), target
        return self._webcam(elastic(picture, to_picture, small, rng, WARP), rng), target

    def _stack(self, rows: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> PairBatch:
        pictures, targets = (np.stack(column) for column in zip(*rows, strict=True))
        points = np.broadcast_to(self._points, (len(rows), *self._points.shape)).astype(np.float32)
        return PairBatch(pictures, targets, np.zeros(targets.shape[:3], np.uint8), points, None)


def _training(faceset: Faceset, rng: Generator) -> int:
    """A random face that is not held out."""
    block, place = divmod(int(rng.integers(len(faceset) - -(-len(faceset) // HELD_OUT))), HELD_OUT - 1)
    return block * HELD_OUT + place + 1


def train_unpaired(
    sources: Sequence[str],
    out: Path,
    plan: Plan,
    resume: bool = False,
    landmarks: Path | None = None,
    settings: SwapSettings | None = None,
    encoder: EncoderShape | None = None,
    decoder: DecoderShape | None = None,
    device: str = "cpu",
) -> State:
    """Trains on two facesets (Faceset.open) or more and writes out/swap.pt and out/preview.jpg; how far it came.

    The checkpoint is of the kind that train_swap writes. Raises LiveswapError for what cannot be used.
    """
    settings, where = settings or SwapSettings(), torch.device(device)
    encoder, decoder = encoder or EncoderShape(), decoder or DecoderShape()
    torch.manual_seed(settings.seed)
    facesets = [Faceset.open(source) for source in sources]
    names = tuple(faceset.name for faceset in facesets)
    if len(set(names)) != len(names) or settings.batch < len(names):
        raise SettingsError(f"people {', '.join(names)} and a batch of {settings.batch}: names differ, a batch has all")
    net = SwapNet(encoder, decoder, names)
    origin = warm_start(net, landmarks) if landmarks else {}
    net = net.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average, optimiser, state = Average(net, settings.average), optimiser_of(net, settings), State()
    if resume:
        wanted = {"encoder": encoder.record(), "decoder": decoder.record(), "identities": list(names)}
        state = State(*checkpoint.resume(out / FILE, checkpoint.SWAP, wanted, net, average.net, optimiser))
    batches = Warped(facesets, encoder, decoder, settings.batch, settings.seed)
    tests = {faceset.name: batches.clean(faceset, 8) for faceset in facesets}
    logger.info("unpaired: %s, from step %d", {f.name: len(f) for f in facesets}, state.step)

    def keep(state: State) -> None:
        record = {
            "encoder": encoder.record(), "decoder": decoder.record(), "identities": list(names), "tone": list(TONE),
            "data": "unpaired", "faces": {f.name: len(f) for f in facesets}, "steps": state.step,
            "seconds": round(state.seconds, 1), "seed": settings.seed, "batch": settings.batch,
            "losses": asdict(settings.weights), "landmarks": origin, "test": state.numbers,
        }  # fmt: skip
        checkpoint.save(out / FILE, checkpoint.SWAP, checkpoint.contents(record, net, average.net, optimiser))
        cv2.imwrite(str(out / PREVIEW), crossings(average.net, tests, where))

    course = Course(
        batches=batches,
        losses=lambda batch: losses_of(net, batch, names, settings.weights, where),
        factor=lambda progress, step: warm_cosine(progress, step, 80, settings.hold, settings.floor),
        test=lambda: mended(average.net, tests, where),
        keep=keep,
        log_steps=settings.log_steps,
        test_steps=settings.test_steps,
        save_seconds=settings.save_seconds,
    )
    return fit(course, plan, optimiser, average, state)


@torch.no_grad()
def draw(net: SwapNet, identity: str, batch: PairBatch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Face (n, 3, S, S) and mask (n, 1, S, S) of identity doing what the batch's pictures do; net in eval mode."""
    decoder = net.decoders[identity]
    assert isinstance(decoder, Decoder)
    face, mask = decoder.decode(net.encoder(to_input(batch.pictures, device)))
    return face.cpu(), mask.cpu()


def mended(net: SwapNet, tests: dict[str, PairBatch], device: torch.device) -> dict[str, float]:
    """How well each decoder draws its own person, on faces it has not learned from: "ann_psnr", "ann_ssim"."""
    result: dict[str, float] = {}
    for name, batch in tests.items():
        found = scores(draw(net, name, batch, device)[0], truth_of(batch), torch.from_numpy(batch.points))
        result |= {f"{name}_{score}": float(found[f"face_{score}"].nanmean()) for score in ("psnr", "ssim")}
    return result


def crossings(net: SwapNet, tests: dict[str, PairBatch], device: torch.device) -> NDArray[np.uint8]:
    """(h, w, 3) BGR: for each person a row of pictures, then a row pasted with every person's decoder."""
    strips: list[Tensor] = []
    columns = min(len(batch.pictures) for batch in tests.values())
    for batch in tests.values():
        pictures = unchanged(batch.targets.shape[1])(batch)
        strips += [pictures, *(pasted(pictures, *draw(net, name, batch, device)) for name in tests)]
    return np.concatenate([np.concatenate(list(as_bytes(strip[:columns])), 1) for strip in strips])
