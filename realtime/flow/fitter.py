"""One size for every frame of a run, brought about before the frame is labelled, so that no fit cuts the label."""

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from realtime.errors import SettingsError
from realtime.flow.letterbox import cover, letterbox, pad_to_even
from realtime.frame import Frame

FITS: Final = MappingProxyType({"letterbox": letterbox, "crop": cover})


def check_fit(how: str) -> None:
    """Raises SettingsError unless how is one of FITS."""
    if how not in FITS:
        raise SettingsError(f"fit is {how!r}, wanted {' or '.join(FITS)}")


class Fitter:
    """Brings frames to the size that was asked for, or to the first one's; made even where it is odd."""

    def __init__(self, how: str = "letterbox", width: int | None = None, height: int | None = None) -> None:
        """how is one of FITS; the size is asked for where both sides are given. Raises SettingsError."""
        check_fit(how)
        self._fit = FITS[how]
        self._size = (width + width % 2, height + height % 2) if width and height else None

    def __call__(self, frame: Frame) -> Frame:
        """The frame in that size; itself where it has it already."""
        image = pad_to_even(frame.image)
        if self._size is None:
            self._size = (image.shape[1], image.shape[0])
        image = self._fit(image, *self._size)
        return frame if image is frame.image else replace(frame, image=image)
