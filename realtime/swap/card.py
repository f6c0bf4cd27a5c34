"""What a model's card says: who it shows, and for a person who exists, what that person agreed to."""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Self, get_type_hints

from realtime import toml
from realtime.errors import ConsentError

KINDS: Final = ("rendered", "person")
CONSENT: Final = ("who", "contact", "statement", "scope", "date", "until", "revocation")  # what a person's card has
LONGEST: Final = 4000  # characters of one text
_NAME: Final = re.compile(r"[^\W_][\w .'-]{0,62}")  # nothing that the words of --identity or a path have a meaning for
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_DATES: Final = ("date", "until")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One card. Building one that is incomplete or contradicts itself raises ConsentError."""

    name: str  # of the identity
    kind: str  # rendered: nobody who exists; person: somebody who agreed
    who: str = ""  # the person who agreed, by name or pseudonym
    contact: str = ""  # how to reach the one who holds the signed record
    statement: str = ""  # what was agreed to, in that person's words
    scope: str = ""  # what the identity may be used for
    date: datetime.date | None = None  # the day of the agreement
    until: datetime.date | None = None  # the last day on which the identity may be used
    revocation: str = ""  # where the person withdraws the agreement
    training_set: str = ""  # hex SHA-256 of what the model was trained on; empty where nobody knows
    key: str = ""  # hex Ed25519 public key of who signed; put in by signing

    def __post_init__(self) -> None:
        wrong = _first_fault(self)
        if wrong:
            raise ConsentError(f"the card of {self.name!r:.80} {wrong}")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The card in a TOML file, without a key. Raises ConsentError, which names the file."""
        wanted = {key: kind for key, kind in get_type_hints(cls).items() if key != "key"}
        values = toml.fitted(toml.read(path, "the card", ConsentError), wanted, f"the card {path}", ConsentError)
        return cls._complete(values, f"the card {path}")

    @classmethod
    def of_record(cls, record: Mapping[str, Any], name: str) -> Self:
        """The card that a model's metadata holds as JSON; name says which model in messages. Raises ConsentError."""
        values = dict(record)
        for key in _DATES:
            if isinstance(values.get(key), str):
                values[key] = _day(key, values[key], name)
        return cls._complete(toml.fitted(values, get_type_hints(cls), f"the card in {name}", ConsentError), name)

    def record(self) -> dict[str, str]:
        """The card as JSON takes it, without what is empty."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: str(value) for key, value in said.items() if value}

    def signed_by(self, key: str) -> Self:
        """The same card with the public key of who signs it."""
        return replace(self, key=key)

    @classmethod
    def _complete(cls, values: dict[str, Any], where: str) -> Self:
        missing = [key for key in ("name", "kind") if key not in values]
        if missing:
            raise ConsentError(f"{where} lacks {' and '.join(missing)}")
        try:
            return cls(**values)
        except ConsentError as error:
            raise ConsentError(f"{where}: {error}") from error


def _first_fault(card: ModelCard) -> str:
    """What is wrong with a card, in words; empty when nothing is."""
    if not _NAME.fullmatch(card.name) or card.name.endswith(".onnx"):
        return "has a name that is none: wanted letters, digits, spaces, dots and hyphens, at most 63"
    if card.kind not in KINDS:
        return f"has the kind {card.kind!r:.80}, wanted {' or '.join(KINDS)}"
    texts = {key: getattr(card, key) for key in (*CONSENT, "training_set", "key") if key not in _DATES}
    for key, text in texts.items():
        if len(text) > LONGEST:
            return f"has {len(text)} characters in {key}, wanted at most {LONGEST}"
        if not all(character.isprintable() or character == "\n" for character in text):
            return f"has control characters in {key}, wanted plain text"
    for key in ("training_set", "key"):
        if texts[key] and not _DIGEST.fullmatch(texts[key]):
            return f"has {texts[key]!r:.80} as {key}, wanted 64 hex digits"
    return _fault_of_person(card) if card.kind == "person" else _fault_of_nobody(card)


def _fault_of_person(card: ModelCard) -> str:
    missing = [key for key in CONSENT if not (str(getattr(card, key)).strip() if getattr(card, key) else "")]
    if missing:
        return f"is of a person and lacks {', '.join(missing)}"
    assert card.date is not None  # or it would be missing
    assert card.until is not None
    if card.until < card.date:
        return f"ends on {card.until}, before its date {card.date}"
    return ""


def _fault_of_nobody(card: ModelCard) -> str:
    said = [key for key in CONSENT if key not in ("statement", "scope") and getattr(card, key)]
    return f"is of nobody who exists and yet has {', '.join(said)}" if said else ""


def _day(key: str, text: str, name: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise ConsentError(f"{key} in the card in {name} is {text!r:.80}, wanted a date such as 2026-11-29") from None
