"""Frames of several threads go into one call; nobody waits for long, and one's failure is no other's."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.errors import ModelError
from realtime.face.geometry import Image
from realtime.swap.compose import ComposeSettings
from realtime.swap.fused.batcher import Batcher
from realtime.swap.fused.board import Board
from realtime.swap.fused.fit import FusedFit
from realtime.swap.fused.identity import Fusing
from realtime.swap.fused.painting import Done, Job, painted
from realtime.swap.identity import Shelf
from realtime.swap.session import SessionSettings
from realtime.swap.swapper import Swapper
from tests.models import write_shelf
from tests.realtime.swap.helpers import PlacedFaces, face_at, frame_of, scene

LONG = 20.0  # seconds that nothing here takes
PLAIN = ComposeSettings(grain=False)


class Painter:
    """Paints nothing; notes how many frames each call has, and fails for pictures that are all of one value."""

    def __init__(self, cursed: int = 255) -> None:
        self.calls: list[int] = []
        self.cursed = cursed

    def __call__(self, board: Board, jobs: Sequence[Job]) -> list[Done]:
        self.calls.append(len(jobs))
        if any((job.seen == self.cursed).all() for job in jobs):
            raise ModelError("the cursed picture")
        return [Done(job.seen, np.zeros((1, 9), np.float32), None) for job in jobs]


class Plain(Job):
    """A job that needs no model."""

    @property
    def kind(self) -> tuple[object, ...]:
        return (self.seen.shape,)


def job(value: int, side: int = 8) -> Job:
    picture = np.full((side, side, 3), value, np.uint8)
    return Plain(picture, picture, (), (True, True), False)


def all_at_once(batcher: Batcher, jobs: Sequence[Job]) -> list[Done | BaseException]:
    """What each of so many threads gets, which ask at the same time."""
    got: list[Done | BaseException] = [ModelError("nothing")] * len(jobs)
    begin = threading.Barrier(len(jobs))

    def ask(which: int) -> None:
        begin.wait()
        try:
            got[which] = batcher(jobs[which], which)
        except ModelError as error:
            got[which] = error

    threads = [threading.Thread(target=ask, args=(which,)) for which in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    return got


def known(batcher: Batcher, sessions: int) -> None:
    """Makes a batcher know so many sessions, so that it waits for all of them."""
    now = time.perf_counter() + LONG
    batcher._seen = dict.fromkeys(range(sessions), now)


def images(got: Sequence[Done | BaseException]) -> list[int]:
    return [int(done.image[0, 0, 0]) for done in got if isinstance(done, Done)]


def test_frames_that_come_together_go_in_one_call_and_each_gets_its_own() -> None:
    painter = Painter()
    batcher = Batcher(LONG, painting=painter)
    known(batcher, 4)
    assert images(all_at_once(batcher, [job(value) for value in range(4)])) == [0, 1, 2, 3]
    assert painter.calls == [4]


def test_who_is_alone_waits_for_nobody() -> None:
    painter, began = Painter(), time.perf_counter()
    batcher = Batcher(LONG, painting=painter)
    for value in range(3):
        assert int(batcher(job(value), "me").image[0, 0, 0]) == value
    assert time.perf_counter() - began < LONG / 2
    assert painter.calls == [1, 1, 1]


def test_nobody_waits_longer_than_was_said() -> None:
    batcher = Batcher(0.01, painting=Painter())
    known(batcher, 9)  # eight of which do not come
    began = time.perf_counter()
    batcher(job(1), 0)
    assert 0.01 <= time.perf_counter() - began < LONG / 2


def test_only_frames_of_one_size_share_a_call() -> None:
    painter = Painter()
    batcher = Batcher(0.05, painting=painter)
    known(batcher, 4)
    got = all_at_once(batcher, [job(0), job(1, 16), job(2), job(3, 16)])
    assert images(got) == [0, 1, 2, 3]
    assert sum(painter.calls) == 4
    assert max(painter.calls) <= 2


def test_a_call_takes_no_more_than_the_most() -> None:
    painter = Painter()
    batcher = Batcher(0.05, most=3, painting=painter)
    known(batcher, 7)
    assert images(all_at_once(batcher, [job(value) for value in range(7)])) == list(range(7))
    assert max(painter.calls) == 3


def test_one_sessions_failure_is_no_others() -> None:
    batcher = Batcher(LONG, painting=Painter(cursed=1))
    known(batcher, 3)
    got = all_at_once(batcher, [job(value) for value in range(3)])
    assert images(got) == [0, 2]
    assert isinstance(got[1], ModelError)
    assert "cursed" in str(got[1])


def test_an_unexpected_failure_leaves_nobody_waiting() -> None:
    def broken(board: Board, jobs: Sequence[Job]) -> list[Done]:
        raise RuntimeError("the card is gone")

    batcher = Batcher(0.0, painting=broken)
    with pytest.raises(RuntimeError, match="the card is gone"):
        batcher(job(1), 0)
    with pytest.raises(RuntimeError, match="the card is gone"):
        batcher(job(1), 0)


def test_sessions_that_share_a_batcher_get_the_frames_they_would_get_alone(tmp_path: Path) -> None:
    cpu = SessionSettings(provider="cpu", threads=1)
    shelf = Shelf.load(write_shelf(tmp_path), cpu, opening=Fusing(cpu))
    pictures = [smooth(seed) for seed in range(3)]
    found = [
        Swapper(PlacedFaces([face_at(160, 120, 90 + 10 * place)]), shelf, "aster")(frame_of(picture))
        for place, picture in enumerate(pictures)
    ]
    alone = [FusedFit(PLAIN)(one).image for one in found]
    calls: list[int] = []

    def noted(board: Board, jobs: Sequence[Job]) -> list[Done]:
        calls.append(len(jobs))
        return painted(board, jobs)

    batcher = Batcher(LONG, painting=noted)
    known(batcher, 3)
    fits = [FusedFit(PLAIN, None, batcher) for _ in found]
    batcher._seen = {fit: time.perf_counter() + LONG for fit in fits}
    shown: list[Image | None] = [None] * 3
    threads = [
        threading.Thread(target=lambda which=which: shown.__setitem__(which, fits[which](found[which]).image))
        for which in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert calls == [3]
    for one, other in zip(shown, alone, strict=True):
        assert one is not None
        assert np.abs(one.astype(int) - other).max() <= 1


def smooth(seed: int) -> Image:
    return np.asarray(cv2.GaussianBlur(scene(seed=seed), (0, 0), 6), np.uint8)
