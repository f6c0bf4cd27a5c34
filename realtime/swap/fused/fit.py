"""Fits faces into their frames as realtime.swap.compose.Fit does, where identities draw whole frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.face.face import Face
from realtime.face.geometry import Image, Points
from realtime.frame import Drawn, Frame
from realtime.swap.compose import ComposeSettings, Swapped, Undrawn
from realtime.swap.fallback import place_of
from realtime.swap.fused.asked import Asked, asked, rounds
from realtime.swap.fused.board import Board, Clock, device_of
from realtime.swap.fused.identity import FusedIdentity
from realtime.swap.fused.model import COLOUR_VALUES, KNOWN, MEMORY
from realtime.swap.grain import ROWS, Grain, noise_of
from realtime.swap.mask import outline_of
from realtime.swap.steady import Look, Looks
from realtime.swap.views import crop_of

_BLUR: Final = slice(COLOUR_VALUES, KNOWN)  # where in a look the blur is
_COLOUR: Final = slice(0, COLOUR_VALUES)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A face that is to be drawn, and what is remembered of it."""

    undrawn: Undrawn
    asked: Asked
    look: Look
    blurs: bool  # whether its softness is measured in this frame


class Memory:
    """How each face looked lately, of one stream of frames: what goes to the models with it, and what comes back."""

    def __init__(self) -> None:
        self._looks = Looks()

    def wanted(self, swapped: Swapped, at: float) -> list[Wanted]:
        """The faces of a frame of the time at in seconds that lie in it, ready to be asked for."""
        height, width = swapped.frame.image.shape[:2]
        found = []
        for undrawn in swapped.undrawn:
            # Another identity on the same face differs from the scene in another way.
            look = self._looks.of((undrawn.face.track, undrawn.identity.name), at)
            blurs = look.frames == 1 or look.frames % 2 == 0  # noise and softness are measured in turn, as Fit does
            outline = _outline(undrawn.face, undrawn.identity.contract.size, look, at)
            one = asked(undrawn.face, outline, _remembered(look, blurs, at), width, height)
            if one is not None:
                found.append(Wanted(undrawn, one, look, blurs))
        return found

    def learned(self, wanted: Wanted, said: NDArray[np.float32], at: float) -> None:
        """Takes what a model measured of a face; said is its row of the answer, see realtime.swap.fused.model."""
        colour, blur = said[KNOWN : KNOWN + 2]
        if colour > 0:
            wanted.look.colour.keep(said[_COLOUR].astype(np.float64), at)
        if blur > 0 and (wanted.blurs or wanted.look.blur.age(at) is None):
            wanted.look.blur.keep(said[_BLUR].astype(np.float64), at)


class FusedFit:
    """Fits faces into frame after frame, on the device that their identities run on."""

    def __init__(self, settings: ComposeSettings, clock: Clock | None = None) -> None:
        """clock takes what uploading, drawing and downloading took."""
        self._settings = settings
        self._memory = Memory()
        self._board = Board(clock)
        self._noise = Noise()

    def __call__(self, swapped: Swapped) -> Frame:
        """The frame with every face drawn in its place; a new picture. Raises ModelError."""
        frame = swapped.frame
        at = time_of(frame)
        wanted = self._memory.wanted(swapped, at)
        image = frame.image.copy() if not wanted else self._drawn(swapped, wanted, at)
        return replace(frame, image=image, drawn=tuple(drawn_of(each) for each in swapped.undrawn))

    def _drawn(self, swapped: Swapped, wanted: Sequence[Wanted], at: float) -> Image:
        frame, fittings = swapped.frame, fittings_of(self._settings)
        self._board.put([wanted[0].undrawn.seen], [frame.image], device_of(wanted[0].undrawn.identity.session))
        height, width = frame.image.shape[:2]
        grains = []
        for identity, turn in turns(wanted, [0] * len(wanted)):
            told = identity.feed([wanted[place].asked for place in turn], [0] * len(turn), width, height)
            drawn = self._board.draw(identity, {**told, "fittings": fittings}, self._settings.grain)
            for row, place in enumerate(turn):
                self._memory.learned(wanted[place], drawn.look[row], at)
                if drawn.masks is not None:
                    grains.append((wanted[place], drawn.masks[row]))
        image: Image = self._board.taken()[0]
        for each, mask in grains:
            self._noise(image, frame, each, mask, at)
        return image


class Noise:
    """Gives drawn faces the camera's noise, which stays outside of the models: its bank is the processor's."""

    def __init__(self) -> None:
        self._grain = Grain()

    def __call__(self, image: Image, frame: Frame, wanted: Wanted, mask: NDArray[np.uint8], at: float) -> None:
        """Into image, in place, where mask (S, S) 0..255 shows the face; frame is the one that noise is measured in."""
        face, look, window = wanted.undrawn.face, wanted.look, wanted.asked.window
        to_crop = crop_of(face, mask.shape[0])
        if look.frames == 1 or look.frames % 2:
            look.noise(noise_of(frame.image, face.to_template, mask, to_crop), at)
        amounts = self._grain.amounts(look.noise.value)
        if not any(amounts):
            return
        for top in range(window.top, window.bottom, ROWS):
            part = image[top : min(top + ROWS, window.bottom), window.left : window.right]
            shifted = to_crop.copy()
            shifted[:, 2] += to_crop[:, :2] @ np.array([window.left, top], np.float32)
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            alpha = cv2.warpAffine(mask, shifted, (part.shape[1], part.shape[0]), flags=flags).astype(np.float32) / 255
            noisy = self._grain.onto(np.ascontiguousarray(part), amounts, frame.index, top)
            part[:] = cv2.blendLinear(noisy, np.ascontiguousarray(part), alpha, 1 - alpha)


def turns(wanted: Sequence[Wanted], frames: Sequence[int]) -> list[tuple[FusedIdentity, list[int]]]:
    """Which faces go in together, by their places: of one identity, and sharing no pixel with each other."""
    windows = [each.asked.window for each in wanted]
    together: list[tuple[FusedIdentity, list[int]]] = []
    for turn in rounds(windows, frames):
        by_identity: dict[FusedIdentity, list[int]] = {}
        for place in turn:
            by_identity.setdefault(wanted[place].undrawn.identity, []).append(place)
        together += by_identity.items()
    return together


def fittings_of(settings: ComposeSettings) -> NDArray[np.float32]:
    """The settings as the models take them."""
    return np.array([settings.colour, settings.grain], np.float32)


def drawn_of(undrawn: Undrawn) -> Drawn:
    """What is said of a face that was drawn."""
    left, top, right, bottom = (float(side) for side in place_of(undrawn.face))
    return Drawn(undrawn.identity.name, undrawn.identity.digest, (left, top, right, bottom))


def time_of(frame: Frame) -> float:
    """When the frame was taken, seconds."""
    return frame.captured_at if frame.at is None else frame.at


def _outline(face: Face, size: int, look: Look, at: float) -> Points | None:
    """The person's outline, steady, in units of the drawn crop's side; its first pixel's middle is 0."""
    matrix = face.to_template
    landmarks = face.landmarks @ matrix[:, :2].T + matrix[:, 2] - 0.5 / size
    steady = look.outline(landmarks.ravel().astype(np.float64), at)
    return None if steady is None else outline_of(steady.reshape(-1, 2).astype(np.float32))


def _remembered(look: Look, blurs: bool, at: float) -> NDArray[np.float32]:
    """What is known of a face, as the models take it: values, which are known, and the seconds since."""
    out = np.zeros(MEMORY, np.float32)
    for which, (values, steady) in enumerate(((_COLOUR, look.colour), (_BLUR, look.blur))):
        age = steady.age(at)
        if age is not None and steady.value is not None:
            out[values] = steady.value
            out[KNOWN + which] = 1
            out[KNOWN + 2 + which] = age if which == 0 or blurs else 0  # no time has gone by: the value stays
    return out
