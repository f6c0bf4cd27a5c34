"""Threads and processes that tests leave behind are noticed, and a pytest that does not end says where it stands."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not list children")


def run(folder: Path, source: str, *words: str) -> subprocess.CompletedProcess[str]:
    """pytest with the plugin alone, in a process of its own."""
    (folder / "test_it.py").write_text("import subprocess, sys, threading, time\n" + source, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.leftovers", "-p", "no:cacheprovider", *words]
    places = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [*command, "test_it.py"], cwd=folder, text=True, capture_output=True, env=places, timeout=60, check=False
    )


def test_a_test_that_leaves_nothing_passes(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        "def test_it():\n"
        "    subprocess.run([sys.executable, '-c', ''], timeout=30)\n"
        "    threading.Thread(target=print).start()\n"
        "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n",
    )
    assert said.returncode == 0, said.stdout
    assert "left behind" not in said.stdout


def test_what_a_test_leaves_fails_the_run_and_is_named(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        "def test_good(): pass\n"
        "def test_bad():\n"
        "    kept = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "    threading.Thread(target=kept.wait, name='stray').start()\n",  # ends with the process, which is ended
    )
    assert said.returncode == 1, said.stdout
    assert "test_it.py::test_bad left the thread stray" in said.stdout
    assert "test_it.py::test_bad left the process" in said.stdout
    assert "test_good left" not in said.stdout


def test_a_pytest_that_does_not_end_shows_where_it_stands_and_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    said = run(
        tmp_path,
        "def stray(): time.sleep(60)\ndef test_bad(): threading.Thread(target=stray).start()\n",
        "-o",
        "exit_patience=1",
    )
    assert said.returncode == 1, said.stdout
    assert "in stray" in said.stderr
    assert time.monotonic() - began < 40  # the thread would hold it for 60 s
