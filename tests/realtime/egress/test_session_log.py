"""The log of sessions answers "was this us?" and only ever grows."""

import json
import logging
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.egress.gate import Gate
from realtime.egress.record import Record, Shown
from realtime.egress.session_log import NAME, Journal, SessionLog, entries, usual_place
from realtime.errors import SettingsError
from realtime.frame import Drawn, Frame
from realtime.sinks.null import Null

RECORD = Record("12" * 16, datetime(2026, 11, 29, 1, 2, 3, tzinfo=UTC), (Shown("aster", "ab" * 32),), 7)


def log_at(path: Path) -> SessionLog:
    return SessionLog(lambda: path)


async def test_a_session_leaves_when_it_began_whom_it_showed_and_when_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "logs" / NAME
    faces = [Drawn(name, "ab" * 32, (0, 0, 9, 9)) for name in ("aster", "cedar")]
    async with Gate(Null(), journal=Journal(log_at(path), ["virtualcam", "/videos/out.mp4"])) as gate:
        for index, drawn in enumerate([(), faces[:1], faces[:1], faces, faces]):
            await gate.write(Frame(np.zeros((360, 640, 3), np.uint8), index, index / 30, drawn=tuple(drawn)))
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["event"] for line in lines] == ["began", "shows", "shows", "ended"]
    assert [[one["identity"] for one in line["shown"]] for line in lines] == [
        [],
        ["aster"],
        ["aster", "cedar"],
        ["aster", "cedar"],
    ]
    assert {line["session"] for line in lines} == {gate.session.hex()}
    assert lines[-1]["frames"] == 5
    assert lines[-1]["shown"][0]["model"] == "ab" * 32
    assert all(line["sinks"] == ["virtualcam", "/videos/out.mp4"] for line in lines)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_it_only_grows_and_half_a_line_stays_alone(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b'{"at": "2026-1')
    log_at(path).note("began", RECORD, ["null"])
    assert path.read_bytes().startswith(b'{"at": "2026-1\n{')
    (entry,) = entries(path)
    assert (entry.session, entry.identities, entry.ended) == ("12" * 16, ("aster",), False)


def test_many_who_write_at_once_leave_whole_lines(tmp_path: Path) -> None:
    logs = [log_at(tmp_path / NAME) for _ in range(8)]
    threads = [
        threading.Thread(target=lambda log=log: [log.note("shows", RECORD, []) for _ in range(20)]) for log in logs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    lines = (tmp_path / NAME).read_text("utf-8").splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["shows"] * 160


def test_a_log_that_cannot_be_written_is_said_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    log = log_at(tmp_path / "file" / NAME)
    for _ in range(3):
        log.note("began", RECORD, [])
    (record,) = (one for one in caplog.records if one.name.startswith("realtime"))
    assert record.levelno == logging.WARNING
    assert "the session log cannot be written" in record.message


def line(**changes: Any) -> str:
    said: dict[str, Any] = {
        "at": "2026-11-29T01:00:09+00:00",
        "event": "ended",
        "session": "34" * 16,
        "began": "2026-11-29T01:00:00+00:00",
        "shown": [{"identity": "aster", "model": "ab"}],
        "sinks": ["null"],
        "frames": 5,
        "disclosure": "said",
    }
    return json.dumps(said | changes)


def test_the_last_line_of_a_session_counts_and_the_oldest_session_comes_first(tmp_path: Path) -> None:
    early = "2026-11-28T01:00:00+00:00"
    lines = [line(event="began", shown=[]), line(), line(session="56" * 16, began=early, event="shows")]
    (tmp_path / NAME).write_text("\n".join(lines))
    first, second = entries(tmp_path / NAME)
    assert (first.session, first.ended) == ("56" * 16, False)
    assert (second.session, second.ended, second.identities, second.disclosure) == ("34" * 16, True, ("aster",), "said")


@pytest.mark.parametrize(
    "bad",
    [
        *("", "{", "[]", "7", "null", '"text"', "{}", "[" * 5000, "\x00\xff", "x" * 200_000),
        *(line(session="no hex"), line(session=7), line(began="today"), line(at=None)),
        *(line(shown="aster"), line(shown=[5]), line(sinks=5)),
    ],
)
def test_lines_that_are_none_are_left_out(tmp_path: Path, bad: str) -> None:
    (tmp_path / NAME).write_text(f"{bad}\n{line()}\n", "utf-8")
    assert [entry.session for entry in entries(tmp_path / NAME)] == ["34" * 16]


def test_an_absent_log_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"the session log .* cannot be read: no such file"):
        entries(tmp_path / NAME)


def test_it_has_its_place_among_the_users_logs(folders: Path) -> None:
    assert usual_place() == folders / "state" / "liveswap" / NAME
