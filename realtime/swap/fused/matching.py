"""Matches drawn faces to their scene within a graph: light and colours as colour.py has it, softness as grain.py does.

n is how many faces there are, S the side of the drawn picture; pictures are (n, 3, S, S) BGR 0..255 in float32.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from realtime.swap import colour, grain
from realtime.swap.fused.filters import filtered, gaussian, linear, neighbours, resized
from realtime.swap.fused.reading import Place
from realtime.swap.fused.values import Value
from realtime.swap.steady import BLUR_UNIT, COLOUR_UNIT, SECONDS

# CIE Lab of sRGB under D65, as OpenCV has it; channels BGR.
_XYZ: Final = (
    (0.180423, 0.357580, 0.412453),
    (0.072169, 0.715160, 0.212671),
    (0.950227, 0.119193, 0.019334),
)
_WHITE: Final = (0.950456, 1.0, 1.088754)
_BACK: Final = (
    (0.055648, -0.204043, 1.057311),
    (-0.969256, 1.875991, 0.041556),
    (3.240479, -1.53715, -0.498535),
)


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of the faces from earlier frames, and how old it is."""

    values: Value  # (n, k)
    known: Value  # (n, 1), 0 or 1
    elapsed: Value  # (n, 1), seconds

    def followed(self, measured: Value, trust: Value | None, unit: float) -> Value:
        """What to use when measured (n, k) was seen now, as realtime.swap.steady.Steady has it."""
        apart = measured - self.values
        speed = (apart.abs().largest(1) / unit + 1) * (1 / SECONDS)
        gone = self.elapsed * speed if trust is None else self.elapsed * speed * trust
        return (self.known > 0).where(self.values + apart * (1 - (-gone).exp()), measured)


@dataclass(frozen=True, slots=True)
class Measured:
    """Pictures after a step, and what is remembered for the next frame."""

    pictures: Value  # (n, 3, S, S)
    values: Value  # (n, k)
    fresh: Value  # (n, 1), 0 or 1: whether there was something to be measured


def coloured(drawn: Value, under: Value, weight: Value, memory: Memory, wanted: Value, size: int) -> Measured:
    """drawn in the light of the scene under it, as realtime.swap.colour has it.

    under (n, 3, s, s) is the scene, s = colour.SAMPLE; weight (n, 1, s, s) 0 or 1; wanted () 0 or 1.
    """
    sheet, side = drawn.sheet, colour.SAMPLE
    here = resized(drawn, linear(side, size))
    both = sheet.joined([here, under], 0)
    weights = sheet.joined([weight, weight], 0).shaped(-1, 1, side * side)
    mean, spread = (value.shaped(2, -1, value_of) for value, value_of in zip(_skin(both, weights), (3, 1), strict=True))
    drawn_mean, difference = mean.at(0, 0), mean.at(0, 1) - mean.at(0, 0)
    count = weight.shaped(-1, side * side).sum(1)
    contrast = (spread.at(0, 1).at_least(1) / spread.at(0, 0).at_least(1)).log() * 0.5
    scene = mean.at(0, 1)
    chroma = (scene.part(1, 1, 3) ** 2).sum(1).sqrt()
    colourful = (chroma / scene.part(1, 0, 1).at_least(5) * (1 / colour.FAINT)).at_most(1)
    trust = (count * (1 / (colour.ENOUGH * side * side))).at_most(1)
    enough = count >= colour.FEWEST
    steady = memory.followed(sheet.joined([difference, contrast, colourful], 1), trust, COLOUR_UNIT)
    values = enough.where(steady, memory.values)
    share = (enough.real() * wanted).with_axes(2, 3)
    there = _mapped(drawn, drawn_mean, values)
    return Measured((drawn + (there - drawn) * share).level(), values, enough.real())


def _skin(pictures: Value, weights: Value) -> tuple[Value, Value]:
    """The mean Lab colour (m, 3) of the skin in pictures (m, 3, s, s) of levels, and the spread (m, 1) of lightness."""
    sheet = pictures.sheet
    lab = _lab(pictures)  # (m, 3, s * s)
    lightness = lab.part(1, 0, 1)
    levels = sheet.constant(np.arange(256, dtype=np.float32)[None, None])
    below = weights @ (lightness.turned(0, 2, 1) <= levels).real()  # (m, 1, 256)
    count = below.part(2, 255, 256)
    shares = sheet.constant(np.array([0.25, 0.5, 0.75], np.float32)[None, :, None])
    low, middle, high = ((below < count * shares).real().sum(2).part(1, place, place + 1) for place in range(3))
    reach = ((high - low) * (1 / 1.349)).at_least(2) * colour.TRIM
    first, last = sheet.node("Round", middle - reach), sheet.node("Round", middle + reach)
    skin = weights * ((lightness >= first) & (lightness <= last)).real()
    mean = (lab * skin).sum(2) / skin.sum(2).at_least(1)
    centre = (lightness * weights).sum(2) / count.at_least(1)
    spread = (((lightness - centre) ** 2 * weights).sum(2) / count.at_least(1)).sqrt()
    scale = sheet.constant(np.array([1 / 2.55, 1, 1], np.float32)[None, :, None])
    offset = sheet.constant(np.array([0, 128, 128], np.float32)[None, :, None])
    return (mean * scale - offset).shaped(-1, 3), (spread * (1 / 2.55)).shaped(-1, 1)


def _lab(pictures: Value) -> Value:
    """Levels BGR (m, 3, s, s) as levels of CIE Lab (m, 3, s * s): lightness 0..255, both axes about 128."""
    sheet = pictures.sheet
    unit = pictures.shaped(0, 3, -1) * (1 / 255)
    straight = (unit <= 0.04045).where(unit * (1 / 12.92), ((unit + 0.055) * (1 / 1.055)) ** 2.4)
    xyz = sheet.constant((np.array(_XYZ) / np.array(_WHITE)[:, None]).astype(np.float32)) @ straight
    root = (xyz > 0.008856).where(xyz.at_least(1e-6) ** (1 / 3), xyz * 7.787 + 16 / 116)
    mixing = np.array([[0, 116, 0], [500, -500, 0], [0, 200, -200]], np.float32)
    mixing[0] *= 2.55
    offset = sheet.constant(np.array([-16 * 2.55, 128, 128], np.float32)[None, :, None])
    return (sheet.constant(mixing) @ root + offset).level()


def _bgr(lab: Value) -> Value:
    """Lab colours (n, 3) as BGR 0..255, (n, 3)."""
    sheet = lab.sheet
    lightness, a, b = (lab.part(1, place, place + 1) for place in range(3))
    dark = lightness <= 8
    high = (lightness + 16) * (1 / 116)
    middle = dark.where(lightness * (7.787 / 903.3) + 16 / 116, high)
    light = dark.where(lightness * (1 / 903.3), high**3)
    outer = sheet.joined([middle + a * (1 / 500), middle - b * (1 / 200)], 1)
    straight = (outer <= 6 / 29).where((outer - 16 / 116) * (1 / 7.787), outer**3)
    xyz = sheet.joined([straight.part(1, 0, 1), light, straight.part(1, 1, 2)], 1)
    white = np.array(_BACK) * np.array(_WHITE)[None]
    unit = (xyz @ sheet.constant(white.T.astype(np.float32))).within(0, 1)
    return (unit <= 0.0031308).where(unit * 12.92, unit.at_least(1e-6) ** (1 / 2.4) * 1.055 - 0.055) * 255


def _mapped(drawn: Value, mean: Value, difference: Value) -> Value:
    """drawn, whose skin is mean (n, 3) in Lab, brought as far as difference (n, 5) says: colour.colour_map."""
    here, there = _bgr(mean), _bgr(mean + difference.part(1, 0, 3))
    gain = (there / here.at_least(1)).within(*colour.GAIN)
    before = mean.part(1, 0, 1)
    lightness = (before + difference.part(1, 0, 1)).at_least(1) / before.at_least(1)
    contrast = (difference.part(1, 3, 4).exp() / lightness.sqrt()).within(*colour.SPREAD)
    kept = difference.part(1, 4, 5).with_axes(2, 3)
    factor, offset = gain * contrast, here * gain * (1 - contrast)
    changed = drawn * factor.with_axes(2, 3) + offset.with_axes(2, 3)
    luma = drawn.sheet.constant(np.array(colour.LUMA, np.float32)[None, :, None, None])
    return changed * kept + (changed * luma).sum(1) * (1 - kept)


def softened(drawn: Value, under: Value, mask: Value, place: Place, memory: Memory, wanted: Value) -> Measured:
    """How soft the camera's picture of each face is, measured as realtime.swap.grain.softening does.

    drawn (n, 3, S, S) is handed on as it is; under (n, 3, s, s) is the scene, s = grain.BLUR_SAMPLE, and mask
    (n, 1, s, s) in levels. The value is a Gaussian's sigma, of the crop's side; wanted () 0 or 1.
    """
    side, sheet = grain.BLUR_SAMPLE, drawn.sheet
    grey = sheet.constant(np.array(colour.LUMA, np.float32)[None, :, None, None])
    greys = sheet.joined([(under * grey).sum(1).level(), (drawn * grey).sum(1).level()], 0)
    inside = (mask > grain.INSIDE).real()
    blur, told = _blur(greys, sheet.joined([inside, inside], 0))
    there, here = (blur.shaped(2, -1, 1).at(0, which) for which in range(2))
    fresh = told.shaped(2, -1, 1).smallest(0).shaped(-1, 1) * wanted
    read = (place.scale(side) ** 2).shaped(-1, 1) * grain.INTERPOLATED
    sigma = ((there * grain.SURELY) ** 2 - here**2 - read).at_least(0).sqrt() * (1 / side)
    steady = memory.followed(sigma.at_most(grain.SOFTEST), None, BLUR_UNIT)
    return Measured(drawn, (fresh > 0).where(steady, memory.values), fresh)


def _blur(greys: Value, inside: Value) -> tuple[Value, Value]:
    """Sigma of the blur of each grey picture's edges (m, 1), and whether it can be told, 0 or 1; see grain."""
    side = grain.BLUR_SAMPLE
    line = gaussian(side, grain.AGAIN)
    steep, again = _steepness(greys), _steepness(resized(greys, line))
    trust = again * inside
    known, count = (trust * again).sum(1, 2, 3), inside.sum(1, 2, 3)
    ratio = (trust * steep).sum(1, 2, 3) / known.at_least(1e-6) - 1
    told = trust.sum(1, 2, 3) > count * grain.EDGES**2
    return (grain.AGAIN / ratio.at_least(0.04).sqrt()).shaped(-1, 1), told.real().shaped(-1, 1)


def _steepness(greys: Value) -> Value:
    """The square of the gradient, by Sobel."""
    side = grain.BLUR_SAMPLE
    slope, smooth = neighbours(side, (-1, 0, 1)), neighbours(side, (1, 2, 1))
    return filtered(greys, smooth, slope) ** 2 + filtered(greys, slope, smooth) ** 2
