"""The command's first step: signals have an answer before the heavy imports begin, and nothing can hold its end."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from realtime.leaving import INTERRUPTED, depart, leave


def main() -> NoReturn:
    """The console script, and `python -m realtime`."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, _end)  # nothing is open yet that would have to be closed
    signal.signal(signal.SIGTERM, _end)
    from realtime.__main__ import main as command

    signal.signal(signal.SIGINT, before)
    leave(_code_of(command))


def _code_of(command: Callable[[], None]) -> int:
    """The exit code that the command ends with; what it raises unexpectedly has its traceback printed."""
    try:
        command()
    except KeyboardInterrupt:
        return INTERRUPTED + signal.SIGINT
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _end(kind: int, _: FrameType | None) -> None:
    depart(INTERRUPTED + kind)
