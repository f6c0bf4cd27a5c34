"""The benchmark of the marks counts rightly, and its ways do what they are called."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.marks import row, sentence, summary, table, tried
from bench.marks_clips import SIZE, Clip, Marked, clips
from bench.marks_null import Null, measure
from bench.marks_plot import plot
from bench.marks_ways import FPS, Way, greys, ways
from realtime.egress.evidence import Gatherer, Reader
from realtime.errors import SourceError, SourceMissing
from tests.realtime.clips import write_clip
from tests.realtime.verify.films import room


@pytest.fixture(scope="module")
def film() -> Clip:
    return Clip("room", room(5 * FPS, 160, 120))


@pytest.fixture(scope="module")
def marked(film: Clip) -> Marked:
    return Marked.of(film, 1)


@pytest.mark.parametrize("way", ways(), ids=lambda way: way.name)
def test_a_way_gives_a_grey_picture_for_each(way: Way) -> None:
    given = room(12, 160, 120)
    out = way.go(given)
    assert len(out) == round(12 * way.fps / FPS)
    assert all(picture.ndim == 2 and picture.dtype == np.uint8 for picture in out)
    assert 20 < np.mean(out[-1]) < 200


def test_no_two_ways_share_a_name() -> None:
    names = [way.name for way in ways()]
    assert len(set(names)) == len(names)
    assert sum(way.target for way in ways()) == 5


def test_a_marked_film_is_found_and_read_on_its_way(marked: Marked) -> None:
    way = Way("as it leaves", greys)
    one = row(way, [tried(way, marked, Reader())])
    assert (one["found"], one["read"], one["misread"], one["stretches"]) == (1, 1, 0, 1)
    assert one["coded_bits_right_percent"] == 100
    assert one["seconds"] <= 3


def test_a_film_without_a_mark_is_not_found(film: Clip, marked: Marked) -> None:
    way = Way("as it leaves", greys)
    one = row(way, [tried(way, Marked(film, film.pictures, marked.payload), Reader(periods=(1.0,)))])
    assert (one["found"], one["read"], one["seconds"]) == (0, 0, None)


def test_the_mark_changes_little(film: Clip, marked: Marked) -> None:
    assert marked.psnr() > 44
    assert marked.ssim() > 0.98  # in small pictures the waves are short, which this measure dislikes
    assert Marked(film, film.pictures, marked.payload).ssim() == pytest.approx(1)


def test_chance_is_as_the_formula_has_it() -> None:
    drawn = np.random.default_rng(1)
    looks = 4000
    best = np.sort(drawn.exponential(1, (3000, looks)).max(1))
    null = Null(best, looks, 3000, float(best[-1]))
    assert null.effective == pytest.approx(looks, rel=0.1)
    assert null.deviation < 0.03
    assert null.alarms == 0
    assert float(null.expected(np.array(null.threshold))) == pytest.approx(1e-6, rel=0.1)


def test_stretches_without_a_mark_are_as_strong_as_chance(film: Clip) -> None:
    gatherer = Gatherer()
    for number, picture in enumerate(greys(film.pictures)):
        gatherer.add(picture, number / FPS)
    evidence = gatherer.evidence()
    assert evidence is not None
    told: list[tuple[int, int]] = []
    null = measure([evidence], 12, 2, lambda done, of: told.append((done, of)))
    assert told == [(12, 12)]
    assert len(null.strengths) == 12
    assert 11 < null.strengths[0] <= null.strengths[-1] < null.threshold


def test_short_films_play_there_and_back(tmp_path: Path) -> None:
    pictures = [np.full((48, 80, 3), level, np.uint8) for level in (40, 120, 200)]
    write_clip(tmp_path / "short.mp4", pictures)
    (found,) = clips(tmp_path / "short.mp4", None, 7 / FPS)
    assert [round(float(picture.mean()), -1) for picture in found.pictures] == [40, 120, 200, 120, 40, 120, 200]
    assert found.pictures[0].shape == (SIZE[1], SIZE[0], 3)


def test_footage_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="there is no folder of footage"):
        clips(tmp_path / "x.mp4", tmp_path / "none", 1.0)
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    with pytest.raises(SourceError, match="no video that can be read"):
        clips(tmp_path / "bad.mp4", None, 1.0)


def test_the_table_and_the_plot_show_every_way(marked: Marked, tmp_path: Path) -> None:
    way = Way("as it leaves", greys)
    null = Null(np.linspace(12, 20, 50), 4_000_000, 50, 18.0)
    rows = [row(way, [tried(way, marked, Reader(periods=(1.0,)))])]
    numbers = {"ways": rows, "unmarked": summary(null), "psnr_db": 46.0, "ssim": 0.996}
    console = Console(record=True, width=150, quiet=False)
    console.print(table(numbers))
    assert "as it leaves" in console.export_text()
    assert "0 false alarms in 50 stretches" in sentence(numbers)
    plot(null, rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
