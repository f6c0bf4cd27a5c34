"""The benchmark of the marks counts rightly, and its ways do what they are called."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.marks import row, sentence, summary, table, tried
from bench.marks_clips import SIZE, Clip, Marked, clips
from bench.marks_docs import Pages
from bench.marks_null import Null, measure, strengths_of
from bench.marks_plot import plot
from bench.marks_takes import HOP, LONG, STARTS, Take, packings, stretches, takes
from bench.marks_ways import FPS, Way, greys, ways
from realtime.egress.evidence import Gatherer, Reader, Search
from realtime.egress.pattern import PERIOD_S
from realtime.errors import LiveswapError, SourceError, SourceMissing
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
    null = Null(best, best[::3], looks, 3000, 375)
    assert null.effective == pytest.approx(looks, rel=0.1)
    assert null.deviation < 0.03
    assert null.others_deviation < 0.05
    assert null.alarms == 0
    assert Null(np.append(best, 40.0), np.append(best, [41.0, 42.0]), looks, 3001, 1).alarms == 3
    assert float(null.expected(np.array(null.threshold))) == pytest.approx(1e-6, rel=0.1)


def test_stretches_without_a_mark_are_as_strong_as_chance_and_differ(film: Clip) -> None:
    told: list[tuple[int, int]] = []
    null = measure([film], STARTS + 1, 2, lambda done, of: told.append((done, of)))
    assert told == [(STARTS, 2 * STARTS), (2 * STARTS, 2 * STARTS)]
    assert (len(null.strengths), len(null.others), null.different, null.takes) == (2 * STARTS, 2, 2 * STARTS, 2)
    assert 11 < null.strengths[0] <= null.strengths[-1] < null.threshold
    assert 11 < null.others[0] <= null.others[-1] < null.threshold


def test_stretches_share_their_sums_and_are_as_if_each_were_gathered_alone(film: Clip) -> None:
    pictures = [*greys(film.pictures), *greys(film.pictures[-2 : -HOP - 2 : -1])]
    first, second = stretches(pictures)
    for begins, shared in ((0, first), (HOP, second)):
        gatherer = Gatherer()
        for number, picture in enumerate(pictures[begins : begins + LONG]):
            gatherer.add(picture, (begins + number) / FPS)
            if number < PERIOD_S / 2 * FPS:
                gatherer.clear()
        alone = gatherer.evidence()
        assert alone is not None
        np.testing.assert_allclose(shared, alone, atol=1e-3)


def test_a_strength_is_what_the_reader_says(film: Clip, marked: Marked) -> None:
    (evidence,) = stretches(greys(marked.pictures))
    reader, other = Reader(), Search.of(b"another key", False)
    ours, theirs = strengths_of(evidence, [reader.moving, other], reader.periods)
    assert ours == pytest.approx(reader.read(evidence).strength, rel=1e-6)
    assert theirs == pytest.approx(other.read(evidence, reader.periods).strength, rel=1e-6)
    assert ours > 40 > 25 > theirs


def test_a_take_shows_what_it_says(film: Clip) -> None:
    plain = Take(0, 1.0, 1.0, 0.0, 0.0, False, 1.0, 0.0, 120, 0)
    np.testing.assert_array_equal(np.array(plain.seen(film, 5)), np.array(film.pictures[:5]))
    (seen,) = Take(3, 1.0, 0.5, 1.0, 0.0, True, 1.0, 10.0, 60, 0).seen(film, 1)
    np.testing.assert_array_equal(seen, np.minimum(film.pictures[3][:60, :79:-1].astype(int) + 10, 255))
    quick = Take(0, 2.0, 1.0, 0.0, 0.0, False, 1.0, 0.0, 120, 0).seen(film, 80)
    np.testing.assert_array_equal(quick[10], film.pictures[20])
    np.testing.assert_array_equal(quick[75], film.pictures[148], "it goes there and back")


def test_takes_are_drawn_anew_and_again_alike(film: Clip) -> None:
    first = list(takes(film, 50, 1))
    assert first == list(takes(film, 50, 1)) != list(takes(film, 50, 2))
    assert len(set(first)) == 50
    assert {take.packed for take in first} == set(range(len(packings())))
    assert all(take.lines % 2 == 0 and 240 <= take.lines <= 360 for take in first)


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


def test_the_table_the_plot_and_the_docs_show_every_way(film: Clip, marked: Marked, tmp_path: Path) -> None:
    way = Way("as it leaves", greys, target=True)
    null = Null(np.linspace(12, 20, 50), np.linspace(12, 18, 50), 4_000_000, 50, 7)
    rows = [row(way, [tried(way, marked, Reader(periods=(1.0,)))])]
    numbers = {"ways": rows, "unmarked": summary(null, [film]), "psnr_db": 46.0, "ssim": 0.996, "films": ["room"]}
    console = Console(record=True, width=150, quiet=False)
    console.print(table(numbers))
    assert "as it leaves" in console.export_text()
    assert "0 false alarms in 50 different stretches" in sentence(numbers)
    plot(null, rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    for name in ("benchmarks.md", "marks.md"):
        (tmp_path / name).write_text("Before.\n<!-- marks: begin -->\nearlier numbers\n<!-- marks: end -->\nAfter.\n")
    Pages.read(tmp_path).measured(numbers, tmp_path / "plot.png").write()
    benchmarks, marks = ((tmp_path / name).read_text() for name in ("benchmarks.md", "marks.md"))
    for text in (benchmarks, marks):
        assert text.startswith("Before.\n")
        assert text.endswith("After.\n")
        assert "earlier numbers" not in text
        assert "are reached: found are 1 of 1 (as it leaves)" in text
        assert "50 different stretches of 5 s" in text
        assert "Called marked: none." in text
    assert "| **as it leaves** | 1 of 1 | 1 of 1 | 100.0 % |" in benchmarks
    assert "](plot.png)" in benchmarks


def test_docs_without_a_place_for_the_numbers_are_said(tmp_path: Path) -> None:
    with pytest.raises(LiveswapError, match=r"benchmarks.md cannot be read: no such file"):
        Pages.read(tmp_path)
