"""Steps are told apart from what is within them, and what they make and write is counted."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.arrays import LARGE, tallied
from bench.steps import Cost, Watch, inference_in, own
from bench.steps_plot import check_plot, placed
from realtime.errors import SettingsError
from realtime.face.landmarks import Landmarker


def test_a_step_does_not_cost_what_is_within_it_except_its_own_inference() -> None:
    passed = {
        ("swap",): Cost(10, 100, 9),
        ("swap", "track"): Cost(6, 60, 5),
        ("swap", "track", "align"): Cost(2, 20, 2),
        ("swap", "track", "inference"): Cost(3, 0, 0),
        ("swap", "align"): Cost(1, 10, 1),
    }
    assert own(passed, "swap") == Cost(3, 30, 3)
    assert own(passed, "track") == Cost(4, 40, 3)
    assert own(passed, "align") == Cost(3, 30, 3)
    assert own(passed, "decode") is None
    assert inference_in(passed, "track") == 3
    assert inference_in(passed, "swap") == 0


def test_arrays_and_what_is_written_into_given_ones_are_counted() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    small = np.empty((50, 50, 3), np.uint8)
    with tallied() as tally:
        first = np.add(image, image)
        cv2.resize(image, (50, 50))
        cv2.resize(image, (50, 50), dst=small)
        np.copyto(small, small)
        large = np.empty(LARGE + 1, np.uint8)
    seen = tally.written, tally.large
    assert seen == (first.nbytes + 3 * small.nbytes + large.nbytes, 1)
    del first, large
    assert np.ones(LARGE + 1).any()
    cv2.resize(image, (50, 50), dst=small)
    assert (tally.written, tally.large) == seen


def test_what_is_watched_is_as_before_afterwards() -> None:
    before = cv2.resize, np.copyto, Landmarker.__call__
    with Watch().watching(), tallied():
        during = cv2.resize, np.copyto, Landmarker.__call__
    assert all(one is not other for one, other in zip(before, during, strict=True))
    assert (cv2.resize, np.copyto, Landmarker.__call__) == before


def test_parts_stand_over_their_whole_one_beside_the_other() -> None:
    means = {("swap", "track"): 2.0, ("swap", "track", "align"): 1.0, ("swap",): 5.0, ("swap", "encode"): 1.0}
    means |= {("compose",): 3.0}
    assert placed(means) == {
        (("swap",), 0.0): 5.0,
        (("compose",), 5.0): 3.0,
        (("swap", "track"), 0.0): 2.0,
        (("swap", "encode"), 2.0): 1.0,
        (("swap", "track", "align"), 0.0): 1.0,
    }


def test_a_plot_of_another_kind_is_refused() -> None:
    check_plot(None)
    with pytest.raises(SettingsError, match=r"--plot is 'x\.svg', wanted a name that ends in \.png"):
        check_plot(Path("x.svg"))
