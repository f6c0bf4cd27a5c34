"""A command that ends within its time, and everything it started with it."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def bounded(command: Sequence[str | Path], seconds: float, said: Path, nice: int = 0) -> int:
    """Runs the command in a process group of its own, its words in the file `said`; the exit code.

    Raises TimeoutError, with the group killed, where it takes longer than `seconds`.
    """
    name, *_ = words = [str(word) for word in command]
    # `timeout` as well: it holds where we are killed ourselves.
    words = ["timeout", "--kill-after=10", str(seconds + 10), "nice", "-n", str(nice), *words]
    with said.open("ab") as sink:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{name} took longer than {seconds:g} s; what it said is in {said}") from None
        finally:
            killed(process)


def killed(process: "subprocess.Popen[bytes]") -> None:
    """The process and its group, gone; nothing where they are already."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def last_words(said: Path, lines: int = 15) -> str:
    """The end of what a command said."""
    return "\n".join(said.read_text("utf-8", "replace").splitlines()[-lines:])
