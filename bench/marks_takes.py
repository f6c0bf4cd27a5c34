"""Many different stretches out of little footage: each film is taken again and again, each time otherwise."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Self

import cv2
import numpy as np

from bench.marks_clips import Clip
from bench.marks_ways import FPS, Pictures, encoded, greys, mjpeg, vp8
from realtime.egress.evidence import Complex, Gatherer, Grey
from realtime.egress.pattern import PERIOD_S
from realtime.face.geometry import Image

STRETCH_S: Final = 5.0
HOP: Final = 8  # pictures from one stretch of a take to the next; a gatherer gives nothing for fewer
STARTS: Final = 12  # stretches of a take
LONG: Final = round(STRETCH_S * FPS)  # pictures of a stretch
_LEAD: Final = round(PERIOD_S / 2 * FPS)  # pictures that others are compared with, at the beginning of each stretch
_KEPT: Final = (0.5, 1.0)  # of each side
_TEMPO: Final = (0.7, 1.4)
_GAMMA: Final = (0.8, 1.25)
_LIGHT: Final = (-20.0, 20.0)  # grey levels
_LINES: Final = (240, 360)  # px


@dataclass(frozen=True, slots=True)
class Take:
    """How a film is taken this time."""

    begins: int  # the picture of the film that comes first
    tempo: float  # pictures of the film from one to the next
    kept: float  # of each side
    across: float  # where what is kept lies: 0 at the left, 1 at the right
    down: float
    mirrored: bool
    gamma: float
    light: float  # grey levels more
    lines: int  # px, even
    packed: int  # which of the packings

    @classmethod
    def drawn(cls, draw: np.random.Generator, length: int) -> Self:
        """One by chance, of a film of so many pictures."""
        return cls(
            int(draw.integers(2 * length - 2)),
            float(draw.uniform(*_TEMPO)),
            float(draw.uniform(*_KEPT)),
            float(draw.random()),
            float(draw.random()),
            bool(draw.random() < 0.5),
            float(np.exp(draw.uniform(*np.log(_GAMMA)))),
            float(draw.uniform(*_LIGHT)),
            2 * int(draw.integers(_LINES[0] // 2, _LINES[1] // 2 + 1)),
            int(draw.integers(len(packings()))),
        )

    def seen(self, clip: Clip, count: int) -> list[Image]:
        """So many pictures, (lines, w, 3): the film there and back, cut, turned, lit and scaled."""
        film = clip.once
        there_and_back = [*range(len(film)), *range(len(film) - 2, 0, -1)]
        height, width = film[0].shape[:2]
        high, wide = round(height * self.kept), round(width * self.kept)
        top, left = round((height - high) * self.down), round((width - wide) * self.across)
        size = 2 * round(self.lines * width / height / 2), self.lines
        table = 255 * (np.arange(256) / 255) ** self.gamma + self.light
        light = np.clip(np.round(table), 0, 255).astype(np.uint8)

        @cache
        def looks(number: int) -> Image:
            cut = film[number][top : top + high, left : left + wide]
            scaled = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
            return np.asarray(cv2.LUT(cv2.flip(scaled, 1) if self.mirrored else scaled, light), np.uint8)

        passed = (self.begins + round(number * self.tempo) for number in range(count))
        return [looks(there_and_back[number % len(there_and_back)]) for number in passed]


def packings() -> tuple[Callable[[Pictures], Sequence[Grey]], ...]:
    """What takes are sent through: two thirds of them through nothing."""
    h264 = encoded("libx264", {"crf": "30", "preset": "veryfast"})
    return (*(greys,) * 6, vp8(500), h264, mjpeg(60))


def takes(clip: Clip, count: int, seed: int) -> Iterator[Take]:
    """So many takes of a film, always the same for a seed."""
    draw = np.random.default_rng(seed)
    return (Take.drawn(draw, len(clip.once)) for _ in range(count))


def evidences(clip: Clip, take: Take, starts: int = STARTS) -> list[Complex]:
    """Of so many stretches of a take, each HOP pictures after the one before."""
    pictures = packings()[take.packed](take.seen(clip, LONG + (starts - 1) * HOP))
    return list(stretches(pictures))


def stretches(pictures: Sequence[Grey]) -> Iterator[Complex]:
    """The evidence of each LONG pictures, HOP after HOP.

    Evidence adds up over pictures, so it is gathered for each HOP pictures once, and stretches share those sums.
    """
    gatherer, parts = Gatherer(), deque[Complex](maxlen=(LONG - _LEAD) // HOP)
    for number, picture in enumerate(pictures):
        gatherer.add(picture, number / FPS)
        if number < _LEAD:
            gatherer.clear()  # of the first second there is nothing yet to compare with
        elif (number + 1 - _LEAD) % HOP == 0:
            part = gatherer.evidence()
            gatherer.clear()
            assert part is not None
            parts.append(part)
            if len(parts) == parts.maxlen:
                yield np.sum(parts, axis=0, dtype=np.complex64)
