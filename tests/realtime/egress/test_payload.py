"""A payload comes back whole from a noisy message, and never from noise."""

import numpy as np
import pytest

from realtime.egress.payload import CODED_BITS, DATA_BITS, Payload, decode

PAYLOAD = Payload.of(bytes.fromhex("abcdef0123"), bytes.fromhex("1234567890"))


def test_it_is_made_of_the_first_bits_of_digest_and_session() -> None:
    assert (PAYLOAD.model, PAYLOAD.session) == ("abcde", "123456")
    assert Payload.of(b"", b"") == Payload("00000", "000000")
    assert DATA_BITS == 48


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_it_comes_back_from_noisy_signs(noise: float) -> None:
    drawn = np.random.default_rng(1)
    for _ in range(10):
        assert decode(PAYLOAD.coded() + drawn.normal(0, noise, CODED_BITS)) == PAYLOAD


def test_a_third_of_the_signs_may_be_missing() -> None:
    signs = PAYLOAD.coded().astype(float)
    signs[np.random.default_rng(2).permutation(CODED_BITS)[: CODED_BITS // 3]] = 0
    assert decode(signs) == PAYLOAD


def test_noise_says_nothing() -> None:
    drawn = np.random.default_rng(3)
    assert [decode(drawn.normal(0, 1, CODED_BITS)) for _ in range(50)] == [None] * 50


def test_another_format_is_not_understood() -> None:
    assert decode(Payload("abcde", "123456", 2).coded().astype(float)) is None
