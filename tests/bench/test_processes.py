"""What Linux says of other processes is found, and those that are gone are no fault."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench.levels import memory_mb as own_memory_mb
from bench.processes import family, memory_mb, processor_seconds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say")
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()"], stdin=sys.stdin)
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """A process that has started another one; both end with its standard input."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.communicate("\n")


def test_a_family_is_a_process_and_what_it_started(parent: subprocess.Popen[str]) -> None:
    assert parent.stdout is not None
    said = {int(parent.stdout.readline()), int(parent.stdout.readline())}
    assert set(family(parent.pid)) == {parent.pid} | said - {1}
    assert family(parent.pid)[0] == parent.pid
    assert parent.pid in family(os.getpid())


def test_processor_time_counts_work_and_not_those_who_are_gone() -> None:
    before = processor_seconds([os.getpid()])
    assert before is not None
    until = os.times().user + 0.1
    while os.times().user < until:
        sum(range(1000))
    after = processor_seconds([os.getpid(), 2**22 + 1])
    assert after is not None
    assert after - before >= 0.05


def test_memory_is_what_the_process_itself_sees() -> None:
    held, own = memory_mb(os.getpid()), own_memory_mb()
    assert held is not None
    assert own is not None
    assert abs(held - own) < 20
    assert memory_mb(2**22 + 1) is None
