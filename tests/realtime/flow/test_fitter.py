"""Pictures of any size in one size: with bars, or cut; and what that leaves of the label."""

import numpy as np
import pytest

from realtime.errors import SettingsError
from realtime.flow.fitter import Fitter
from realtime.flow.letterbox import cover
from tests.realtime.flow.things import frame


def test_the_first_frame_decides_the_size_and_others_get_bars() -> None:
    fit = Fitter()
    first = frame(0, size=(64, 48))
    assert fit(first) is first
    fitted = fit(frame(200, size=(30, 90)))
    assert fitted.image.shape == (48, 64, 3)
    assert fitted.image[:, :20].max() == 0
    assert (fitted.index, fitted.image[24, 32, 0]) == (200, 200)


def test_cropping_fills_the_size_without_bars() -> None:
    fit = Fitter("crop", 64, 48)
    for size in ((30, 90), (200, 20), (128, 96)):
        fitted = fit(frame(200, size=size))
        assert fitted.image.shape == (48, 64, 3)
        assert fitted.image.min() == 200


def test_what_is_cropped_is_the_middle() -> None:
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = 255
    assert cover(image, 50, 50).min() > 250


def test_odd_sizes_are_made_even() -> None:
    assert Fitter()(frame(0, size=(63, 47))).image.shape == (48, 64, 3)
    assert Fitter("crop", 63, 47)(frame(0, size=(10, 10))).image.shape == (48, 64, 3)


def test_another_way_is_one_sentence() -> None:
    with pytest.raises(SettingsError, match="fit is 'stretch', wanted letterbox or crop"):
        Fitter("stretch")
