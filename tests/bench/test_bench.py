"""The benchmarks run, on a clip of half a second, and say what they measured."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from bench.report import summary
from bench.stages import best, in_use
from tests.models import write_shelf
from tests.realtime.people import astronaut_clip


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("bench")
    return [
        *("--source", str(astronaut_clip(folder / "clip.mp4", 15))),
        *("--models", str(write_shelf(folder / "models"))),
    ]


def measured(words: list[str], path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "argv", ["liveswap-bench", *words, "--out", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return json.loads(path.read_text())


def test_latency_is_measured(material: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = measured(["latency", *material, "--runs", "2"], tmp_path / "numbers.json", monkeypatch)
    assert numbers["command"].startswith("liveswap-bench latency")
    assert numbers["machine"]["cores"] >= 1
    assert numbers["summary"]["runs"] == 2
    assert numbers["summary"]["frames_in"] == sum(report["frames_in"] for report in numbers["reports"])
    assert all(report["frames_out"] + report["dropped"] == report["frames_in"] for report in numbers["reports"])
    assert numbers["summary"]["age_ms"]["p95"] > 0


def test_steps_are_measured_and_groupings_compared(
    material: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["stages", *material, "--rounds", "1", "--repeats", "5", "--plot", str(tmp_path / "stages.png")]
    numbers = measured(words, tmp_path / "numbers.json", monkeypatch)
    steps = {name for name, row in numbers["steps"].items() if row["in_place"] is not None}
    assert steps >= {"read", "convert", "swap", "track", "landmarks", "align", "encode", "decode", "compose", "mark"}
    assert sum(row["share_percent"] for row in numbers["steps"].values()) == pytest.approx(100, abs=1)
    assert {"landmarks", "encoder", "decoder", "read and write"} < set(numbers["floor_ms"])
    assert numbers["steps"]["encode"]["inference_mean"] <= numbers["steps"]["encode"]["mean"]
    assert (tmp_path / "stages.png").read_bytes().startswith(b"\x89PNG")
    assert set(numbers["groupings"]) == {"find+swap+compose", "find+swap | compose", "find | swap | compose"}
    assert numbers["best"] in numbers["groupings"]
    assert numbers["in_use"] == in_use()
    assert numbers["in_use"] in numbers["groupings"]
    assert "find" in numbers["groupings"]["find | swap | compose"]["stages"]


def test_switches_are_made_during_a_run_and_the_gaps_measured(
    material: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["switch", *material, "--switches", "3", "--rounds", "1"]
    numbers = measured(words, tmp_path / "numbers.json", monkeypatch)
    assert numbers["runs"]["without"]["switches_seen"] == 0
    assert 1 <= numbers["runs"]["with"]["switches_seen"] <= 3
    gaps = [numbers["runs"][name]["longest_gap_ms"] for name in ("without", "with")]
    assert min(gaps) > 0
    assert numbers["longer_ms"] == pytest.approx(gaps[1] - gaps[0], abs=0.01)
    assert numbers["held"] == (numbers["longer_ms"] <= numbers["frame_interval_ms"])
    assert numbers["frame_interval_ms"] == pytest.approx(1000 / 30, abs=0.5)


def test_with_one_identity_there_is_nothing_to_switch(
    material: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shelf(tmp_path / "models", ["aster"])
    monkeypatch.setattr(sys, "argv", ["liveswap-bench", "switch", *material[:2], "--models", str(tmp_path / "models")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "nobody to switch to" in capsys.readouterr().err


def test_composing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["compose", "--width", "320", "--height", "240", "--repeats", "3"]
    numbers = measured(words, tmp_path / "numbers.json", monkeypatch)
    assert (numbers["frame"], numbers["crop_px"], numbers["repeats"]) == ("320x240", 160, 3)
    assert [row["face_px"] for row in numbers["faces"]] == [40, 150, 300, 600]
    for row in numbers["faces"]:
        assert set(row["ms"]) == {"all", "no grain", "no colour, no grain"}
        assert all(0 < cell["p50"] <= cell["p95"] for cell in row["ms"].values())


def test_a_clip_that_is_missing_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], material: list[str]
) -> None:
    words = ["latency", "--source", str(tmp_path / "absent.mp4"), *material[2:]]
    monkeypatch.setattr(sys, "argv", ["liveswap-bench", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("liveswap-bench: there is no file")


def run(fps: float, dropped: int, p95: float | None) -> dict[str, Any]:
    age = {"p50": p95, "p95": p95, "p99": p95, "max": p95}
    return {"frames_in": 100, "dropped": dropped, "fps": fps, "age_ms": age, "stages": {"swap": {"p50": p95}}}


def test_a_summary_adds_frames_and_takes_medians() -> None:
    summed = summary([run(30, 0, 20), run(28, 6, 40), run(29, 0, 30)])
    assert (summed["frames_in"], summed["dropped_percent"], summed["fps"]) == (300, 2.0, 29)
    assert summed["age_ms"]["p95"] == 30
    assert summed["stages"]["swap"]["p50"] == 30


@pytest.mark.parametrize(
    ("first", "second", "wins"),
    [
        (run(30, 0, 40), run(30, 0, 20), "second"),  # even drops: the fresher one
        (run(30, 0, 40), run(29, 5, 20), "first"),  # fewer drops count more than freshness
        (run(30, 0, 40), run(0, 0, None), "first"),  # nothing delivered is no freshness
    ],
)
def test_fewest_drops_win_then_the_lowest_age(first: dict[str, Any], second: dict[str, Any], wins: str) -> None:
    assert best({"first": summary([first]), "second": summary([second])}) == wins
