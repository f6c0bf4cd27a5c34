"""An identity that draws whole frames: fused on the spot, or from a file in which that was done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from realtime.errors import ModelError
from realtime.face.face import Face
from realtime.face.geometry import template
from realtime.swap.consent import Grant
from realtime.swap.contract import Contract, expect
from realtime.swap.envelope import ModelFile
from realtime.swap.fused.asked import Asked, Feed, asked, feed
from realtime.swap.fused.model import INPUTS, MEMORY, OUTPUTS, contract_of, fused
from realtime.swap.identity import Codes, Encoder, Identity
from realtime.swap.mask import outline_of
from realtime.swap.session import SessionSettings, open_session
from realtime.swap.views import Views

_TRIED: Final = (256, 192)  # px of the frame that a model is warmed up with
_FACE: Final = 120.0  # px of the face in it


class FusedIdentity(Identity):
    """One model from frame to frame; realtime.swap.fused.board.Board runs it."""

    takes_codes = False

    def __init__(self, contract: Contract, session: ort.InferenceSession, encoder: Encoder, grant: Grant) -> None:
        super().__init__(contract, session, encoder, grant)
        self.session = session
        self._crop = _crop_of(contract)
        self._recorded = count()

    def feed(self, faces: Sequence[Asked], frames: Sequence[int], width: int, height: int) -> Feed:
        """What the model takes of faces in frames of width x height, besides the frames and the fittings."""
        return feed(faces, frames, width, height, *self._crop)

    def recorded(self) -> int:
        """A number that no other set of buffers of this session has: by it a card knows what it has recorded."""
        return next(self._recorded)

    def draw(self, views: Views, places: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Raises ModelError, since such a model draws whole frames."""
        raise ModelError(f"{self.contract.title} draws whole frames, not faces alone")

    def decode(self, codes: Codes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Raises ModelError, since such a model draws whole frames."""
        raise ModelError(f"{self.contract.title} draws whole frames, not from codes of the encoder")

    def _check(self, encoder: Encoder) -> None:
        expect(self.contract, "fused")
        for ports, there in ((INPUTS, self._session.get_inputs()), (OUTPUTS, self._session.get_outputs())):
            wanted, seen = {port.name for port in ports}, {entry.name for entry in there}
            if wanted != seen:
                raise ModelError(
                    f"{self.contract.title} has {', '.join(sorted(seen))}, wanted {', '.join(sorted(wanted))}: "
                    "it was fused by another version of liveswap"
                )


@dataclass(frozen=True, slots=True)
class Fusing:
    """Opens identities for realtime.swap.identity.Shelf as models that draw whole frames."""

    settings: SessionSettings
    captured: bool = False  # whether NVIDIA's cards record a run and repeat it
    fuse: Callable[[ModelFile, ModelFile | None], bytes] = fused

    def __call__(
        self, file: ModelFile, contract: Contract, grant: Grant, encoder: Encoder, reading: ModelFile
    ) -> FusedIdentity:
        """The identity in a file, fused unless it is so. Raises ModelError, MissingExtra, NoAcceleration."""
        data = file.data
        if contract.role != "fused":
            needed = reading if contract.role == "decoder" else None
            data, contract = self.fuse(file, needed), contract_of(file, needed)
        tried = _tried(_crop_of(contract))
        session = open_session(data, self.settings, name=file.name, tried=tried, captured=self.captured)
        return FusedIdentity(contract, session, encoder, grant)


def _crop_of(contract: Contract) -> tuple[int, float]:
    """Size and coverage of the crops that a fused model reads. Raises ModelError."""
    said = contract.training.get("crop")
    if not isinstance(said, dict) or not {"size", "coverage"} <= set(said):
        raise ModelError(f"{contract.title} does not say what crops it reads")
    return int(said["size"]), float(said["coverage"])


def _tried(crop: tuple[int, float]) -> Feed:
    """A frame of noise with a face to be drawn in its middle, the same at each call."""
    width, height = _TRIED
    matrix = np.array([[1 / _FACE, 0, 0.5 - width / 2 / _FACE], [0, 1 / _FACE, 0.5 - height / 2 / _FACE]], np.float32)
    points = template()
    box = np.array([0, 0, width, height], np.float32)
    one = asked(Face(box, points, 1.0, 0, matrix), outline_of(points), np.zeros(MEMORY, np.float32), width, height)
    assert one is not None
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    told = feed([one], [0], width, height, *crop)
    return {**told, "seen": frame, "shown": frame, "fittings": np.ones(2, np.float32)}
