"""One thing that the doctor has looked at."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

OK: Final = "ok"
NOTE: Final = "note"  # the default run works without it
WRONG: Final = "wrong"  # the default run does not work
STATES: Final = (OK, NOTE, WRONG)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen, how good that is, and what helps."""

    topic: str
    name: str  # what was looked at
    state: str  # of STATES
    seen: str
    remedy: str = ""  # what to do; empty where nothing has to be done
    figures: dict[str, Any] = field(default_factory=dict)  # the same in numbers, for JSON

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"the state {self.state!r} is unknown, wanted one of {', '.join(STATES)}")

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)
