"""Chooses which faces a faceset keeps: sharp ones, no duplicates, and rare poses before all."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from realtime.errors import LiveswapError
from training.extract.sighting import moments
from training.extract.watch import Seen

BIN: Final = 10.0  # degrees of yaw and pitch that count as one pose
BLURRED: Final = 0.55  # of the sharpness that a tenth of the faces exceed: below it a face is blurred
HOPELESS: Final = 0.12  # sharpness below which nothing is left to learn from
RARE: Final = 12  # faces of a pose that are kept although they are blurred

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows are kept, and why the others are not."""

    rows: Rows
    blurred: int
    duplicates: int
    too_many: int  # of a pose of which there were plenty


def choose(seen: Seen, rows: Rows, most: int, least: int) -> Choice:
    """Of these rows at most `most`. Raises LiveswapError where fewer than `least` are left."""
    sharp = seen.sharpness[rows]
    limit = max(HOPELESS, BLURRED * float(np.quantile(sharp, 0.9))) if len(rows) else 0.0
    poses = [tuple(pose) for pose in np.round(seen.pose[rows][:, :2] / BIN).astype(int).tolist()]
    members: dict[tuple[int, ...], list[int]] = {}
    for place in np.argsort(-sharp, kind="stable").tolist():  # the sharpest first
        members.setdefault(poses[place], []).append(place)
    fine = {
        pose: [place for rank, place in enumerate(places) if sharp[place] >= limit or _rare(rank, float(sharp[place]))]
        for pose, places in members.items()
    }
    blurred = len(rows) - sum(len(places) for places in fine.values())
    moment = moments(seen.landmarks[rows], seen.blend[rows], seen.light[rows])
    distinct = {pose: _distinct(moment, places) for pose, places in fine.items()}
    single = sum(len(places) for places in distinct.values())
    each = _share([len(places) for places in distinct.values()], most)
    kept = sorted(place for places in distinct.values() for place in places[:each])
    if len(kept) < least:
        raise LiveswapError(
            f"{len(kept)} faces are left of {len(rows)} ({blurred} are blurred, {len(rows) - blurred - single} "
            f"duplicates), wanted at least {least}: more footage, more light or another camera helps"
        )
    return Choice(rows[kept], blurred, len(rows) - blurred - single, single - len(kept))


def _rare(rank: int, sharpness: float) -> bool:
    return rank < RARE and sharpness >= HOPELESS


def _distinct(moment: NDArray[np.float32], places: list[int]) -> list[int]:
    """Of places in this order those that are no duplicates of one before."""
    kept: list[int] = []
    known = np.empty((len(places), moment.shape[1]), np.float32)
    for place in places:
        if not kept or float(np.square(known[: len(kept)] - moment[place]).sum(1).min()) >= 1:
            known[len(kept)] = moment[place]
            kept.append(place)
    return kept


def _share(counts: list[int], most: int) -> int:
    """How many each pose may keep, so that all together keep at most `most`, but for poses with fewer."""
    low, high = 1, max([*counts, 1])
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(count, middle) for count in counts) <= most:
            low = middle
        else:
            high = middle - 1
    return low
