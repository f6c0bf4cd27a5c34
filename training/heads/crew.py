"""Processes that draw side by side, one thread of OpenGL each, and end with whoever started them."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import TypeVar

import cv2

Job = TypeVar("Job")


def side_by_side(tasks: Mapping[Job, Callable[[], object]], workers: int) -> Iterator[Job]:
    """Does all tasks in `workers` processes; yields each job when it is done.

    Tasks are picklable (functools.partial of a module's function). Raises what a task raises. Left early, nothing
    further is begun and what is under way is finished; where this process is killed, the others end as well.
    """
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_settle) as pool:
        running = {pool.submit(task): job for job, task in tasks.items()}
        try:
            for future in as_completed(running):
                future.result()
                yield running[future]
        finally:
            pool.shutdown(cancel_futures=True)


def _settle() -> None:
    os.environ.setdefault("LP_NUM_THREADS", "1")  # Mesa's rasteriser: one thread a process, the processes are many
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone: nobody else would take what it draws, or stop it."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
