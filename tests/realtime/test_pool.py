"""Memory goes round, and never while somebody still looks at it."""

import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.pool import Pool, Scratch

SHAPE = (64, 96, 3)
Array = NDArray[Any]


def place(array: Array) -> int:
    """Where its memory is."""
    return int(array.__array_interface__["data"][0])


def test_what_nobody_holds_is_given_again() -> None:
    pool = Pool()
    assert len({place(pool.take(SHAPE)) for _ in range(20)}) == 1


@pytest.mark.parametrize(
    "kept",
    [
        lambda array: array,
        lambda array: array[3:5],
        lambda array: array[3:5][:, 7:, 1],
        lambda array: array.view(np.int8),
        lambda array: array.reshape(-1)[::2],
        lambda array: array.T,
        np.asarray,
        memoryview,
        lambda array: memoryview(array[1:])[2:],
        lambda array: np.frombuffer(array, np.uint8),
        lambda array: np.broadcast_to(array, (2, *SHAPE)),
        lambda array: [{"deep": array[0]}],
    ],
)
def test_what_somebody_holds_a_part_of_is_not_written_to(kept: Callable[[Array], object]) -> None:
    pool = Pool()
    first = pool.take(SHAPE)
    first[:] = 7
    at = place(first)
    held = kept(first)
    del first
    assert at not in {place(pool.take(SHAPE)) for _ in range(20)}
    del held
    assert at in {place(array) for array in [pool.take(SHAPE) for _ in range(2)]}


def test_a_frame_of_pyav_that_shares_the_memory_keeps_it() -> None:
    pool = Pool()
    first = pool.take((64, 96, 3))
    first[:] = 9
    picture = av.VideoFrame.from_numpy_buffer(first, format="rgb24")
    del first
    for _ in range(5):
        pool.take((64, 96, 3))[:] = 0
    assert (picture.to_ndarray() == 9).all()


def test_more_than_go_round_are_new_and_stay_with_whoever_keeps_them() -> None:
    pool = Pool()
    kept = []
    for number in range(40):
        array = pool.take(SHAPE)
        array[:] = number
        kept.append(array)
    assert all((array == number).all() for number, array in enumerate(kept))
    del array, kept
    assert len({place(pool.take(SHAPE)) for _ in range(20)}) == 1


def test_another_size_or_type_is_what_was_asked_for() -> None:
    pool = Pool()
    one = pool.take((2, 5), np.float32)
    assert one.shape == (2, 5)
    assert one.dtype == np.float32
    del one
    assert pool.take((10,), np.int32).shape == (10,)  # as many bytes
    assert pool.take((3, 3)).nbytes == 9
    assert pool.take((0, 4)).size == 0


def test_a_copy_is_equal_and_its_own() -> None:
    array = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    out = Pool().copy(array[:, ::2])
    assert np.array_equal(out, array[:, ::2])
    assert not np.shares_memory(out, array)


def test_threads_that_hold_and_let_go_never_see_another_number() -> None:
    pool, wrong = Pool(), []
    box: list[tuple[int, Array]] = []
    ready, over = threading.Semaphore(0), threading.Event()

    def look() -> None:
        while ready.acquire() and not over.is_set():
            number, array = box.pop(0)
            wrong.extend([number] if (array[::7] != number).any() else [])

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(400):
        array = pool.take((200,), np.int64)
        array[:] = number
        box.append((number, array))
        del array
        ready.release()
    while box:
        pass
    over.set()
    ready.release(len(readers))
    for reader in readers:
        reader.join()
    assert not wrong


def test_in_the_steady_state_nothing_is_allocated() -> None:
    pool, scratch = Pool(), Scratch()
    shape = (1000, 1000)
    pool.take(shape), scratch("one", shape)
    tracemalloc.start()
    try:
        for _ in range(5):
            pool.take(shape)[:] = 1
            scratch("one", shape)[:] = 2
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000


def test_scratch_is_the_same_memory_by_name() -> None:
    scratch = Scratch()
    one, other = scratch("one", (4, 5), np.float32), scratch("other", (4, 5), np.float32)
    assert not np.shares_memory(one, other)
    assert place(scratch("one", (2, 2))) == place(one)
    assert scratch("one", (100, 100)).shape == (100, 100)
    assert scratch("one", (0, 3)).size == 0


def test_each_thread_has_scratch_of_its_own() -> None:
    scratch = Scratch()
    ours, theirs = scratch("one", (50, 50)), []
    thread = threading.Thread(target=lambda: theirs.append(scratch("one", (50, 50))))
    thread.start()
    thread.join()
    assert not np.shares_memory(ours, theirs[0])
