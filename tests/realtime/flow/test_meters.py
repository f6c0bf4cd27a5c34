"""Counters and timings."""

import json
import threading

import pytest

from realtime.flow.meters import KEPT, Meters


class Clock:
    """A clock that tests turn by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_report_has_the_promised_keys_and_goes_into_json() -> None:
    report = Meters().report()
    assert list(report) == [
        "frames_in",
        "frames_out",
        "dropped",
        "duration_s",
        "fps",
        "age_ms",
        "stages",
        "faces_per_frame",
        "frames_with_face",
        "detector_runs",
        "unchanged",
    ]
    assert list(report["age_ms"]) == ["p50", "p95", "p99", "max"]
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_ages_and_rate_come_from_deliveries() -> None:
    clock = Clock()
    meters = Meters(clock)
    meters.start()
    clock.now += 3.0  # loading does not count for the rate
    for age in (0.010, 0.020, 0.030, 0.040, 0.100):
        clock.now += 0.1
        meters.delivered(clock.now - age)
    meters.end()
    clock.now += 50.0
    report = meters.report()
    assert report["frames_out"] == 5
    assert report["fps"] == 10.0
    assert report["duration_s"] == 3.5
    assert report["age_ms"] == {"p50": 30.0, "p95": pytest.approx(88.0), "p99": pytest.approx(97.6), "max": 100.0}


def test_snapshot_shows_the_last_second_only() -> None:
    clock = Clock()
    meters = Meters(clock)
    meters.start()
    for _ in range(30):
        meters.delivered(clock.now - 0.5)
    clock.now += 2.0
    for _ in range(4):
        clock.now += 0.1
        meters.delivered(clock.now - 0.02)
    meters.faces(2)
    shown = meters.snapshot()
    assert (shown.fps, shown.age_ms, shown.frames_out, shown.faces) == (4.0, 20.0, 34, 2)
    assert shown.duration_s == pytest.approx(2.4)
    clock.now += 5.0
    assert meters.snapshot().fps == 0.0
    assert meters.snapshot().age_ms is None


def test_faces_are_averaged_over_the_frames_looked_at() -> None:
    meters = Meters()
    for found in (0, 1, 2, 1):
        meters.faces(found)
    meters.count("detector_runs")
    report = meters.report()
    assert (report["faces_per_frame"], report["frames_with_face"], report["detector_runs"]) == (1.0, 3, 1)


def test_stage_times_are_in_milliseconds() -> None:
    meters = Meters()
    for seconds in (0.001, 0.002, 0.003):
        meters.time("swap", seconds)
    assert meters.report()["stages"] == {"swap": {"p50": 2.0, "p95": pytest.approx(2.9)}}


def test_percentiles_forget_and_the_maximum_does_not() -> None:
    clock = Clock()
    meters = Meters(clock)
    meters.delivered(clock.now - 9.0)
    for _ in range(KEPT):
        meters.delivered(clock.now - 0.01)
    assert meters.report()["age_ms"] == {"p50": 10.0, "p95": 10.0, "p99": 10.0, "max": 9000.0}


def test_what_each_of_several_sinks_missed_is_reported_beside_the_rest() -> None:
    meters = Meters()
    alone = meters.report()
    meters.missed({"out.mp4": 3, "preview": 0})
    report = meters.report()
    assert report == {**alone, "sinks": {"out.mp4": {"dropped": 3}, "preview": {"dropped": 0}}}
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_counts_from_many_threads_are_all_there() -> None:
    meters = Meters()

    def work() -> None:
        for _ in range(500):
            meters.count("detector_runs")
            meters.faces(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meters.report()["detector_runs"] == 2000
    assert meters.report()["frames_with_face"] == 2000
