"""What ended sessions leave is collected, soon and once, whatever Python's own collector does."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from realtime.webrtc import leavings
from realtime.webrtc.leavings import Leavings


class Ring:
    """Refers to itself, as peers refer to each other, so that only a collector frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No collector but ours, and one that does not wait."""
    monkeypatch.setattr(leavings, "SOON_S", 0.01)
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


async def test_what_is_left_is_freed_soon() -> None:
    left = weakref.ref(Ring())
    assert left() is not None
    Leavings().clear_soon()
    await asyncio.sleep(0.1)
    assert left() is None


async def test_ends_that_come_together_are_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: looks.append(1))
    ours = Leavings()
    for _ in range(3):
        ours.clear_soon()
    await asyncio.sleep(0.1)
    assert len(looks) == 1
    ours.clear_soon()
    await asyncio.sleep(0.1)
    assert len(looks) == 2


async def test_what_was_there_before_is_passed_over() -> None:
    before = weakref.ref(Ring())
    ours = Leavings()
    there = Ring()
    ours.freeze()
    assert before() is None
    assert gc.get_freeze_count() > 0
    kept = weakref.ref(there)
    del there
    ours.clear_soon()
    await asyncio.sleep(0.1)
    assert kept() is not None
