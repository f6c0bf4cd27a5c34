"""Sizes to train identities in, and what they start from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from realtime.errors import SettingsError
from realtime.swap.identity import MODELS
from training.model import DecoderShape, EncoderShape
from training.origin import Origin
from training.warped import FAR, NEAR, Shown

EMBEDDED: Final = "embedded"
SCRATCH: Final = "scratch"
STAYS: Final = "stays"  # the encoder, and decoders alone learn
LEARNS: Final = "learns"


@dataclass(frozen=True, slots=True)
class Preset:
    """A size, and the embedded models that are nearest to it."""

    size: int  # px of the crop that goes in and of the face that comes out
    models: Path
    batch: int


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "small": Preset(128, MODELS / "small", 32),
        "live": Preset(192, MODELS, 32),
        "large": Preset(320, MODELS, 16),
    }
)


@dataclass(frozen=True, slots=True)
class Start:
    """What a training starts from."""

    origin: Origin | None  # None: from scratch
    encoder: EncoderShape
    decoder: DecoderShape
    against: str = ""  # an embedded identity beside which a single person learns
    stays: bool = False  # whether the encoder stays as it is, and decoders alone learn
    shown: Shown = FAR  # how unlike the person's face is what the encoder sees of it


def start_of(preset: str, source: str, size: int | None = None, encoder: str | None = None) -> Start:
    """What a preset's training starts from: EMBEDDED, SCRATCH, an embedded identity's name, or a path.

    A path is that of a swap.pt or of a folder of model files. size: px, in place of the preset's. encoder: STAYS or
    LEARNS; where nothing is said, an embedded encoder in its own size stays. Raises SettingsError, LiveswapError.
    """
    if encoder not in (None, STAYS, LEARNS):
        raise SettingsError(f"--encoder {encoder} is unknown, wanted {STAYS} or {LEARNS}")
    if preset not in PRESETS:
        raise SettingsError(f"the preset {preset!r} is unknown, wanted one of {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    size = size or chosen.size
    if source == SCRATCH:
        if encoder == STAYS:
            raise SettingsError(f"--encoder {STAYS} with --from {SCRATCH}: an encoder that knows nothing must learn")
        return Start(None, EncoderShape(size=size), DecoderShape(size=size))
    path = Path(source)
    is_path = path.suffix == ".pt" or path.is_dir()
    origin = Origin.read(path if is_path else chosen.models)
    shapes = replace(origin.encoder_shape, size=size), replace(origin.decoder_shape, size=size)
    own = source == EMBEDDED and origin.encoder_shape.size == size
    if encoder == STAYS and not (own or source in origin.decoders):
        raise SettingsError(
            f"--encoder {STAYS} with --from {source} and {size} px: only an embedded encoder of "
            f"{PRESETS['small'].size} or {PRESETS['live'].size} px can stay, because the model file needs it"
        )
    if source == EMBEDDED or is_path:
        stays = own and encoder != LEARNS
        return Start(origin, *shapes, stays=stays, shown=NEAR if stays else FAR)
    if source not in origin.decoders:
        known = ", ".join((EMBEDDED, SCRATCH, *origin.decoders))
        raise SettingsError(f"--from {source} is unknown, wanted {known}, or the path of a checkpoint")
    if origin.encoder_shape.size != size:
        raise SettingsError(f"there is no embedded encoder of {size} px, wanted --preset small or live with {source}")
    if encoder == LEARNS:
        raise SettingsError(f"--encoder {LEARNS} with --from {source}: beside an embedded identity its encoder stays")
    return Start(origin, *shapes, against=source, stays=True, shown=NEAR)
