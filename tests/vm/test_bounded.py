"""What keeps the virtual machine from ever hanging: commands that end in time, and reports that may be missing."""

import time
from pathlib import Path

import pytest

from tests.vm.bounded import bounded, last_words
from tests.vm.image import requirements
from tests.vm.machine import report, unpacked


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    command = "sleep 60 & echo $! > child; echo begun; wait"
    with pytest.raises(TimeoutError, match="longer than 1 s"):
        bounded(["sh", "-c", f"cd {tmp_path}; {command}"], 1, tmp_path / "said")
    assert last_words(tmp_path / "said") == "begun"
    child = Path("/proc") / (tmp_path / "child").read_text().strip()
    for _ in range(100):  # a killed child is gone once its new parent has looked after it
        if not child.exists() or "Z" in (child / "stat").read_text().rpartition(")")[2].split()[0]:
            return
        time.sleep(0.1)
    pytest.fail(f"{child} is still there")


def test_a_command_gives_its_exit_code(tmp_path: Path) -> None:
    assert bounded(["sh", "-c", "echo so; exit 3"], 20, tmp_path / "said", nice=1) == 3


def test_a_machine_that_reported_nothing_has_no_steps(tmp_path: Path) -> None:
    (tmp_path / "report.img").write_bytes(bytes(20480))
    unpacked(tmp_path / "report.img", tmp_path)
    assert report(tmp_path) == {}


def test_the_machine_gets_what_the_project_declares() -> None:
    names = [name.partition(">")[0].partition("=")[0] for name in requirements()]
    assert {"onnxruntime", "pyvirtualcam"} <= set(names)
