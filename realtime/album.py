"""Keeps one frame of a run and what became of it, for a picture of before and after."""

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import cv2
import numpy as np

from realtime.errors import SinkError
from realtime.face.geometry import Image
from realtime.flow.pipeline import Sink
from realtime.frame import Frame
from realtime.sinks.writable import Seal
from realtime.swap.compose import Swapped

_UNDER_WAY: Final = 16  # frames that may lie between composing and delivery


class Album:
    """Remembers one frame with a face as it was and as it was delivered: the last one before a moment.

    What it keeps of the swapped frame has passed the gate and carries its marks.
    """

    def __init__(self, moment: int) -> None:
        """moment counts captured frames; without a face until then, the first one after it is kept."""
        self._moment = moment
        self._originals: deque[Frame] = deque(maxlen=_UNDER_WAY)  # with a face, newest last
        self._pair: tuple[Image, Image] | None = None
        self._seal: Seal | None = None

    def seal_with(self, seal: Seal) -> None:
        """Takes what is to be done with a picture that was written."""
        self._seal = seal

    def note(self, swapped: Swapped) -> Swapped:
        """Remembers a frame that has a face; hands on what it was given, so that it can stand in a stage."""
        if swapped.swaps and (self._pair is None or swapped.frame.index <= self._moment):
            self._originals.append(swapped.frame)
        return swapped

    def keep(self, delivered: Frame) -> None:
        """Keeps a delivered frame beside its original where that was noted."""
        original = next((noted for noted in tuple(self._originals) if noted.index == delivered.index), None)
        if original is not None:
            self._pair = original.image, delivered.image

    def side_by_side(self) -> Image | None:
        """Before on the left, after on the right, with these words; None when no delivered frame had a face."""
        if self._pair is None:
            return None
        return np.hstack(
            [_captioned(image, words) for image, words in zip(self._pair, ("before", "after"), strict=True)]
        )

    def save(self, path: Path) -> bool:
        """Writes before and after as a JPEG; False when no delivered frame had a face. Raises SinkError."""
        both = self.side_by_side()
        if both is None:
            return False
        done, data = cv2.imencode(".jpg", both, [cv2.IMWRITE_JPEG_QUALITY, 92])
        if not done:
            raise SinkError(f"a picture of shape {both.shape} cannot be encoded")
        try:
            path.write_bytes(data.tobytes())
        except OSError as error:
            raise SinkError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
        if self._seal is not None:
            self._seal(path)
        return True


class Kept:
    """A sink around the real one, for behind the gate, that shows an album each delivered frame."""

    def __init__(self, sink: Sink, album: Album) -> None:
        self._sink = sink
        self._album = album

    def describe(self, metadata: Mapping[str, str]) -> None:
        """Hands a description on to a sink that takes one."""
        if hasattr(self._sink, "describe"):
            self._sink.describe(metadata)

    def seal_with(self, seal: Seal) -> None:
        """Hands on what is to be done with complete files."""
        self._album.seal_with(seal)
        if hasattr(self._sink, "seal_with"):
            self._sink.seal_with(seal)

    async def write(self, frame: Frame) -> None:
        """Delivers the frame, then keeps it. Raises SinkError."""
        await self._sink.write(frame)
        self._album.keep(frame)

    async def __aenter__(self) -> Self:
        await self._sink.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        return await self._sink.__aexit__(kind, error, trace)


def _captioned(image: Image, words: str) -> Image:
    """A copy with words in its upper left corner, readable on any ground."""
    out = image.copy()
    scale = image.shape[0] / 480
    at = round(16 * scale), round(34 * scale)
    for colour, thickness in (((0, 0, 0), 5), ((255, 255, 255), 2)):
        cv2.putText(
            out, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, max(1, round(thickness * scale)), cv2.LINE_AA
        )
    return out
