"""Puts the swapped faces into their frame: mask, colour, grain, paste."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.face.face import Face
from realtime.face.geometry import Image, Matrix, Points, invert, scale_of, transform
from realtime.frame import Drawn, Frame
from realtime.pool import Pool, Scratch
from realtime.swap import colour
from realtime.swap.fallback import Box, Fallback, Unsure, hidden, place_of, veiled
from realtime.swap.grain import BLUR_SAMPLE, ROWS, Grain, noise_of, softened, softening
from realtime.swap.mask import Edge, Mask, Shown, outline_of
from realtime.swap.steady import Look, Looks

if TYPE_CHECKING:
    from realtime.swap.fused.identity import FusedIdentity

Picture = NDArray[np.float32]  # (S, S, 3) BGR 0..255

_BAND: Final = 32768  # pixels blended at a time: what is in between stays in the processor's cache


@dataclass(frozen=True, slots=True)
class ComposeSettings:
    """How a face is fitted into its frame."""

    colour: bool = True  # in the scene's light and colours; otherwise in the identity's own
    grain: bool = True  # with the noise and the softness of the camera


@dataclass(frozen=True, slots=True)
class SwappedFace:
    """A face redrawn as an identity, not yet in its frame."""

    face: Face
    identity: str
    image: Picture  # (S, S, 3) BGR 0..255, its tone normalised
    mask: Mask  # (S, S) 0..1, where the identity shows
    to_crop: Matrix  # (2, 3) frame px to px of image
    model: str = ""  # hex digest of the model that drew it


@dataclass(frozen=True, slots=True)
class Undrawn:
    """A face whose identity draws it as it is put in: realtime.swap.fused."""

    face: Face
    identity: "FusedIdentity"
    seen: Image  # what it is read from: the picture as the camera saw it


@dataclass(frozen=True, slots=True)
class Swapped:
    """A frame and what is to be put into it."""

    frame: Frame
    faces: tuple[SwappedFace, ...] = ()
    others: tuple[Box, ...] = ()  # where faces are that no identity was chosen for
    unsure: Unsure | None = None  # where a real face may be all the same; a model that failed on the frame included
    undrawn: tuple[Undrawn, ...] = ()
    withheld: bool = False  # nothing of it may be shown: the consent to who is drawn has ended

    @property
    def swaps(self) -> bool:
        """Whether any face becomes another one."""
        return bool(self.faces or self.undrawn)


class Composer:
    """Composes frame after frame.

    It remembers the last swapped frame, to hold it where the settings say so, and how each face looked lately, so that
    its colours, its grain and its outline stay steady. fallback may be replaced at any time, by any thread.
    """

    def __init__(
        self,
        fallback: Fallback | None = None,
        settings: ComposeSettings | None = None,
        fit: Callable[[Swapped], Frame] | None = None,
    ) -> None:
        """fit puts the faces in, in place of Fit."""
        self.fallback = fallback or Fallback()
        self._last: Frame | None = None
        self._fit = fit or Fit(settings or ComposeSettings())

    def __call__(self, swapped: Swapped) -> Frame:
        """The frame as it may be shown, with the number and the time of the frame that came in."""
        frame, unsure, fallback = swapped.frame, swapped.unsure, self.fallback
        if swapped.withheld:
            self._last = None  # which shows whom nobody may show any more
            return self._hidden(frame, "blur")
        how = fallback.unsure
        if unsure is not None and (unsure.anywhere or how == "hold"):
            return self._hidden(frame, how)
        if not swapped.swaps and not swapped.others and unsure is None:
            return self._hidden(frame, fallback.no_face)
        image = veiled(frame.image, fallback.others, swapped.others)
        image = veiled(image, how, unsure.places if unsure is not None else ())
        composed = self._fit(replace(swapped, frame=replace(frame, image=image)))  # over what is hidden, never under it
        if swapped.swaps and unsure is None:
            self._last = composed
        return composed

    def instead(self, swapped: Swapped) -> Frame:
        """The frame as it may be shown where composing it failed: nobody knows what of it would be safe to show."""
        return self._hidden(swapped.frame, self.fallback.unsure)

    def _hidden(self, frame: Frame, how: str) -> Frame:
        """The whole frame as it may be shown; a picture that is held says still which faces are in it."""
        held = self._last
        image = hidden(frame.image, how, None if held is None else held.image)
        return replace(frame, image=image, drawn=held.drawn if held is not None and how == "hold" else ())


class Fit:
    """Fits faces into frame after frame; its memory is what earlier frames said about the same faces."""

    def __init__(self, settings: ComposeSettings) -> None:
        self._settings = settings
        self._looks = Looks()
        self._grain = Grain()
        self._edge = Edge()
        self._pictures = Pool()
        self._scratch = Scratch()
        colour.warm()

    def __call__(self, swapped: Swapped) -> Frame:
        """The frame with every swapped face in its place; a new picture, equal to the old one outside the faces."""
        frame = swapped.frame
        at = frame.captured_at if frame.at is None else frame.at
        image = self._pictures.copy(frame.image)
        for face in swapped.faces:
            # Another identity on the same face differs from the scene in another way.
            look = self._looks.of((face.face.track, face.identity), at)
            self._put(image, frame, face, look, at)
        return replace(frame, image=image, drawn=tuple(_drawn(face) for face in swapped.faces))

    def _put(self, image: Image, frame: Frame, face: SwappedFace, look: Look, at: float) -> None:
        """Blend one face into image, in place, within the rectangle that its mask covers."""
        scale = scale_of(face.to_crop)
        mask = self._edge(face.mask, scale, _outline(face, look, at))
        x0, y0, x1, y1 = _rectangle(cv2.boundingRect(mask), face.to_crop, image.shape[1], image.shape[0])
        if x0 >= x1 or y0 >= y1:
            return
        whole = x0 > 0 and y0 > 0 and x1 < image.shape[1] and y1 < image.shape[0]
        picture = self._fitted(face, frame.image, mask, whole, look, at)
        amounts = self._grain.amounts(look.noise.value) if self._settings.grain else (0.0, 0.0)
        scratch = self._scratch
        layers, to_crop = _shrunk(_layers(picture, mask, scratch), face.to_crop, scale, scratch)
        rows = min(max(_BAND // (x1 - x0), 8), ROWS)
        for top in range(y0, y1, rows):
            part = image[top : min(top + rows, y1), x0:x1]
            patch = _warped(layers, to_crop, x0, top, scratch("patch", (*part.shape[:2], 4)))
            drawn = cv2.cvtColor(patch, cv2.COLOR_BGRA2BGR, scratch("drawn", part.shape))
            drawn = self._grain.onto(drawn, amounts, frame.index, top)
            _blend(part, drawn, cv2.extractChannel(patch, 3, scratch("alpha", part.shape[:2])), scratch)

    def _fitted(self, face: SwappedFace, image: Image, mask: Shown, whole: bool, look: Look, at: float) -> Image:
        """The face in the colours and the softness that image, the frame, asks for; notes the noise around it."""
        drawn = face.image
        if self._settings.colour:
            drawn = _coloured(drawn, image, mask, face.to_crop, whole, look, at, self._scratch)
        picture = _eight_bit(drawn, self._scratch("picture", drawn.shape))
        if not self._settings.grain:
            return picture
        if look.frames == 1 or look.frames % 2:  # softness and noise change slowly: each is measured in turn
            look.noise(noise_of(image, face.face.to_template, mask, face.to_crop), at)
        if look.frames == 1 or look.frames % 2 == 0:
            _note_softness(picture, image, mask, face.to_crop, look, at, self._scratch)
        if look.blur.value is None:
            return picture
        return softened(picture, float(look.blur.value[0]), self._scratch("softened", picture.shape))


def _drawn(face: SwappedFace) -> Drawn:
    left, top, right, bottom = (float(side) for side in place_of(face.face))
    return Drawn(face.identity, face.model, (left, top, right, bottom))


def compose(swapped: Swapped, settings: ComposeSettings | None = None) -> Frame:
    """The frame alone, with nothing known about earlier ones: every swapped face in its place, in a new picture."""
    return Fit(settings or ComposeSettings())(swapped)


def _outline(face: SwappedFace, look: Look, at: float) -> Points | None:
    """The person's outline in crop px, steady."""
    size = face.mask.shape[0]
    landmarks = transform(face.to_crop, face.face.landmarks) / size
    steady = look.outline(landmarks.ravel().astype(np.float64), at)
    return None if steady is None else outline_of(steady.reshape(-1, 2).astype(np.float32)) * size


def _coloured(
    drawn: Picture, image: Image, mask: Shown, to_crop: Matrix, whole: bool, look: Look, at: float, scratch: Scratch
) -> Picture:
    """drawn in the light of the scene, which image (the frame) shows where the face belongs; whole: all of it."""
    size = colour.SAMPLE
    weight, matrix = cv2.resize(mask, (size, size)), _smaller(to_crop, size / mask.shape[0])
    if not whole:
        weight = weight * _in_view(matrix, size, image)
    weight = cv2.threshold(weight, 127, 255, cv2.THRESH_BINARY)[1]
    skin = colour.skin_of(_eight_bit(cv2.resize(drawn, (size, size))), weight)
    difference, trust = colour.compare(skin, _sample(image, matrix, size), weight)
    steady = look.colour(difference, at, trust)
    if steady is None or difference is None:
        return drawn
    coloured = scratch("coloured", drawn.shape, np.float32)
    return np.asarray(cv2.transform(drawn, colour.colour_map(skin, steady), coloured), np.float32)


def _note_softness(
    picture: Image, image: Image, mask: Shown, to_crop: Matrix, look: Look, at: float, scratch: Scratch
) -> None:
    """How much softer than picture the camera's face in image (the frame) is."""
    side = BLUR_SAMPLE
    matrix = _smaller(to_crop, side / mask.shape[0])
    three = scratch("sample", (side, side, 3))
    scene = cv2.cvtColor(_sample(image, matrix, side, three), cv2.COLOR_BGR2GRAY)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY, scratch("grey", picture.shape[:2]))
    drawn = cv2.resize(grey, (side, side), scratch("drawn sample", (side, side)), interpolation=cv2.INTER_AREA)
    shown = cv2.resize(mask, (side, side), scratch("shown sample", (side, side)))
    look.blur(softening(scene, drawn, shown, scale_of(matrix), scratch), at)


def _warped(layers: Image, to_crop: Matrix, x0: int, y0: int, patch: Image) -> Image:
    """patch (h, w, 4), with the layers where they belong in the frame's part at (x0, y0) of that size."""
    shifted = to_crop.copy()
    shifted[:, 2] += to_crop[:, :2] @ np.array([x0, y0], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(layers, shifted, (patch.shape[1], patch.shape[0]), patch, flags=flags), np.uint8)


def _blend(part: Image, drawn: Image, alpha: NDArray[Any], scratch: Scratch) -> None:
    """Blend drawn into part, in place. In 8 bit: three times as fast as in floats, and off by one step at most."""
    share = cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR, scratch("share", part.shape))
    there = scratch("there", part.shape)
    cv2.multiply(drawn, share, there, scale=1 / 255)
    cv2.bitwise_not(share, share)
    cv2.add(cv2.multiply(part, share, share, scale=1 / 255), there, part)


def _rectangle(inside: Sequence[int], to_crop: Matrix, width: int, height: int) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 of the frame's part under inside (x y w h in crop px); empty when it lies outside the frame."""
    x, y, wide, high = inside
    if not wide or not high:
        return 0, 0, 0, 0
    corners = np.array([(x - 1, y - 1), (x + wide, y - 1), (x + wide, y + high), (x - 1, y + high)], np.float32)
    points = transform(invert(to_crop), corners)
    left, top = np.floor(points.min(0)).astype(int)
    right, bottom = np.ceil(points.max(0)).astype(int) + 1
    return max(0, int(left)), max(0, int(top)), min(width, int(right)), min(height, int(bottom))


def _sample(image: Image, to_crop: Matrix, size: int, out: Image | None = None) -> Image:
    """The frame under a crop of size x size; in out, where there is one."""
    seen = cv2.warpAffine(image, to_crop, (size, size), out, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.uint8)


def _in_view(to_crop: Matrix, size: int, image: Image) -> NDArray[np.bool_]:
    """Which pixels of a crop of size x size the frame shows."""
    to_frame = invert(to_crop)
    steps = np.arange(size, dtype=np.float32)
    x = to_frame[0, 0] * steps[None] + to_frame[0, 1] * steps[:, None] + to_frame[0, 2]
    y = to_frame[1, 0] * steps[None] + to_frame[1, 1] * steps[:, None] + to_frame[1, 2]
    return np.asarray((x >= 0) & (y >= 0) & (x <= image.shape[1] - 1) & (y <= image.shape[0] - 1))


def _smaller(to_crop: Matrix, factor: float) -> Matrix:
    """The matrix of the same crop with factor times as many pixels a side."""
    matrix = to_crop * np.float32(factor)
    matrix[:, 2] += 0.5 * factor - 0.5
    return matrix


def _eight_bit(picture: NDArray[Any], out: Image | None = None) -> Image:
    """picture rounded, clamped to 0..255; what is no number becomes 0. In out, where there is one."""
    rounded = cv2.add(picture, 0.0, out, dtype=cv2.CV_8U)  # type: ignore[call-overload]  # lacks numbers
    return np.asarray(rounded, np.uint8)


def _layers(picture: Image, mask: Shown, scratch: Scratch) -> Image:
    """Picture and mask as one picture of four channels, so that one warp carries both."""
    layers = cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA, scratch("layers", (*mask.shape, 4)))
    return np.asarray(cv2.insertChannel(mask, layers, 3), np.uint8)


def _shrunk(layers: Image, to_crop: Matrix, scale: float, scratch: Scratch) -> tuple[Image, Matrix]:
    """The layers no more than twice as fine as the frame needs, or thin lines would flicker; with their matrix."""
    if scale <= 2:
        return layers, to_crop
    size = layers.shape[0]
    smaller = max(2, round(size / scale))
    out = scratch("shrunk", (smaller, smaller, 4))
    shrunk = cv2.resize(layers, (smaller, smaller), out, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.uint8), _smaller(to_crop, smaller / size)
