"""What a million sessions take follows from the table of measured ones, and the page says what follows."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.scale import NOTHING, Assumed, Pages, basis, needed, scale, tables
from bench.sessions_numbers import Level, Start, between, markdown, put, read
from realtime.errors import LiveswapError
from tests.test_architecture import ROOT

STARTS = [Start(1, 2.5, 250.0), Start(2, 3.0, 240.0)]


def level(sessions: int, fps: float, age_p95_ms: float | None, processes: int = 1, picture: str = "640x480") -> Level:
    return Level(picture, processes, sessions, fps, 40.0, age_p95_ms, picture, 0.5, 0.1, 300.0, 1000, 500)


def test_the_page_says_what_follows_from_the_measured_table() -> None:
    """After another measurement: liveswap-bench scale."""
    pages = Pages.read(ROOT / "docs")
    assert pages.computed().scale == pages.scale


def test_a_table_is_read_as_it_was_written() -> None:
    levels = [level(1, 29.9, 40.0), replace(level(2, 0.0, None), cores=None, memory_mb=None)]
    assert read(f"something\n\n{markdown(levels, STARTS)}\n\nmore") == (levels, STARTS)
    with pytest.raises(LiveswapError, match="no table with the heading picture"):
        read("nothing")


def test_what_is_computed_from_keeps_up_with_the_most_sessions() -> None:
    good = level(3, 28.0, 80.0)
    levels = [
        level(1, 30, 40),
        level(2, 29, 60),
        good,
        level(4, 29, 150),
        level(6, 12, 90),
        level(9, 30, 9, picture="x"),
    ]
    assert basis(levels, "640x480") is good
    slow = [level(1, 9.0, 300, processes=2), level(1, 10.0, 300), level(2, 5.0, 300)]
    assert basis(slow, "640x480") is slow[1]
    with pytest.raises(LiveswapError, match="no level of 640x480 says what it took"):
        basis([replace(good, cores=None)], "640x480")


def test_a_million_is_a_division() -> None:
    assumed = Assumed(cores=10, used=0.5, memory_gb=100, core_hour=0.1, relayed=0.5, relay_gbps=75, gigabyte_out=0.02)
    found = needed(level(2, 30, 50), STARTS, assumed)
    assert found.cores == 0.5
    assert found.by_cores == 10  # half of ten cores, half a core each
    assert found.by_memory == 1586  # (50 GB - 10 workers of 240 MB) / 30 MB: 300 less 240, shared by two
    assert found.machines == 100_000
    assert found.dollars_hour == pytest.approx(0.1)  # a core each
    assert (found.gbps_in, found.gbps_out) == (1000, 500)
    assert found.relays == 10  # half of 1,500 Gbit/s
    gigabytes = (0.5 + 0.5 * 1.5) * 3600 / 8000  # to the client, and half of everything once more out of a relay
    assert found.dollars_traffic == pytest.approx(0.02 * gigabytes)
    assert found.start_s == 3.0


def test_a_session_that_was_too_slow_is_scaled_up_to_the_cameras_rate() -> None:
    assert needed(level(1, 10, 300), STARTS, Assumed()).cores == pytest.approx(1.5)
    assert "which had 10.0 fps only" in tables([level(1, 10, 300)], STARTS, Assumed())


def test_both_pages_are_written_and_what_stands_around_the_tables_stays(tmp_path: Path) -> None:
    for name, mark in (("benchmarks.md", "sessions"), ("scale.md", "scale")):
        (tmp_path / name).write_text(f"before\n<!-- {mark}: begin -->\nold\n<!-- {mark}: end -->\nafter\n")
    Pages.read(tmp_path).measured("here, today.", markdown([level(1, 30, 40)], STARTS)).write()
    measured = (tmp_path / "benchmarks.md").read_text()
    assert measured.startswith("before\n<!-- sessions: begin -->\nhere, today.\n\n| picture |")
    assert measured.endswith("<!-- sessions: end -->\nafter\n")
    assert "1 session of 1 process" in between((tmp_path / "scale.md").read_text(), "scale")
    again = (tmp_path / "scale.md").read_text()
    scale(tmp_path)
    assert (tmp_path / "scale.md").read_text() == again


def test_what_was_not_measured_is_not_computed(tmp_path: Path) -> None:
    for name, mark in (("benchmarks.md", "sessions"), ("scale.md", "scale")):
        (tmp_path / name).write_text(f"<!-- {mark}: begin -->\n{NOTHING}\n<!-- {mark}: end -->\n")
    assert between(Pages.read(tmp_path).computed().scale, "scale") == NOTHING


def test_pages_without_a_place_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LiveswapError, match=r"benchmarks\.md cannot be read: no such file"):
        Pages.read(tmp_path)
    with pytest.raises(LiveswapError, match="no place for scale, wanted the lines <!-- scale: begin -->"):
        put("<!-- scale: begin -->", "scale", "")
