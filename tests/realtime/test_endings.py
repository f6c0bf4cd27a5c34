"""However a run ends, it ends: while it loads, while something hangs, and with recordings that play."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.realtime.clips import boxes_in, pictures_in
from tests.realtime.hanging import GOOD

ROOT = Path(__file__).resolve().parent.parent.parent
SOON = 8.0  # seconds; 1 is what is wanted of an idle machine, what hangs hangs for 60
SIGNALS = pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as terminals send them")

LOADING = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            print("there", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
from realtime.entry import main
sys.argv[1:] = ["devices"]
main()
"""


@contextmanager
def apart(*words: object) -> Iterator[subprocess.Popen[str]]:
    """A Python of its own, which does not outlive the block."""
    command = [sys.executable, *(str(word) for word in words)]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def said_there(process: subprocess.Popen[str]) -> None:
    """Waits until the process has come to the place in question; its end would be noticed too."""
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"


def opened_by_a_reader(pipe: Path) -> int:
    """The other end of a pipe that somebody is about to read, as soon as they have opened it."""
    until = time.monotonic() + 60
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody has opened it yet
            assert time.monotonic() < until
            time.sleep(0.05)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code, which has to come soon, and what was said on stderr."""
    code = process.wait(SOON)
    assert process.stderr is not None
    return code, process.stderr.read()


@SIGNALS
def test_while_it_is_still_loading_it_ends_at_once_and_without_a_word(kind: signal.Signals) -> None:
    with apart("-c", LOADING) as process:
        said_there(process)
        process.send_signal(kind)
        assert ended(process) == (128 + kind, "")


@SIGNALS
@pytest.mark.parametrize("where", ["source", "stage", "sink"])
def test_what_hangs_does_not_hold_the_end_and_the_recording_beside_it_is_complete(
    tmp_path: Path, kind: signal.Signals, where: str
) -> None:
    with apart("-m", "tests.realtime.hanging", where, tmp_path / "out.mp4") as process:
        said_there(process)
        time.sleep(0.2)  # for what is under way; a recording that has not even begun would be none
        process.send_signal(kind)
        code, said = ended(process)
    assert code == 128 + kind
    assert "Traceback" not in said
    assert b"moof" not in boxes_in(tmp_path / "out.mp4")  # it was closed, so it is no longer in fragments
    assert len(pictures_in(tmp_path / "out.mp4")) >= GOOD // 2  # live: a busy machine may drop some


def test_a_camera_that_hangs_while_it_opens_does_not_hold_the_end(tmp_path: Path) -> None:
    with apart("-m", "tests.realtime.hanging", "opening", tmp_path / "out.mp4") as process:
        said_there(process)
        process.send_signal(signal.SIGINT)
        code, said = ended(process)
    assert code == 130
    assert "Traceback" not in said


@SIGNALS
def test_verifying_ends_at_once_although_the_file_has_not_come_yet(tmp_path: Path, kind: signal.Signals) -> None:
    """A library waits for the first byte; it hears of the signal and would call the file broken."""
    os.mkfifo(tmp_path / "film.mkv")
    with apart("-m", "realtime", "verify", tmp_path / "film.mkv") as process:
        writing = opened_by_a_reader(tmp_path / "film.mkv")
        try:
            process.send_signal(kind)
            assert ended(process) == (-kind, "")
        finally:
            os.close(writing)


def test_a_second_signal_ends_at_once_what_hangs_in_closing(tmp_path: Path) -> None:
    with apart("-m", "tests.realtime.hanging", "closing", tmp_path / "out.mp4") as process:
        wait_for_fragment(tmp_path / "out.mp4")
        process.send_signal(signal.SIGINT)
        said_there(process)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait(SOON) == 130
        assert time.monotonic() - began < 4  # what hangs in closing is waited for much longer
    assert len(pictures_in(tmp_path / "out.mp4")) > 0


def test_a_recording_plays_after_the_process_was_killed(tmp_path: Path) -> None:
    with apart("-m", "tests.realtime.hanging", "nowhere", tmp_path / "out.mp4") as process:
        wait_for_fragment(tmp_path / "out.mp4")
        process.kill()
        assert process.wait(SOON) == -signal.SIGKILL
    assert len(pictures_in(tmp_path / "out.mp4")) > 10


def test_a_process_that_departs_puts_its_terminal_back() -> None:
    import pty
    import termios

    leader, follower = pty.openpty()
    source = "import sys, tty; tty.setcbreak(0); from realtime.leaving import depart; print('said', end=''); depart(3)"
    try:
        said = subprocess.run(
            [sys.executable, "-c", source], cwd=ROOT, stdin=follower, capture_output=True, timeout=30, check=False
        )
        assert (said.returncode, said.stdout) == (3, b"said")
        assert termios.tcgetattr(follower)[3] & termios.ICANON
        assert termios.tcgetattr(follower)[3] & termios.ECHO
    finally:
        os.close(leader)
        os.close(follower)


def wait_for_fragment(path: Path) -> None:
    """Until a recording's first second is on disk: at most 30 s."""
    deadline = time.monotonic() + 30
    while not (path.exists() and b"mdat" in path.read_bytes()):
        assert time.monotonic() < deadline, f"{path} has no fragment"
        time.sleep(0.05)
