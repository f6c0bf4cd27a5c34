"""Filters within a graph, as products with matrices: a blur of any size for each face, and other sizes of a picture."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.swap.fused.values import Value


def blurred(pictures: Value, sigma: Value, size: int, most: float) -> Value:
    """pictures (n, c, S, S), each blurred by its sigma (n, 1, 1) in px, of at most so much; borders repeat."""
    sheet, reach = pictures.sheet, math.ceil(3 * most)
    steps = np.arange(size + 2 * reach)[None] - reach - np.arange(size)[:, None]
    away = sheet.constant((steps * steps).astype(np.float32))  # from each pixel, squared
    furthest = (sigma * 3).ceil()
    bell = (away / (sigma * sigma * -2)).exp() * (away <= furthest * furthest).real()
    back = np.zeros((size + 2 * reach, size), np.float32)
    back[np.arange(size + 2 * reach), np.clip(np.arange(size + 2 * reach) - reach, 0, size - 1)] = 1
    weights = ((bell / bell.sum(2)) @ sheet.constant(back)).with_axes(1)  # (n, 1, S, S)
    return weights @ pictures @ weights.turned(0, 1, 3, 2)


def resized(pictures: Value, line: NDArray[np.float64]) -> Value:
    """pictures (n, c, S, S) through a filter (s, S) for lines and columns, in levels."""
    return filtered(pictures, line, line).level()


def filtered(pictures: Value, down: NDArray[np.float64], across: NDArray[np.float64]) -> Value:
    """pictures (n, c, S, S) through a filter (s, S) for columns and one for lines."""
    sheet = pictures.sheet
    return sheet.constant(down.astype(np.float32)) @ pictures @ sheet.constant(across.T.astype(np.float32))


def linear(side: int, size: int) -> NDArray[np.float64]:
    """What cv2.INTER_LINEAR reads of a line of size pixels for one of side pixels, (side, size)."""
    at = np.clip((np.arange(side) + 0.5) * size / side - 0.5, 0, size - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(at[:, None] - np.arange(size)[None])), np.float64)


def area(side: int, size: int) -> NDArray[np.float64]:
    """What cv2.INTER_AREA reads of a line of size pixels for one of side pixels; of a shorter one the line between."""
    if size < side:
        return linear(side, size)
    edges = np.arange(side + 1) * size / side
    low = np.maximum(edges[:-1, None], np.arange(size)[None])
    high = np.minimum(edges[1:, None], np.arange(size)[None] + 1)
    return np.asarray(np.maximum(0, high - low) * side / size, np.float64)


def gaussian(side: int, sigma: float) -> NDArray[np.float64]:
    """A blur of a line of side pixels whose border repeats, (side, side)."""
    reach = math.ceil(3 * sigma)
    bell = cv2.getGaussianKernel(2 * reach + 1, sigma)[:, 0]
    line = np.zeros((side, side))
    for pixel in range(side):
        np.add.at(line[pixel], np.clip(pixel + np.arange(-reach, reach + 1), 0, side - 1), bell)
    return line


def neighbours(side: int, weights: tuple[float, float, float]) -> NDArray[np.float64]:
    """Three neighbours of a line of side pixels with these weights; its border is mirrored, (side, side)."""
    line = np.zeros((side, side))
    for pixel in range(side):
        before, after = abs(pixel - 1), side - 1 - abs(side - 2 - pixel)
        np.add.at(line[pixel], [before, pixel, after], weights)
    return line
