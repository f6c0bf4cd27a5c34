"""What was found: each stretch of time, what else is known of the target, and the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from realtime.egress.payload import Payload

MARKED: Final = 0  # exit codes
NOT_MARKED: Final = 3


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some seconds of a film, or one picture."""

    name: str  # of the picture's file; empty for seconds of a film
    start: float  # seconds since the beginning
    end: float
    marked: bool
    chance: float  # that pictures without a mark look as marked as these, at most
    strength: float  # of the best of all looks; chance is looks * exp(-strength)
    mirrored: bool
    payload: Payload | None  # what the mark says, where that could be read
    identity: str = ""  # the name on the shelf of the model that the mark names

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            **({"name": self.name} if self.name else {"start": round(self.start, 2), "end": round(self.end, 2)}),
            "marked": self.marked,
            "confidence": 1 - self.chance,
            "chance": self.chance,
            "strength": round(self.strength, 2),
            "mirrored": self.mirrored,
            "payload": said(self.payload),
            "identity": self.identity or None,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """Something else that is known of the target, such as what its manifest says."""

    about: str  # one word: manifest, log
    says: str  # one sentence
    data: Mapping[str, Any] = field(default_factory=dict)  # as JSON takes it


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found."""

    target: str
    stretches: tuple[Stretch, ...]
    together: Stretch | None = None  # all stretches of a film at once, where that says more than each alone
    findings: tuple[Finding, ...] = ()

    @property
    def marked(self) -> bool:
        """Whether a mark was found anywhere."""
        return any(stretch.marked for stretch in self._all)

    @property
    def code(self) -> int:
        """The exit code."""
        return MARKED if self.marked else NOT_MARKED

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """What the marks say, each once, in the order of their appearance."""
        return tuple(dict.fromkeys(s.payload for s in self._all if s.payload is not None))

    @property
    def _all(self) -> tuple[Stretch, ...]:
        return self.stretches if self.together is None else (*self.stretches, self.together)

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "target": self.target,
            "marked": self.marked,
            "payloads": [said(payload) for payload in self.payloads],
            "stretches": [stretch.as_dict() for stretch in self.stretches],
            "together": None if self.together is None else self.together.as_dict(),
            "findings": [{"about": one.about, "says": one.says, "data": dict(one.data)} for one in self.findings],
        }


def said(payload: Payload | None) -> dict[str, Any] | None:
    """What a mark says, as JSON takes it."""
    if payload is None:
        return None
    return {"format": payload.format, "model": payload.model, "session": payload.session}
