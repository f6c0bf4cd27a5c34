"""What an operator reads while frames flow and after."""

import asyncio
import io
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from realtime import report
from realtime.errors import SinkError
from realtime.flow.meters import Meters, Snapshot
from realtime.status import line, shown


def test_the_line_says_rate_age_faces_and_drops() -> None:
    now = Snapshot(frames_in=300, frames_out=290, dropped=10, fps=29.6, age_ms=24.4, faces=1, duration_s=72.9)
    assert line(now, "aster").plain == "aster · 1:12 · 30 fps · 24 ms old · 1 face · 10 dropped"


def test_the_line_before_the_first_frame_is_no_lie() -> None:
    now = Snapshot(frames_in=0, frames_out=0, dropped=0, fps=0.0, age_ms=None, faces=0, duration_s=0.2)
    assert line(now, "aster").plain == "aster · 0:00 · 0 fps · nothing delivered yet · 0 faces · 0 dropped"


@pytest.mark.parametrize("terminal", [True, False])
async def test_a_terminal_gets_one_living_line_and_a_file_gets_plain_ones(terminal: bool) -> None:
    out = io.StringIO()
    meters = Meters()
    meters.start()
    async with shown(meters, lambda: "aster", Console(file=out, force_terminal=terminal, width=100), every=0.02):
        while out.getvalue().count("aster") < 3:
            await asyncio.sleep(0.01)
    assert ("\x1b[" in out.getvalue()) == terminal
    said = out.getvalue()
    await asyncio.sleep(0.05)
    assert out.getvalue() == said


async def test_what_fails_inside_leaves_with_the_line_gone() -> None:
    async def fail() -> None:
        async with shown(Meters(), lambda: "aster", Console(file=io.StringIO(), force_terminal=True), every=0.02):
            await asyncio.sleep(0.05)
            raise SinkError("the disk is full")

    with pytest.raises(SinkError, match="full"):
        await fail()
    assert len(asyncio.all_tasks()) == 1


def test_the_table_of_an_empty_run_has_no_numbers_that_are_not_there() -> None:
    numbers = report.report(Meters(), "aster", "cpu", "fp32")
    out = io.StringIO()
    Console(file=out, width=120).print(report.table(numbers, "nothing"))
    assert "nothing was delivered" in out.getvalue()


def test_the_table_shows_what_was_measured() -> None:
    meters = Meters()
    meters.count("frames_in", 4)
    meters.count("dropped", 1)
    for _ in range(3):
        meters.delivered(time.perf_counter() - 0.02)
    out = io.StringIO()
    meters.missed({"take[2].mp4": 2, "preview": 0})
    Console(file=out, width=120).print(report.table(report.report(meters, "aster", "cpu", "fp32"), "some"))
    assert re.search(r"take\[2\]\.mp4 .* 2 of 3 dropped, too slow for them", out.getvalue())
    assert "4 in, 3 out, 1 dropped (25.0 %)" in out.getvalue()
    assert "p50 20 ms" in out.getvalue()


def test_a_report_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot be written"):
        report.write(tmp_path / "absent" / "numbers.json", {})
