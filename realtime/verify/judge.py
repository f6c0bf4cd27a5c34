"""Whether pictures are marked, stretch by stretch."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from realtime.egress.evidence import Complex, Gatherer, Reader, Reading, evened
from realtime.egress.pattern import PERIOD_S
from realtime.egress.payload import Payload
from realtime.verify.pictures import Shown, still
from realtime.verify.report import Stretch

STRETCH_S: Final = 5.0
TOGETHER: Final = 24  # stretches whose evidence is added up, at most: two minutes


class Judge:
    """Reads marks, and knows the models of a shelf by the first bits of their digests."""

    def __init__(self, models: Mapping[str, str], reader: Reader | None = None) -> None:
        """models are names by digest, in hex."""
        self._models = dict(models)
        self._reader = Reader() if reader is None else reader

    def picture(self, path: Path) -> Stretch:
        """A single picture of a file. Raises SourceMissing and SourceError."""
        return self._judged(self._reader.read_picture(still(path)), 0.0, 0.0, path.name)

    def film(self, pictures: Iterable[Shown], stretch: float = STRETCH_S) -> "Film":
        """Moving pictures, in stretches of so many seconds."""
        return Film(self, pictures, stretch)

    def evidence(self, evidence: Complex, start: float, end: float) -> Stretch:
        """What was gathered between two times."""
        return self._judged(self._reader.read(evidence), start, end)

    def frozen(self, shown: Shown) -> Stretch:
        """A film that is too short for its movement to say anything: its last picture."""
        return self._judged(self._reader.read_picture(shown.grey), 0.0, shown.at)

    def _judged(self, reading: Reading, start: float, end: float, name: str = "") -> Stretch:
        payload = reading.payload if reading.marked else None
        mirrored = reading.marked and reading.place.mirrored
        strength, chance = reading.strength, reading.chance
        who = self._who(payload)
        return Stretch(name, start, end, reading.marked, chance, strength, mirrored, payload, who)

    def _who(self, payload: Payload | None) -> str:
        if payload is None:
            return ""
        return next((name for digest, name in self._models.items() if digest.startswith(payload.model)), "")


class Film:
    """Moving pictures under judgement: iterating gives one stretch after the other, then `together` is there."""

    def __init__(self, judge: Judge, pictures: Iterable[Shown], stretch: float) -> None:
        self.together: Stretch | None = None
        self._judge = judge
        self._pictures = pictures
        self._stretch = max(stretch, 1.5 * PERIOD_S)

    def __iter__(self) -> Iterator[Stretch]:
        """Each stretch as soon as it is over; a rest that is too short to say anything belongs to the last one."""
        gatherer, begun, last = Gatherer(), 0.0, None
        kept: list[Complex] = []
        found: list[Stretch] = []
        for last in self._pictures:
            gatherer.add(last.grey, last.at)
            if last.at - begun >= self._stretch:
                yield from self._ended(gatherer, begun, last.at, kept, found)
                begun = last.at
        if last is None:
            return
        if last.at - begun >= PERIOD_S or not found:
            yield from self._ended(gatherer, begun, last.at, kept, found)
        if not found:
            yield self._judge.frozen(last)
        if len(kept) > 1 and not all(stretch.payload for stretch in found):
            self.together = self._judge.evidence(np.asarray(sum(kept), np.complex64), 0.0, last.at)

    def _ended(
        self, gatherer: Gatherer, start: float, end: float, kept: list[Complex], found: list[Stretch]
    ) -> Iterator[Stretch]:
        evidence = gatherer.evidence()
        gatherer.clear()
        if evidence is None:
            return
        if len(kept) < TOGETHER and (not kept or kept[0].shape == evidence.shape):
            kept.append(evened(evidence))
        found.append(self._judge.evidence(evidence, start, end))
        yield found[-1]
