"""What a call makes and writes, counted: the arrays that NumPy allocates, and what OpenCV writes into given ones."""

import ctypes
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

LARGE: Final = 64 * 1024  # bytes from which an array costs the system fresh pages instead of a place it has at hand

# Places of two functions in the table that NumPy offers to C (numpy/__multiarray_api.h), and the name of what they take
# (NEP 49, https://numpy.org/neps/nep-0049.html).
_SET_HANDLER: Final = 304
_GET_HANDLER: Final = 305
_CAPSULE: Final = b"mem_handler"


class _Allocator(ctypes.Structure):
    """NumPy's PyDataMemAllocator."""

    _fields_ = (
        ("context", ctypes.c_void_p),
        ("malloc", ctypes.c_void_p),
        ("calloc", ctypes.c_void_p),
        ("realloc", ctypes.c_void_p),
        ("free", ctypes.c_void_p),
    )


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler."""

    _fields_ = (("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("allocator", _Allocator))


@dataclass(slots=True)
class Tally:
    """The sums so far."""

    written: int = 0  # bytes of arrays made, and of given ones that OpenCV wrote into
    large: int = 0  # arrays made of more than LARGE

    def made(self, size: int) -> None:
        """Notes an array of so many bytes."""
        self.written += size
        self.large += size > LARGE

    def filled(self, size: int) -> None:
        """Notes that so many bytes of a given array were written."""
        self.written += size


@contextmanager
def tallied() -> Iterator[Tally]:
    """Until the end, what this thread makes and writes.

    What NumPy writes in place is not seen, nor what FFmpeg, onnxruntime and OpenCV have for themselves.
    """
    tally = Tally()
    with _allocations(tally.made), _fillings(tally.filled):
        yield tally


@contextmanager
def _allocations(made: Callable[[int], None]) -> Iterator[None]:
    """Until the end, made is told the bytes of every array that NumPy allocates on this thread.

    Arrays are taken from NumPy's own allocator, so those made here may live on afterwards.
    """
    table = ctypes.cast(_inside(np._core._multiarray_umath._ARRAY_API), ctypes.POINTER(ctypes.c_void_p))  # type: ignore[attr-defined]
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[_SET_HANDLER])
    get_handler = ctypes.PYFUNCTYPE(ctypes.py_object)(table[_GET_HANDLER])
    before = get_handler()
    own = ctypes.cast(_inside(before, _CAPSULE), ctypes.POINTER(_Handler)).contents.allocator
    of_one = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    of_many = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
    own_malloc, own_calloc = of_one(own.malloc), of_many(own.calloc)

    def malloc(context: int, size: int) -> Any:
        made(size)
        return own_malloc(context, size)

    def calloc(context: int, count: int, size: int) -> Any:
        made(count * size)
        return own_calloc(context, count, size)

    noting_malloc, noting_calloc = of_one(malloc), of_many(calloc)  # alive as long as NumPy may call them
    places = (ctypes.cast(call, ctypes.c_void_p).value for call in (noting_malloc, noting_calloc))
    handler = _Handler(b"tallied", 1, _Allocator(own.context, *places, own.realloc, own.free))
    _kept_for_ever(handler)
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    set_handler(make(ctypes.addressof(handler), _CAPSULE, None))
    try:
        yield
    finally:
        set_handler(before)


def _kept_for_ever(thing: object) -> None:
    """Never freed: arrays that outlive the tally look up in it how they are given back. It is a hundred bytes."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _inside(capsule: object, name: bytes | None = None) -> int:
    inside = ctypes.pythonapi.PyCapsule_GetPointer
    inside.restype, inside.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(inside(capsule, name))


@contextmanager
def _fillings(filled: Callable[[int], None]) -> Iterator[None]:
    """Until the end, filled is told the bytes that OpenCV, or numpy.copyto, writes into arrays it was given."""
    functions = {name: call for name, call in vars(cv2).items() if isinstance(call, types.BuiltinFunctionType)}
    copyto = np.copyto

    def copied(into: Any, *args: Any, **more: Any) -> None:
        filled(into.nbytes)
        copyto(into, *args, **more)

    try:
        for name, call in functions.items():
            setattr(cv2, name, _noting(call, filled))
        np.copyto = copied  # type: ignore[assignment]
        yield
    finally:
        np.copyto = copyto
        for name, call in functions.items():
            setattr(cv2, name, call)


def _noting(call: Callable[..., Any], filled: Callable[[int], None]) -> Callable[..., Any]:
    def noting(*args: Any, **more: Any) -> Any:
        answer = call(*args, **more)
        given = [one for one in (*args, *more.values()) if isinstance(one, np.ndarray)]
        for one in answer if isinstance(answer, tuple) else (answer,):
            if isinstance(one, np.ndarray) and any(np.may_share_memory(one, other) for other in given):
                filled(one.nbytes)
        return answer

    return noting
