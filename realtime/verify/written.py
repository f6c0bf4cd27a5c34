"""What else is known of a target: its manifest, and the session log; and whether they fit the marks."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from realtime.egress.credentials import KINDS, read
from realtime.egress.provenance import Marked, together
from realtime.egress.session_log import Entry
from realtime.verify.pictures import is_stream
from realtime.verify.report import Finding, Report, Stretch

ENOUGH_S: Final = 4.0  # a stretch of so many seconds shows a mark where there is one


def written(report: Report, log: Sequence[Entry] | None) -> tuple[Finding, ...]:
    """The findings about each file of a report, and about its sessions where the log is given. Raises SourceError."""
    return tuple(finding for path, stretches in _files(report) for finding in _about(path, stretches, log))


def _files(report: Report) -> Iterator[tuple[Path | None, tuple[Stretch, ...]]]:
    """Each file with its stretches; for a stream or a film of pictures no file, and all stretches."""
    every = report.stretches if report.together is None else (*report.stretches, report.together)
    target = None if is_stream(report.target) else Path(report.target)
    if target is not None and target.is_dir() and all(stretch.name for stretch in report.stretches):
        for stretch in report.stretches:
            yield target / stretch.name, (stretch,)
    else:
        yield target if target is not None and target.is_file() else None, every


def _about(path: Path | None, stretches: Sequence[Stretch], log: Sequence[Entry] | None) -> Iterator[Finding]:
    payloads = dict.fromkeys(stretch.payload for stretch in stretches if stretch.payload is not None)
    marks = [Marked(payload.session, payload.model) for payload in payloads]
    unread = not marks and any(stretch.marked for stretch in stretches)
    enough = any(stretch.end - stretch.start >= ENOUGH_S for stretch in stretches)
    found = together(None if path is None else read(path), marks, log, unread, enough)
    said = [("log", sentence) for sentence in found.logged]
    if (
        path is not None and path.suffix.lower() in KINDS
    ):  # others have no room for a manifest: its absence says nothing
        said = [*(("manifest", sentence) for sentence in found.sentences), *said]
    for number, (about, sentence) in enumerate(said):
        yield Finding(
            about, f"{path.name}: {sentence}" if path is not None else sentence, {} if number else found.as_dict()
        )
