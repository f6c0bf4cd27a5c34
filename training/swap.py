"""Trains the swap net on pairs: a shared encoder, and for each identity a decoder that draws its face and mask."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import cv2
import torch

from realtime.errors import LiveswapError, SettingsError
from training import checkpoint
from training.batches import Pairs
from training.dataset import Dataset
from training.evaluate import Subject, quick
from training.layers import Trunk
from training.loop import Average, Course, Plan, State, fit, warm_cosine
from training.losses import TONE, Features
from training.model import DecoderShape, EncoderShape, SwapNet
from training.origin import Origin, fill, landmark_net
from training.precision import decided
from training.preview import grid
from training.step import AUTO, Step, Weights, known

logger = logging.getLogger(__name__)

FILE: Final = "swap.pt"
PREVIEW: Final = "preview.jpg"


@dataclass(frozen=True, slots=True)
class SwapSettings:
    """How to train."""

    batch: int = 32  # shared out evenly among the identities
    rate: float = 1e-3
    trunk_rate: float = 0.35  # of the rate, for the trunk that comes from the landmark net
    hold: float = 0.5  # the progress up to which the rate stays
    floor: float = 0.02  # of the rate, at the end
    average: float = 0.999  # of the moving average, each step
    weights: Weights = field(default_factory=Weights)
    precision: str = "bf16"  # or AUTO
    mirrored: float = 0.0  # of the crops; see Pairs
    seed: int = 0
    workers: int = 1  # threads that make batches
    log_steps: int = 100
    test_steps: int = 400
    save_seconds: float = 120.0
    test_items: int = 64

    def __post_init__(self) -> None:
        if self.batch < 2 or not self.rate > 0:
            raise SettingsError(
                f"a batch of {self.batch} and a rate of {self.rate} were given, wanted at least 2 and above 0"
            )
        if not 0 <= self.mirrored <= 1:
            raise SettingsError(f"a share of {self.mirrored} mirrored crops was given, wanted 0 to 1")
        known(self.precision, AUTO)


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
    start: Path | None = None,
    features: Path | None = None,
    only: Sequence[str] = (),
    ended: Callable[[], bool] = lambda: False,
) -> State:
    """Trains on the pairs in folder and writes out/swap.pt and out/preview.jpg; how far it came.

    All weights start from `start` (see Origin.read) where it is given. Otherwise the encoder's trunk starts from the
    landmark net of the checkpoint `landmarks`, batch normalisation folded into the convolutions. The trunk stays
    trainable at a lower rate; a resumed training has all that already. features: a landmark net, .pt or .onnx, for
    the loss of losses.Features. only: these identities' decoders alone learn; the encoder and the others stay as they
    are, in the shapes of `start` or of what is resumed. ended: asked after each step, whether it is to be the last.
    Raises LiveswapError for what cannot be used.
    """
    settings, where = settings or SwapSettings(), torch.device(device)
    encoder, decoder = encoder or EncoderShape(), decoder or DecoderShape()
    if only:
        encoder, decoder = shapes_of(out / FILE if resume else start)
    torch.manual_seed(settings.seed)
    data, held_out = Dataset.open(folder, "train", settings.batch), Dataset.open(folder, "test")
    names = data.description.identities
    learning = chosen(only, names)
    if settings.batch < len(learning):
        raise SettingsError(f"a batch of {settings.batch} is too small for {len(learning)} identities")
    net = SwapNet(encoder, decoder, names)
    origin = {} if resume else started(net, landmarks, start)
    if only:
        hold_still(net, learning)
    net = net.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average, optimiser, state = Average(net, settings.average), optimiser_of(net, settings), State()
    if resume:
        wanted = {"encoder": encoder.record(), "decoder": decoder.record(), "identities": list(names)}
        state = State(*checkpoint.resume(out / FILE, checkpoint.SWAP, wanted, net, average.net, optimiser))
        record = checkpoint.load(out / FILE, checkpoint.SWAP)["record"]
        origin, settings = record["landmarks"], replace(settings, precision=record.get("precision", "bf16"))
    test = Subject(held_out, encoder, decoder, settings.test_items)
    eyes = Features(landmark_trunk(features)).to(where) if features else None
    logger.info("swap: %d pairs of %d people with %s, from step %d", len(data), data.people(), learning, state.step)

    digest = data.digest()  # which goes into the cards of whoever is exported

    def keep(state: State) -> None:
        record = {
            "encoder": encoder.record(), "decoder": decoder.record(), "identities": list(names), "tone": list(TONE),
            "data": folder.name, "training_set": digest, "pairs": len(data), "people": data.people(),
            "steps": state.step, "seconds": round(state.seconds, 1), "seed": settings.seed, "batch": settings.batch,
            "blend": list(data.description.blend), "losses": asdict(settings.weights), "landmarks": origin,
            "features": features is not None, "mirrored": settings.mirrored, "only": list(only),
            "precision": step.precision, "test": state.numbers,
        }  # fmt: skip
        checkpoint.save(out / FILE, checkpoint.SWAP, checkpoint.contents(record, net, average.net, optimiser))
        cv2.imwrite(str(out / PREVIEW), grid(average.net, test, where))

    batches = Pairs(data, encoder, decoder, settings.batch, settings.seed, names=learning, mirrored=settings.mirrored)
    step = Step(net, learning, settings.weights, eyes)
    step.precision = decided(settings.precision, step, batches(0))
    course = Course(
        batches=batches,
        losses=lambda batch: step(batch)[0],
        factor=lambda progress, step: warm_cosine(progress, step, 80, settings.hold, settings.floor),
        test=lambda: drawing_only(quick(average.net, test, where)) if only else quick(average.net, test, where),
        keep=keep,
        ended=ended,
        workers=settings.workers,
        log_steps=settings.log_steps,
        test_steps=settings.test_steps,
        save_seconds=settings.save_seconds,
    )
    return fit(course, plan, optimiser, average, state)


def landmark_trunk(path: Path) -> Trunk:
    """The convolutions of a landmark net, from a checkpoint or a model file. Raises LiveswapError."""
    return (landmark_net(path) if path.suffix == ".onnx" else checkpoint.load_landmarks(path))[0].trunk


def shapes_of(path: Path | None) -> tuple[EncoderShape, DecoderShape]:
    """What shapes the networks have that a training starts from. Raises LiveswapError where there are none."""
    if path is None:
        raise SettingsError("decoders alone can learn where an encoder has learned already: wanted a start")
    origin = Origin.read(path)
    return origin.encoder_shape, origin.decoder_shape


def chosen(only: Sequence[str], names: tuple[str, ...]) -> tuple[str, ...]:
    """Whose decoders learn; everybody's when only is empty. Raises SettingsError for a name that is not there."""
    for name in only:
        if name not in names:
            raise SettingsError(f"there are no pairs of {name!r}, wanted some of {', '.join(names)}")
    return tuple(name for name in names if name in only) or names


def drawing_only(numbers: Mapping[str, float]) -> dict[str, float]:
    """The scores of drawn faces alone: what the auxiliary head says of codes is not learned with a decoder."""
    return {name: value for name, value in numbers.items() if not name.endswith("_r")}


def hold_still(net: SwapNet, learning: Sequence[str]) -> None:
    """Lets nothing learn but the decoders of these identities."""
    net.requires_grad_(False)
    for name in learning:
        net.decoders[name].requires_grad_(True)


def started(net: SwapNet, landmarks: Path | None, start: Path | None) -> dict[str, Any]:
    """Starts net from what there is; what to remember of that. Raises LiveswapError."""
    if start:
        origin = Origin.read(start)
        fill(net, origin)
        return origin.summary()
    return warm_start(net, landmarks) if landmarks else {}


def warm_start(net: SwapNet, path: Path) -> dict[str, Any]:
    """Starts the encoder's trunk from a landmark net; what to remember of that net.

    Raises LiveswapError when its trunk is another one.
    """
    read, record = checkpoint.load_landmarks(path)
    if read.shape.activation != net.encoder.shape.activation:
        seen, wanted = read.shape.activation, net.encoder.shape.activation
        raise LiveswapError(f"{path} has the activation {seen}, the encoder wants {wanted}")
    net.encoder.trunk.load_state_dict(read.trunk.state_dict())
    return {"steps": record["steps"], "seconds": record["seconds"], "test": record["test"]}


def optimiser_of(net: SwapNet, settings: SwapSettings) -> torch.optim.Optimizer:
    """Adam in two groups: the trunk, which has learned something already, and the rest; without what does not learn."""
    trunk = list(net.encoder.trunk.parameters())
    known = {id(parameter) for parameter in trunk}
    rest = [parameter for parameter in net.parameters() if id(parameter) not in known]
    groups = [
        {"params": [one for one in params if one.requires_grad], "initial_lr": rate}
        for params, rate in ((trunk, settings.rate * settings.trunk_rate), (rest, settings.rate))
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.Adam(groups, settings.rate, betas=(0.7, 0.99), fused=True)
