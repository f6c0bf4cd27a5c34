"""Ctrl-C ends a run whose camera hangs, in opening and in reading."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.realtime.sources.mjpeg import Cast, jpegs, served

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on POSIX")

MARGIN_S = 8.0  # what a slow machine may take to end, where a quick one takes a second and the hang 60


@contextmanager
def running(source: str, models: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`liveswap run` with this source; killed after the test, whatever happens."""
    words = ("run", "--source", source, "--sink", "null", "--models", str(models), "--provider", "cpu", "-v")
    with subprocess.Popen((sys.executable, "-m", "realtime", *words), stderr=subprocess.DEVNULL) as program:
        try:
            yield program
        finally:
            program.kill()


def interrupted(program: "subprocess.Popen[bytes]") -> int:
    """Its exit code after Ctrl-C."""
    began = time.perf_counter()
    program.send_signal(signal.SIGINT)
    code = program.wait(60)
    assert time.perf_counter() - began < MARGIN_S
    return code


def test_ctrl_c_ends_while_a_server_does_not_answer(models: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        with running(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/live", models) as program:
            connection, _ = silent.accept()
            assert connection.recv(7) == b"OPTIONS"
            assert interrupted(program) == 128 + signal.SIGINT
            connection.close()


def test_ctrl_c_ends_while_a_read_hangs(models: Path) -> None:
    """The stream would be given up after five seconds, so the read is under way when Ctrl-C comes."""
    cast = Cast(jpegs([np.full((120, 160, 3), 90, np.uint8)]), lasts=[40], hangs=True)
    with served(cast) as address, running(address, models) as program:
        assert cast.silent.wait(60)
        time.sleep(0.5)  # so that what was sent has been read
        assert interrupted(program) == 128 + signal.SIGINT
