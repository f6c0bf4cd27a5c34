"""A stand-in for pyvirtualcam, whose driver a test machine lacks."""

import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray


class FakeDriver:
    """pyvirtualcam.Camera, as far as it is used."""

    opened: list["FakeDriver"]
    fault: RuntimeError | None = None

    def __init__(self, width: int, height: int, fps: float, *, fmt: str, device: str | None) -> None:
        if self.fault is not None:
            raise self.fault
        self.width, self.height, self.fps, self.fmt = width, height, fps, fmt
        self.device = device or "OBS Virtual Camera"
        self.sent: list[NDArray[np.uint8]] = []
        self.closed = False
        self.changed = threading.Condition()
        self.opened.append(self)

    def send(self, image: NDArray[np.uint8]) -> None:
        assert image.shape == (self.height, self.width, 3)  # the real one raises
        assert not self.closed
        with self.changed:
            self.sent.append(image)
            self.changed.notify_all()

    def close(self) -> None:
        self.closed = True

    @property
    def values(self) -> list[int]:
        return [int(image[image.shape[0] // 2, image.shape[1] // 2, 0]) for image in self.sent]

    def wait_until(self, so: Callable[[list[int]], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: so(self.values), 20), self.values


def installed(monkeypatch: pytest.MonkeyPatch) -> type[FakeDriver]:
    """The stand-in in place of the package, with a list of its own."""

    class Driver(FakeDriver):
        opened: list[FakeDriver] = []  # noqa: RUF012

    package = SimpleNamespace(Camera=Driver, PixelFormat=SimpleNamespace(BGR="bgr"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", package)
    return Driver
