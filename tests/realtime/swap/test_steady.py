"""What is measured in every frame is followed, but not each of its twitches."""

import numpy as np
import pytest

from realtime.swap.steady import FORGET, Looks, Steady

RATES = (12.5, 30.0, 60.0)  # frames in a second


def followed(values: list[float], rate: float, unit: float = 6.0) -> np.ndarray:
    steady = Steady(unit)
    out = []
    for index, value in enumerate(values):
        now = steady(np.array([value]), index / rate)
        assert now is not None
        out.append(now[0])
    return np.array(out)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("step", [0.1, 4.0, 60.0])
def test_nine_tenths_of_a_step_are_followed_within_half_a_second(rate: float, step: float) -> None:
    half = int(0.5 * rate)
    out = followed([0.0] * 10 + [step] * (half + 1), rate)
    assert 0.9 * step <= out[-1] <= step
    assert (np.diff(out) >= 0).all()  # and never beyond


def test_noise_in_steady_out() -> None:
    noise = np.random.default_rng(0).normal(50, 0.5, 300)
    assert followed(noise.tolist(), 30)[30:].std() < 0.4 * noise.std()


def test_a_flicker_from_frame_to_frame_hardly_passes() -> None:
    flicker = [50 + 2.0 * (-1) ** index for index in range(90)]
    assert np.ptp(followed(flicker, 30)[30:]) < 0.2 * 4.0


def test_what_is_not_trusted_moves_nothing() -> None:
    steady = Steady(6.0)
    steady(np.array([1.0]), 0.0)
    assert steady(np.array([9.0]), 0.1, trust=0.0) == pytest.approx([1.0])
    assert steady(None, 0.2) == pytest.approx([1.0])


def test_without_a_measurement_nothing_is_known() -> None:
    assert Steady(1.0)(None, 0.0) is None


@pytest.mark.parametrize("later", [FORGET + 0.1, -1.0])
def test_after_a_second_or_when_time_goes_back_it_starts_anew(later: float) -> None:
    steady = Steady(6.0)
    steady(np.array([1.0]), 5.0)
    assert steady(np.array([2.0]), 5.0 + later) == pytest.approx([2.0])


def test_a_face_that_was_away_for_more_than_a_second_is_met_anew() -> None:
    looks = Looks()
    first = looks.of(1, 0.0)
    assert looks.of(1, 0.9) is first
    assert looks.of(2, 1.0) is not first
    assert looks.of(1, 1.9 + FORGET) is not first
