"""Sessions of made up visitors give the numbers that were made up, and a short real run gives plausible ones."""

import asyncio
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from bench import stamp
from bench.__main__ import main
from bench.apart import heard
from bench.glass_camera import Film
from bench.glass_numbers import RATE
from bench.scale import NOTHING
from bench.sessions import COLUMNS, draw, earlier, numbers_in, table
from bench.sessions_numbers import Level, Size, in_words, judged, read
from bench.sessions_visitors import FilmTrack, encoded
from realtime.errors import SettingsError, SourceLost
from tests.models import write_shelf
from tests.realtime.people import astronaut_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return astronaut_clip(tmp_path_factory.mktemp("sessions") / "clip.mp4", 12)


def seen(fps: float, age_ms: float, seconds: float = 2.0, width: int = 320, **more: Any) -> dict[str, Any]:
    """What a visitor saw that got so many frames a second of that age."""
    at = np.arange(round(fps * seconds)) / fps
    arrivals = [[number, one, one + age_ms / 1000] for number, one in enumerate(at.tolist())]
    numbers = {"sent_bytes": 100_000, "received_bytes": 50_000, "first_s": 0.5}
    return {"arrivals": arrivals, "unread": 0, "width": width, "height": width * 3 // 4, **numbers, **more}


def made(*visitors: dict[str, Any], used: float | None = 2.4) -> Level:
    return judged(Size(320, 240), 2, 2.0, visitors, used, 0.6, 300.0)


def test_a_level_says_what_the_slowest_session_had_and_how_old_all_frames_were() -> None:
    one = made(seen(30, 40), seen(30, 40), seen(15, 100))
    assert (one.fps, one.sessions) == (15, 3)
    assert (one.age_p50_ms, one.age_p95_ms) == (40, 100)
    assert (one.cores, one.visitor_cores) == (0.4, 0.1)  # 2.4 and 0.6 s of processors in 2 s of 3 sessions
    assert (one.kbps_in, one.kbps_out) == (400, 200)
    assert one.first_s == 0.5


def test_a_frame_that_comes_again_is_no_frame_more() -> None:
    twice = seen(30, 40)
    twice["arrivals"] = [one for one in twice["arrivals"] for _ in range(2)]
    assert made(twice).fps == 30


def test_pictures_that_became_smaller_are_seen() -> None:
    assert made(seen(30, 40, width=240), seen(30, 40, width=240), seen(30, 40)).returned == "240x180"


def test_what_nobody_knows_is_a_dash() -> None:
    one = made(seen(30, 40, arrivals=[]), used=None)
    assert (one.fps, one.age_p95_ms, one.cores) == (0, None, None)
    assert in_words(one).count("-") == 3
    assert len(in_words(one)) == len(COLUMNS)


def test_table_and_plot_take_every_level(tmp_path: Path) -> None:
    levels = [made(*[seen(30 / count, 40 * count)] * count) for count in (1, 2, 3)] + [made(seen(30, 0, arrivals=[]))]
    assert table(levels).row_count == 4
    draw(levels, tmp_path / "sessions.png")
    assert (tmp_path / "sessions.png").stat().st_size > 5000


@pytest.mark.parametrize("text", ["640", "640x", "640x481", "100x80", "4000x3000", "axb"])
def test_a_picture_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"wanted WIDTHxHEIGHT"):
        Size.parse(text)


@pytest.mark.parametrize("text", ["", "1,,2", "0", "-1", "two", "65"])
def test_counts_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--counts is .* wanted numbers"):
        numbers_in("counts", text)
    assert numbers_in("counts", "1, 4,4") == (1, 4)


@pytest.mark.parametrize("text", ["", "[]", '{"levels": []}', '{"levels": [{"picture": "many"}], "starts": []}'])
def test_numbers_of_something_else_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(
        SettingsError, match=r"other\.json has no numbers of sessions .*, wanted a file that --out wrote$"
    ):
        earlier(tmp_path / "other.json")


@pytest.mark.parametrize("said", ["", '{"error": "ended"}\n'])
async def test_visitors_that_fail_say_so(said: str) -> None:
    lines = asyncio.StreamReader()
    lines.feed_data(said.encode())
    lines.feed_eof()
    with pytest.raises(SourceLost, match="ended"):
        await heard(lines)


async def test_the_encoded_film_goes_round_with_numbers_that_can_be_read(clip: Path) -> None:
    film = encoded(Film.load(clip, width=160, height=120))
    assert len(film) == 22
    track = FilmTrack(film)
    packets = [await track.recv() for _ in range(24)]
    track.stop()
    assert packets[1].pts == round(90_000 / RATE)
    assert bytes(packets[22]) == film[0]
    decoder = av.CodecContext.create("vp8", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    frames = list(itertools.chain.from_iterable(decoder.decode(packet) for packet in packets))
    assert [(one.width, one.height) for one in frames[:1]] == [(160, 120)]
    read = [stamp.read(np.asarray(one.to_ndarray(format="bgr24"), np.uint8)) for one in frames]
    assert read == [*range(22), 0, 1]


def measure(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int | None:
    monkeypatch.setattr(sys, "argv", ["liveswap-bench", "sessions", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int | None)
    return ended.value.code


@pytest.mark.parametrize(
    "processes", [pytest.param("1", id="one process"), pytest.param("1,2", id="two", marks=pytest.mark.slow)]
)
def test_a_short_run(processes: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, picture = tmp_path / "sessions.json", tmp_path / "sessions.png"
    words = ["--pictures", "160x120", "--counts", "2", "--processes", processes, "--seconds", "1", "--threads", "1"]
    words += ["--models", str(write_shelf(tmp_path / "models")), "--source", str(clip), "--docs", str(tmp_path)]
    for name, mark in (("benchmarks.md", "sessions"), ("scale.md", "scale")):
        (tmp_path / name).write_text(f"<!-- {mark}: begin -->\n{NOTHING}\n<!-- {mark}: end -->\n")
    assert not measure([*words, "--out", str(out), "--plot", str(picture)], monkeypatch)
    said: dict[str, Any] = json.loads(out.read_text())
    assert [one["processes"] for one in said["levels"]] == [int(one) for one in processes.split(",")]
    for one in said["levels"]:
        assert (one["picture"], one["sessions"]) == ("160x120", 2)
        assert one["first_s"] > 0
        assert one["kbps_in"] > 0
        assert one["cores"] > 0
        assert one["memory_mb"] > 50
    assert len(said["starts"]) == len(said["levels"])
    assert said["failed"] == []
    assert picture.read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "benchmarks.md").read_text()
    assert "(sessions.png)" in page
    assert [one.processes for one in read(page)[0]] == [int(one) for one in processes.split(",")]
    assert "2 sessions of " in (tmp_path / "scale.md").read_text()
    again = earlier(out)
    assert [asdict(one) for one in again.levels] == said["levels"]
    assert again.origins == [page.split("begin -->\n")[1].splitlines()[0]]


def test_a_server_that_refuses_is_one_sentence(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--pictures", "160x120", "--counts", "1", "--processes", "1", "--seconds", "1"]
    assert measure([*words, "--models", str(tmp_path), "--source", str(clip)], monkeypatch) == 2
    assert "liveswap serve ended with exit code 2" in capsys.readouterr().err
