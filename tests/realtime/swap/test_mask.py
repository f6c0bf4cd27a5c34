"""A face shows where its mask and the person's outline say so, with a soft edge."""

import numpy as np
import pytest

from realtime.face.geometry import template, to_pixels
from realtime.swap.mask import Edge, Shown, outline_of
from tests.models import drawn_face

SIZE = 160


def square() -> np.ndarray:
    hard = np.zeros((SIZE, SIZE), np.float32)
    hard[40:120, 40:120] = 1
    return hard


def soft(shown: Shown) -> int:
    """Pixels that are neither in nor out."""
    return int(((shown > 12) & (shown < 243)).sum())


def test_a_small_faces_edge_is_soft_in_the_frame() -> None:
    edge = Edge()
    assert soft(edge(square(), 8.0)) > 2 * soft(edge(square(), 0.5))


@pytest.mark.parametrize("size", [96, 160, 256])
def test_the_edge_is_as_soft_as_the_face_is_large(size: int) -> None:
    _, mask = drawn_face((0, 0, 0), size)
    line = Edge()(mask, 0.3)[round(0.55 * size)].astype(int)
    width = ((line > 12) & (line < 243)).sum() / 2 / size
    assert 0.01 < width < 0.05


def test_outside_the_mask_nothing_shows() -> None:
    """Not even where the blur of the edge reaches: there the render's background would be seen."""
    assert Edge()(square(), 1.0)[square() == 0].max() <= 32


def test_the_border_of_the_crop_shows_nothing() -> None:
    shown = Edge()(np.ones((SIZE, SIZE), np.float32), 1.0)
    assert not np.concatenate([shown[0], shown[-1], shown[:, 0], shown[:, -1]]).any()
    assert (shown[SIZE // 4 : -SIZE // 4, SIZE // 4 : -SIZE // 4] == 255).all()


def test_a_mask_wider_than_the_persons_jaw_ends_at_the_jaw() -> None:
    outline = to_pixels(outline_of(template()), SIZE)
    shown = Edge()(np.ones((SIZE, SIZE), np.float32), 1.0, outline)
    row = round(0.74 * SIZE)  # of the jaw's fourth and twelfth point
    left, right = to_pixels(template()[[4, 12]], SIZE)[:, 0].round().astype(int)
    assert shown[row, left + 6 : right - 5].min() == 255
    assert shown[row, : left - 3].max() == 0
    assert shown[row, right + 4 :].max() == 0


def test_forehead_and_temples_have_no_outline_to_end_at() -> None:
    _, mask = drawn_face((0, 0, 0), SIZE)
    edge = Edge()
    above = slice(0, round(0.35 * SIZE))
    free, bound = edge(mask, 1.0)[above], edge(mask, 1.0, to_pixels(outline_of(template()), SIZE))[above]
    assert np.abs(free.astype(int) - bound).max() <= 1


def test_masks_of_another_size_get_a_border_of_theirs() -> None:
    edge = Edge()
    assert edge(np.ones((64, 64), np.float32), 1.0).shape == (64, 64)
    assert edge(np.ones((96, 96), np.float32), 1.0).shape == (96, 96)
