"""One boot of the virtual machine: no network, emulated processors, what it reports on a disk of its own."""

import json
import tarfile
from pathlib import Path
from typing import Any, Final

from tests.vm.bounded import bounded
from tests.vm.image import Disks

MEMORY_MB: Final = 3072
REPORT_BYTES: Final = 256 * 2**20
APPEND: Final = "root=/dev/vda rw console=ttyS0 quiet panic=1 fsck.mode=skip init=/sbin/vm-init"


def booted(disks: Disks, folder: Path, seconds: float, words: str = "") -> None:
    """Boots, waits for the machine to turn itself off, and unpacks what it reported into the folder.

    `words` goes onto the kernel's command line, where the scenario finds it. The console is in console.log. Raises
    TimeoutError, with the machine killed and what it had reported unpacked, after `seconds`.
    """
    paper = folder / "report.img"
    with paper.open("wb") as file:
        file.truncate(REPORT_BYTES)
    drives = [f"file={disks.system},format=raw,if=virtio,snapshot=on"]
    drives += [f"file={disk},format=raw,if=virtio,readonly=on" for disk in (disks.packages, disks.project)]
    drives += [f"file={paper},format=raw,if=virtio"]
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEMORY_MB)]
    command += ["-kernel", str(disks.kernel), "-initrd", str(disks.initrd), "-append", f"{APPEND} {words}".strip()]
    command += [word for drive in drives for word in ("-drive", drive)]
    command += ["-nic", "none", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"]
    try:
        bounded(command, seconds, folder / "console.log", nice=10)
    finally:
        unpacked(paper, folder)
        paper.unlink()


def unpacked(paper: Path, folder: Path) -> None:
    """The files that the machine wrote onto its report disk; none where it wrote nothing."""
    try:
        with tarfile.open(paper, "r:") as archive:
            archive.extractall(folder, filter="data")
    except tarfile.ReadError:
        return


def report(folder: Path) -> dict[str, Any]:
    """Each step's facts by its name, empty where no step was reported."""
    path = folder / "report.json"
    steps: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return steps
