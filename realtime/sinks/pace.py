"""A steady pace: pictures go out when they are due, and the last one goes again where no new one came in time."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from realtime.errors import SinkError
from realtime.flow.letterbox import Image

logger = logging.getLogger(__name__)

SLACK: Final = 0.25  # of a period: so much too early a picture may go, and so long a late one is waited for
STUCK_S: Final = 5.0  # seconds after which a receiver that takes nothing counts as broken
HASTE: Final = 0.03  # of a period: what each picture that had to wait gains, so that a hiccup's delay wears off
IDLE_S: Final = 1.0  # seconds between two looks of a thread that waits for its first picture


class Beat:
    """When the next picture may go and when the last one has to go again; all times are seconds of one clock.

    Pictures that come at the pace, a little early or late, go the moment they come. Those that come faster wait, and go
    at the pace, or by HASTE faster.
    """

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps
        self._next = float("-inf")

    @property
    def earliest(self) -> float:
        """From then on a new picture may go."""
        return self._next - SLACK * self._period

    @property
    def latest(self) -> float:
        """Then the last picture goes again."""
        return self._next + SLACK * self._period

    def fresh(self, now: float) -> None:
        """A new picture went now."""
        early = now < self._next
        self._next = max(now, self._next) + self._period * (1 - HASTE if early else 1)

    def again(self, now: float) -> None:
        """The last picture went again now. What a machine that slept has missed is not made up for."""
        self._next = max(now - self._period, self._next) + self._period


class Pace:
    """Sends the newest picture at a steady pace, on a thread of its own, so that whoever watches never waits.

    A picture that comes too soon after another takes its place, unless whoever shows waits for it to be taken.
    """

    def __init__(self, send: Callable[[Image], None], fps: float, name: str) -> None:
        """send is called on the pace's thread alone; name is what receives, for messages."""
        self._send = send
        self._name = name
        self._beat = Beat(fps)
        self._changed = threading.Condition()
        self._fresh: Image | None = None
        self._last: Image | None = None
        self._closed = False
        self._fault: Exception | None = None
        self._busy_since: float | None = None  # while send is under way
        self.sent = 0
        self.repeated = 0  # of those sent
        # A daemon: a driver that never comes back must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=f"pace of {name}", daemon=True)
        self._thread.start()

    def show(self, image: Image, wait: bool = False) -> None:
        """Leaves the picture, to go when it is due; with wait, when the one before it has gone.

        Raises SinkError where the receiver failed, or has taken nothing for long.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._fresh is None or self._fault is not None, STUCK_S)
            self._check(waited=wait)
            self._fresh = image
            self._changed.notify_all()

    def close(self) -> bool:
        """Ends after the picture that waits, if one does. False where the receiver never came back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(STUCK_S)
        if self._thread.is_alive():
            logger.warning("%s does not come back: it is left as it is", self._name)
            return False
        logger.info("%s: %d pictures sent, %d of them again", self._name, self.sent, self.repeated)
        return True

    def _check(self, waited: bool) -> None:
        if self._fault is not None:
            raise SinkError(f"{self._name} stopped: {self._fault}") from self._fault
        stuck = self._busy_since is not None and time.perf_counter() - self._busy_since > STUCK_S
        if stuck or (waited and self._fresh is not None):
            raise SinkError(f"{self._name} has taken no picture for {STUCK_S:g} seconds")

    def _run(self) -> None:
        try:
            while (image := self._due()) is not None:
                self._send(image)
        except Exception as error:  # whatever a driver raises: show() hands it on
            with self._changed:
                self._fault = error
                self._changed.notify_all()

    def _due(self) -> Image | None:
        """The picture to send, when it is time; None at the end."""
        with self._changed:
            self._busy_since = None
            while (pause := self._pause(time.perf_counter())) > 0:
                self._changed.wait(pause)
            if self._fresh is None and self._closed:
                return None
            self._busy_since = now = time.perf_counter()
            self.sent += 1
            if self._fresh is None:
                self.repeated += 1
                self._beat.again(now)
            else:
                self._last, self._fresh = self._fresh, None
                self._beat.fresh(now)
                self._changed.notify_all()
            return self._last

    def _pause(self, now: float) -> float:
        """Seconds until something is due, as far as is known now; 0 or less: at once."""
        if self._closed:
            return 0
        if self._fresh is not None:
            return self._beat.earliest - now
        return IDLE_S if self._last is None else self._beat.latest - now
