"""A short cross-fade where a face becomes another identity than a moment ago."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from realtime.face.geometry import Matrix, invert
from realtime.swap.compose import SwappedFace
from realtime.swap.identity import Identity


@dataclass(frozen=True, slots=True)
class Leaving:
    """The identity that a face is about to leave."""

    identity: Identity
    shown: float  # how much of the new one shows already, 0..1


class Fades:
    """Remembers who each face was. One thread calls it, frames in order."""

    def __init__(self, seconds: float) -> None:
        """seconds is how long a fade takes; with 0 identities are cut."""
        self._seconds = seconds
        self._became: dict[int, Identity] = {}
        self._since: dict[int, tuple[Identity, float]] = {}  # the identity before, and when it was left: seconds

    def __call__(self, wanted: Mapping[int, Identity], now: float) -> dict[int, Leaving]:
        """For each track that is between two identities, the one it leaves; now is the frame's time in seconds."""
        for track, identity in wanted.items():
            before = self._became.get(track, identity)
            if before is not identity:
                self._since[track] = before, now
        self._became = dict(wanted)
        ages = {track: (before, now - at) for track, (before, at) in self._since.items() if track in wanted}
        self._since = {track: self._since[track] for track, (_, age) in ages.items() if 0 <= age < self._seconds}
        return {track: Leaving(ages[track][0], ages[track][1] / self._seconds) for track in self._since}


def mixed(old: SwappedFace, new: SwappedFace, shown: float) -> SwappedFace:
    """The new face with the old one still in it; shown is how much of the new one there is, 0..1.

    Both are mixed before they are put into the frame: where both masks are full, so is the mixed one, and nothing of
    the real face shows through.
    """
    size = new.mask.shape[0]
    image, mask = old.image, old.mask
    if old.mask.shape != new.mask.shape or not np.allclose(old.to_crop, new.to_crop, atol=1e-4):
        between = _after(invert(old.to_crop), new.to_crop)  # px of the old crop to px of the new one
        image = np.asarray(cv2.warpAffine(image, between, (size, size), borderMode=cv2.BORDER_REPLICATE), np.float32)
        mask = np.asarray(cv2.warpAffine(mask, between, (size, size)), np.float32)
    weight = (1 - shown) * mask, shown * new.mask
    both = weight[0] + weight[1]
    share = np.where(both > 1e-6, weight[1] / np.maximum(both, 1e-6), shown)[..., None]
    return replace(new, image=np.asarray(image + (new.image - image) * share, np.float32), mask=both)


def _after(first: Matrix, then: Matrix) -> Matrix:
    """The affine map that does one after the other, (2, 3)."""
    out = then[:, :2] @ first
    out[:, 2] += then[:, 2]
    return np.asarray(out, np.float32)
