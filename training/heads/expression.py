"""What a face does: random expressions and gaze as weights of the head's shapes, and the labels they give."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, float]  # shape name -> weight, mostly 0..1
GAZE_AT_ONE = 30.0  # degrees of eye rotation at weight 1 of an eyeLook shape

# Names of the labelled weights, in the order of the landmark network's output; left and right are the picture's.
BLEND = (
    "eyeBlinkLeft", "eyeBlinkRight", "jawOpen", "mouthSmile", "browDown", "browInnerUp",
    "gazeYawLeft", "gazePitchLeft", "gazeYawRight", "gazePitchRight",
)  # fmt: skip

_PAIRED = (
    "mouthSmile", "mouthFrown", "mouthUpperUp", "mouthLowerDown", "mouthStretch", "mouthPress",
    "mouthDimple", "noseSneer", "cheekPuff",
)  # fmt: skip
_SINGLE = (
    "mouthPucker", "mouthFunnel", "mouthLeft", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
    "jawLeft", "jawRight",
)  # fmt: skip


class Add(Protocol):
    """Adds weight to one shape or to its left and right."""

    def __call__(self, name: str, weight: float, paired: bool = True) -> None: ...


def both(name: str, weight: float) -> Weights:
    """The same weight for the subject's left and right."""
    return {f"{name}_L": weight, f"{name}_R": weight}


def look(yaw: float, pitch: float) -> Weights:
    """The lids of eyes turned by yaw (+ to the picture's right) and pitch (+ up), degrees in the head's frame.

    These shapes do not turn the eyeballs; Person.pose does.
    """
    across, up = yaw / GAZE_AT_ONE, pitch / GAZE_AT_ONE
    wanted = {
        "eyeLookOut_L": across, "eyeLookIn_R": across, "eyeLookIn_L": -across, "eyeLookOut_R": -across,
        "eyeLookUp_L": up, "eyeLookUp_R": up, "eyeLookDown_L": -up, "eyeLookDown_R": -up,
    }  # fmt: skip
    return {name: weight for name, weight in wanted.items() if weight > 0}


def random_gaze(rng: np.random.Generator) -> tuple[float, float]:
    """Yaw and pitch in degrees: a quarter of the time straight ahead, else wide."""
    if rng.random() < 0.2:
        return 0.0, 0.0
    return float(np.clip(rng.normal(0, 15), -32, 32)), float(np.clip(rng.normal(-1, 11), -22, 20))


def random_expression(rng: np.random.Generator) -> Weights:
    """A random mix of speech, smiles, brows and lids; about one in nine is at rest."""
    out: Weights = {}

    def add(name: str, weight: float, paired: bool = True) -> None:
        for key in (f"{name}_L", f"{name}_R") if paired else (name,):
            out[key] = min(1.0, out.get(key, 0.0) + weight * float(rng.uniform(0.7, 1)))

    if rng.random() < 0.11:
        add("eyeBlink", float(rng.uniform(0, 0.2)))
        return out
    if rng.random() < 0.6:
        out["jawOpen"] = float(rng.choice([rng.uniform(0.03, 0.25), rng.uniform(0.05, 0.75)]))
    if rng.random() < 0.25:
        add("mouthSmile", float(rng.uniform(0.2, 1.1)))
    moves = (*((name, True) for name in _PAIRED), *((name, False) for name in _SINGLE))
    for choice in rng.permutation(len(moves))[: rng.integers(0, 4)]:
        name, paired = moves[choice]
        add(name, float(rng.uniform(0.15, 0.9)), paired)
    if (smile := out.get("mouthSmile_L", 0.0)) > 0.3:
        add("cheekSquint", smile * float(rng.uniform(0.3, 1)))
        if rng.random() < 0.6:
            add("mouthUpperUp", float(rng.uniform(0.1, 0.6)))
            add("mouthLowerDown", float(rng.uniform(0, 0.5)))
    _brows(rng, add)
    _lids(rng, add, out)
    return out


def _brows(rng: np.random.Generator, add: Add) -> None:
    name = str(rng.choice(["browInnerUp", "browDown", "browOuterUp", "", ""]))
    if name:
        add(name, float(rng.uniform(0.2, 1)))
    if name == "browOuterUp" and rng.random() < 0.6:
        add("browInnerUp", float(rng.uniform(0.3, 1)))


def _lids(rng: np.random.Generator, add: Add, out: Weights) -> None:
    kind = rng.random()
    if kind < 0.12:
        add("eyeBlink", 1 / 0.7)
    elif kind < 0.42:
        add("eyeBlink", float(rng.uniform(0.1, 0.8)))
    elif kind < 0.52:
        add("eyeWide", float(rng.uniform(0.3, 1)))
    elif kind < 0.59:
        out["eyeBlink_" + str(rng.choice(["L", "R"]))] = float(rng.uniform(0.5, 1))
    if rng.random() < 0.2:
        add("eyeSquint", float(rng.uniform(0.2, 1)))


def creases(weights: Mapping[str, float], age: float) -> tuple[float, float, float, float]:
    """How deep the four groups of skin.crease_texture are, 0..1: forehead, frown, crow's feet, nose to mouth.

    age is 0 (creases come with the movement alone) to 1 (they stay, and deepen).
    """

    def mean(name: str) -> float:
        return 0.5 * (weights.get(f"{name}_L", 0.0) + weights.get(f"{name}_R", 0.0))

    raised = max(mean("browInnerUp"), mean("browOuterUp"))
    frowning = mean("browDown") + 0.5 * mean("noseSneer")
    squinting = mean("cheekSquint") + 0.5 * mean("eyeSquint") + 0.4 * mean("mouthSmile")
    smiling = mean("mouthSmile") + 0.6 * mean("noseSneer") + 0.4 * mean("mouthUpperUp") + 0.3 * mean("mouthStretch")
    moved = (raised, frowning, squinting, smiling)
    a, b, c, d = (float(np.clip(0.45 * age + (0.35 + 0.65 * age) * min(1.0, m), 0, 1)) for m in moved)
    return a, b, c, d


def labels(weights: Mapping[str, float], gaze: tuple[float, float]) -> NDArray[np.float32]:
    """The values of BLEND for this expression: weights 0..1, gaze in units of GAZE_AT_ONE degrees."""

    def mean(name: str) -> float:
        return 0.5 * (weights.get(f"{name}_L", 0.0) + weights.get(f"{name}_R", 0.0))

    yaw, pitch = gaze[0] / GAZE_AT_ONE, gaze[1] / GAZE_AT_ONE
    # The subject's right is the picture's left.
    blinks = weights.get("eyeBlink_R", 0.0), weights.get("eyeBlink_L", 0.0)
    values = (
        *blinks,
        weights.get("jawOpen", 0.0),
        mean("mouthSmile"),
        mean("browDown"),
        mean("browInnerUp"),
    )
    return np.clip(np.array((*values, yaw, pitch, yaw, pitch), np.float32), -1.2, 1.0)
