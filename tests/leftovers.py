"""A pytest plugin: a run fails that leaves threads, processes or a priority behind, and says which test it was.

Whatever holds the end of pytest itself has the stacks of all threads printed after a minute, and the run fails.
"""

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

ALLOWED = ("resource_tracker", "forkserver")  # processes that Python itself keeps as long as it lives


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("exit_patience", "Seconds that the end of pytest may take before stacks are printed", default="60")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Leftovers(), "leftovers")


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """From here on only threads that do not end can hold the process."""
    faulthandler.dump_traceback_later(float(config.getini("exit_patience")), exit=True, file=sys.__stderr__ or 2)


class Leftovers:
    """Notes after each test what is there that was not before, and looks at the end whether it is gone.

    Fixtures of a module or of the session may keep theirs for longer than a test; a thread that is a daemon holds
    nobody.
    """

    def __init__(self) -> None:
        self._threads: dict[threading.Thread, str] = dict.fromkeys(threading.enumerate(), "")
        self._processes: dict[int, str] = dict.fromkeys(children(), "")
        self._policy = policy()
        self.said: list[str] = []

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        if policy() != self._policy:  # a real-time one, inherited by all that follows, can stop a machine
            self.said.append(f"{nodeid} left this process the scheduling policy {policy()}, it was {self._policy}")
            self._policy = policy()
        for thread in threading.enumerate():
            self._threads.setdefault(thread, nodeid)
        for process in children():
            self._processes.setdefault(process, nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.pytest_runtest_logfinish("the end of the session")
        for thread, test in self._threads.items():
            if test and not thread.daemon:
                thread.join(2)  # one that is just ending
                if thread.is_alive():
                    self.said.append(f"{test} left the thread {thread.name}")
        there = children()
        for process, test in self._processes.items():
            if test and process in there:
                self.said.append(f"{test} left the process {process}: {there[process][:150]}")
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        if self.said and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.said:
            terminalreporter.section("left behind", red=True)
        for line in self.said:
            terminalreporter.write_line(line)


def policy() -> int:
    """How the system schedules this process's main thread; 0 where it does not say."""
    return os.sched_getscheduler(os.getpid()) if hasattr(os, "sched_getscheduler") else 0


def children() -> Mapping[int, str]:
    """This process's children that are alive, with their command lines; none where the system does not say."""
    found: dict[int, str] = {}
    for listed in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for process in map(int, listed.read_text("ascii").split()):
                words = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if words and not any(name in words for name in ALLOWED):  # one that has ended has none
                    found[process] = words
    return found
