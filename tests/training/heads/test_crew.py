import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from training.heads.crew import side_by_side

_STARTS_A_LONG_TASK = """
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.training.heads.test_crew import note_and_wait
from training.heads.crew import side_by_side

if __name__ == "__main__":
    list(side_by_side({{1: partial(note_and_wait, Path({note!r}))}}, 1))
"""


def note_and_wait(note: Path) -> None:
    """Writes the number of this process, and then works for longer than any test lasts."""
    note.with_suffix(".part").write_text(str(os.getpid()))
    note.with_suffix(".part").rename(note)
    time.sleep(600)


def test_each_job_is_named_when_it_is_done() -> None:
    jobs = {name: partial(operator.add, name, "!") for name in ("one", "two", "three")}
    assert sorted(side_by_side(jobs, 2)) == ["one", "three", "two"]


def test_what_a_task_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(side_by_side({"half": partial(operator.truediv, 1, 0)}, 1))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_nobody_draws_on_when_the_one_who_asked_is_killed(tmp_path: Path, end: signal.Signals) -> None:
    note, script = tmp_path / "note", tmp_path / "script.py"
    script.write_text(_STARTS_A_LONG_TASK.format(note=str(note)))
    asked = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    _until(note.exists)
    worker = int(note.read_text())
    asked.send_signal(end)
    asked.wait(30)
    _until(lambda: not _alive(worker))


def _until(true: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def _alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
