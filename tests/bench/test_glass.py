"""Made-up arrivals give the numbers that were made up, and short real runs give plausible ones."""

import asyncio
import itertools
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bench import stamp
from bench.__main__ import main
from bench.glass import chosen, verdicts
from bench.glass_browser import BROWSERS, Served, run_of, save
from bench.glass_camera import HEIGHT, WIDTH, Camera, Clock, Film
from bench.glass_numbers import RATE, Arrival, Run, Unwrap, first_arrivals, measured, numbers, per_second
from bench.glass_paths import Reader
from bench.glass_plot import plot, tables
from realtime.errors import SettingsError, SourceError, SourceLost, SourceMissing
from realtime.frame import Frame
from tests.models import write_shelf
from tests.realtime.people import astronaut_clip


def arrivals(count: int, age_ms: float = 50.0, grows: float = 0.0) -> list[Arrival]:
    """So many frames in order, of that age, which grows by so many ms a minute."""
    captured = [number / RATE for number in range(count)]
    return [
        Arrival(number, at, at + (age_ms + grows * at / 60) / 1000)
        for number, at in zip(range(count), captured, strict=True)
    ]


def test_a_steady_path_has_its_age_and_rate_and_nothing_else() -> None:
    told = numbers(Run(tuple(arrivals(300))))
    assert told["age_ms"] == {"p50": 50, "p95": 50, "p99": 50, "max": 50}
    assert told["fps"] == pytest.approx(RATE, abs=0.01)
    assert told["slope_ms_a_minute"] == pytest.approx(0, abs=1e-6)
    quiet = ("dropped", "dropped_percent", "repeated", "reordered", "unread", "freezes")
    assert [told[name] for name in quiet] == [0] * len(quiet)


@pytest.mark.parametrize("grows", [-30.0, 0.5, 1200.0])
def test_the_slope_is_how_much_the_age_grows(grows: float) -> None:
    random = np.random.default_rng(1)
    noisy = [
        Arrival(one.number, one.captured_at, one.seen_at + random.uniform(0, 0.004))
        for one in arrivals(3600, 100, grows)
    ]
    told = numbers(Run(tuple(noisy)))
    assert told["slope_error_ms_a_minute"] < 0.1
    watched = grows / (1 + grows / 60_000)  # a minute of watching is longer than a minute of capture where age grows
    assert told["slope_ms_a_minute"] == pytest.approx(watched, abs=0.3)


def test_a_wave_of_late_seconds_makes_the_slope_uncertain_not_wrong() -> None:
    late = [
        Arrival(one.number, one.captured_at, one.seen_at + 0.02 * (int(one.captured_at) % 5 == 4))
        for one in arrivals(900)
    ]
    told = numbers(Run(tuple(late)))
    assert abs(told["slope_ms_a_minute"]) < 4 * told["slope_error_ms_a_minute"]
    assert told["slope_error_ms_a_minute"] > 2


def test_drops_reorders_repeats_and_freezes_are_told_apart() -> None:
    made = arrivals(100)
    frozen = [one for one in made if not 50 <= one.number < 60]  # ten never come: 367 ms with nothing new
    frozen[20], frozen[21] = frozen[21], frozen[20]
    again = Arrival(30, frozen[31].captured_at, frozen[31].seen_at)
    told = numbers(Run((*frozen[:32], again, *frozen[32:]), unread=(1.0, 2.0)))
    assert (told["frames"], told["captured"], told["dropped"], told["dropped_percent"]) == (90, 100, 10, 10.0)
    assert (told["reordered"], told["repeated"], told["unread"]) == (2, 1, 2)  # the swapped one, and the one again
    assert told["freezes"] == 1
    assert told["longest_gap_ms"] == pytest.approx(1000 * 11 / RATE, abs=0.1)


def test_a_frame_that_comes_again_later_does_not_end_a_freeze() -> None:
    made = arrivals(20)
    held = [Arrival(9, made[9].captured_at, made[9].seen_at + late) for late in (0.1, 0.2, 0.3)]
    told = numbers(Run((*made[:10], *held, *made[19:])))
    assert told["freezes"] == 1
    assert told["repeated"] == 3
    assert told["age_ms"]["max"] == 50


def test_nothing_and_one_frame_give_numbers_too() -> None:
    nothing = numbers(Run(()))
    assert (nothing["frames"], nothing["fps"], nothing["slope_ms_a_minute"]) == (0, None, None)
    assert nothing["age_ms"]["p95"] is None
    one = numbers(Run(tuple(arrivals(1))))
    assert (one["frames"], one["dropped"], one["fps"], one["longest_gap_ms"]) == (1, 0, None, None)
    json.dumps([nothing, one])
    assert measured(Run(()), 5) == Run(())


def test_what_comes_while_a_path_settles_does_not_count() -> None:
    kept = measured(Run(tuple(arrivals(300)), unread=(1.0, 4.0, 7.5)), 5)
    assert [kept.arrivals[0].number, kept.arrivals[-1].number] == [50, 199]
    assert kept.unread == (4.0,)


@pytest.mark.parametrize("size", [16, 298, stamp.NUMBERS])
def test_numbers_that_start_again_are_counted_on_also_over_gaps_and_reorders(size: int) -> None:
    count = Unwrap(size)
    true = [3, 4, 6, 5, 7 + size // 3, 8 + size // 3, 2 * size // 3 + 6, size + 2, size + 1, size + 5]
    assert [count(number % size) for number in true] == true


def test_seconds_have_medians_and_peaks() -> None:
    made = arrivals(90)
    made[45] = Arrival(45, made[45].captured_at, made[45].captured_at + 0.08)
    seconds, medians, largest = per_second(made)
    assert seconds.tolist() == [0, 1, 2]
    assert medians == pytest.approx([50] * 3)
    assert largest == pytest.approx([50, 80, 50])


def test_targets_are_said_beside_what_was_seen() -> None:
    echo, swap = numbers(Run(tuple(arrivals(200, 60)))), numbers(Run(tuple(arrivals(200, 90))))
    assert verdicts({"echo": echo}) == []
    said = verdicts({"echo": echo, "swap": swap})
    assert said[0] == "swap: p95 of the age +30.0 ms beyond echo (wanted: at most 45)"
    assert "wanted: under 1" in said[1]
    assert said[2].startswith("swap: 0 frames out of order")


def test_paths_are_chosen_by_name() -> None:
    assert chosen("echo, swap") == ("echo", "swap")
    assert chosen("browser,echo,browser swap") == ("browser echo", "browser swap", "browser naive", "echo")
    with pytest.raises(SettingsError, match="'eco' is unknown"):
        chosen("eco")


# What the page says ------------------------------------------------------------------------------------------------


def shown(
    first: int, count: int, begin: float, round_of: int, missing: Sequence[int] = ()
) -> list[tuple[float, list[int]]]:
    """As the page notes it: so many frames from that number on, one each 1/30 s, but for those that are missing."""
    told = []
    for number in range(first, first + count):
        if number not in missing:
            cells = np.where(stamp.pattern(number % round_of), stamp.LIGHT, stamp.DARK).reshape(-1).tolist()
            told.append((begin + (number - first) / RATE, cells))
    return told


@pytest.mark.parametrize("age", [0.01, 0.3, 7.9])
def test_a_returned_number_is_as_old_as_the_page_showed_it_before(age: float) -> None:
    """The numbers come round every 100 frames, which is 3.3 s; an age beyond that needs the first to be younger."""
    sent = shown(250, 900, 5.0, 100, missing=(400, 401, 700))
    young = shown(260, 600, 5.0 + 10 / RATE + min(age, 3.0), 100)
    late = [(at + max(0.0, age - 3.0) * min(1, index / 90), cells) for index, (at, cells) in enumerate(young)]
    run = run_of(sent, late, 100)
    ages = [one.age_ms for one in run.arrivals]
    assert ages[0] == pytest.approx(1000 * min(age, 3.0), abs=0.1)
    assert ages[-1] == pytest.approx(1000 * age, abs=0.1)
    assert numbers(run)["dropped"] == 0


def test_the_camera_file_of_a_short_clip_is_long_enough_to_count_by(clip: Path, tmp_path: Path) -> None:
    frames = save(Film.load(clip), tmp_path / "camera.mjpeg")
    assert frames % 22 == 0
    assert frames >= 300
    packed = (tmp_path / "camera.mjpeg").read_bytes().split(b"\xff\xd8\xff")[1:]
    assert len(packed) == frames
    for number in (0, 21, 22, frames - 1):
        data = np.frombuffer(b"\xff\xd8\xff" + packed[number], np.uint8)
        assert stamp.read(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)) == number


def test_what_the_page_cannot_read_is_unread() -> None:
    returned = shown(2, 40, 0.2, 100)
    returned[7] = (returned[7][0], [128] * (stamp.ROWS * stamp.COLUMNS))
    run = run_of(shown(0, 60, 0.0, 100), returned, 100)
    assert len(run.unread) == 1
    assert numbers(run)["dropped"] == 1
    with pytest.raises(SourceLost, match="0 that came back"):
        run_of(shown(0, 60, 0.0, 100), [], 100)


# The camera --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return astronaut_clip(tmp_path_factory.mktemp("glass") / "clip.mp4", 12)


def test_the_film_goes_forwards_and_backwards_without_a_jump(clip: Path) -> None:
    film = Film.load(clip)
    assert film.round == 22
    means = [film.stamped(number)[100:HEIGHT, :100].astype(int) for number in range(2 * film.round + 1)]
    assert max(abs(one - other).max() for one, other in itertools.pairwise(means)) < 12
    for number in (0, 11, 12, 21, 22, 70_000):
        assert stamp.read(film.stamped(number)[:HEIGHT]) == number % stamp.NUMBERS


def test_a_clip_that_is_missing_or_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="there is no file"):
        Film.load(tmp_path / "absent.mp4")
    (tmp_path / "text.mp4").write_text("no clip")
    with pytest.raises(SourceError, match="no clip"):
        Film.load(tmp_path / "text.mp4")


async def test_the_camera_keeps_its_speed_and_skips_what_nobody_asked_for() -> None:
    clock = Clock()
    first = [await clock.tick() for _ in range(6)]
    assert first == sorted(set(first))
    await asyncio.sleep(0.2)
    late = await clock.tick()
    assert late >= first[-1] + 6
    ahead = time.perf_counter() - clock.captured_at(late)
    assert ahead >= 0
    nexts = [await clock.tick() for _ in range(3)]
    assert time.perf_counter() >= clock.captured_at(nexts[-1])


async def test_the_pipelines_camera_gives_readable_frames_with_their_birthdays(clip: Path) -> None:
    reader = Reader()
    async with Camera(Film.load(clip)) as camera:
        for _ in range(4):
            frame = await camera.read()
            assert frame.image.shape == (HEIGHT, WIDTH, 3)
            assert stamp.read(frame.image) == frame.index
            await reader.write(frame)
        await reader.write(Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 99, time.perf_counter()))
    assert len(reader.run.arrivals) == 4
    assert all(0 <= one.age_ms < 2000 for one in reader.run.arrivals)
    assert len(reader.run.unread) == 1


# Real runs ---------------------------------------------------------------------------------------------------------


def measure(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["liveswap-bench", "glass", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int | None)
    return ended.value.code or 0


def test_a_short_run_in_process_and_over_an_echo(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, picture = tmp_path / "glass.json", tmp_path / "glass.png"
    words = ["--seconds", "3", "--paths", "inprocess,echo", "--source", str(clip), "--threads", "1"]
    words += ["--models", str(write_shelf(tmp_path / "models")), "--json", str(out), "--plot", str(picture)]
    assert measure(words, monkeypatch) == 0
    told: dict[str, Any] = json.loads(out.read_text())
    assert list(told["paths"]) == ["inprocess", "echo"]
    for path in told["paths"].values():
        assert path["frames"] >= 3  # of 90: on a machine that does much else at the same time
        assert path["reordered"] == 0
        assert path["unread"] <= path["frames"] / 4
        assert path["age_ms"]["p50"] > 0
    assert set(told["over_time"]) == {"inprocess", "echo"}
    assert told["failed"] == {}
    assert told["machine"]["cores"] >= 1
    assert picture.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "inprocess" in printed
    assert "a minute" in printed


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="needs Chromium")
def test_a_short_run_through_a_browser(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "glass.json"
    words = ["--seconds", "3", "--paths", "browser echo,browser swap", "--source", str(clip), "--threads", "1"]
    assert measure([*words, "--models", str(write_shelf(tmp_path / "models")), "--json", str(out)], monkeypatch) == 0
    paths = json.loads(out.read_text())["paths"]
    assert list(paths) == ["browser echo", "browser swap"]
    for path in paths.values():
        assert path["frames"] >= 3
        assert path["reordered"] == 0
        assert path["unread"] <= path["frames"] / 4
        assert path["age_ms"]["p50"] > 0


def test_a_path_that_fails_does_not_take_the_others_along(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse(self: Served) -> Served:
        raise SourceLost("no server today")

    monkeypatch.setattr(Served, "__aenter__", refuse)
    out = tmp_path / "glass.json"
    words = ["--seconds", "1", "--paths", "browser swap,inprocess", "--source", str(clip), "--json", str(out)]
    assert measure([*words, "--models", str(write_shelf(tmp_path / "models"))], monkeypatch) == 2
    told = json.loads(out.read_text())
    assert told["failed"] == {"browser swap": "no server today"}
    assert told["paths"]["inprocess"]["frames"] > 5
    assert "browser swap: no server today" in capsys.readouterr().err


def test_plot_and_tables_take_paths_that_run_away_and_paths_that_saw_nothing(tmp_path: Path) -> None:
    runs = {"swap": Run(tuple(arrivals(200))), "naive": Run(tuple(arrivals(200, grows=60_000))), "none": Run(())}
    plot(runs, tmp_path / "all.png")
    plot({"swap": runs["swap"]}, tmp_path / "flat.png")
    assert (tmp_path / "all.png").stat().st_size > 5000
    ages, fates = tables({name: numbers(run) for name, run in runs.items()})
    assert ages.row_count == fates.row_count == 3
    assert first_arrivals(runs["none"].arrivals) == ([], 0, 0)
