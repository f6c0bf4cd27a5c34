"""Trains identities on people's own footage: one encoder for two people, each decoder mends its own warped faces.

What the encoder has in common for both is expression, pose and light; decoding one person's code with the other's
decoder is the swap, in both directions. Against an embedded identity only a new decoder learns.
"""

import datetime
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from realtime.errors import LiveswapError, SettingsError
from training import checkpoint
from training.batches import PairBatch, to_input
from training.consent import check_dates
from training.evaluate import as_bytes, scores, truth_of, unchanged
from training.faceset import Faceset
from training.loop import Average, Course, Plan, State, fit, warm_cosine
from training.losses import TONE, Features
from training.model import Decoder, SwapNet
from training.origin import fill
from training.precision import decided
from training.presets import Start
from training.preview import pasted
from training.processes import ALONE, Processes
from training.snapshots import Snapshots
from training.step import AUTO, Step
from training.swap import FILE, PREVIEW, SwapSettings, hold_still, optimiser_of
from training.warped import Shown, Warped
from training.watching import All, Watcher

logger = logging.getLogger(__name__)

SHOWN: Final = 8  # faces in a row of the preview
KNOWN: Final = 64  # faces whose codes' mean says where a person's codes are
HISTORY: Final = "history"  # the last checkpoints and the best one
PREVIEWS: Final = "previews"  # a preview for each checkpoint
LAST: Final = 3  # checkpoints that are kept besides the newest
OPTIMISATION: Final = ("rate", "trunk_rate", "hold", "floor", "average")  # what a checkpoint says of its settings


def train_own(
    sources: Sequence[str],
    out: Path,
    plan: Plan,
    start: Start,
    resume: bool = False,
    settings: SwapSettings | None = None,
    device: str = "cpu",
    features: Features | None = None,
    ended: Callable[[], bool] = lambda: False,
    processes: Processes = ALONE,
    watch: Watcher | None = None,
    snapshots: float | None = None,
) -> State:
    """Trains on facesets (Faceset.open) and writes out/swap.pt, previews and a history; how far it came.

    Two people or more, or one where start names an embedded identity. The checkpoint is of the kind that train_swap
    writes, and knows nothing of how many processes there were. snapshots: minutes of the processor between two of
    them. Raises LiveswapError for what cannot be used.
    """
    settings, where = settings or SwapSettings(), torch.device(device)
    facesets = [Faceset.open(source, at_least=4) for source in sources]
    for faceset in facesets:
        if faceset.card:
            check_dates(faceset.card, f"the faceset of {faceset.name}", datetime.date.today())
    learning = tuple(faceset.name for faceset in facesets)
    check_people(learning, start.against, settings.batch)
    names = (*learning, *((start.against,) if start.against else ()))
    stays, shown = begun(out) if resume else (start.stays, start.shown)
    batches = Warped(facesets, start.encoder, start.decoder, settings.batch, settings.seed, processes, shown)
    if not resume and (out / FILE).exists():
        raise LiveswapError(f"{out} holds a training already, wanted --resume to go on, or another --out")
    torch.manual_seed(settings.seed)
    net = SwapNet(start.encoder, start.decoder, names)
    if start.origin and not resume:
        new = [one for one in facesets if one.name not in start.origin.decoders]
        fill(net, start.origin, {one.name: most_alike(start, batches.some(one, SHOWN)) for one in new})
    if stays:
        hold_still(net, learning)
    net = net.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average, optimiser, state = Average(net, settings.average), optimiser_of(net, settings), State()
    consent = {one.name: one.card.record() for one in facesets if one.card}
    digests = {one.name: one.digest for one in facesets}
    wanted = {
        "encoder": start.encoder.record(), "decoder": start.decoder.record(), "identities": list(names),
        "training_sets": digests, "batch": settings.batch, "seed": settings.seed,
    }  # fmt: skip

    def loaded() -> int:
        """The step of the checkpoint, from which everything goes on."""
        step, state.seconds = checkpoint.resume(out / FILE, checkpoint.SWAP, wanted, net, average.net, optimiser)
        return step

    best = -1.0
    if resume:
        state.step = loaded()
        kept = checkpoint.load(out / FILE, checkpoint.SWAP)
        said = kept["record"]
        state.skipped, state.numbers, best = int(said["skipped"]), dict(said["test"]), float(said["best"])
        state.losses = dict(said.get("smoothed", {}))
        torch.set_rng_state(kept["random"])
    centres = centres_of(net, facesets, batches, where) if stays else None
    alone = Step(net, learning, settings.weights, features, mean=processes.mean, centres=centres)
    if resume:
        alone.precision = said.get("precision", alone.precision)  # which was the only one before it was said
        if settings.precision not in (AUTO, alone.precision):
            logger.warning("the training goes on in %s as it began, not in %s", alone.precision, settings.precision)
    else:
        with sized(settings.batch):
            alone.precision = decided(settings.precision, alone, batches(0), processes)
    told = all(faceset.blend is not None for faceset in facesets)
    step = processes.joined(alone, idle=not told and not stays)
    tests = {faceset.name: batches.clean(faceset, SHOWN) for faceset in facesets}
    logger.info("own: %s, from step %d", {f.name: len(f.learned) for f in facesets}, state.step)

    about = {
        **wanted, "consent": consent, "tone": list(TONE), "data": "own", "faces": {f.name: len(f) for f in facesets},
        "losses": asdict(settings.weights), "only": list(learning) if stays else [],
        "start": start.origin.summary() if start.origin else {}, "features": features is not None,
        "shown": shown.record(),
        "optimisation": {name: getattr(settings, name) for name in OPTIMISATION}, "precision": alone.precision,
    }  # fmt: skip
    if snapshots is not None:
        taken = Snapshots(out, snapshots, lambda: {"record": about, "average": average.net.state_dict()})
        watch = All([watch, taken] if watch else [taken])

    def keep(state: State) -> None:
        nonlocal best
        reached = like(state.numbers)
        is_best = reached > best
        record = {
            **about, "steps": state.step, "seconds": round(state.seconds, 1), "skipped": state.skipped,
            "best": max(best, reached), "test": state.numbers, "smoothed": dict(state.losses),
        }  # fmt: skip
        content = checkpoint.contents(record, net, average.net, optimiser)
        checkpoint.save(out / FILE, checkpoint.SWAP, {**content, "random": torch.get_rng_state()})
        best = max(best, reached)
        checkpoint.remember(out / FILE, out / HISTORY, state.step, LAST, is_best)
        picture = crossings(average.net, tests, where)
        show(picture, out, state.step)
        if watch:
            watch.picture(state.step, picture)

    course = Course(
        batches=batches,
        losses=lambda batch: step(batch)[0],
        factor=lambda progress, step: warm_cosine(progress, step, 80, settings.hold, settings.floor),
        test=lambda: mended(average.net, tests, where),
        keep=keep,
        back=loaded,
        ended=ended,
        watch=watch.step if watch else None,
        processes=processes,
        tests_kept=True,
        workers=settings.workers,
        log_steps=settings.log_steps,
        test_steps=settings.test_steps,
        save_seconds=settings.save_seconds,
    )
    if not resume and processes.leads:
        state.numbers = course.test()
        keep(state)  # so that there is something to go back to, and a first preview
    with sized(settings.batch):
        return fit(course, plan, optimiser, average, state)


def begun(out: Path) -> tuple[bool, Shown]:
    """Whether decoders alone learn in the training in out, and what it is shown. Raises LiveswapError."""
    said = checkpoint.load(out / FILE, checkpoint.SWAP)["record"]
    return bool(said.get("only")), Shown.of(said)


@torch.no_grad()
def most_alike(start: Start, batch: PairBatch) -> str:
    """The identity to start from whose drawing of these faces is most like they are (SSIM). start has an origin."""
    assert start.origin is not None
    net = SwapNet(start.encoder, start.decoder, start.origin.decoders).eval()
    fill(net, start.origin)
    truth, points, where = truth_of(batch), torch.from_numpy(batch.points), torch.device("cpu")

    def alike(name: str) -> float:
        return float(scores(draw(net, name, batch, where)[0], truth, points)["face_ssim"].nanmean())

    return max(net.decoders, key=alike)


@torch.no_grad()
def centres_of(net: SwapNet, facesets: Sequence[Faceset], batches: Warped, device: torch.device) -> Tensor:
    """The mean code of each person, (people, z), for an encoder that stays."""
    some = (to_input(batches.some(one, KNOWN).pictures, device) for one in facesets)
    return torch.stack([net.encoder(pictures).mean(0) for pictures in some])


def check_people(learning: Sequence[str], against: str, batch: int) -> None:
    """Raises SettingsError for too few people, two of one name, or a batch that has not room for all."""
    if against in learning:
        raise SettingsError(f"a faceset is called {against} like the embedded identity, wanted another name")
    if against and len(learning) != 1:
        raise SettingsError(f"{len(learning)} facesets were given, wanted one with --from {against}")
    if not against and len(learning) < 2:
        raise SettingsError(
            f"{len(learning)} faceset was given, wanted two people, or --from with the name of an embedded identity"
        )
    if len(set(learning)) != len(learning):
        raise SettingsError(f"the people are called {', '.join(learning)}, wanted names that differ")
    if batch < len(learning):
        raise SettingsError(f"a batch of {batch} has no room for {len(learning)} people")


@contextmanager
def sized(batch: int) -> Iterator[None]:
    """Within `with`, an error about memory becomes a sentence that names a smaller batch."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise out_of_memory(error, batch) from error


def out_of_memory(error: Exception, batch: int) -> Exception:
    """The error, as a sentence where it is about memory."""
    said = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in said or "can't allocate memory" in said:
        return LiveswapError(f"a batch of {batch} does not fit into the memory, try --batch {max(2, batch // 2)}")
    return error


def like(numbers: Mapping[str, float]) -> float:
    """What the best checkpoint has most of: the mean SSIM of the people; 0 where nothing was measured yet."""
    values = [value for name, value in numbers.items() if name.endswith("_ssim") and np.isfinite(value)]
    return float(np.mean(values)) if values else 0.0


@torch.no_grad()
def draw(net: SwapNet, identity: str, batch: PairBatch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Face (n, 3, S, S) and mask (n, 1, S, S) of identity doing what the batch's pictures do; net in eval mode."""
    decoder = net.decoders[identity]
    assert isinstance(decoder, Decoder)
    face, mask = decoder.decode(net.encoder(to_input(batch.pictures, device)))
    return face.cpu(), mask.cpu()


def mended(net: SwapNet, tests: Mapping[str, PairBatch], device: torch.device) -> dict[str, float]:
    """How well each decoder draws its own person, on faces it has not learned from: "ann_psnr", "ann_ssim"."""
    result: dict[str, float] = {}
    for name, batch in tests.items():
        found = scores(draw(net, name, batch, device)[0], truth_of(batch), torch.from_numpy(batch.points))
        result |= {f"{name}_{score}": float(found[f"face_{score}"].nanmean()) for score in ("psnr", "ssim")}
    return result


def crossings(net: SwapNet, tests: Mapping[str, PairBatch], device: torch.device) -> NDArray[np.uint8]:
    """(h, w, 3) BGR: for each person a row of pictures, then pasted with the own decoder, then with the others'."""
    strips: list[Tensor] = []
    columns = min(len(batch.pictures) for batch in tests.values())
    for person, batch in tests.items():
        pictures = unchanged(batch.targets.shape[1])(batch)
        order = [person, *(name for name in net.decoders if name != person)]
        strips += [pictures, *(pasted(pictures, *draw(net, name, batch, device)) for name in order)]
    return np.concatenate([np.concatenate(list(as_bytes(strip[:columns])), 1) for strip in strips])


def show(picture: NDArray[np.uint8], out: Path, step: int) -> None:
    """Writes the preview, and beside it one that stays. Raises LiveswapError where it cannot."""
    try:
        (out / PREVIEWS).mkdir(parents=True, exist_ok=True)
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
        for path in (out / PREVIEW, out / PREVIEWS / f"step-{step:08d}.jpg"):
            path.write_bytes(data.tobytes())
    except OSError as error:
        raise LiveswapError(f"the preview in {out} cannot be written: {error.strerror}") from error


def learned_from_footage(path: Path) -> bool:
    """Whether the checkpoint at path is of train_own. Raises LiveswapError for one that cannot be read."""
    return "training_sets" in checkpoint.load(path, checkpoint.SWAP)["record"]
