"""Where liveswap keeps what belongs to its user: settings and secrets here, records of what it did there."""

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from realtime.errors import SettingsError

NAME: Final = "liveswap"
SECRET: Final = 0o600  # a file that its owner alone reads
PRIVATE: Final = 0o700  # a folder that its owner alone enters


def config_folder(environ: Mapping[str, str] = os.environ, system: str = sys.platform) -> Path:
    """The folder of keys, certificates and lists; XDG_CONFIG_HOME moves it on every system. It may not exist yet.

    Raises SettingsError where nobody's home is known.
    """
    return _folder(environ, system, "XDG_CONFIG_HOME", ".config")


def state_folder(environ: Mapping[str, str] = os.environ, system: str = sys.platform) -> Path:
    """The folder of logs; XDG_STATE_HOME moves it on every system. It may not exist yet. Raises SettingsError."""
    return _folder(environ, system, "XDG_STATE_HOME", ".local/state")


def cache_folder(environ: Mapping[str, str] = os.environ, system: str = sys.platform) -> Path:
    """The folder of what can be found out again; XDG_CACHE_HOME moves it on every system. It may not exist yet.

    Raises SettingsError where nobody's home is known.
    """
    return _folder(environ, system, "XDG_CACHE_HOME", ".cache")


def made(folder: Path) -> Path:
    """The folder, made where it was missing so that its owner alone enters it. Raises SettingsError."""
    try:
        folder.mkdir(PRIVATE, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"the folder {folder} cannot be made: {(error.strerror or str(error)).lower()}") from error
    return folder


def secret(path: Path, make: Callable[[], bytes]) -> bytes:
    """What a secret file holds; where there is none yet, what make gives, kept there with mode 0600.

    Two who ask at once get the same. Raises SettingsError when others can read the file, or it cannot be read or made.
    """
    try:
        if not path.exists():
            _keep(path, make())
        _check_private(path)
        return path.read_bytes()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise SettingsError(f"the secret file {path} cannot be read or made: {why}") from error


def _folder(environ: Mapping[str, str], system: str, variable: str, below_home: str) -> Path:
    chosen = Path(environ.get(variable, ""))
    if chosen.is_absolute():  # the XDG specification has others ignored
        return chosen / NAME
    if system == "win32" and environ.get("APPDATA"):
        return Path(environ["APPDATA"]) / NAME
    try:
        home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    except RuntimeError as error:
        raise SettingsError(f"nobody's home folder is known, wanted HOME or {variable} in the environment") from error
    return home / ("Library/Application Support" if system == "darwin" else below_home) / NAME


def _keep(path: Path, content: bytes) -> None:
    """Writes the file whole, unless somebody else was quicker."""
    made(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent)  # with mode 0600
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        with suppress(FileExistsError):
            path.hardlink_to(fresh)
    finally:
        fresh.unlink()


def _check_private(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & ~SECRET:
        raise SettingsError(f"the secret file {path} has mode {mode:04o}, wanted {SECRET:04o}: others could read it")
