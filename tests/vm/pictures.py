"""What the machine's readers saw, judged: nearer to the swap made outside than to what the camera saw."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tests.vm.image import ROOT

Image = NDArray[np.uint8]
WIDTH: Final = 480  # px
HEIGHT: Final = 270
FRAMES: Final = 45  # of the bundled clip, there and back
FPS: Final = 2  # slow motion, so that runs that draw one picture in seconds still follow the face
SWAP_S: Final = 100
DIFFERS: Final = 12  # levels by which swap and input differ, on average over the clip, where the face is or the label
ROW: Final = 6  # pictures in a row of the contact sheet


@dataclass(frozen=True, slots=True)
class Truth:
    """The clip as the camera sees it, and as a swap outside of the machine shows it."""

    seen: tuple[Image, ...]
    swapped: tuple[Image, ...]

    @property
    def face(self) -> NDArray[np.bool_]:
        """(h, w) where the swap differs from the input, without the strip of the label."""
        return self._differs & ~self._strip

    @property
    def label(self) -> NDArray[np.bool_]:
        """(h, w) where it differs within the strip of the label."""
        return self._differs & self._strip

    @property
    def _differs(self) -> NDArray[np.bool_]:
        pairs = zip(self.seen, self.swapped, strict=True)
        mean = np.mean([np.abs(a.astype(np.int16) - b).mean(axis=2) for a, b in pairs], axis=0)
        return np.asarray(mean > DIFFERS)

    @property
    def _strip(self) -> NDArray[np.bool_]:
        rows = np.zeros((HEIGHT, WIDTH), np.bool_)
        rows[round(HEIGHT * 0.88) :] = True
        return rows


@dataclass(frozen=True, slots=True)
class Judged:
    """How far a picture is from the nearest of the swap's and of the input's, in levels of 255."""

    name: str
    from_swap: float
    from_input: float
    label_from_swap: float
    label_from_input: float

    @property
    def swapped(self) -> bool:
        """Whether it shows the identity."""
        return self.from_swap < 0.6 * self.from_input

    @property
    def labelled(self) -> bool:
        """Whether it carries the label."""
        return self.label_from_swap < 0.6 * self.label_from_input


def clip(path: Path) -> None:
    """The bundled clip's beginning, small, there and back so that it repeats without a cut, without loss."""
    with av.open(str(ROOT / "realtime" / "assets" / "demo.mp4")) as source:
        frames = [frame for frame, _ in zip(source.decode(video=0), range(FRAMES), strict=False)]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, frame in enumerate([*frames, *frames[-2:0:-1]]):
            small = frame.reformat(WIDTH, HEIGHT, "yuv420p")
            small.pts, small.time_base = number, Fraction(1, FPS)
            out.mux(stream.encode(small))
        out.mux(stream.encode())


def truth(path: Path, folder: Path) -> Truth:
    """The clip's frames and what `liveswap run` makes of them here. Raises CalledProcessError where it fails."""
    folder.mkdir()
    with av.open(str(path)) as source:
        seen = tuple(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in source.decode(video=0))
    command = [sys.executable, "-m", "realtime", "run", "--source", str(path), "--size", "small"]
    command += ["--sink", str(folder / "swap-%05d.png")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=SWAP_S, stdin=subprocess.DEVNULL)
    return Truth(seen, tuple(loaded(file) for file in sorted(folder.glob("swap-*.png"))))


def loaded(path: Path) -> Image:
    """A picture of a file, (h, w, 3) BGR. Raises ValueError where it is none."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} is no picture")
    return np.asarray(image, np.uint8)


def judged(path: Path, against: Truth) -> Judged:
    """Compares a reader's picture with every frame of the truth, where the face is and where the label is."""
    image = loaded(path)
    if image.shape != against.seen[0].shape:
        raise ValueError(f"{path.name} is {image.shape[1]} x {image.shape[0]} px, wanted {WIDTH} x {HEIGHT}")
    face, label = against.face, against.label
    return Judged(
        path.name,
        min(apart(image, other, face) for other in against.swapped),
        min(apart(image, other, face) for other in against.seen),
        min(apart(image, other, label) for other in against.swapped),
        min(apart(image, other, label) for other in against.seen),
    )


def apart(one: Image, other: Image, where: NDArray[np.bool_] | None = None) -> float:
    """The mean difference of two pictures of one size, in levels of 255."""
    difference = np.abs(one.astype(np.int16) - other)
    return float((difference if where is None else difference[where]).mean())


def most_apart(one: Image, other: Image) -> int:
    """The largest difference of two pictures of one size, in levels of 255."""
    return int(np.abs(one.astype(np.int16) - other).max())


def contact_sheet(rows: Sequence[tuple[str, Sequence[Image]]], path: Path) -> None:
    """Rows of pictures, each with its words above, in one file."""
    width, height, words = 320, 180, 26
    sheet = np.full((len(rows) * (height + words), width * ROW, 3), 245, np.uint8)
    for number, (text, images) in enumerate(rows):
        top = number * (height + words)
        cv2.putText(sheet, text, (6, top + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1, cv2.LINE_AA)
        for place, image in enumerate(images[:ROW]):
            part = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            sheet[top + words : top + words + height, place * width : (place + 1) * width] = part
    cv2.imwrite(str(path), sheet)
