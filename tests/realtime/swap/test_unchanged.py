"""A picture is the one before only where every byte is."""

import numpy as np
import pytest

from realtime.face.geometry import Image
from realtime.swap.unchanged import Unchanged, equal


def noise(height: int = 90, width: int = 160) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_the_first_picture_is_new_and_every_other_is_compared_with_the_one_before() -> None:
    unchanged, one, other = Unchanged(), noise(), noise()
    other[0, 1, 0] ^= 1
    assert [unchanged(image) for image in (one, one, one.copy(), other, one, one)] == [0, 1, 1, 0, 0, 1]


@pytest.mark.parametrize("size", [(90, 160), (7, 9), (720, 1280), (1, 1)])
def test_one_byte_of_difference_anywhere_is_seen(size: tuple[int, int]) -> None:
    image = noise(*size)
    assert equal(image, image.copy())
    for y, x in {(0, 0), (size[0] // 2, size[1] // 3), (size[0] - 1, size[1] - 1)}:
        other = image.copy()
        other[y, x, 2] ^= 1
        assert not equal(image, other)


def test_pictures_with_gaps_and_of_other_sizes_are_compared_as_well() -> None:
    wide = noise(90, 320)
    gaps = wide[:, ::2]
    assert equal(gaps, np.ascontiguousarray(gaps))
    assert not equal(gaps, wide)
    assert not equal(noise(160, 90), noise(90, 160))
