"""A few seconds of bad weather are survived, what does not level out is seen, and a soak that hangs is ended."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import main
from bench.levels import Level, judged, plot
from bench.soak import ROUNDS, frames_in, soak, watched
from bench.weather import LOST, RATE, SIZES, Camera, Weather, there_and_back
from realtime.carrying import Models
from realtime.frame import Frame
from realtime.settings import load
from tests.models import write_shelf
from tests.realtime.people import astronaut_clip

ROOT = Path(__file__).resolve().parent.parent.parent


def levels(
    count: int = 400,
    hours: float = 2.0,
    memory: float = 0.0,
    threads: float = 0.0,
    files: float = 0.0,
    age: float = 0.0,
) -> list[Level]:
    """So many moments of so many hours in which these rise by so much an hour, after a rise while warming up."""
    made = []
    for at in np.linspace(0, 3600 * hours, count):
        hour, warming = at / 3600, 80 * min(1.0, at / (360 * hours))
        made.append(
            Level(
                float(at),
                600 + warming + memory * hour,
                7 + int(threads * hour),
                12 + int(files * hour),
                25 + age * hour,
            )
        )
    return made


def test_what_levels_out_holds() -> None:
    assert all(verdict.held for verdict in judged(levels()).values())
    assert set(judged(levels())) == {"threads", "files", "memory", "delay"}


@pytest.mark.parametrize(
    ("what", "rising"),
    [
        ("memory", levels(memory=40)),
        ("threads", levels(threads=12)),
        ("files", levels(files=12)),
        ("delay", levels(age=2000)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_rises_does_not(what: str, rising: list[Level]) -> None:
    assert [name for name, verdict in judged(rising).items() if not verdict.held] == [what]


def test_what_a_system_does_not_say_is_not_judged() -> None:
    assert set(judged([Level(float(at), None, 7, None, None) for at in range(10)])) == {"threads"}


def test_levels_are_drawn(tmp_path: Path) -> None:
    plot(levels(20), [0.0, 1200.0], tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


async def test_the_camera_stalls_loses_frames_and_changes_its_size() -> None:
    """In a period of one and a half seconds, which comes round three times."""
    pictures = there_and_back([np.full((36, 64, 3), value, np.uint8) for value in (10, 90)])
    assert len(pictures) == 4
    frames: list[Frame] = []
    async with Camera(pictures, Weather(45)) as camera:
        while not frames or frames[-1].index < 100:
            frames.append(await camera.read())
    gaps = np.diff([frame.index for frame in frames])
    assert gaps.min() >= 1
    assert (gaps > LOST / 2).sum() >= 2
    assert {frame.image.shape[1::-1] for frame in frames} == set(SIZES)
    assert frames[-1].captured_at - frames[0].captured_at > (100 - 4 * LOST) / RATE


def test_a_few_seconds_of_bad_weather_are_survived_and_nothing_is_left(tmp_path: Path) -> None:
    """On small models; memory is judged by longer runs alone."""
    clip = astronaut_clip(tmp_path / "clip.mp4", 15)
    settings = load(None, {"source": str(clip), "models": str(write_shelf(tmp_path / "models"))})
    before = set(threading.enumerate())
    soaked = soak(settings, Models.load(settings), 4.5, Weather(45))
    verdicts = soaked.verdicts()
    assert [f"{name}: {one.said}" for name, one in verdicts.items() if not one.held and name != "memory"] == []
    assert len(soaked.runs) == ROUNDS
    assert all(run["recorded"] > 0 and run["slow_sink"] > 0 for run in soaked.runs)
    assert sum(run["dropped"] for run in soaked.runs) > 0
    assert set(threading.enumerate()) <= before


def test_no_recording_has_no_frames(tmp_path: Path) -> None:
    assert frames_in(tmp_path / "absent.mp4") == 0


def test_a_soak_that_hangs_shows_where_and_is_ended() -> None:
    began = time.monotonic()
    source = "import time\nfrom bench.soak import watched\nwith watched(0.3):\n    time.sleep(60)\n"
    said = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, text=True, capture_output=True, timeout=60, check=False
    )
    assert said.returncode == 1
    assert "most recent call first" in said.stderr
    assert time.monotonic() - began < 55


def test_a_soak_that_ends_in_time_is_left_alone() -> None:
    with watched(0.2):
        pass
    time.sleep(0.4)  # it would be the end of this process


@pytest.mark.slow
def test_half_a_minute_levels_out_with_the_embedded_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out, drawn = tmp_path / "soak.json", tmp_path / "soak.png"
    words = ["soak", "--minutes", "0.5", "--period", "120", "--size", "small", "--out", str(out), "--plot", str(drawn)]
    monkeypatch.setattr(sys, "argv", ["liveswap-bench", *words])
    monkeypatch.setattr("bench.soak.leave", sys.exit)  # which would end this process
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, capfd.readouterr().out
    numbers = json.loads(out.read_text())
    assert all(verdict["held"] for verdict in numbers["verdicts"].values())
    assert len(numbers["levels"]["at"]) == len(numbers["levels"]["memory_mb"]) > 30
    assert drawn.exists()
