"""Discs on black that stand for faces, a detector that finds them and a landmark network that looks at them."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from realtime.face.face import Detection
from realtime.face.geometry import Image, template
from realtime.face.landmarks import template_five
from realtime.frame import Frame
from realtime.swap.contract import Contract
from tests.models import LICENCE, save

Disc = tuple[float, float, float]  # x y radius, px


def picture(*discs: Disc, brightness: int = 255, width: int = 640, height: int = 360) -> Image:
    """Discs on black; each stands for a face whose template side is four radii."""
    image = np.zeros((height, width, 3), np.uint8)
    for x, y, radius in discs:
        centre = (round(x * 16), round(y * 16))
        cv2.circle(image, centre, round(radius * 16), (brightness,) * 3, -1, cv2.LINE_AA, 4)
    return image


def frame_of(image: Image, index: int, rate: float = 30.0) -> Frame:
    """The index-th frame of a recording."""
    image.flags.writeable = False  # whoever writes to a frame raises
    return Frame(image, index, captured_at=1000.0 + index, at=index / rate)


class DiscDetector:
    """Finds bright discs, best first in the order of seeds: the list's order means nothing."""

    def __init__(self, seed: int = 0, smallest: float = 0) -> None:
        self.calls: list[bool] = []  # thorough or not
        self._random = np.random.default_rng(seed)
        self._smallest = smallest  # radius that a quick look finds

    def detect(self, image: Image, thorough: bool = False) -> tuple[Detection, ...]:
        self.calls.append(thorough)
        _, _, stats, centres = cv2.connectedComponentsWithStats((image[..., 0] > 60).astype(np.uint8))
        found = []
        for (x, y), wide in zip(centres[1:], stats[1:, cv2.CC_STAT_WIDTH], strict=True):
            radius = wide / 2
            if thorough or radius >= self._smallest:
                found.append(detection_of(x, y, radius, float(self._random.uniform(0.6, 0.9))))
        return tuple(sorted(found, key=lambda detection: -detection.score))


class GatedDetector(DiscDetector):
    """A detector that waits for its gate in every look that is not of the test's own thread."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.gate = threading.Event()
        self.threads: set[str] = set()
        self._here = threading.current_thread()

    def detect(self, image: Image, thorough: bool = False) -> tuple[Detection, ...]:
        self.threads.add(threading.current_thread().name)
        if threading.current_thread() is not self._here and not self.gate.wait(10):
            raise AssertionError("the gate stayed shut")
        return super().detect(image, thorough)


def detection_of(x: float, y: float, radius: float, score: float = 0.8) -> Detection:
    """What a detector says about a disc."""
    corner, side = np.array([x, y]) - 2 * radius, 4 * radius
    box = np.array([*(corner + 0.15 * side), *(corner + 0.85 * side)], np.float32)
    return Detection(box, (template_five() * side + corner).astype(np.float32), score)


def write_seeing_landmarker(path: Path, size: int = 160, coverage: float = 1.25) -> Path:
    """A landmark model that puts the template's middle on the crop's centre of brightness.

    presence is the brightest pixel (0..1); black has none.
    """
    points = template()
    both = np.concatenate([points, [points[36:42].mean(0), points[42:48].mean(0)]])
    unit = ((both - 0.5) / coverage).astype(np.float32)
    steps = (np.arange(size) + 0.5) / size
    grid = np.stack([np.tile(steps, (size, 1)), np.tile(steps[:, None], (1, size))], -1).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["crop"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["light"], axes=[3], keepdims=1),  # (n, s, s, 1)
        helper.make_node("Mul", ["light", "grid"], ["weighted"]),
        helper.make_node("ReduceMean", ["weighted"], ["moment"], axes=[1, 2], keepdims=0),  # (n, 2)
        helper.make_node("ReduceMean", ["light"], ["mass"], axes=[1, 2], keepdims=0),  # (n, 1)
        helper.make_node("Add", ["mass", "tiny"], ["some_mass"]),
        helper.make_node("Div", ["moment", "some_mass"], ["centre"]),
        helper.make_node("Unsqueeze", ["centre", "one"], ["middle"]),
        helper.make_node("Add", ["middle", "unit"], ["points"]),
        helper.make_node("ReduceMax", ["light"], ["brightest"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Div", ["brightest", "white"], ["presence"]),
        helper.make_node("Mul", ["mass", "no_blend"], ["blend"]),
    ]
    values: dict[str, NDArray[Any]] = {
        "grid": grid[None],
        "tiny": np.array(1e-6, np.float32),
        "one": np.array([1], np.int64),
        "unit": unit[None],
        "white": np.array(255, np.float32),
        "no_blend": np.zeros((1, 10), np.float32),
    }
    inputs = [helper.make_tensor_value_info("crop", TensorProto.UINT8, ["n", size, size, 3])]
    outputs = [
        helper.make_tensor_value_info("points", TensorProto.FLOAT, ["n", 70, 2]),
        helper.make_tensor_value_info("blend", TensorProto.FLOAT, ["n", 10]),
        helper.make_tensor_value_info("presence", TensorProto.FLOAT, ["n"]),
    ]
    contract = Contract(role="landmarks", size=size, coverage=coverage, licence=LICENCE)
    return save(path, nodes, values, inputs, outputs, contract)


def centre_of(to_template: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where the middle of the template lies in the frame, px."""
    linear = to_template[:, :2].astype(np.float64)
    return np.asarray(np.linalg.solve(linear, np.array([0.5, 0.5]) - to_template[:, 2]))


def numbers(faces: Sequence[Any]) -> list[int]:
    """The faces' track numbers."""
    return [face.track for face in faces]
