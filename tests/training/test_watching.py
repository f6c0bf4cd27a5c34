"""A training is seen: a display in a terminal, lines elsewhere, and a file of curves that follows resumes."""

import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from tests.training.facesets import write_faceset
from tests.training.test_own import tiny
from training.curves import CURVES, Curves, read_curves
from training.display import Display, by_person, clock, displayed
from training.loop import Moment
from training.watching import All, Lines, watched

NUMBERS = {"ann_psnr": 21.04, "ann_ssim": 0.8126}


def moment(step: int, tested: bool = False, **more: Any) -> Moment:
    """A training of 100 steps, two seconds each."""
    said: dict[str, Any] = {"seconds": 2.0 * step, "left": 200.0 - 2 * step, "speed": 0.5, "rate": 1e-3}
    losses = {"l1": 2.0 / (1 + step), "mask": 0.25}
    return Moment(**{"step": step, "losses": losses, "numbers": NUMBERS, "tested": tested, **said, **more})


def test_a_terminal_shows_speed_losses_likeness_and_time_left() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120, color_system=None)
    with displayed(console) as display:
        display.step(moment(40, tested=True, first=True))
    shown = text.getvalue()
    for part in ("step 40", "0.50 it/s", "1:20 · 2:00 left", "loss 0.2988", "l1 0.0488", "ann SSIM 0.813", "21.0 dB"):
        assert part in shown
    assert "held out, at step 40" in shown


def test_the_display_is_drawn_four_times_a_second_at_most() -> None:
    text = io.StringIO()
    with displayed(Console(file=text, force_terminal=True, width=80, color_system=None)) as display:
        display._drawn_at = float("inf")  # the clock never comes that far
        display.step(moment(50))
        assert "step 50" not in text.getvalue()
        display.step(moment(51, last=True))
        assert "step 51" in text.getvalue()


def test_what_is_logged_goes_above_the_display_and_the_log_is_as_before_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = io.StringIO()
    monkeypatch.setattr(sys, "stderr", text)
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    try:
        with displayed(Console(file=text, force_terminal=True, width=80, color_system=None)) as display:
            display.step(moment(1, first=True))
            before = len(text.getvalue())
            logging.getLogger("somebody").warning("the disk is full")
            assert "step 1" in text.getvalue()[before:].partition("the disk is full")[2]  # drawn again below it
        assert handler.stream is text
    finally:
        logging.getLogger().removeHandler(handler)


def test_lines_are_logged_where_there_is_no_terminal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with watched(tmp_path, 10, Console(file=io.StringIO()), board=False) as watch:
        assert isinstance(watch, All)
        assert isinstance(watch.watchers[0], Lines)
        for step in range(1, 21):
            watch.step(moment(step))
    assert [record.message for record in caplog.records] == [
        "step 10 20 s l1 0.1818 mask 0.2500 | ann_psnr 21.040 ann_ssim 0.813 | 0.50 it/s, 3.0 min left",
        "step 20 40 s l1 0.0952 mask 0.2500 | ann_psnr 21.040 ann_ssim 0.813 | 0.50 it/s, 2.7 min left",
    ]
    with watched(tmp_path, 10, Console(file=io.StringIO(), force_terminal=True), board=False) as watch:
        assert isinstance(watch, All)
        assert isinstance(watch.watchers[0], Display)
    with watched(tmp_path, 10, None) as watch:
        assert watch == All([])


def test_curves_have_a_line_for_each_interval_and_each_measurement(tmp_path: Path) -> None:
    curves = Curves(tmp_path, 10)
    curves.step(moment(0, tested=True, first=True))
    for step in range(1, 26):
        curves.step(moment(step, tested=step == 13, numbers={"ann_ssim": 0.5, "ann_psnr": float("nan")}))
    curves.step(moment(25, tested=True, last=True))
    points = read_curves(tmp_path / CURVES)
    assert [point.step for point in points] == [0, 10, 13, 20, 25]
    assert [dict(point.measures) for point in points] == [NUMBERS, {}, {"ann_ssim": 0.5}, {}, NUMBERS]
    assert points[1].minutes == pytest.approx(20 / 60, rel=1e-5)
    assert points[1].losses["l1"] == pytest.approx(2 / 11, rel=1e-5)
    spent = [point.core_minutes for point in points]
    assert spent == sorted(spent)
    assert spent[0] >= 0


def test_a_training_that_goes_on_goes_on_with_its_curves(tmp_path: Path) -> None:
    """What lies beyond the checkpoint, and a line that was cut off, go; the processor's time goes on."""
    curves = Curves(tmp_path, 10)
    curves.step(moment(0, first=True))
    for step in range(1, 41):
        curves.step(moment(step))
    path = tmp_path / CURVES
    lines = path.read_text().splitlines()
    lines[2] = json.dumps({**json.loads(lines[2]), "core_minutes": 7.0})  # as if much had been done
    path.write_text("\n".join([*lines, lines[-1][:20]]))
    again = Curves(tmp_path, 10)
    again.step(moment(25, first=True))
    assert [point.step for point in read_curves(path)] == [0, 10, 20]
    for step in range(26, 31):
        again.step(moment(step))
    points = read_curves(path)
    assert [point.step for point in points] == [0, 10, 20, 30]
    assert points[3].core_minutes >= points[2].core_minutes >= 7
    again.step(moment(12))  # gone back to an earlier checkpoint
    assert [point.step for point in read_curves(path)] == [0, 10]
    Curves(tmp_path, 10).step(moment(0, first=True))
    assert [point.step for point in read_curves(path)] == [0]


def test_curves_that_cannot_be_written_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / CURVES
    curves = Curves(tmp_path, 1)
    curves.step(moment(0, first=True))
    path.unlink()
    path.symlink_to("/dev/full")
    for step in (1, 2):
        curves.step(moment(step))
    assert len(caplog.records) == 1
    assert "No space left on device; the training goes on" in caplog.text
    path.unlink()
    path.write_text('{"step": 9')  # what was under way when the disk was full
    curves.step(moment(3))
    assert [point.step for point in read_curves(path)] == [3]


def test_a_training_writes_its_curves(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    people = tuple(str(write_faceset(tmp_path / name, name, seed=seed)) for seed, name in enumerate(("aster", "cedar")))
    run = tmp_path / "run"
    with watched(run, 2, Console(file=io.StringIO())) as watch:
        tiny(people, run, 3, watch=watch)
    with watched(run, 2, Console(file=io.StringIO())) as watch:
        tiny(people, run, 6, resume=True, watch=watch)
    points = read_curves(run / CURVES)
    assert [point.step for point in points] == [0, 2, 3, 4, 6]
    assert {"l1", "dssim", "mask", "auxiliary"} == set(points[1].losses)
    assert [set(point.measures) for point in points if point.measures] == [
        {"aster_psnr", "aster_ssim", "cedar_psnr", "cedar_ssim"}
    ] * 4
    assert points[-1].minutes > points[1].minutes


@pytest.mark.parametrize(("seconds", "said"), [(0, "0:00"), (65, "1:05"), (7389, "2:03:09"), (-4, "0:00")])
def test_times_are_said_as_on_a_clock(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_measures_are_grouped_by_person() -> None:
    assert by_person({**NUMBERS, "blink_r": 0.3, "bob_ssim": 0.7}) == {"ann": {"psnr": 21.04, "ssim": 0.8126}}
