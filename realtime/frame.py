"""One picture on its way through the pipeline."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Drawn:
    """A face that stands in a picture in place of the one that was filmed."""

    identity: str  # its name
    model: str  # hex digest of the model that drew it; empty where nobody knows
    box: tuple[float, float, float, float]  # left, top, right, bottom, px


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture with its number and its birthday."""

    image: NDArray[np.uint8]  # (h, w, 3) BGR; never written to after creation
    index: int  # counts captured frames from 0; a gap means frames were dropped
    captured_at: float  # seconds, time.perf_counter()
    at: float | None = None  # seconds since the recording's start, for a source that has a timeline (a file)
    drawn: tuple[Drawn, ...] = ()  # the faces that were put into it, once they are
    instead: str = ""  # where no picture came: card (this is one) or hold (show the last picture that left once more)
