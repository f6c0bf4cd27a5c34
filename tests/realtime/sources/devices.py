"""Devices that are not there: readers that give numbered pictures, stall, hang and fail as told."""

import threading
import time
from dataclasses import dataclass, field

import numpy as np

from realtime.flow.letterbox import Image

LONG_S = 20.0  # after which a hang ends by itself, so that no test leaves a thread for ever


@dataclass(eq=False)
class Device:
    """A reader: one picture every `period` seconds, `pictures` in all, then `then` happens."""

    pictures: int = 1_000_000
    period: float = 0.002
    then: str | BaseException = "none"  # none: no more come; hang: the read does not come back; an error: it is raised
    size: tuple[int, int] = (4, 4)  # w, h
    given: int = 0
    closed: threading.Event = field(default_factory=threading.Event)
    freed: threading.Event = field(default_factory=threading.Event)  # set by the test: hanging ends
    hanging: threading.Event = field(default_factory=threading.Event)
    threads: set[int] = field(default_factory=set)

    def next(self) -> tuple[Image, float] | None:
        self.threads.add(threading.get_ident())
        time.sleep(self.period)
        if self.given < self.pictures:
            self.given += 1
            return np.full((self.size[1], self.size[0], 3), self.given % 256, np.uint8), time.perf_counter()
        if isinstance(self.then, BaseException):
            raise self.then
        if self.then == "hang":
            self.hanging.set()
            self.freed.wait(LONG_S)
        return None

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed.set()
