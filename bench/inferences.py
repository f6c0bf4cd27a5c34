"""Every inference of this process, seen by whoever measures."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import onnxruntime as ort

Run = Callable[..., Any]  # of a session and what it is given


@contextmanager
def through(around: Callable[[Run], Run]) -> Iterator[None]:
    """Until the end, each way of running a model is what around makes of it."""
    with ExitStack() as patches:
        for name in ("run", "run_with_iobinding"):
            made = around(getattr(ort.InferenceSession, name))
            patches.enter_context(mock.patch.object(ort.InferenceSession, name, made))
        yield
