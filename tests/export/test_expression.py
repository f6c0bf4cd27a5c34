"""Two forms of an identity do the same where what is read of their faces goes together."""

import numpy as np
import pytest
from numpy.typing import NDArray

from export.crops import stored_crops
from export.expression import FEWEST, LEAST, Read, Reader, together
from tests.models import drawn_face

COUNT = 40


def read(noise: float = 0.0, spread: float = 4.0, count: int = COUNT, seen: NDArray[np.bool_] | None = None) -> Read:
    """Faces that move `spread` times as much as counts, read with noise as a share of that."""
    steps = np.array(list(LEAST.values())) * spread
    doing = np.random.default_rng(0).normal(0, 1, (count, len(LEAST)))
    doing += noise * np.random.default_rng(1).normal(0, 1, doing.shape)
    return Read(doing * steps, np.ones(count, bool) if seen is None else seen)


def test_the_same_goes_together() -> None:
    assert together(read(), read()) == pytest.approx(dict.fromkeys(LEAST, 1.0))


def test_noise_lowers_the_correlation() -> None:
    r = together(read(noise=0.3), read())
    assert all(0.9 < value < 0.99 for value in r.values())


def test_what_hardly_moves_does_not_count() -> None:
    reference = read()
    reference.doing[:, 2] *= 0.1
    assert set(together(read(), reference)) == set(LEAST) - {"jaw"}


def test_a_face_that_stands_still_goes_with_nothing() -> None:
    frozen = read()
    frozen.doing[:] = frozen.doing[:1]
    assert together(frozen, read()) == dict.fromkeys(LEAST, 0.0)


def test_few_faces_or_none_that_is_seen_say_nothing() -> None:
    assert together(read(count=FEWEST - 1), read(count=FEWEST - 1)) == {}
    assert together(read(), read(seen=np.arange(COUNT) < FEWEST - 1)) == {}


def test_faces_are_read_over_a_plain_ground() -> None:
    crops = stored_crops(160, 1.0)[:16]
    _, mask = drawn_face((0, 0, 0), 160)
    masks = np.stack([mask] * len(crops))
    found = Reader.load(1)((crops / 255).astype(np.float32), masks)
    assert found.doing.shape == (16, len(LEAST))
    assert found.seen.mean() > 0.8
    assert together(found, found)["yaw"] == pytest.approx(1)
    nothing = Reader.load(1)(np.zeros((2, 160, 160, 3), np.float32), masks[:2])
    assert not nothing.seen.any()
