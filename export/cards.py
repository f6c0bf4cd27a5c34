"""Which card each exported identity gets."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from realtime.errors import ConsentError
from realtime.swap.card import ModelCard


def cards_of(
    names: Collection[str], record: Mapping[str, Any], given: Sequence[Path] = (), rendered: bool = False
) -> dict[str, ModelCard]:
    """A card for each identity of a checkpoint: one of the TOML files given, the one in the checkpoint's record (under
    "consent", by name), or that of a rendered person.

    Who was trained on footage exists, unless rendered says that nobody does. The digest of the training set goes from
    the record ("training_set", or "training_sets" by name) into cards that lack one. Raises ConsentError for a card of
    nobody among the identities, two cards of one identity, and an identity that was trained on footage and has no card.
    """
    cards: dict[str, ModelCard] = {}
    for path in given:
        card = ModelCard.read(path)
        if card.name not in names:
            raise ConsentError(f"the card {path} is of {card.name!r}, the checkpoint has {', '.join(names)}")
        if card.name in cards:
            raise ConsentError(f"the card {path} is the second one of {card.name!r}")
        cards[card.name] = card
    for name in names:
        if name not in cards and (agreed := record.get("consent", {}).get(name)):
            cards[name] = ModelCard.of_record({"name": name, **agreed}, "the checkpoint")
    missing = [name for name in names if name not in cards]
    if missing and record.get("faces") and not rendered:
        raise ConsentError(
            f"{', '.join(missing)} learned from footage, wanted --card with what the person agreed to, "
            "or --rendered where the footage shows nobody who exists"
        )
    cards.update({name: ModelCard(name=name, kind="rendered") for name in missing})
    return {name: _with_digest(card, record) for name, card in cards.items()}


def _with_digest(card: ModelCard, record: Mapping[str, Any]) -> ModelCard:
    said = str(record.get("training_sets", {}).get(card.name) or record.get("training_set", ""))
    known = card.training_set or not re.fullmatch(r"[0-9a-f]{64}", said)
    return card if known else replace(card, training_set=said)
