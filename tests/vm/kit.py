"""How the scenario does its steps: each with a time limit, its facts on a disk, and no program left behind."""

import json
import os
import signal
import subprocess
import tarfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

OUT: Final = Path("/tmp/out")  # goes onto the report's disk

Process = subprocess.Popen[bytes]


class Late(Exception):
    """A step took longer than it may."""


class Steps:
    """The programs that were started, and the report that grows."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._started: list[Process] = []
        self.steps: dict[str, Any] = {}

    def step(self, name: str, limit_s: float, does: Callable[[], dict[str, Any]]) -> None:
        """Does one step within its limit, notes its facts or how it failed, and saves all that is known."""
        started = time.monotonic()
        try:
            with limited(limit_s):
                facts = does()
        except Exception as error:
            facts = {"failed": f"{type(error).__name__}: {error}", "where": traceback.format_exc()[-1500:]}
        facts["seconds"] = round(time.monotonic() - started, 1)
        self.steps[name] = facts
        print(f"vm: {name}: {facts.get('failed', 'done')} ({facts['seconds']} s)", flush=True)
        self.save()

    def save(self) -> None:
        """Writes the report and every file so far onto the report's disk."""
        (OUT / "report.json").write_text(json.dumps(self.steps, indent=2), "utf-8")
        with self._disk.open("wb") as disk:
            with tarfile.open(fileobj=disk, mode="w") as archive:
                archive.add(OUT, arcname=".")
            disk.flush()
            os.fsync(disk.fileno())

    def start(self, command: Sequence[str], said: str) -> Process:
        """Starts a program in a group of its own; its words go into a file of the report."""
        with (OUT / said).open("ab") as sink:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
            )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Ends everything that is still running."""
        for process in self._started:
            killed(process)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises Late where what is done inside takes longer."""

    def late(_: int, __: FrameType | None) -> None:
        raise Late(f"longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def killed(process: Process) -> None:
    """The process and its group, gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)


def until(holds: Callable[[], Any], seconds: float, what: str) -> float:
    """Waits until something holds; how long it took. Raises Late."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > seconds:
            raise Late(f"waited {seconds:g} s for this: {what}")
        time.sleep(0.2)
    return round(time.monotonic() - started, 1)


def asked(command: Sequence[str], seconds: float) -> dict[str, Any]:
    """Runs a program to its end; what it said and its exit code. Raises Late, with where a Python program was then."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            with suppress(subprocess.TimeoutExpired):
                _, err = process.communicate(timeout=10)
                raise Late(f"{' '.join(command)} took longer than {seconds:g} s: {err[-3000:]}") from None
            raise Late(f"{' '.join(command)} took longer than {seconds:g} s and does not end") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return {"code": process.returncode, "out": out, "err": err[-4000:]}


def words(said: str) -> str:
    """What a started program has said so far."""
    path = OUT / said
    return path.read_text("utf-8", "replace") if path.is_file() else ""


def ended(process: Process, sent: int, seconds: float = 60) -> dict[str, Any]:
    """Signals a run and waits for its end."""
    started = time.monotonic()
    process.send_signal(sent)
    code = process.wait(seconds)
    return {"code": code, "took": round(time.monotonic() - started, 1)}
