"""A start is measured from the outside, up to the first swapped frame."""

from pathlib import Path

import pytest

from bench.startup import STEPS, once, table
from realtime.__main__ import DEMO
from realtime.errors import LiveswapError
from tests.models import write_shelf


def test_a_start_takes_its_steps_in_order(tmp_path: Path) -> None:
    seconds = once(DEMO, str(write_shelf(tmp_path)), cold=False)
    assert 0 < seconds["imported"] < seconds["loaded"] < seconds["swapped"]
    assert table({"warm": seconds, "cold": dict.fromkeys(STEPS, 1.0)}).row_count == 2


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(LiveswapError, match=r"a start failed: .*no file, folder or camera .*missing\.mp4"):
        once(tmp_path / "missing.mp4", str(write_shelf(tmp_path)), cold=False)
