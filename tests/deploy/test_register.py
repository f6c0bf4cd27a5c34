"""What a cluster's front knows of replicas, which needs no Ray: who is there, and whose a key is."""

import pytest

from deploy.ray.calls import replica_in
from deploy.ray.register import FORGOTTEN_S, Place, Register


def test_replicas_are_there_until_they_have_been_silent_for_long() -> None:
    now = 100.0
    register = Register(lambda: now)
    one, other = (
        Place("one", "node", "http://10.0.0.1:9", "secret", 0),
        Place("other", "node", "http://10.0.0.2:9", "", 2),
    )
    register.note(one)
    now += FORGOTTEN_S / 2
    register.note(other)
    assert register.places() == {"one": one, "other": other}
    now += FORGOTTEN_S / 2 + 1
    assert register.places() == {"other": other}
    register.note(one)
    register.remove("other")
    register.remove("other")
    assert register.places() == {"one": one}


@pytest.mark.parametrize(
    ("word", "replica"), [("a1b2c3.s-e_cret", "a1b2c3"), ("obs", ""), ("", ""), (".key", ""), ("a.b.c", "a.b")]
)
def test_a_key_says_where_its_session_is(word: str, replica: str) -> None:
    assert replica_in(word) == replica
