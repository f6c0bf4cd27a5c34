"""Fits faces into their frames as realtime.swap.compose.Fit does, where identities draw whole frames."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.face.face import Face
from realtime.face.geometry import Image, Points
from realtime.frame import Drawn, Frame
from realtime.swap.compose import ComposeSettings, Swapped, Undrawn
from realtime.swap.fallback import place_of
from realtime.swap.fused.asked import asked
from realtime.swap.fused.batcher import Batcher
from realtime.swap.fused.board import Board, Clock
from realtime.swap.fused.model import COLOUR_VALUES, KNOWN, MEMORY
from realtime.swap.fused.painting import Job, Wanted, painted
from realtime.swap.grain import ROWS, Grain, noise_of
from realtime.swap.mask import outline_of
from realtime.swap.steady import Look, Looks
from realtime.swap.views import crop_of

_BLUR: Final = slice(COLOUR_VALUES, KNOWN)  # where in a look the blur is
_COLOUR: Final = slice(0, COLOUR_VALUES)


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

    def __init__(self, settings: ComposeSettings, clock: Clock | None = None, batcher: Batcher | None = None) -> None:
        """clock takes what uploading, drawing and downloading took; a batcher draws for several and has its own."""
        self._settings = settings
        self._memory = Memory()
        self._board = Board(clock)
        self._batcher = batcher
        self._noise = Noise()

    def __call__(self, swapped: Swapped) -> Frame:
        """The frame with every face drawn in its place; a new picture. Raises ModelError."""
        frame = swapped.frame
        at = time_of(frame)
        wanted = self._memory.wanted(swapped, at)
        image = self._drawn(frame, wanted, at) if wanted else frame.image.copy()
        return replace(frame, image=image, drawn=tuple(drawn_of(each) for each in swapped.undrawn))

    def _drawn(self, frame: Frame, wanted: Sequence[Wanted], at: float) -> Image:
        fittings = self._settings.colour, self._settings.grain
        job = Job(wanted[0].undrawn.seen, frame.image, wanted, fittings, self._settings.grain)
        done = self._batcher(job, self) if self._batcher is not None else painted(self._board, [job])[0]
        for each, said in zip(wanted, done.said, strict=True):
            self._memory.learned(each, said, at)
        if done.masks is not None:
            for each, mask in zip(wanted, done.masks, strict=True):
                self._noise(done.image, frame, each, mask, at)
        return done.image


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
