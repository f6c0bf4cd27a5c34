"""The log of sessions: which identity went where and when, under which id in the mark; for its owner alone."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, Final

from realtime.egress.record import Record, Shown
from realtime.errors import SettingsError
from realtime.places import SECRET, made, state_folder

logger = logging.getLogger(__name__)

NAME: Final = "sessions.jsonl"  # in the folder of logs
EVENTS: Final = ("began", "shows", "ended")
LONGEST_LINE: Final = 65_536  # bytes


def usual_place() -> Path:
    """Where the user's log is. Raises SettingsError where nobody's home is known."""
    return state_folder() / NAME


class SessionLog:
    """Adds lines of JSON to a file that only its owner reads; it never changes or removes one.

    A line that cannot be written is a warning in the program's own log, once, and no end of anything.
    """

    def __init__(self, place: Callable[[], Path] = usual_place) -> None:
        """place says, for each line, where the log is."""
        self._place = place
        self._failing = False

    def note(self, event: str, record: Record, sinks: Sequence[str]) -> None:
        """Adds one line; it blocks. event is one of EVENTS."""
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            "session": record.session,
            "began": record.began.isoformat(timespec="milliseconds"),
            "shown": [{"identity": each.identity, "model": each.model} for each in record.shown],
            "sinks": list(sinks),
            "frames": record.frames,
            "disclosure": record.disclosure,
        }
        data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        try:
            path = self._place()
            made(path.parent)
            _add(path, data)
        except (OSError, SettingsError) as error:
            if not self._failing:
                logger.warning("the session log cannot be written: %s", error)
            self._failing = True
        else:
            self._failing = False


class Journal:
    """What a gate tells of one session: its lines in the log."""

    def __init__(self, log: SessionLog, sinks: Sequence[str]) -> None:
        """sinks says in words where the frames go."""
        self._log = log
        self._sinks = tuple(sinks)

    def __call__(self, event: str, record: Record) -> None:
        """Notes that it began, shows somebody for the first time, or ended. It blocks."""
        self._log.note(event, record, self._sinks)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the log knows of one session: its last line."""

    session: str  # hex
    began: str  # ISO 8601
    last: str  # when the last line was written
    ended: bool
    shown: tuple[Shown, ...]
    sinks: tuple[str, ...]
    disclosure: str = ""

    @property
    def identities(self) -> tuple[str, ...]:
        """Who was shown, by name."""
        return tuple(dict.fromkeys(one.identity for one in self.shown))


def entries(path: Path) -> tuple[Entry, ...]:
    """The sessions in a log, oldest first; lines that are none are left out. Raises SettingsError without a file."""
    try:
        with path.open("rb") as file:
            found = {entry.session: entry for entry in _read(file)}
    except OSError as error:
        raise SettingsError(f"the session log {path} cannot be read: {(error.strerror or '').lower()}") from error
    return tuple(sorted(found.values(), key=lambda entry: entry.began))


def _add(path: Path, line: bytes) -> None:
    """Adds a line in one piece, so that those of several programs do not mix; after half a line, on one of its own."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, SECRET), "r+b", buffering=0) as file:
        _wait_for_others(file)
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)


def _wait_for_others(file: FileIO) -> None:
    """Until nobody else is in the middle of a line; the file's end lets the next one in."""
    with suppress(ImportError):  # Windows has no such lock; there an empty line may come between two
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)


def _read(file: Any) -> Iterator[Entry]:
    while line := file.readline(LONGEST_LINE):
        entry = _entry(line)
        if entry is not None:
            yield entry


def _entry(line: bytes) -> Entry | None:
    """A line's entry; None where it is none, as after a computer that stopped in the middle of one."""
    try:
        said = json.loads(line)
        return Entry(
            session=bytes.fromhex(said["session"]).hex(),
            began=datetime.fromisoformat(said["began"]).isoformat(timespec="seconds"),
            last=datetime.fromisoformat(said["at"]).isoformat(timespec="seconds"),
            ended=said["event"] == "ended",
            shown=tuple(Shown(str(each["identity"]), str(each["model"])) for each in said["shown"]),
            sinks=tuple(str(sink) for sink in said["sinks"]),
            disclosure=str(said.get("disclosure", "")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
