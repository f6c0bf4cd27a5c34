"""Tells people apart by how they look: small pictures and proportions of each track, averaged, then grouped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from realtime.errors import LiveswapError
from training.extract.watch import Seen

FRONTAL: Final = 22.0  # degrees of yaw and pitch up to which pictures are compared
LIGHTNESS: Final = 15.0  # of 255: how far apart one person's pictures may be, root mean square, whatever the light
COLOUR: Final = 5.0
SHAPE: Final = 0.022  # of the template's side, over the mean landmarks
SAME: Final = 1.0  # how far apart groups may be and still be one person
FLEETING: Final = 0.5  # how much more a single picture may differ than the mean of many
FEW: Final = 0.02  # of all faces: a group of fewer is somebody who passed by
FEWEST: Final = 3  # faces

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Person:
    """A group of faces that look alike."""

    number: int  # as the user says it, from 1, the most often seen first
    rows: NDArray[np.int64]  # of what was seen


@dataclass(frozen=True, slots=True)
class _Looks:
    """The mean look of some faces."""

    picture: Floats  # (LOOK, LOOK, 3) CIE Lab, brightness about 0
    points: Floats  # (70, 2)
    weight: int


def people_in(seen: Seen) -> tuple[Person, ...]:
    """The people in what was seen, the most often seen first; who passes by for a moment is nobody."""
    tracks = np.unique(seen.track)
    groups = [[int(track)] for track in tracks]
    looks = [_looks_of(seen, seen.track == track) for track in tracks]
    together = _seen_together(seen)
    while len(groups) > 1:
        pairs = [
            (unlike(looks[i], looks[j]), i, j)
            for i in range(len(groups))
            for j in range(i)
            if not any((a, b) in together for a in groups[i] for b in groups[j])
        ]
        nearest = min(pairs, default=(np.inf, 0, 0))
        if nearest[0] > SAME:
            break
        _, i, j = nearest
        groups[j] += groups.pop(i)
        looks[j] = _mixed(looks[j], looks.pop(i))
    rows = [np.flatnonzero(np.isin(seen.track, group)) for group in groups]
    rows = [some for some in rows if len(some) >= max(FEWEST, FEW * len(seen))]
    rows.sort(key=lambda some: (-len(some), int(some[0])))
    return tuple(Person(number, some) for number, some in enumerate(rows, 1))


def chosen(people: Sequence[Person], wanted: Sequence[int], sheet: str) -> NDArray[np.int64]:
    """The rows of the people wanted, or of the only one that there is; sheet is where the user can look.

    Raises LiveswapError where it is not clear whose faces are wanted.
    """
    numbers = [person.number for person in people]
    if not people:
        raise LiveswapError("no face was found that is large enough and seen more than for a moment")
    if strangers := [number for number in wanted if number not in numbers]:
        raise LiveswapError(f"there is no person {strangers[0]}, wanted one of {_spoken(people)}: look at {sheet}")
    if not wanted and len(people) > 1:
        raise LiveswapError(
            f"{len(people)} people are in the footage, {_spoken(people)}: look at {sheet} and say "
            "--person 1 or another; more than once where one person is in several groups"
        )
    return np.sort(np.concatenate([person.rows for person in people if not wanted or person.number in wanted]))


def unlike(one: _Looks, other: _Looks) -> float:
    """How unlike two looks are: below SAME they may be of one person. Means of few pictures may differ more."""
    allowed = 1 + FLEETING / np.sqrt(min(one.weight, other.weight))
    far = one.picture - other.picture
    lightness, colour = np.sqrt((far[..., 0] ** 2).mean()), np.sqrt((far[..., 1:] ** 2).mean())
    shape = np.sqrt(((one.points - other.points) ** 2).sum(1).mean())
    return float(max(lightness / LIGHTNESS, colour / COLOUR, shape / SHAPE) / allowed)


def _looks_of(seen: Seen, which: NDArray[np.bool_]) -> _Looks:
    """Of the faces that look ahead, or of all where there are none."""
    ahead = which & (np.abs(seen.pose[:, :2]) < FRONTAL).all(1)
    rows = np.flatnonzero(ahead if ahead.any() else which)
    picture = seen.look[rows].astype(np.float64)
    picture[..., 0] -= picture[..., 0].mean((1, 2), keepdims=True)
    return _Looks(picture.mean(0), seen.landmarks[rows].astype(np.float64).mean(0), len(rows))


def _mixed(one: _Looks, other: _Looks) -> _Looks:
    share = one.weight / (one.weight + other.weight)
    return _Looks(
        share * one.picture + (1 - share) * other.picture,
        share * one.points + (1 - share) * other.points,
        one.weight + other.weight,
    )


def _seen_together(seen: Seen) -> set[tuple[int, int]]:
    """Pairs of tracks that are in one frame and so are two people."""
    moments: dict[tuple[str, float], set[int]] = {}
    for source, time, track in zip(seen.source, seen.time.tolist(), seen.track.tolist(), strict=True):
        moments.setdefault((source, time), set()).add(track)
    return {(a, b) for tracks in moments.values() if len(tracks) > 1 for a in tracks for b in tracks if a != b}


def _spoken(people: Sequence[Person]) -> str:
    return " and ".join(f"person {person.number} ({len(person.rows)} faces)" for person in people)
