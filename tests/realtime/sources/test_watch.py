"""Black and frozen pictures are noticed, once."""

import logging
from collections.abc import Iterable

import numpy as np
import pytest

from realtime.flow.letterbox import Image
from realtime.sources.watch import Watch
from tests.realtime.swap.helpers import scene

DARK_ROOM = np.random.default_rng(1).integers(0, 40, (240, 320, 3)).astype(np.uint8)


def said(caplog: pytest.LogCaptureFixture, pictures: Iterable[Image], rate: float = 10.0) -> list[str]:
    """What is logged of pictures that come so many times a second."""
    watch = Watch("cam")
    with caplog.at_level(logging.WARNING, "realtime"):
        for number, picture in enumerate(pictures):
            watch.see(picture, number / rate)
    return caplog.messages


def noisy(image: Image, seed: int) -> Image:
    """With a sensor's noise."""
    noise = np.random.default_rng(seed).integers(0, 3, image.shape)
    return (image + noise).astype(np.uint8)


def test_black_for_three_seconds_is_said_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    black = np.zeros((240, 320, 3), np.uint8)
    pictures = [noisy(black, n) for n in range(60)] + [noisy(scene(), n) for n in range(3)]
    assert said(caplog, pictures) == [
        "cam has been black for 3 s: is the lens covered, or its shutter closed?",
        "cam is not black any more",
    ]


def test_the_same_picture_for_three_seconds_is_said_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    pictures = [scene()] * 60 + [noisy(scene(), n) for n in range(3)]
    assert said(caplog, pictures) == [
        "cam has been frozen for 3 s: it gives the same picture again and again",
        "cam is not frozen any more",
    ]


@pytest.mark.parametrize(
    "pictures",
    [
        [scene()] * 29 + [scene(seed=1)] + [scene()] * 29,
        [noisy(scene(), n) for n in range(60)],
        [noisy(DARK_ROOM, n) for n in range(60)],
    ],
    ids=["not for long enough", "nobody moves", "a dark room"],
)
def test_what_is_no_fault_is_not_said(caplog: pytest.LogCaptureFixture, pictures: list[Image]) -> None:
    assert said(caplog, pictures) == []


def test_a_change_of_size_is_another_picture(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, [scene(320, 240), scene(160, 120)] * 30) == []
