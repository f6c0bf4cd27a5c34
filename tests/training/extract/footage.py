"""Footage for tests, made of the demo's clip: nobody who exists, cut short, joined, blurred."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

DEMO: Final = Path(__file__).resolve().parents[3] / "realtime" / "assets" / "demo.mp4"
RENDERED: Final = 'name = "pia"\nkind = "rendered"\n'
Picture = NDArray[np.uint8]


def pictures(count: int = 8, every: int = 30, side: int = 360) -> list[Picture]:
    """Some of the clip's pictures, its middle, (side, side, 3) BGR."""
    found: list[Picture] = []
    with av.open(str(DEMO)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % every == 0:
                image = frame.to_ndarray(format="bgr24")
                left = (image.shape[1] - image.shape[0]) // 2
                square = image[:, left : left + image.shape[0]]
                found.append(np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA), np.uint8))
            if len(found) == count:
                return found
    return found


def write_folder(folder: Path, some: Sequence[Picture], change: Callable[[Picture], Picture] = lambda one: one) -> Path:
    """The pictures as files of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(some):
        cv2.imwrite(str(folder / f"{number:03d}.png"), change(picture))
    return folder


def write_video(path: Path, some: Sequence[Picture], fps: int = 5) -> Path:
    """The pictures as a video with a key frame every second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"g": str(fps), "preset": "ultrafast"})
        stream.height, stream.width = some[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in some:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def write_consent(path: Path, text: str = RENDERED) -> Path:
    """A consent file."""
    path.write_text(text, "utf-8")
    return path
