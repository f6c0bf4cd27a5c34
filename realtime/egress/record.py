"""What is known of a run's output: when it was made, who is shown, and how the audience is told."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Shown:
    """An identity that stands in the output."""

    identity: str
    model: str  # hex digest of the model that drew it


@dataclass(frozen=True, slots=True)
class Record:
    """One run, one visitor of a server, or the pictures of one library object."""

    session: str  # hex of the random id in the marks
    began: datetime  # with its time zone
    shown: tuple[Shown, ...] = ()  # in the order of their first appearance
    frames: int = 0  # that were marked
    disclosure: str = ""  # how the audience is told, where there is no visible label
