"""A picture with a sentence."""

import numpy as np
import pytest

from realtime.flow.card import card

LINES = ("The camera is away.", "It will be back.")


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (640, 480), (360, 640), (97, 300), (2000, 160)])
def test_words_stand_whole_in_the_middle(width: int, height: int) -> None:
    image = card(width, height, LINES)
    assert image.shape == (height, width, 3)
    rows, columns = np.nonzero(image.max(axis=2) > 150)
    assert rows.size
    assert rows.min() > 0.1 * height
    assert rows.max() < 0.9 * height
    assert abs((rows.min() + rows.max()) / 2 - height / 2) < 0.1 * height
    assert columns.min() > 0.05 * width
    assert columns.max() < 0.95 * width


def test_where_nobody_could_read_them_there_are_none() -> None:
    assert len(np.unique(card(64, 48, LINES).reshape(-1, 3), axis=0)) == 1
