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

EMBEDDED: Final = "embedded"
SCRATCH: Final = "scratch"


@dataclass(frozen=True, slots=True)
class Preset:
    """A size, and the embedded models that are nearest to it."""

    size: int  # px of the crop that goes in and of the face that comes out
    models: Path
    batch: int


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "small": Preset(128, MODELS / "small", 32),
        "live": Preset(160, MODELS, 32),
        "large": Preset(320, MODELS, 16),
    }
)


@dataclass(frozen=True, slots=True)
class Start:
    """What a training starts from."""

    origin: Origin | None  # None: from scratch
    encoder: EncoderShape
    decoder: DecoderShape
    against: str = ""  # an embedded identity whose encoder stays as it is; empty where the encoder learns as well


def start_of(preset: str, source: str, size: int | None = None) -> Start:
    """What a preset's training starts from: EMBEDDED, SCRATCH, an embedded identity's name, or a path.

    A path is that of a swap.pt or of a folder of model files. size: px, in place of the preset's. Raises SettingsError,
    LiveswapError.
    """
    if preset not in PRESETS:
        raise SettingsError(f"the preset {preset!r} is unknown, wanted one of {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    size = size or chosen.size
    if source == SCRATCH:
        return Start(None, EncoderShape(size=size), DecoderShape(size=size))
    path = Path(source)
    is_path = path.suffix == ".pt" or path.is_dir()
    origin = Origin.read(path if is_path else chosen.models)
    encoder, decoder = replace(origin.encoder_shape, size=size), replace(origin.decoder_shape, size=size)
    if source == EMBEDDED or is_path:
        return Start(origin, encoder, decoder)
    if source not in origin.decoders:
        known = ", ".join((EMBEDDED, SCRATCH, *origin.decoders))
        raise SettingsError(f"--from {source} is unknown, wanted {known}, or the path of a checkpoint")
    if origin.encoder_shape.size != size:
        raise SettingsError(f"there is no embedded encoder of {size} px, wanted --preset small or live with {source}")
    return Start(origin, encoder, decoder, against=source)
