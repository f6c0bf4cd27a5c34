"""Who becomes whom: what the user writes, and which of the faces in view it means."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import numpy as np

from realtime.errors import SettingsError
from realtime.face.face import Face

_Way = tuple[int, float, tuple[tuple[str, int], ...]]
Key = TypeVar("Key", str, int)

MOST: Final = 4  # faces swapped at once, unless the user says otherwise
KEPT: Final = 1.0  # seconds for which a lost face keeps its seat; the tracker remembers its number as long
_SIDES: Final = (("left", 1 / 6), ("centre", 1 / 2), ("right", 5 / 6))  # the middle of each third of the picture
_COUNTED: Final = ("1st", "2nd", "3rd", "4th")  # from the left


@dataclass(frozen=True, slots=True)
class Casting:
    """Who becomes whom, in words: each a name on the shelf or an .onnx file.

    As text, a list with commas: `aster` is everybody, or everybody else; `left=aster,right=cedar` goes by the place in
    the picture (left, centre, right, or 1st to 4th counted from the left); `#2=cedar` by the number of a track.
    """

    everyone: str | None = None
    seats: Mapping[str, str] = field(default_factory=dict)  # by place
    tracks: Mapping[int, str] = field(default_factory=dict)  # by the face's track

    @classmethod
    def parse(cls, text: str) -> "Casting":
        """The casting that a text means. Raises SettingsError."""
        everyone: list[str] = []
        seats: dict[str, str] = {}
        tracks: dict[int, str] = {}
        for item in text.split(","):
            where, equals, who = (part.strip() for part in item.partition("="))
            if not (who if equals else where):
                raise SettingsError(f"identity {text!r} leaves {where or 'one'} empty, wanted a name or an .onnx file")
            if not equals:
                everyone.append(where)
            elif numbered := re.fullmatch(r"#(\d{1,9})", where):
                _once(tracks, int(numbered[1]), who, text)
            else:
                _once(seats, _seat(where), who, text)
        if len(everyone) > 1:
            raise SettingsError(f"identity {text!r} gives everybody {len(everyone)} faces, wanted at most one")
        if len({seat in _COUNTED for seat in seats}) > 1:
            raise SettingsError(f"identity {text!r} counts some and points at others, wanted one way for all")
        return cls(everyone[0] if everyone else None, seats, tracks)

    def __str__(self) -> str:
        everyone = (self.everyone,) if self.everyone else ()
        numbered = (f"#{track}={who}" for track, who in self.tracks.items())
        return ",".join((*everyone, *(f"{seat}={who}" for seat, who in self.seats.items()), *numbered))

    @property
    def names(self) -> tuple[str, ...]:
        """Everybody who is named, each once."""
        everyone = (self.everyone,) if self.everyone else ()
        return tuple(dict.fromkeys((*everyone, *self.seats.values(), *self.tracks.values())))

    @property
    def people(self) -> int:
        """How many faces are meant: MOST where everybody is, else as many as are named."""
        return MOST if self.everyone else len(self.seats) + len(self.tracks)

    def renamed(self, name: Callable[[str], str]) -> "Casting":
        """The same with each word replaced."""
        names = {who: name(who) for who in self.names}
        return Casting(
            names[self.everyone] if self.everyone else None,
            {seat: names[who] for seat, who in self.seats.items()},
            {track: names[who] for track, who in self.tracks.items()},
        )

    def with_track(self, track: int, who: str) -> "Casting":
        """The same, but for one track."""
        return replace(self, tracks={**self.tracks, track: who})


class Seating:
    """Which followed face has which seat. It belongs to one thread, which shows it every frame.

    Whoever has a seat keeps it as long as the track lives, and KEPT seconds longer, however people move: two who stand
    close, or change places, do not change faces. Free seats go to those without one, so that together they are as near
    to their seats as can be, in the order in which they stand.
    """

    def __init__(self) -> None:
        self._holders: dict[str, int] = {}  # seat to track
        self._included: frozenset[int] = frozenset()  # tracks that were among everybody in the frame before
        self._seen_at: dict[int, float] = {}  # seconds, by track

    def __call__(
        self,
        casting: Casting,
        faces: Sequence[Face],
        width: int,
        now: float,
        heirs: Mapping[int, int] | None = None,
        most: int | None = None,
    ) -> dict[int, str]:
        """Who each face becomes, by track; those who are not in it become nobody.

        width is the frame's in pixels, now the frame's time in seconds; heirs says which new track stands for which
        lost one. most is the limit of faces (casting.people where it is None): named seats and tracks come first, then
        who was there before, then the largest.
        """
        self._inherit(heirs or {})
        self._seen_at = {track: at for track, at in self._seen_at.items() if 0 <= now - at <= KEPT}
        self._seen_at.update({face.track: now for face in faces})
        limit = casting.people if most is None else most
        seats = self._seats(casting, [face for face in faces if face.track not in casting.tracks], width)
        named = {**seats, **{face.track: casting.tracks[face.track] for face in faces if face.track in casting.tracks}}
        everybody = {} if casting.everyone is None else self._rest(casting.everyone, faces, named, limit - len(named))
        return dict([*named.items(), *everybody.items()][:limit])

    def _inherit(self, heirs: Mapping[int, int]) -> None:
        """Whoever stands for a lost one has what that one had."""
        new = {lost: track for track, lost in heirs.items()}
        self._holders = {seat: new.get(track, track) for seat, track in self._holders.items()}
        self._included = frozenset(new.get(track, track) for track in self._included)
        self._seen_at = {track: at for track, at in self._seen_at.items() if track not in new}

    def _rest(self, everyone: str, faces: Sequence[Face], named: Collection[int], room: int) -> dict[int, str]:
        """The faces without a name of their own that become everyone: those of before, then the largest."""
        kept = [track for track in self._included if track in self._seen_at and track not in named]
        waiting = [face for face in faces if face.track not in named and face.track not in kept]
        waiting.sort(key=lambda face: -float(np.prod(face.box[2:] - face.box[:2])))
        self._included = frozenset(
            [*kept, *(face.track for face in waiting[: max(0, room - len(kept))])][: max(0, room)]
        )
        return {face.track: everyone for face in faces if face.track in self._included}

    def _seats(self, casting: Casting, faces: Sequence[Face], width: int) -> dict[int, str]:
        """Who each seated face becomes; seats that are free are given away first."""
        self._holders = {
            seat: track for seat, track in self._holders.items() if seat in casting.seats and track in self._seen_at
        }
        taken = frozenset(self._holders.values())
        waiting = sorted((face for face in faces if face.track not in taken), key=_middle)
        free = [seat for seat in _in_order(casting.seats) if seat not in self._holders]
        if waiting and free:
            places = _places(faces, width, counted=free[0] in _COUNTED)
            if free[0] in _COUNTED:  # nobody is the second of one
                present = {face.track for face in faces}
                people = len(present | taken)
                free = [seat for seat in free if _COUNTED.index(seat) < people]
            self._holders.update(_nearest([(face.track, places[face.track]) for face in waiting], free))
        here = {face.track for face in faces}
        return {track: casting.seats[seat] for seat, track in self._holders.items() if track in here}


def _once(given: dict[Key, str], key: Key, who: str, text: str) -> None:
    if key in given:
        raise SettingsError(f"identity {text!r} names {key} twice")
    given[key] = who


def _seat(where: str) -> str:
    """The seat of that name. Raises SettingsError."""
    seat = {"center": "centre", "middle": "centre"}.get(where.lower(), where.lower())
    if seat in _COUNTED or seat in dict(_SIDES):
        return seat
    known = ", ".join((*dict(_SIDES), *_COUNTED))
    raise SettingsError(f"identity has the place {where!r}, wanted one of {known}, or #NUMBER for a track")


def _in_order(seats: Collection[str]) -> list[str]:
    """The seats from left to right."""
    return [seat for seat in (*dict(_SIDES), *_COUNTED) if seat in seats]


def _middle(face: Face) -> float:
    return float(face.box[0] + face.box[2]) / 2


def _places(faces: Sequence[Face], width: int, counted: bool) -> dict[int, float]:
    """Where each face is, by track: its share of the width, or, counted, its number from the left (0 is the first)."""
    if counted:
        return {face.track: float(number) for number, face in enumerate(sorted(faces, key=_middle))}
    return {face.track: _middle(face) / width for face in faces}


def _nearest(waiting: Sequence[tuple[int, float]], free: Sequence[str]) -> dict[str, int]:
    """Seats given away to those waiting, (track, place) from left to right: least squares of the distances.

    Squares of distances along a line are least when the order is kept, so each step of this search gives the leftmost
    seat to the leftmost person, or leaves one of them out.
    """
    anchors = {**dict(_SIDES), **{seat: float(number) for number, seat in enumerate(_COUNTED)}}
    # best[i][j] is (-people seated, squares of distances, who sits where) from waiting[i] and free[j] on.
    nothing: _Way = (0, 0.0, ())
    best = [[nothing] * (len(free) + 1) for _ in range(len(waiting) + 1)]
    for i, (track, place) in reversed(list(enumerate(waiting))):
        for j, seat in reversed(list(enumerate(free))):
            seated, squares, way = best[i + 1][j + 1]
            with_both = (seated - 1, squares + (place - anchors[seat]) ** 2, ((seat, track), *way))
            best[i][j] = min(with_both, best[i + 1][j], best[i][j + 1])
    return dict(best[0][0][2])
