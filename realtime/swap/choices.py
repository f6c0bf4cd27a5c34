"""In which arithmetic each 8-bit model runs faster on this machine: measured at the first start, and remembered."""

import json
import logging
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

logger = logging.getLogger(__name__)

INT8: Final = "int8"  # as the file has it
FP32: Final = "fp32"  # the same graph, its weights and values widened before each layer
BUDGET_S: Final = 0.5  # of one start, for all models together
EACH_S: Final = 0.08  # of it, for the runs of one model
LEAST: Final = 3  # runs of each kind
CLEARLY: Final = 0.9  # of the time: what is not faster by a tenth is not worth four times the memory


class Runner(Protocol):
    """An inference session."""

    def run(self, outputs: Any, feed: Any) -> Any: ...


class Choices:
    """What was measured for this machine, onnxruntime and number of threads, by the digest of each model's file."""

    def __init__(
        self, file: Path | None, machine: str, budget: float = BUDGET_S, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """file holds what earlier starts have found, None for nothing; what it says of another machine is forgotten."""
        self.measured: Counter[str] = Counter()  # in this start: how many models run in which
        self._file, self._machine = file, machine
        self._left, self._clock = budget, clock
        self._known = _read(file, machine)
        self._over = False  # whether the start is
        self._found = False  # whether there is something new to be kept

    def of(self, digest: str) -> str | None:
        """What was found for a model; None where it has never been measured."""
        return self._known.get(digest)

    def affords(self, seconds: float) -> bool:
        """Whether this start may take so long, and then the runs, for one more model."""
        return self._left >= seconds + EACH_S

    def leave(self, digest: str) -> None:
        """Leaves a model that the start has no time for as its file has it, also at later starts."""
        if not self._over:
            self._known[digest] = INT8
            self._found = True

    def spent(self, seconds: float) -> None:
        """Notes what was taken of the start's budget."""
        self._left -= seconds

    def decide(self, digest: str, narrow: Runner, wide: Runner, feed: Mapping[str, Any], agree: bool) -> str:
        """Which of the two it is from now on; agree says whether both give the same answers.

        Where they do not, the narrow arithmetic is too coarse on this processor, and the wide one it is.
        """
        chosen = FP32 if not agree or self._is_faster(wide, narrow, feed) else INT8
        self._known[digest] = chosen
        self._found = True
        self.measured[chosen] += 1
        return chosen

    def keep(self) -> None:
        """Ends measuring, and writes what was found; where that cannot be, the next start measures again."""
        self._left, self._over = 0.0, True  # identities that are loaded later are loaded beside frames
        if self._file is None or not self._found:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            beside = self._file.with_suffix(".new")
            beside.write_text(json.dumps({"machine": self._machine, "models": self._known}, indent=2) + "\n", "utf-8")
            beside.replace(self._file)
        except OSError as error:
            logger.info("%s cannot be kept, so the next start measures again: %s", self._file, error.strerror)

    def _is_faster(self, one: Runner, other: Runner, feed: Mapping[str, Any]) -> bool:
        """Whether one clearly is, in turns."""
        taken: tuple[list[float], list[float]] = ([], [])
        began = self._clock()
        while len(taken[0]) < LEAST or self._clock() - began < EACH_S:
            for runner, times in zip((one, other), taken, strict=True):
                at = self._clock()
                runner.run(None, feed)
                times.append(self._clock() - at)
        self.spent(self._clock() - began)
        return statistics.median(taken[0]) < CLEARLY * statistics.median(taken[1])


def _read(file: Path | None, machine: str) -> dict[str, str]:
    """What a file says of this machine; nothing where it is missing, damaged, or of another one."""
    try:
        said = json.loads(file.read_text("utf-8")) if file is not None else {}
        models = said["models"] if said.get("machine") == machine else {}
        return {str(digest): chosen for digest, chosen in models.items() if chosen in (INT8, FP32)}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}
