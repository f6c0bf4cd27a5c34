"""Memory that goes round, so that no frame has to ask for new: for what is handed on, and for what is in between."""

import math
import threading
import weakref
from collections import deque
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

_MOST: Final = 8  # arrays of one pool that are under way at once; whoever keeps more keeps them for good


class Pool:
    """Arrays to hand on. The memory of one is used again only when nobody holds it, nor a view of it, any more.

    So a picture that a sink, a mailbox or a memory keeps is never written to, however long it is kept. One thread
    takes; any thread may hold and let go.
    """

    def __init__(self) -> None:
        self._lent: deque[tuple[weakref.ref[NDArray[Any]], bytearray]] = deque(maxlen=_MOST)

    def take(self, shape: tuple[int, ...], kind: DTypeLike = np.uint8) -> NDArray[Any]:
        """An array of that shape and type, with anything in it."""
        memory = self._free(math.prod(shape) * np.dtype(kind).itemsize)
        # Over memory that is no array itself, NumPy keeps this very array for all views of it: its end is theirs too.
        lent: NDArray[Any] = np.ndarray(shape, kind, memory)
        self._lent.append((weakref.ref(lent), memory))  # the oldest gives way, and its memory goes with its holders
        return lent

    def copy(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy of the array."""
        out = self.take(array.shape, array.dtype)
        np.copyto(out, array)
        return out

    def _free(self, size: int) -> bytearray:
        """So many bytes that nobody holds, the latest first; what is free and of another size is given back."""
        for place in reversed(range(len(self._lent))):
            held, memory = self._lent[place]
            if held() is None:
                del self._lent[place]
                if len(memory) == size:
                    return memory
        return bytearray(size)


class Scratch(threading.local):
    """Arrays for what is in between, by name: the same name gives a thread the same memory, and each thread its own."""

    def __init__(self) -> None:
        self._memory: dict[str, NDArray[np.uint8]] = {}

    def __call__(self, name: str, shape: tuple[int, ...], kind: DTypeLike = np.uint8) -> NDArray[Any]:
        """An array of that shape and type, with anything in it; what the name gave before is overwritten."""
        size = math.prod(shape) * np.dtype(kind).itemsize
        memory = self._memory.get(name)
        if memory is None or memory.nbytes < size:
            # Rounded up, so that what grows by a pixel with every frame, such as a face, seldom needs new memory.
            memory = self._memory[name] = np.empty(1 << max(size - 1, 1).bit_length(), np.uint8)
        return np.ndarray(shape, kind, memory)
