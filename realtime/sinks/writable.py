"""Finds out, before any work is done, whether a file can be written; and what is done once it is complete."""

from collections.abc import Callable
from pathlib import Path

import av

from realtime.errors import SinkError

Seal = Callable[[Path], None]  # takes a complete file, before anybody else is told of it


def check_writable(path: Path) -> None:
    """Raises SinkError where no file can be written at this path; an existing file is left as it is."""
    if path.is_dir():
        raise SinkError(f"{path} cannot be written: it is a folder")
    existed = path.exists()
    try:
        with path.open("ab"):
            pass
        if not existed:
            path.unlink()
    except FileNotFoundError as error:
        raise SinkError(f"{path} cannot be written: there is no folder {path.parent}") from error
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {reason(error)}") from error


def reason(error: OSError | av.FFmpegError) -> str:
    """What the system says went wrong, in the middle of a sentence."""
    return (error.strerror or str(error)).lower()
