"""Draws the faces of one or several frames of one size, on one board."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.face.geometry import Image
from realtime.swap.compose import Undrawn
from realtime.swap.fused.asked import Asked, rounds
from realtime.swap.fused.board import Board, device_of
from realtime.swap.fused.identity import FusedIdentity
from realtime.swap.steady import Look


@dataclass(frozen=True, slots=True)
class Wanted:
    """A face that is to be drawn, and what is remembered of it."""

    undrawn: Undrawn
    asked: Asked
    look: Look
    blurs: bool  # whether its softness is measured in this frame


@dataclass(frozen=True, slots=True)
class Job:
    """A frame with at least one face to be drawn into it."""

    seen: Image  # as the camera saw it
    shown: Image  # the same with what must not be shown hidden; the same object where that is nothing
    wanted: Sequence[Wanted]
    fittings: tuple[bool, bool]  # whether colours are matched, and softness
    masks: bool  # whether it is asked where the faces show

    @property
    def kind(self) -> tuple[Any, ...]:
        """What jobs have in common that can be done in one call."""
        return self.seen.shape, self.fittings, self.masks, device_of(self.wanted[0].undrawn.identity.session)


@dataclass(frozen=True, slots=True)
class Done:
    """A job that was done."""

    image: Image  # memory of its own
    said: NDArray[np.float32]  # (n, LOOK), a row for each wanted face, see realtime.swap.fused.model
    masks: Sequence[NDArray[np.uint8]] | None  # (S, S) of each wanted face, where they were asked for


def painted(board: Board, jobs: Sequence[Job]) -> list[Done]:
    """Does jobs of one kind in as few calls as can be, in their order. Raises ModelError."""
    first = jobs[0]
    faces = [(number, place) for number, job in enumerate(jobs) for place in range(len(job.wanted))]
    wanted = [jobs[number].wanted[place] for number, place in faces]
    frames = [number for number, _ in faces]
    height, width = first.seen.shape[:2]
    board.put([job.seen for job in jobs], [job.shown for job in jobs], first.kind[-1])
    fittings = np.array(first.fittings, np.float32)
    said: dict[int, NDArray[np.float32]] = {}
    masks: dict[int, NDArray[np.uint8]] = {}
    for identity, turn in turns(wanted, frames):
        told = identity.feed([wanted[place].asked for place in turn], [frames[place] for place in turn], width, height)
        drawn = board.draw(identity, {**told, "fittings": fittings}, first.masks)
        said |= zip(turn, drawn.look, strict=True)
        if drawn.masks is not None:
            masks |= zip(turn, drawn.masks, strict=True)
    taken = board.taken()
    done = []
    for number in range(len(jobs)):
        mine = [place for place, frame in enumerate(frames) if frame == number]
        shapes = [masks[place] for place in mine] if masks else None
        done.append(Done(taken[number], np.stack([said[place] for place in mine]), shapes))
    return done


def turns(wanted: Sequence[Wanted], frames: Sequence[int]) -> list[tuple[FusedIdentity, list[int]]]:
    """Which faces go in together, by their places: of one identity, and sharing no pixel with each other."""
    windows = [each.asked.window for each in wanted]
    together: list[tuple[FusedIdentity, list[int]]] = []
    for turn in rounds(windows, frames):
        by_identity: dict[FusedIdentity, list[int]] = {}
        for place in turn:
            by_identity.setdefault(wanted[place].undrawn.identity, []).append(place)
        together += by_identity.items()
    return together
