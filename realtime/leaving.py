"""How the process ends: with its exit code, whatever hangs in a driver, and with the terminal as it was."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

INTERRUPTED: Final = 128  # exit code after a signal, plus its number, as shells have it: 130 after Ctrl-C
_FLUSH_S: Final = 0.2  # a pipe that nobody reads must not hold the end
_EXIT_S: Final = 5.0  # how long the interpreter may wait for what is left


def leave(code: int) -> NoReturn:
    """Ends the process when everything is closed.

    Threads that hang in a foreign call would abort the interpreter's end, or hold it up: then there is none. Nor after
    Ctrl-C: an interpreter that has seen one somewhere may end by that signal instead of with the code.
    """
    if code > INTERRUPTED or any(
        thread.daemon and thread is not threading.current_thread() for thread in threading.enumerate()
    ):
        depart(code)
    limit = threading.Timer(_EXIT_S, depart, [code])
    limit.daemon = True
    limit.start()
    sys.exit(code)


def depart(code: int) -> NoReturn:
    """Ends the process now, from any thread: what was said is flushed, the terminal is put back, no more."""
    flushing = threading.Thread(target=_flush, daemon=True)
    flushing.start()
    flushing.join(_FLUSH_S)
    with suppress(Exception):
        _give_terminal_back()
    os._exit(code)


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM end the process even where a library waits: for what has nothing to close.

    For the main thread. The process then ends by the signal, which shells say as INTERRUPTED plus its number.
    """
    before = {kind: signal.signal(kind, signal.SIG_DFL) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def terminal() -> int | None:
    """The descriptor of the terminal that this program may read keys from; None where there is none."""
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # no stdin at all, one that is no file, or one that is closed
        return None
    if not os.isatty(descriptor):
        return None
    if sys.platform == "win32":
        return descriptor
    try:
        return descriptor if os.tcgetpgrp(descriptor) == os.getpgrp() else None
    except OSError:  # a terminal that controls nobody stops nobody either
        return descriptor


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def _give_terminal_back() -> None:
    """A terminal that reads lines, echoes, and shows its cursor, as shells have it."""
    descriptor = terminal()
    if sys.platform == "win32" or descriptor is None:
        return
    import termios  # which Windows lacks

    now = termios.tcgetattr(descriptor)
    now[3] |= termios.ICANON | termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSANOW, now)
    if os.isatty(2):
        os.write(2, b"\x1b[?25h")
