"""Models that DeepFaceLab exported (DFM): what goes in, what comes out, and how one becomes a model file of ours."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from realtime.errors import ModelError, SettingsError
from realtime.face.geometry import Image, template
from realtime.swap.card import ModelCard
from realtime.swap.consent import signed
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.session import SessionSettings, open_session
from realtime.swap.signing import Signer

FACE: Final = "in_face:0"  # (n, S, S, 3) BGR float32 0..1
MORPH: Final = "morph_value:0"  # (1,) 0..1, of one family: how far from the source to the identity
OUTPUTS: Final = ("out_face_mask:0", "out_celeb_face:0", "out_celeb_face_mask:0")  # in this order
_BROWS: Final = (17, 26)  # the outer ends of the brows, whose distance is DeepFaceLab's unit of length


@dataclass(frozen=True, slots=True)
class Wrapping:
    """How a DFM is to be used."""

    licence: str = "LicenseRef-unknown"  # of its weights
    coverage: float = 2.131  # side of its crops in widths of the brows; 2.131 is what DeepFaceLab calls whole face
    morph: float = 0.75  # of the family that takes one

    def __post_init__(self) -> None:
        if not 0 <= self.morph <= 1:
            raise SettingsError(f"morph is {self.morph}, wanted 0 to 1")
        if not 1.1 <= self.coverage <= 8:
            raise SettingsError(f"coverage is {self.coverage}, wanted 1.1 to 8 widths of the brows")


def wrapped(file: ModelFile, card: ModelCard, signer: Signer, how: Wrapping) -> bytes:
    """The DFM as a model file of ours: the same weights, with a contract, the card and a signature.

    It is run once to see what comes out. Raises ModelError when it is no DFM, or one of ours already.
    """
    if file.metadata.get("liveswap.contract"):
        raise ModelError(f"{file.name} is a model of liveswap already, wanted one that DeepFaceLab exported")
    session = open_session(file.data, SessionSettings(provider="cpu"), name=file.name)
    size = crop_size(session, file.name)
    _check_outputs(session, size, file.name)
    points = template()
    unit = float(points[_BROWS[1], 0] - points[_BROWS[0], 0])
    contract = Contract(
        role="dfm",
        size=size,
        coverage=round(how.coverage * unit, 4),
        licence=how.licence,
        identity=card.name,
        kind=card.kind,
        consent=card.record(),
        training={"format": "dfm", **({"morph": how.morph} if takes_morph(session) else {})},
    )
    return signed(file, contract, card, signer)


def crop_size(session: ort.InferenceSession, name: str) -> int:
    """Pixels of the square that goes into a DFM. Raises ModelError when the model is none."""
    inputs = {entry.name: entry for entry in session.get_inputs()}
    outputs = tuple(entry.name for entry in session.get_outputs())
    if FACE not in inputs or not set(inputs) <= {FACE, MORPH} or outputs != OUTPUTS:
        raise ModelError(
            f"{name} turns {', '.join(inputs)} into {', '.join(outputs)}, wanted a DFM: {FACE} (and {MORPH}) "
            f"into {', '.join(OUTPUTS)}"
        )
    shape = inputs[FACE].shape
    high, wide, channels = shape[1:] if len(shape) == 4 else (0, 0, 0)
    if not isinstance(high, int) or high != wide or channels != 3 or inputs[FACE].type != "tensor(float)":
        raise ModelError(f"{name} takes faces of shape {shape}, wanted squares (n, S, S, 3) of a fixed size, float32")
    return high


def takes_morph(session: ort.InferenceSession) -> bool:
    """Whether the model is of the family with a morph value."""
    return any(entry.name == MORPH for entry in session.get_inputs())


def feed(crop: Image, morph: float | None) -> dict[str, NDArray[Any]]:
    """What a DFM takes for one crop; morph is None for the family without it."""
    said: dict[str, NDArray[Any]] = {FACE: crop[None].astype(np.float32) / 255}
    return said if morph is None else {**said, MORPH: np.array([morph], np.float32)}


def drawn(outputs: list[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The face (S, S, 3) and its mask (S, S), 0..1, from a DFM's three answers in their order.

    The face shows where both masks are: that of the face that went in, and that of the face that came out.
    """
    before, face, after = (np.clip(answer[0], 0, 1) for answer in outputs)
    return face, (before * after)[..., 0]


def _check_outputs(session: ort.InferenceSession, size: int, name: str) -> None:
    grey = np.full((size, size, 3), 128, np.uint8)
    answers = session.run(list(OUTPUTS), feed(grey, 0.5 if takes_morph(session) else None))
    shapes = [tuple(answer.shape) for answer in answers]
    mask, face = (1, size, size, 1), (1, size, size, 3)
    if shapes != [mask, face, mask]:
        raise ModelError(f"{name} answers with the shapes {shapes}, wanted {[mask, face, mask]}")
