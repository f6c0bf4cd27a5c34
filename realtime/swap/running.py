"""Runs a model so that its answers are in memory that goes round."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from realtime.pool import Pool

_FLOAT: Final = "tensor(float)"


class _Memory(threading.local):
    """What one thread has for its runs."""

    def __init__(self) -> None:
        self.session: ort.InferenceSession | None = None
        self.binding: Any = None
        self.shapes: Mapping[str, tuple[int, ...]] = {}  # of one answer, by output; those of a fixed size
        self.pools: Mapping[str, Pool] = {}


class Runner:
    """Runs a session, one at a time on each thread; any number of threads may, as they may with the session itself."""

    def __init__(self) -> None:
        self._memory = _Memory()

    def __call__(
        self, session: ort.InferenceSession, feed: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> list[NDArray[np.float32]]:
        """The answers to these inputs, whose first dimension is the batch's. Raises what onnxruntime raises."""
        memory = self._memory
        if memory.session is not session:
            self._prepare(session)
        if not memory.shapes.keys() >= set(outputs):
            return [np.asarray(answer, np.float32) for answer in session.run(list(outputs), dict(feed))]
        count = len(next(iter(feed.values())))
        for name, array in feed.items():
            memory.binding.bind_cpu_input(name, array)
        answers = [memory.pools[name].take((count, *memory.shapes[name]), np.float32) for name in outputs]
        for name, answer in zip(outputs, answers, strict=True):
            memory.binding.bind_output(name, "cpu", 0, np.float32, answer.shape, answer.ctypes.data)
        session.run_with_iobinding(memory.binding)
        return answers

    def _prepare(self, session: ort.InferenceSession) -> None:
        memory = self._memory
        memory.session, memory.binding = session, session.io_binding()
        said = {entry.name: entry for entry in session.get_outputs() if entry.type == _FLOAT}
        fixed = {name: tuple(entry.shape[1:]) for name, entry in said.items()}
        memory.shapes = {name: shape for name, shape in fixed.items() if all(isinstance(side, int) for side in shape)}
        memory.pools = {name: Pool() for name in memory.shapes}
