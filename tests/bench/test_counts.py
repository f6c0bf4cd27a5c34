"""The guard against becoming slower: what a frame costs, counted, which no busy machine changes."""

from pathlib import Path

import pytest

from bench.counts import counted, measure, table
from realtime.__main__ import DEMO
from realtime.errors import SourceMissing
from realtime.settings import load
from tests.models import write_shelf
from tests.realtime.people import astronaut_clip


def test_a_followed_face_costs_one_inference_of_each_network_and_few_looks() -> None:
    numbers = measure(load(None, {}), DEMO, 60)
    often = numbers["inferences_per_100_frames"]
    assert (often["landmarks"], often["encoder"], often["decoder"]) == (100, 100, 100)
    assert 0 < often["detector"] <= 20  # two looks a second, some of them in two views
    assert numbers["large_arrays"] == {"swap": 0, "compose": 0, "marks": 0}  # the detector's looks included
    assert numbers["inferences_per_100_still_frames"] == 0
    assert numbers["peak_kib"]["swap"] < 128
    assert numbers["peak_kib"]["compose"] < 64
    assert numbers["peak_kib"]["marks"] < 64  # pictures handed on, and all in between, go round
    assert numbers["kept_kib"]["compose"] <= 8
    assert numbers["kept_kib"]["marks"] <= 8
    assert table(numbers).row_count == 10


def test_inferences_are_counted_only_until_the_end(tmp_path: Path) -> None:
    folder = str(write_shelf(tmp_path))
    with counted() as inside:
        first = measure(load(None, {"models": folder}), DEMO, 10)
    before = dict(inside)
    assert first["frames"] == 10
    measure(load(None, {"models": folder}), DEMO, 10)
    assert dict(inside) == before


def test_a_clip_that_is_too_short_or_missing_is_refused(tmp_path: Path) -> None:
    settings = load(None, {"models": str(write_shelf(tmp_path))})
    with pytest.raises(SourceMissing, match="has 12 frames, wanted 40"):
        measure(settings, astronaut_clip(tmp_path / "short.mp4", 12), 10)
    with pytest.raises(SourceMissing, match="there is no file"):
        measure(settings, tmp_path / "missing.mp4", 10)
