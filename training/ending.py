"""Ends a training tidily: the first Ctrl-C or SIGTERM lets the step under way finish, so that all of it is kept."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final, Self

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Ending:
    """Within `with`, notes who wants the training to end; a second signal interrupts at once."""

    def __init__(self) -> None:
        self.by: int | None = None  # the signal's number
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # signals reach no other
            self._before = {one: signal.signal(one, self._note) for one in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def __call__(self) -> bool:
        """Whether it is time to end."""
        return self.by is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.by is not None:
            raise KeyboardInterrupt
        self.by = number
