"""The disks of the virtual machine: a Debian, the locked packages and the project."""

import hashlib
import os
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.vm.bounded import bounded, last_words

ROOT: Final = Path(__file__).resolve().parents[2]
RECIPE: Final = Path(__file__).with_name("system.sh")
SYSTEM_S: Final = 1800  # most that building the system may take; two minutes on a quiet machine
PACKAGES_S: Final = 900
DISK_S: Final = 300
ABANDONED_S: Final = 2 * SYSTEM_S  # a build that was killed has left its folder behind
KEPT: Final = 2  # of each kind; older ones are removed
EXTRAS: Final = ("virtualcam",)
PYTHON: Final = "3.11"  # Debian bookworm's
GLIBC: Final = range(5, 37)  # 2.5 to 2.36: the wheels that Debian bookworm can load


@dataclass(frozen=True, slots=True)
class Disks:
    """What the machine boots from and finds."""

    kernel: Path
    initrd: Path
    system: Path
    packages: Path
    project: Path


def cache() -> Path:
    """Where disks stay between runs, outside the tree."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "liveswap" / "vm"


def what_is_missing() -> str:
    """Why no machine can be built and booted here; empty where it can."""
    if sys.platform != "linux":
        return "the virtual machine is built on Linux alone"
    wanted = ["qemu-system-x86_64", "mke2fs"]
    if not (_place("system", _system_digest()) / "disk.img").is_file():
        if os.geteuid() != 0:
            return "building the virtual machine needs root"
        wanted += ["debootstrap", "unshare"]
    lacking = [name for name in wanted if shutil.which(name) is None]
    return f"the virtual machine needs {', '.join(lacking)}" if lacking else ""


def disks(folder: Path, clip: Path) -> Disks:
    """The disks: cached ones, or built now; the project's is made anew in `folder` and brings the clip along."""
    system, packages = _system(), _packages()
    return Disks(
        system / "vmlinuz", system / "initrd", system / "disk.img", packages / "disk.img", _project(folder, clip)
    )


def _system() -> Path:
    """Debian with its kernel, built by the recipe."""
    place = _place("system", _system_digest())
    if not (place / "disk.img").is_file():
        with _building() as building:
            base = Path(building)
            _made(
                ["unshare", "--mount", "--pid", "--fork", "--kill-child", RECIPE, base / "root"], SYSTEM_S, base / "log"
            )
            _disk(base / "root", base / "disk.img", base / "log")
            _keep(base, ("disk.img", "vmlinuz", "initrd"), place)
    os.utime(place)
    return place


def _packages() -> Path:
    """What the project needs, in the versions of constraints.txt, for the machine's Python."""
    needed = requirements()
    locked = ROOT / "constraints.txt"
    place = _place("packages", _digest("\n".join(needed), locked.read_text("utf-8"), PYTHON))
    if not (place / "disk.img").is_file():
        with _building() as building:
            base = Path(building)
            platforms = ["manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64"]
            platforms += [f"manylinux_2_{minor}_x86_64" for minor in GLIBC]
            abis = [f"cp{PYTHON.replace('.', '')}", "abi3", "none"]
            _made(
                [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
                + ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}"]
                + [f"--abi={abi}" for abi in abis]
                + [f"--platform={platform}" for platform in platforms]
                + ["--constraint", str(locked), "--target", str(base / "root"), *needed],
                PACKAGES_S,
                base / "log",
            )
            _disk(base / "root", base / "disk.img", base / "log")
            _keep(base, ("disk.img",), place)
    os.utime(place)
    return place


def _project(folder: Path, clip: Path) -> Path:
    """The project as a user would install it, and the scenario with its clip."""
    root, said = folder / "project", folder / "project.log"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _made([*install, "--target", root, ROOT], PACKAGES_S, said)
    scenario = root / "tests" / "vm"
    scenario.mkdir(parents=True)
    for file in (*RECIPE.parent.glob("*.py"), RECIPE.with_name("begin.sh")):
        shutil.copy(file, scenario / file.name)
    shutil.copy(ROOT / "tests" / "__init__.py", root / "tests")
    shutil.copy(clip, root / "clip.mkv")
    _disk(root, folder / "project.img", said)
    return folder / "project.img"


def requirements() -> list[str]:
    """The project's dependencies, with those of the extras that the scenario uses."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [*project["dependencies"], *(name for extra in EXTRAS for name in project["optional-dependencies"][extra])]


def _disk(root: Path, disk: Path, said: Path) -> None:
    """A file system of the folder's files, with a fifth and 64 MB to spare."""
    size = sum(file.lstat().st_size + 4096 for file in root.rglob("*"))
    room = round(size * 1.2 / 1e6) + 64
    _made(["mke2fs", "-q", "-F", "-t", "ext4", "-d", root, disk, f"{room}M"], DISK_S, said)


def _made(command: Sequence[str | Path], seconds: float, said: Path) -> None:
    """Runs a step of the building. Raises RuntimeError, with its last words, or TimeoutError."""
    code = bounded(command, seconds, said, nice=10)
    if code:
        raise RuntimeError(f"{command[0]} ended with {code}:\n{last_words(said)}")


def _building() -> "tempfile.TemporaryDirectory[str]":
    cache().mkdir(parents=True, exist_ok=True)
    for path in cache().glob("building-*"):
        if time.time() - path.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(path, ignore_errors=True)
    return tempfile.TemporaryDirectory(dir=cache(), prefix="building-", ignore_cleanup_errors=True)


def _keep(base: Path, names: tuple[str, ...], place: Path) -> None:
    """Moves what was built to its place in one step, and lets go of what has not been used for longest."""
    done = base / "done"
    done.mkdir()
    for name in names:
        (base / name).rename(done / name)
    if not place.exists():  # another run may have built the same
        done.rename(place)
    kind = place.name.partition("-")[0]
    older = sorted(cache().glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]
    for path in older:
        shutil.rmtree(path, ignore_errors=True)


def _place(kind: str, digest: str) -> Path:
    return cache() / f"{kind}-{digest}"


def _system_digest() -> str:
    return _digest(RECIPE.read_text("utf-8"))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
