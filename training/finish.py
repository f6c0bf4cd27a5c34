"""An optional last stage of a training on footage: decoders learn to please a judge of sharpness as well.

The judge is a small network of ours that learns beside them to tell patches of drawn faces from patches of true ones
(hinge loss: Lim and Ye 2017; patches: Isola et al. 2017; feature matching: Wang et al. 2018). The encoder stays.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from realtime.errors import LiveswapError
from training import checkpoint
from training.batches import PairBatch
from training.evaluate import scores, truth_of
from training.faceset import Faceset
from training.loop import Average, Course, Plan, State, fit, warm_cosine
from training.losses import Features
from training.model import DecoderShape, SwapNet
from training.own import SHOWN, centres_of, crossings, draw, show, sized
from training.step import Drawn, Step
from training.swap import FILE, SwapSettings, hold_still, optimiser_of
from training.warped import Shown, Warped
from training.watching import Watcher

logger = logging.getLogger(__name__)

FINISH: Final = "finish.pt"  # a checkpoint like swap.pt, and what the stage needs to go on
FOLDER: Final = "finish"  # of its curves and previews
SSIM_LOSS: Final = 0.01  # of any person's held-out faces, that sharpness may cost
PSNR_LOSS: Final = 0.5  # dB


@dataclass(frozen=True, slots=True)
class FinishSettings:
    """How the last stage trains."""

    rate: float = 1e-4  # of the decoders
    judge_rate: float = 2e-4
    please: float = 0.05  # the weight of pleasing the judge
    match: float = 0.5  # the weight of making the judge see what it sees in true faces
    average: float = 0.995  # of the moving average, each step
    log_steps: int = 20
    test_steps: int = 200
    save_seconds: float = 120.0


class Judge(nn.Module):
    """Says of overlapping patches of a picture how true they look."""

    def __init__(self, widths: Sequence[int] = (24, 48, 96)) -> None:
        super().__init__()
        ins = (3, *widths[:-1])
        pairs = zip(ins, widths, strict=True)
        self.layers = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairs)
        self.verdict = spectral_norm(nn.Conv2d(widths[-1], 1, 3, 1, 1))

    def forward(self, picture: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Verdicts (n, 1, S/8, S/8), positive for true, and what each layer sees; picture (n, 3, S, S) in 0..1."""
        seen, x = [], picture * 2 - 1
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            seen.append(x)
        return self.verdict(x), seen


class Judged:
    """The losses of a batch with those of the judge, who learns from the same batch."""

    def __init__(self, step: Step, judge: Judge, settings: FinishSettings) -> None:
        self._step, self._judge, self._settings = step, judge, settings
        self.optimiser = torch.optim.Adam(judge.parameters(), settings.judge_rate, betas=(0.5, 0.99))

    def __call__(self, batch: PairBatch) -> dict[str, Tensor]:
        """The step's losses, and "please" and "match", weighted."""
        losses, drawn = self._step(batch)
        true, face = shown_to_judge(drawn)
        self._teach(true, face.detach())
        self._judge.requires_grad_(False)
        (verdict, seen), (_, wanted) = self._judge(face), self._judge(true)
        self._judge.requires_grad_(True)
        unlike = torch.stack([(a - b).abs().mean() for a, b in zip(seen, wanted, strict=True)]).mean()
        return {**losses, "please": -self._settings.please * verdict.mean(), "match": self._settings.match * unlike}

    def _teach(self, true: Tensor, face: Tensor) -> None:
        """One step of the judge; none where its loss is no number."""
        verdicts, _ = self._judge(torch.cat([true, face]))
        real, fake = verdicts.chunk(2)
        loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        if bool(torch.isfinite(loss)):
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()


def shown_to_judge(drawn: Drawn) -> tuple[Tensor, Tensor]:
    """True and drawn faces (n, 3, S, S) on plain grey: what lies outside the mask says nothing."""
    ground = 0.5 * (1 - drawn.mask)
    return drawn.truth * drawn.mask + ground, drawn.face * drawn.mask + ground


def finish(
    sources: Sequence[str],
    out: Path,
    plan: Plan,
    settings: FinishSettings | None = None,
    device: str = "cpu",
    features: Features | None = None,
    ended: Callable[[], bool] = lambda: False,
    watch: Watcher | None = None,
) -> bool:
    """Sharpens what out/swap.pt draws, into out/finish.pt; whether it is good enough to have become swap.pt as well.

    It takes swap.pt's place where no held-out person lost more than SSIM_LOSS and PSNR_LOSS and they are sharper; the
    one before stays in the history. Goes on from a finish.pt that was ended early. Raises LiveswapError.
    """
    settings, where = settings or FinishSettings(), torch.device(device)
    net, record = checkpoint.load_swap_net(out / FILE)
    if "finish" in record:
        logger.info("finish: %s is finished already", out / FILE)
        return True
    facesets = [Faceset.open(source, at_least=4) for source in sources]
    learning = tuple(faceset.name for faceset in facesets)
    if {one.name: one.digest for one in facesets} != record["training_sets"]:
        raise LiveswapError(f"{out / FILE} learned from other facesets than these")
    shapes = net.encoder.shape, DecoderShape.read(record["decoder"])
    batches = Warped(facesets, *shapes, record["batch"], record["seed"], shown=Shown.of(record))
    tests = {faceset.name: batches.clean(faceset, SHOWN) for faceset in facesets}
    torch.manual_seed(record["seed"])
    judge = Judge().to(where)
    net = net.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    hold_still(net, learning)
    before = measured(net, tests, where)
    swap = SwapSettings(rate=settings.rate, average=settings.average)
    average, optimiser = Average(net, swap.average), optimiser_of(net, swap)
    centres = centres_of(net, facesets, batches, where) if record["only"] else None
    step = Step(net, learning, swap.weights, features, record.get("precision", "bf16"), centres=centres)
    judged = Judged(step, judge, settings)
    start = int(record["steps"])
    state = State(skipped=start + int(record["skipped"]))  # batches that the training has not seen
    wanted = {"finish": {"from": start}, "encoder": record["encoder"], "decoder": record["decoder"]}

    def loaded() -> int:
        """The step of finish.pt, from which everything goes on."""
        content = checkpoint.load(out / FINISH, checkpoint.SWAP)
        came, state.seconds = checkpoint.resume(out / FINISH, checkpoint.SWAP, wanted, net, average.net, optimiser)
        judge.load_state_dict(content["judge"])
        judged.optimiser.load_state_dict(content["judge_optimiser"])
        torch.set_rng_state(content["random"])
        state.numbers, state.losses = dict(content["record"]["test"]), dict(content["record"]["smoothed"])
        return came

    def keep(state: State) -> None:
        said = {
            **record, "steps": state.step, "seconds": round(state.seconds, 1), "skipped": state.skipped,
            "test": state.numbers, "smoothed": dict(state.losses), **wanted,
        }  # fmt: skip
        content = checkpoint.contents(said, net, average.net, optimiser)
        content |= {"judge": judge.state_dict(), "judge_optimiser": judged.optimiser.state_dict()}
        checkpoint.save(out / FINISH, checkpoint.SWAP, {**content, "random": torch.get_rng_state()})
        picture = crossings(average.net, tests, where)
        show(picture, out / FOLDER, state.step)
        if watch:
            watch.picture(state.step, picture)

    course = Course(
        batches=batches,
        losses=judged,
        factor=lambda progress, step: warm_cosine(progress, step, 20, 0.5, 0.1),
        test=lambda: measured(average.net, tests, where),
        keep=keep,
        back=loaded,
        ended=ended,
        watch=watch.step if watch else None,
        tests_kept=True,
        log_steps=settings.log_steps,
        test_steps=settings.test_steps,
        save_seconds=settings.save_seconds,
    )
    if _begun(out, start):
        state.step = loaded()
    else:
        state.numbers = before
        keep(state)
    logger.info("finish: from step %d", state.step)
    with sized(record["batch"]):
        state = fit(course, plan, optimiser, average, state)
    if plan.progress(state.seconds, state.step) < 1:
        return False  # ended early, to go on later
    return _taken_over(out, record, before, state)


def measured(net: SwapNet, tests: Mapping[str, PairBatch], device: torch.device) -> dict[str, float]:
    """How each decoder draws its own person: "ann_psnr", "ann_ssim" as elsewhere, and "ann_sharp" beside the truth."""
    result: dict[str, float] = {}
    for name, batch in tests.items():
        face, truth = draw(net, name, batch, device)[0], truth_of(batch)
        found = scores(face, truth, torch.from_numpy(batch.points))
        result |= {f"{name}_{score}": float(found[f"face_{score}"].nanmean()) for score in ("psnr", "ssim")}
        result[f"{name}_sharp"] = float(detail(face, truth.seen) / detail(truth.face, truth.seen))
    return result


def detail(face: Tensor, inside: Tensor) -> Tensor:
    """The mean strength of the Laplacian of face (n, 3, S, S) where all it reads lies inside (n, 1, S, S); a scalar."""
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    edges = F.conv2d(face.mean(1, keepdim=True), kernel).abs()
    whole = 1 - F.max_pool2d(1 - inside, 3, 1)
    return (edges * whole).sum() / whole.sum().clamp(min=1) + 1e-6


def within_bounds(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    """Whether nobody's held-out faces lost much, and they became sharper altogether."""
    allowed = {"ssim": SSIM_LOSS, "psnr": PSNR_LOSS, "sharp": float("inf")}
    kept = all(after[name] >= value - allowed[name.rpartition("_")[2]] for name, value in before.items())
    sharper = sum(after[name] - value for name, value in before.items() if name.endswith("_sharp"))
    return kept and sharper > 0


def _begun(out: Path, start: int) -> bool:
    """Whether out/finish.pt is of a stage that began from this step of swap.pt."""
    if not (out / FINISH).is_file():
        return False
    return bool(checkpoint.load(out / FINISH, checkpoint.SWAP)["record"].get("finish") == {"from": start})


def _taken_over(out: Path, record: Mapping[str, Any], before: Mapping[str, float], state: State) -> bool:
    """Says what came out, and puts it into swap.pt where it is within bounds. Raises LiveswapError."""
    fine = within_bounds(before, state.numbers)
    said = ", ".join(f"{name} {value:.3f} to {state.numbers[name]:.3f}" for name, value in before.items())
    logger.info("finish: %s; %s", said, f"{FILE} has it" if fine else f"it stays in {FINISH} alone")
    if fine:
        content = checkpoint.load(out / FILE, checkpoint.SWAP)
        done = checkpoint.load(out / FINISH, checkpoint.SWAP)
        told = {"steps": state.step, "seconds": round(state.seconds, 1), "before": dict(before)}
        content["record"] = {
            **record, "finish": told, "test": dict(state.numbers), "skipped": record["skipped"] + state.step,
        }  # fmt: skip
        content |= {"net": done["net"], "average": done["average"]}
        checkpoint.save(out / FILE, checkpoint.SWAP, content)
    return fine
