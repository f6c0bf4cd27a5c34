"""The loops of others do what they are known for, and the lag in px is what was drawn."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.beside import POLICIES, draw, in_numbers, table
from bench.glass_numbers import Arrival
from bench.policies import ROUND, Bench, Camera, Head, Watched
from bench.tracking import pictures_of
from realtime.__main__ import DEMO
from realtime.errors import SourceMissing
from realtime.face.track import Tracker
from realtime.settings import load
from tests.models import write_shelf


@pytest.fixture(scope="module")
def head() -> Head:
    settings = load(None, {})
    return Head.of(pictures_of(DEMO, 1)[0], Tracker.load(settings.tracking, settings.session), 30.0)


@pytest.mark.parametrize("behind", [0.0, 1.0, 2.5])
def test_a_face_drawn_where_the_head_was_is_behind_by_what_it_moved_since(head: Head, behind: float) -> None:
    step = float(np.abs(np.diff(head.offsets)).max())
    earlier = {
        number: np.interp(number - behind, range(-ROUND, 5 * ROUND), np.tile(head.offsets, 6)) + 7
        for number in range(90)
    }
    assert head.lag(earlier) == pytest.approx(behind * step, abs=0.02 * step)


def test_without_one_of_the_ways_there_is_no_lag(head: Head) -> None:
    assert np.isnan(head.lag({}))
    assert np.isnan(head.lag({10: 0.0}))


def test_a_picture_without_a_face_is_refused() -> None:
    settings = load(None, {})
    tracker = Tracker.load(settings.tracking, settings.session)
    with pytest.raises(SourceMissing, match="no face to move"):
        Head.of(np.full((240, 320, 3), 90, np.uint8), tracker, 30.0)


def test_the_camera_keeps_one_frame_or_gives_each(head: Head) -> None:
    late = Camera(head, 0.2)
    late._begin -= 0.1  # three frames ago
    first = late.read()
    assert first is not None
    assert first.index >= 3
    each = Camera(head, 0.2)
    each._begin -= 10
    numbers = []
    while (frame := each.read(newest=False)) is not None:
        numbers.append(frame.index)
    assert numbers == list(range(6))
    assert each.read() is None


@pytest.mark.parametrize("name", POLICIES)
def test_every_loop_shows_the_head(head: Head, name: str, tmp_path: Path) -> None:
    bench = Bench(load(None, {"models": str(write_shelf(tmp_path))}), head, 0.7)
    watched = Watched()
    POLICIES[name](bench, watched)
    assert watched.arrivals
    shown = [one.number for one in watched.arrivals]
    assert len(set(shown)) == len(shown)
    assert set(watched.drawn) >= set(shown[:1])
    if name not in ("pool", "thread each"):
        assert shown == sorted(shown)
    assert all(one.seen_at >= one.captured_at for one in watched.arrivals)


def test_numbers_leave_out_the_first_second_and_count_what_was_never_shown(head: Head, tmp_path: Path) -> None:
    watched = Watched()
    watched.arrivals = [Arrival(number, number / 30, number / 30 + 0.05) for number in range(0, 90, 2)]
    watched.drawn = {number: float(head.offsets[number % ROUND]) for number in range(90)}
    told = in_numbers(watched, head, 60)
    assert told["frames"] == 30
    assert told["not_shown_percent"] == 50
    assert told["lag_px"] == pytest.approx(0, abs=0.01)
    assert json.dumps(told)
    assert table({"ours": told}).row_count == 1
    draw(dict.fromkeys(POLICIES, watched), tmp_path / "ages.png")
    assert (tmp_path / "ages.png").read_bytes()[:4] == b"\x89PNG"
