"""Frames on the device that models run on: put there once, drawn into there, taken from there once."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from realtime.errors import ModelError
from realtime.face.geometry import Image
from realtime.swap.fused.asked import Feed
from realtime.swap.fused.identity import FusedIdentity
from realtime.swap.fused.model import LOOK
from realtime.swap.identity import RUN_ERRORS
from realtime.swap.session import OF_NVIDIA, provider_of

_KEPT: Final = 24  # sets of places on the device: as many as sizes of windows, numbers of faces and identities come up
_SEEN, _SHOWN, _ONE, _OTHER = range(4)  # what lies on the board

Clock = Callable[[str, float], None]  # takes the seconds of a part, as realtime.flow.meters.Meters does


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a model said of the faces that it put in."""

    look: NDArray[np.float32]  # (n, LOOK)
    masks: NDArray[np.uint8] | None  # (n, S, S), where they were asked for


class Board:
    """One place for b frames of one size; one thread uses it.

    Memory on the device stays where it is from call to call, so that nothing is allocated while it runs and a card may
    repeat what it has recorded. Of frames only their bytes go there and come back, each once, however many identities
    draw: each draws onto what the one before has left there.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        """clock takes what uploading, drawing and downloading took."""
        self._clock = clock
        self._place: tuple[tuple[int, ...], str] = (), "cpu"  # shape of the frames and the device
        self._frames: list[ort.OrtValue] = []  # as seen, as shown, and two that are drawn into in turn
        self._top = _SEEN  # which of them holds what is to be shown
        self._slots: dict[tuple[Any, ...], _Slot] = {}

    def put(self, seen: Sequence[Image], shown: Sequence[Image], device: str) -> None:
        """Puts b frames of one size on a device; shown are the same with what must not be shown hidden.

        Where nothing is hidden (each shown is the seen one), they go up once.
        """
        place = (len(seen), *seen[0].shape), device
        if place != self._place:
            self._place, self._slots = place, {}
            make = ort.OrtValue.ortvalue_from_shape_and_type
            self._frames = [make(place[0], np.uint8, device) for _ in range(4)]
        with self._timed("upload"):
            self._frames[_SEEN].update_inplace(_together(seen))
            self._top = _SEEN
            if any(one is not other for one, other in zip(seen, shown, strict=True)):
                self._frames[_SHOWN].update_inplace(_together(shown))
                self._top = _SHOWN

    def draw(self, identity: FusedIdentity, told: Feed, masks: bool) -> Drawn:
        """Draws faces into the frames; told is what the model takes besides these. Raises ModelError."""
        onto = _OTHER if self._top == _ONE else _ONE
        key = (id(identity), self._top, *(value.shape for value in told.values()))
        with self._timed("draw"):
            slot = self._slots.pop(key, None) or self._slot(identity, told, onto)
            self._slots[key] = slot  # the one used last is the last to go
            drawn = slot(told, masks)
        self._top = onto
        return drawn

    def taken(self) -> NDArray[np.uint8]:
        """The frames with all that was drawn, (b, h, w, 3), in memory of their own."""
        with self._timed("download"):
            return np.array(self._frames[self._top].numpy(), np.uint8)

    def _slot(self, identity: FusedIdentity, told: Feed, onto: int) -> "_Slot":
        while len(self._slots) >= _KEPT:
            self._slots.pop(next(iter(self._slots)))
        frames = {"seen": self._frames[_SEEN], "shown": self._frames[self._top], "frames": self._frames[onto]}
        return _Slot(identity, self._place[1], told, frames)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        if self._clock is not None:
            self._clock(name, time.perf_counter() - began)


class _Slot:
    """The places that one model reads from and writes to, for one number of faces and one size of windows."""

    def __init__(self, identity: FusedIdentity, device: str, told: Feed, frames: dict[str, ort.OrtValue]) -> None:
        self._identity = identity
        self._told = {name: value.copy() for name, value in told.items()}
        self._inputs = {name: ort.OrtValue.ortvalue_from_numpy(value, device) for name, value in self._told.items()}
        faces, size = len(told["places"]), identity.contract.size
        self._look = ort.OrtValue.ortvalue_from_shape_and_type((faces, LOOK), np.float32, device)
        self._mask = ort.OrtValue.ortvalue_from_shape_and_type((faces, size, size), np.uint8, device)
        self._binding = identity.session.io_binding()
        for name, value in {**self._inputs, "seen": frames["seen"], "shown": frames["shown"]}.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in {"frames": frames["frames"], "look": self._look, "mask": self._mask}.items():
            self._binding.bind_ortvalue_output(name, value)
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("gpu_graph_id", str(identity.recorded()))

    def __call__(self, told: Feed, masks: bool) -> Drawn:
        """Runs the model; what it is told and was told before already is not sent again. Raises ModelError."""
        for name, value in told.items():
            if not np.array_equal(self._told[name], value):
                self._told[name][:] = value
                self._inputs[name].update_inplace(self._told[name])
        title = self._identity.contract.title
        try:
            self._identity.session.run_with_iobinding(self._binding, self._options)
        except RUN_ERRORS as error:
            said = (str(error).splitlines() or ["no reason given"])[0]
            raise ModelError(f"{title} failed: {said[:200]}") from error
        look = np.array(self._look.numpy(), np.float32)
        if not np.isfinite(look).all():
            raise ModelError(f"{title} answered with values that are no numbers")
        return Drawn(look, np.array(self._mask.numpy(), np.uint8) if masks else None)


def device_of(session: ort.InferenceSession) -> str:
    """Where the session's buffers are best, in onnxruntime's words."""
    return "cuda" if provider_of(session) in OF_NVIDIA else "cpu"


def _together(frames: Sequence[Image]) -> NDArray[np.uint8]:
    """Frames of one size as one array (b, h, w, 3); a single one is not copied."""
    return np.ascontiguousarray(frames[0])[None] if len(frames) == 1 else np.stack(frames)
