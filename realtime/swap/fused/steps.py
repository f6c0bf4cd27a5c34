"""The steps around a drawn face as parts of a graph: where it shows, how fine it is, and how it goes into its frame.

Each follows the NumPy and OpenCV code of the same name, with its numbers; tests hold the two against each other. n is
how many faces there are, S the side of the drawn picture; pictures are (n, 3, S, S) BGR 0..255 in float32.
"""

from typing import Final

import numpy as np

from realtime.swap import grain
from realtime.swap.fused.filters import blurred
from realtime.swap.fused.reading import Frames, Place
from realtime.swap.fused.values import UINT8, Value
from realtime.swap.mask import ABOVE, BELOW, EDGE, LEAST, border

PLANES: Final = 32  # edges of a person's outline
# How OpenCV draws a smooth polygon: whole up to its edge, then fading, in px. Its corners are its own.
_OUTSIDE: Final = 1.25
_FADING: Final = 0.8
_NOTHING: Final = 0.01  # px: a blur by so little changes no level
_SMALLEST: Final = 2.0  # crop px for one of the frame, above which thin lines would flicker


def shown(mask: Value, outline: Value, scale: Value, size: int) -> Value:
    """Where the faces show, levels (n, 1, S, S), as realtime.swap.mask.Edge has it; mask (n, S, S) is the network's.

    outline (n, PLANES, 3): the edges a b c of each hull, so that a x + b y + c is how far inside a place lies, all in
    units of the crop's side.
    """
    sheet = mask.sheet
    line = np.arange(size) / size
    places = np.stack([*np.meshgrid(line, line), np.ones((size, size))]).reshape(3, -1)
    inside = (outline @ sheet.constant(places.astype(np.float32))).smallest(1).shaped(-1, size, size)
    hull = (inside * (size * _FADING) + ((_OUTSIDE - 0.5) * _FADING + 0.5)).within(0, 1)
    whole = (mask * 255).level().at_most(hull * 255)
    sigma = (scale * LEAST).at_least(EDGE * size).at_most(size / 8)
    smooth = blurred(whole.with_axes(1), sigma, size, size / 8).level()
    drawn_in = ((smooth - BELOW * 255) / (ABOVE - BELOW)).within(0, 255).floor()
    return (drawn_in * sheet.constant(border(size).astype(np.float32) / 255)).level()


def layers(drawn: Value, mask: Value, sigma: Value, scale: Value, size: int) -> Value:
    """What goes into the frame: the pictures as soft as the camera's, and the masks, (n, 4, S, S) in levels.

    sigma (n, 1) is of the side. A small face is averaged besides, or thin lines would flicker.
    """
    soft = (sigma * size).with_axes(2)
    soft = (soft >= grain.HARDLY).where(soft, 0.0)
    # A box of the shrinking's size and a line between its middles, less the line that reading draws anyway.
    small = (scale > _SMALLEST).where(scale * scale * 0.25 - 1 / 6, 0.0)
    most = size / 8
    pictures = blurred(drawn, (soft * soft + small).sqrt().within(_NOTHING, most), size, most)
    masks = blurred(mask, small.sqrt().within(_NOTHING, most), size, most)
    return drawn.sheet.joined([pictures.level(), masks.level()], 1)


def pasted(frames: Frames, place: Place, faces: Value, x: Value, y: Value, shape: Value) -> Value:
    """The frames, shape (4,), with layers (n, 4, S, S) put in: uint8.

    x (n, 1, q) and y (n, p, 1) int64 are the columns and rows of the frame that each face may touch; no two faces of
    one frame may share a pixel of them.
    """
    u, v = place.in_template(x.real(), y.real())
    grid = faces.sheet.joined([(u * 2 - 1).with_axes(3), (v * 2 - 1).with_axes(3)], 3)
    over = faces.sheet.node("GridSample", faces, grid, mode="bilinear", padding_mode="zeros", align_corners=0)
    over = over.turned(0, 2, 3, 1).level()
    share = over.part(3, 3, 4) * (1 / 255)
    which = frames.rows(y, x)
    under = frames.pixels.picked(which).real()
    mixed = (under + (over.part(3, 0, 3) - under) * share).level().to(UINT8)
    placed = faces.sheet.node("ScatterND", frames.pixels, which.with_axes(3), mixed)
    return faces.sheet.node("Reshape", placed, shape)
