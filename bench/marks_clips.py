"""The films that marks are tried on, how they are marked, and how little that changes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np

from realtime.egress.about import About
from realtime.egress.payload import Payload
from realtime.egress.watermark import Watermark
from realtime.errors import SourceError, SourceMissing
from realtime.face.geometry import Image

SIZE: Final = (640, 480)
SUFFIXES: Final = (".mkv", ".mp4", ".webm", ".mov", ".avi")


@dataclass(frozen=True, slots=True)
class Clip:
    """A film of SIZE at 30 fps; a short one plays forwards and backwards until it is long enough."""

    name: str
    pictures: Sequence[Image]
    turns: int | None = None  # pictures after which it plays backwards; None: it does not

    @property
    def once(self) -> Sequence[Image]:
        """Without what is there twice."""
        return self.pictures[: self.turns]

    @classmethod
    def read(cls, path: Path, seconds: float) -> "Clip":
        """Cut to 4:3 and scaled. Raises SourceError."""
        try:
            with av.open(path) as container:
                shown = [
                    _fitted(frame)
                    for frame, _ in zip(container.decode(video=0), range(round(seconds * 30)), strict=False)
                ]
        except (av.FFmpegError, OSError, IndexError) as error:
            raise SourceError(f"{path} is no video that can be read: {error}") from error
        if len(shown) < 2:
            raise SourceError(f"{path} holds {len(shown)} pictures, wanted two or more")
        there_and_back = shown + shown[-2:0:-1]
        pictures = [there_and_back[n % len(there_and_back)] for n in range(round(seconds * 30))]
        return cls(path.stem, pictures, len(shown))


def clips(demo: Path, footage: Path | None, seconds: float) -> tuple[Clip, ...]:
    """The demo, and the films of a folder. Raises SourceMissing and SourceError."""
    if footage is not None and not footage.is_dir():
        raise SourceMissing(f"there is no folder of footage {footage}")
    films = sorted(path for path in footage.iterdir() if path.suffix.lower() in SUFFIXES) if footage else []
    return tuple(Clip.read(path, seconds) for path in (demo, *films))


@dataclass(frozen=True, slots=True)
class Marked:
    """A film with a mark, and what the mark says."""

    clip: Clip
    pictures: Sequence[Image]
    payload: Payload

    @classmethod
    def of(cls, clip: Clip, number: int) -> "Marked":
        """In the session of this number, which began at some moment of its own."""
        drawn = np.random.default_rng(number)
        session, model, began = drawn.bytes(16), drawn.bytes(32), float(drawn.uniform(0, 100))
        mark = Watermark()
        pictures = [mark(picture, About(session, model, n, began + n / 30)) for n, picture in enumerate(clip.pictures)]
        return cls(clip, pictures, Payload.of(model, session))

    def psnr(self) -> float:
        """dB, over every tenth picture."""
        pairs = zip(self.clip.pictures[::10], self.pictures[::10], strict=True)
        error = np.mean([np.mean((a.astype(np.float32) - b) ** 2) for a, b in pairs])
        return float(10 * np.log10(255**2 / error))

    def ssim(self) -> float:
        """Structural similarity of the brightness, over every thirtieth picture: Gaussian windows of 1.5 px."""
        pairs = zip(self.clip.pictures[::30], self.pictures[::30], strict=True)
        return float(np.mean([_similar(a, b) for a, b in pairs]))


def _similar(first: Image, second: Image) -> float:
    def grey(image: Image) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.float64)

    def mean(
        image: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]",
    ) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
        return np.asarray(cv2.GaussianBlur(image, (11, 11), 1.5), np.float64)

    a, b = grey(first), grey(second)
    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(np.mean((2 * ma * mb + c1) * (2 * both + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))))


def _fitted(frame: av.VideoFrame) -> Image:
    image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    height, width = image.shape[:2]
    wide = min(width, height * SIZE[0] // SIZE[1])
    left = (width - wide) // 2
    return np.asarray(cv2.resize(image[:, left : left + wide], SIZE, interpolation=cv2.INTER_AREA), np.uint8)
