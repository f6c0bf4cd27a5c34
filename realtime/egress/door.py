"""What all gates of a program share: how they label, what signs finished files, and the log of sessions."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self

from realtime.egress.certificate import Certificate
from realtime.egress.credentials import KINDS, Credentials
from realtime.egress.gate import Gate
from realtime.egress.label import LabelSettings
from realtime.egress.record import Record
from realtime.egress.session_log import Journal, SessionLog
from realtime.errors import SettingsError, SinkError
from realtime.flow.pipeline import Sink

logger = logging.getLogger(__name__)

BARE: Final = (".bmp",)  # what a sink writes that has no room for credentials
ROOMY: Final = "BMP files have no room for them, wanted .png, .jpg, .tif or .webp"
_OF_CARD: Final = ("name", "kind", "licence", "precision", "consent")  # what a file says of the models that drew in it


class DoorSettings(Protocol):
    """What the door needs of realtime.settings.Settings."""

    @property
    def labelling(self) -> LabelSettings: ...

    @property
    def disclosure(self) -> str: ...

    @property
    def signing(self) -> str: ...

    @property
    def session_log(self) -> bool: ...


class Carded(Protocol):
    """What is known of an identity: realtime.swap.identity.Card."""

    @property
    def name(self) -> str: ...

    def as_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Door:
    """Makes gates that are alike."""

    label: LabelSettings
    disclosure: str
    own: Certificate | None  # that the settings name
    log: SessionLog | None
    cards: Callable[[], Sequence[Carded]]

    @classmethod
    def of(cls, settings: DoorSettings, cards: Callable[[], Sequence[Carded]]) -> Self:
        """As the settings have it; cards gives what is known of the identities. Raises SettingsError."""
        own = Certificate.read(Path(settings.signing)) if settings.signing else None
        log = SessionLog() if settings.session_log else None
        if settings.disclosure:
            logger.warning("no label is drawn, because the audience is told: %s", settings.disclosure)
        return cls(settings.labelling, settings.disclosure, own, log, cards)

    def gate(self, sink: Sink, names: Sequence[str], label: LabelSettings | None = None) -> Gate:
        """A gate before this sink; names says in words where its frames go, files by their paths."""
        for name in names:
            if Path(name).suffix.lower() in BARE:
                logger.warning("%s has its label and its mark, and no content credentials: %s", name, ROOMY)
        signs = any(Path(name).suffix.lower() in KINDS for name in names)
        places = [str(Path(name).absolute()) if Path(name).suffix else name for name in names]
        return Gate(
            sink,
            label=label or self.label,
            disclosure=self.disclosure,
            seal=self._seal() if signs else None,
            journal=Journal(self.log, places) if self.log is not None else None,
        )

    def credentials(self) -> Credentials:
        """What signs files, with a key that is made on first use. Raises SettingsError where none can be had."""
        return Credentials(self.own or Certificate.of_user(), self._card)

    def signed(self, picture: bytes, name: str, record: Record) -> bytes:
        """A picture as a file of this name, with its credentials; as it is where it cannot be signed, as the log says.

        It blocks.
        """
        try:
            return self.credentials().signed(picture, name, record)
        except (SettingsError, SinkError) as error:
            logger.warning("%s has no content credentials: %s", name, error)
            return picture

    def _seal(self) -> Credentials | None:
        try:
            return self.credentials()
        except SettingsError as error:
            logger.warning("files of this run get no content credentials: %s", error)
            return None

    def _card(self, name: str) -> Mapping[str, Any]:
        said = next((card.as_dict() for card in self.cards() if card.name == name), {})
        return {key: said[key] for key in _OF_CARD if said.get(key)}
