"""What a mark may know of the frame that it marks."""

from dataclasses import dataclass
from typing import Final, Protocol

from realtime.face.geometry import Image
from realtime.frame import Drawn

SESSION_BYTES: Final = 16  # of a session's random id


@dataclass(frozen=True, slots=True)
class About:
    """A frame on its way out, without its picture."""

    session: bytes = bytes(SESSION_BYTES)  # the gate's random id: one for each run, or for each visitor of a server
    model: bytes = b""  # digest of the model whose identity is shown, or was shown last; empty before the first face
    index: int = 0  # the frame's number
    at: float | None = None  # seconds on the frame's own clock; None: the picture stands alone
    drawn: tuple[Drawn, ...] = ()  # the faces that were put into it


class Mark(Protocol):
    """Something that marks a picture and gives back the marked copy. It raises where it cannot."""

    def __call__(self, image: Image, about: About, /) -> Image: ...
