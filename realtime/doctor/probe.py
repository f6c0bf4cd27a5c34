"""Runs networks on one provider and prints what came out, as JSON: a process of its own, since a provider may crash."""

import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import av
import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from realtime.errors import LiveswapError
from realtime.face.detect import CENTERFACE, QUICK
from realtime.swap.identity import MODELS
from realtime.swap.session import ACCELERATORS, Feed, SessionSettings, bare_session, zeros

# The networks of a default run, and the size of the first input where the model leaves it free.
NETWORKS: Final = MappingProxyType(
    {
        "detector": (CENTERFACE, (1, 3, 192, QUICK[0].longest)),
        "landmarks": (MODELS / "landmarks.onnx", ()),
        "encoder": (MODELS / "encoder.onnx", ()),
        "aster": (MODELS / "aster.onnx", ()),
    }
)
CLIP: Final = Path(__file__).resolve().parent.parent / "assets" / "demo.mp4"
FACE: Final = (451, 153, 420)  # left, top, side: where the face is in its first picture, px
SPEED_S: Final = 0.5  # seconds that are spent on measuring the speed of one network
THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one network did on one provider."""

    difference: float  # from the CPU's answers without optimisations, in shares of the largest
    milliseconds: float  # of one run, the median of several
    nodes: dict[str, int]  # how many of the graph's nodes ran on each provider, in the words of the settings


def outcome(model: Path, shape: Sequence[int], provider: str, speed_s: float = SPEED_S) -> Outcome:
    """Runs a model on its golden input. Raises NoAcceleration or ModelError where the provider cannot."""
    literal = bare_session(model, SessionSettings(provider="cpu", threads=THREADS), literal=True)
    feed = golden(literal, shape)
    wanted = [np.asarray(output) for output in literal.run(None, feed)]
    settings = SessionSettings(provider=provider, threads=THREADS)
    session = bare_session(model, settings)
    answers = [np.asarray(output) for output in session.run(None, feed)]
    return Outcome(difference(answers, wanted), speed(session, feed, speed_s), placed(model, settings, feed))


def golden(session: ort.InferenceSession, shape: Sequence[int]) -> Feed:
    """The same input at each call: the bundled clip's first picture for what takes pictures, noise for codes."""
    picture = first_picture(CLIP)
    return {key: _filled(empty, picture) for key, empty in zeros(session, shape).items()}


def speed(session: ort.InferenceSession, feed: Feed, seconds: float) -> float:
    """Milliseconds of one run: the median of as many as fit into the seconds, at least three."""
    taken: list[float] = []
    began = time.perf_counter()
    while len(taken) < 3 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        session.run(None, feed)
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken)


def placed(model: Path, settings: SessionSettings, feed: Feed) -> dict[str, int]:
    """How many of the graph's nodes run on each provider, as onnxruntime's profiler tells."""
    with tempfile.TemporaryDirectory() as folder:
        session = bare_session(model, settings, profile=Path(folder) / "profile")
        session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    return counted(events)


def counted(events: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Nodes by provider, from the events of a profile; each node counts once."""
    words = {provider: name for name, provider in ACCELERATORS.items()}
    where = {
        event["name"]: event["args"]["provider"]
        for event in events
        if event.get("cat") == "Node" and event.get("args", {}).get("provider")
    }
    return dict(Counter(words.get(provider, "cpu") for provider in where.values()))


def main(provider: str) -> None:
    """Prints an object with the outcome, or the error, of each network."""
    said: dict[str, Any] = {}
    for name, (model, shape) in NETWORKS.items():
        try:
            done = outcome(model, shape, provider)
        except LiveswapError as error:
            said[name] = {"error": str(error)}
        else:
            finite = done.difference if np.isfinite(done.difference) else None
            said[name] = {"difference": finite, "milliseconds": done.milliseconds, "nodes": done.nodes}
    print(json.dumps(said))


def difference(answers: Sequence[NDArray[Any]], wanted: Sequence[NDArray[Any]]) -> float:
    """The largest mean difference of an output, in shares of its largest value; inf where one is not finite."""
    worst = 0.0
    for answer, right in zip(answers, wanted, strict=True):
        if not np.isfinite(answer).all():
            return float("inf")
        off = np.abs(answer.astype(np.float64) - right.astype(np.float64)).mean()
        worst = max(worst, float(off / (np.abs(right).max() + 1e-6)))
    return worst


def first_picture(clip: Path) -> NDArray[np.uint8]:
    """The first picture of a clip (h, w, 3) BGR."""
    with av.open(clip) as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="bgr24"), np.uint8)


def _filled(empty: NDArray[Any], picture: NDArray[np.uint8]) -> NDArray[Any]:
    """The picture as the input takes it: whole for a detector (planes first), the face alone for the others."""
    if empty.ndim != 4 or 3 not in (empty.shape[1], empty.shape[3]):
        return np.random.default_rng(0).normal(0, 1, empty.shape).astype(empty.dtype)
    if empty.shape[1] == 3:
        shown = cv2.resize(picture, empty.shape[:1:-1], interpolation=cv2.INTER_AREA).transpose(2, 0, 1)[::-1]
    else:
        left, top, side = FACE
        face = picture[top : top + side, left : left + side]
        shown = cv2.resize(face, empty.shape[2:0:-1], interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.broadcast_to(shown, empty.shape)).astype(empty.dtype)


if __name__ == "__main__":
    main(sys.argv[1])
