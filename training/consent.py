"""What a person agreed to before a face model is made of their footage: the card's template, and its check."""

import datetime
from pathlib import Path
from typing import Final

from realtime.errors import ConsentError
from realtime.swap.card import ModelCard

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


def template(today: datetime.date) -> str:
    """A consent file to be filled in, with a year to run."""
    until = today + datetime.timedelta(days=365)
    return TEMPLATE.format(today=today.isoformat(), until=until.isoformat())


def read_consent(path: Path, today: datetime.date) -> ModelCard:
    """The consent in a file. Raises ConsentError for one that is missing, incomplete, not yet valid or expired."""
    if not path.is_file():
        raise ConsentError(
            f"there is no consent file {path}, and nobody's face is learned without: "
            "`liveswap-train consent` writes one to fill in"
        )
    card = ModelCard.read(path)
    check_dates(card, f"the consent file {path}", today)
    return card


def check_dates(card: ModelCard, where: str, today: datetime.date) -> None:
    """Raises ConsentError unless the consent holds today; where says in messages whose it is."""
    if card.until and card.until < today:
        raise ConsentError(f"{where} has expired: the consent of {card.who!r} ended on {card.until}")
    if card.date and card.date > today:
        raise ConsentError(f"{where} begins on {card.date}, which is not yet")
