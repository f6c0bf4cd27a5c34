"""What a person agreed to before a face model is made of their footage: a TOML file, its template, its check."""

import datetime
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from realtime.errors import LiveswapError

TEXTS: Final = ("who", "contact", "statement", "scope", "revocation")
DATES: Final = ("date", "until")
KINDS: Final = ("person", "rendered")
_NAME: Final = re.compile(r"[^\W_][\w .'-]{0,62}")
TEMPLATE: Final = """\
# What the person on the footage agreed to. Fill in every line together with that person, and keep a signed copy.
# liveswap refuses footage without this file, and models carry it along: whoever uses the identity can read it.

name = ""                     # of the identity, as in --identity NAME
kind = "person"               # or "rendered", for footage of nobody who exists; then only name and kind are needed
who = ""                      # the person who agreed, by name or pseudonym
contact = ""                  # how to reach the one who holds the signed record
statement = ""                # what was agreed to, in that person's own words
scope = ""                    # what the identity may be used for
date = {today}             # the day of the agreement
until = {until}            # the last day on which the identity may be used
revocation = ""               # where the person withdraws the agreement
"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A consent file that is complete and valid today."""

    name: str
    kind: str  # person or rendered
    record: dict[str, str]  # all of it, dates as 2026-11-29


def template(today: datetime.date) -> str:
    """A consent file to be filled in, with a year to run."""
    until = today + datetime.timedelta(days=365)
    return TEMPLATE.format(today=today.isoformat(), until=until.isoformat())


def read_agreement(path: Path, today: datetime.date) -> Agreement:
    """The consent in a file. Raises LiveswapError for one that is missing, incomplete, not yet valid or expired."""
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise LiveswapError(
            f"there is no consent file {path}, and nobody's face is learned without: "
            "`liveswap-train consent` writes one to fill in"
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LiveswapError(f"the consent file {path} cannot be read: {error}") from error
    return agreement(said, f"the consent file {path}", today)


def agreement(said: dict[str, Any], where: str, today: datetime.date) -> Agreement:
    """The consent that these values are; where says in messages whose they are. Raises LiveswapError."""
    known = ("name", "kind", *TEXTS, *DATES)
    if strangers := sorted(set(said) - set(known)):
        raise LiveswapError(f"{where} has the unknown entry {strangers[0]!r}, wanted {', '.join(known)}")
    values = {key: said[key] for key in known if said.get(key) not in (None, "")}
    if not _NAME.fullmatch(str(values.get("name", ""))):
        raise LiveswapError(f"{where} has the name {values.get('name', '')!r}, wanted letters, digits and spaces")
    if values.get("kind") not in KINDS:
        raise LiveswapError(f"{where} has the kind {values.get('kind', '')!r}, wanted {' or '.join(KINDS)}")
    if values["kind"] == "person":
        _check_person(values, where, today)
    return Agreement(values["name"], values["kind"], {key: str(value) for key, value in values.items()})


def _check_person(values: dict[str, Any], where: str, today: datetime.date) -> None:
    if missing := [key for key in (*TEXTS, *DATES) if not str(values.get(key, "")).strip()]:
        raise LiveswapError(f"{where} lacks {', '.join(missing)}")
    dates = {key: _day(values[key], key, where) for key in DATES}
    if dates["until"] < today:
        raise LiveswapError(f"{where} has expired: it ended on {dates['until']}")
    if dates["date"] > today:
        raise LiveswapError(f"{where} begins on {dates['date']}, which is not yet")


def _day(value: Any, key: str, where: str) -> datetime.date:
    try:
        return value if isinstance(value, datetime.date) else datetime.date.fromisoformat(str(value))
    except ValueError:
        raise LiveswapError(f"{where} has {value!r} as {key}, wanted a date such as 2026-11-29") from None
