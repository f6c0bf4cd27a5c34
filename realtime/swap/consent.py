"""Whether an identity may be used: its card, the signature under it, its dates, and the list of revoked ones."""

import datetime
import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self, get_type_hints

from realtime import toml
from realtime.errors import ConsentError, SettingsError
from realtime.places import config_folder
from realtime.swap.card import ModelCard
from realtime.swap.contract import PREFIX, Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.signing import Signer, fits

logger = logging.getLogger(__name__)

SIGNATURE: Final = PREFIX + "signature"
REVOKED: Final = "revoked.toml"  # in the configuration folder
_LOOK_S: Final = 1.0  # between two looks at the list
_OPENING: Final = b"liveswap card 1\n"  # so that a signature under something else is none under a card
_DIGITS: Final = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Grant:
    """An identity that may be used: what is known of it."""

    card: ModelCard
    digest: str  # hex SHA-256 of the file
    weights: str  # hex digest of everything but the metadata
    fused_of: tuple[str, ...] = ()  # digests of the models that it was fused of: what revokes them revokes it


@dataclass(frozen=True, slots=True)
class Revoked:
    """One entry of the list: what is revoked is whatever all of its given fields name."""

    name: str = ""  # of an identity
    model: str = ""  # digest of a file or of its weights in hex, or the beginning of one, as marks carry it
    key: str = ""  # of who signed, in hex
    date: datetime.date | None = None
    reason: str = ""

    def names(self, grant: Grant) -> bool:
        """Whether this entry means that identity."""
        models = (grant.digest, grant.weights, *grant.fused_of)
        return (
            (not self.name or self.name == grant.card.name)
            and (not self.key or self.key == grant.card.key)
            and (not self.model or any(digest.startswith(self.model) for digest in models))
        )

    def __str__(self) -> str:
        since = f" since {self.date}" if self.date else ""
        return f"{since}: {self.reason}" if self.reason else since


class RevokedList:
    """The list of revoked identities on disk, which may change while others rely on it. Any thread may ask."""

    def __init__(self, place: Path, needed: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """needed: that it is not there is an error. Raises SettingsError for a list that cannot be read."""
        self._place = place
        self._clock = clock
        self._lock = Lock()
        self._state = _state(place)
        self._looked_at = clock()
        self._entries = _revoked(place) if needed or self._state is not None else ()

    def entries(self) -> tuple[Revoked, ...]:
        """What it says, read again where the file has changed; at most once a second anybody looks.

        Where it cannot be read any more, what it said before holds, and a warning says so, once.
        """
        with self._lock:
            now = self._clock()
            if now - self._looked_at < _LOOK_S:
                return self._entries
            self._looked_at = now
            state = _state(self._place)
            if state == self._state:
                return self._entries
            self._state = state
            try:
                self._entries = _revoked(self._place)
            except SettingsError as error:
                logger.warning("%s; what it said before still holds", error)
            else:
                logger.info("the list of revoked identities has changed: %d entries", len(self._entries))
            return self._entries


@dataclass(frozen=True, slots=True)
class Consent:
    """What decides whether identities may be used."""

    revoked: tuple[Revoked, ...] = ()
    today: Callable[[], datetime.date] = datetime.date.today
    listed: RevokedList | None = None  # what is revoked besides

    @classmethod
    def load(cls, revoked: Path | None = None) -> Self:
        """With a list of revoked identities: a file, or else the user's own, which need not be there.

        Raises SettingsError for a list that cannot be read.
        """
        return cls(listed=RevokedList(revoked or config_folder() / REVOKED, revoked is not None))

    def granted(self, file: ModelFile, contract: Contract) -> Grant:
        """The identity in a model file, which may be used. Raises ConsentError."""
        grant = self.examined(file, contract)
        self.check(grant, file.name)
        return grant

    def examined(self, file: ModelFile, contract: Contract) -> Grant:
        """The identity in a model file, whose card is complete and signed, whatever its dates. Raises ConsentError."""
        if not contract.consent:
            raise ConsentError(f"{file.name} carries no card, wanted one as `liveswap identities sign` puts it in")
        card = ModelCard.of_record(contract.consent, file.name)
        if (card.name, card.kind) != (contract.identity, contract.kind):
            raise ConsentError(
                f"{file.name} draws {contract.identity!r} ({contract.kind}), its card is of {card.name!r} ({card.kind})"
            )
        weights = file.weights()
        signature = file.metadata.get(SIGNATURE, "")
        if not signature or not card.key:
            raise ConsentError(
                f"{file.name} has a card without a signature, wanted one as `liveswap identities sign` makes it"
            )
        if not fits(card.key, signature, _message(file.metadata, weights)):
            raise ConsentError(f"{file.name} has a signature that does not match its card and weights")
        return Grant(card, file.digest(), weights, _fused_of(contract, file.name))

    def check(self, grant: Grant, where: str) -> None:
        """Raises ConsentError unless the identity may be used today; where says in messages which it is."""
        card, today = grant.card, self.today()
        if card.date and today < card.date:
            raise ConsentError(f"{where} may be used from {card.date} on, says the card of {card.name!r}")
        if card.until and today > card.until:
            raise ConsentError(f"{where} has expired: the consent of {card.who!r} ended on {card.until}")
        listed = self.listed.entries() if self.listed is not None else ()
        for entry in (*self.revoked, *listed):
            if entry.names(grant):
                raise ConsentError(f"{where} shows {card.name!r}, which is revoked{entry}")


def signed(file: ModelFile, contract: Contract, card: ModelCard, signer: Signer) -> bytes:
    """The model file with this contract and card, signed. Raises ModelError when they contradict each other."""
    if contract.identity != card.name:
        raise ConsentError(f"{file.name} draws {contract.identity!r}, its card is of {card.name!r}")
    said = replace(contract, kind=card.kind, consent=card.signed_by(signer.public).record()).to_metadata()
    said[SIGNATURE] = signer.sign(_message(said, file.weights()))
    return file.with_metadata(said)


def _message(metadata: Any, weights: str) -> bytes:
    """What is signed: all metadata but the signature, and the digest of the weights."""
    said = {key: value for key, value in metadata.items() if key != SIGNATURE}
    return _OPENING + json.dumps({"metadata": said, "weights": weights}, sort_keys=True).encode()


def _fused_of(contract: Contract, name: str) -> tuple[str, ...]:
    """The digests that a fused model names. Raises ConsentError where it does not: nobody could revoke it then."""
    if contract.role != "fused":
        return ()
    said = contract.training.get("fused_of")
    if not isinstance(said, list) or not said or not all(isinstance(each, str) and each for each in said):
        raise ConsentError(f"{name} is fused and does not say of which models")
    return tuple(said)


def _state(place: Path) -> tuple[int, int, int] | None:
    """What changes where a file does; None where there is none."""
    try:
        seen = place.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size, seen.st_ino


def _revoked(place: Path) -> tuple[Revoked, ...]:
    table = toml.read(place, "the list of revoked identities")
    entries = table.pop("revoked", [])
    if table or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SettingsError(f"the list of revoked identities {place} wants entries under [[revoked]] and nothing else")
    return tuple(_entry(entry, f"entry {number} of {place}") for number, entry in enumerate(entries, 1))


def _entry(values: dict[str, object], where: str) -> Revoked:
    entry = Revoked(**toml.fitted(values, get_type_hints(Revoked), where))
    if not (entry.name or entry.model or entry.key):
        raise SettingsError(f"{where} names nothing, wanted name, model or key")
    for key in ("model", "key"):
        said = getattr(entry, key)
        if said and (not _DIGITS.fullmatch(said) or (key == "key" and len(said) != 64)):
            raise SettingsError(
                f"{key} in {where} is {said!r:.80}, wanted {'8 to ' if key == 'model' else ''}64 hex digits"
            )
    return entry
