"""Cards are read whole or refused in one sentence."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from realtime.errors import ConsentError
from realtime.swap.card import CONSENT, ModelCard
from tests.models import card_file, person


def test_a_card_survives_its_file_and_its_record(tmp_path: Path) -> None:
    card = person()
    assert ModelCard.read(card_file(tmp_path / "card.toml", card)) == card
    assert ModelCard.of_record(card.record(), "ann.onnx") == card
    assert card.signed_by("ab" * 32).record()["key"] == "ab" * 32


def test_a_rendered_person_needs_a_name_alone(tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text('name = "aster"\nkind = "rendered"\n')
    assert ModelCard.read(tmp_path / "card.toml") == ModelCard(name="aster", kind="rendered")


@pytest.mark.parametrize("key", CONSENT)
def test_a_persons_card_has_every_field(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConsentError, match=rf"card\.toml: the card of 'ann' is of a person and lacks {key}$"):
        ModelCard.read(card_file(tmp_path / "card.toml", person(), [key]))


@pytest.mark.parametrize("key", ["who", "contact", "statement", "scope", "revocation"])
def test_a_blank_is_no_answer(key: str) -> None:
    with pytest.raises(ConsentError, match=f"lacks {key}"):
        person(**{key: " \n"})


@pytest.mark.parametrize(
    ("without", "more", "sentence"),
    [
        (["name"], "", "lacks name"),
        (["kind"], "", "lacks kind"),
        ([], 'witness = "B. O."', "the key 'witness' in the card .* is unknown, the nearest one there is is"),
        ([], 'key = "00"', "the key 'key' in the card .* is unknown"),
        (["date"], 'date = "2020-01-31"', "date in .* is '2020-01-31', wanted a date such as"),
        (["date"], "date = 2020-01-31T10:00:00", "date in .* is 2020-01-31T10:00:00, wanted a date"),
        (["date"], "date = 2020-02-31", "is no TOML"),
        (["until"], "until = 2019-12-31", "ends on 2019-12-31, before its date 2020-01-31"),
        (["until"], "until = 20291231", "until in .* is 20291231, wanted a date"),
        (["scope"], 'scope = ["shows"]', "scope in .* wanted a text"),
        (["kind"], 'kind = "friend"', "has the kind 'friend', wanted rendered or person"),
        (["kind"], 'kind = "rendered"', "is of nobody who exists and yet has who, contact, date, until, revocation"),
        ([], 'training_set = "abc"', "has 'abc' as training_set, wanted 64 hex digits"),
        (["scope"], 'scope = "a\\u001b[2Jb"', "has control characters in scope"),
        (["scope"], f'scope = "{"a" * 4001}"', "has 4001 characters in scope, wanted at most 4000"),
        ([], "[consent]", "the key 'consent' in the card .* is unknown"),
        ([], "[", "is no TOML"),
    ],
)
def test_a_bad_card_is_one_sentence(tmp_path: Path, without: list[str], more: str, sentence: str) -> None:
    path = card_file(tmp_path / "card.toml", person(), without, more)
    with pytest.raises(ConsentError, match=sentence) as seen:
        ModelCard.read(path)
    assert "\n" not in str(seen.value)
    assert "card.toml" in str(seen.value)


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConsentError, match=r"the card .*nothing\.toml cannot be read: No such file"):
        ModelCard.read(tmp_path / "nothing.toml")


@pytest.mark.parametrize("name", ["", " ", "left=ann", "ann,bob", "../ann", "ann.onnx", "#2", "a" * 64, "an\nn"])
def test_a_name_is_one_that_can_be_asked_for(name: str) -> None:
    with pytest.raises(ConsentError, match="has a name that is none"):
        ModelCard(name=name, kind="rendered")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"date": "yesterday"}, "date in the card in ann.onnx is 'yesterday', wanted a date"),
        ({"until": 5}, "until in the card in ann.onnx is 5, wanted a date"),
        ({"who": None}, "who in the card in ann.onnx is None, wanted a text"),
        ({"more": ""}, "the key 'more' in the card in ann.onnx is unknown"),
    ],
)
def test_a_bad_record_is_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConsentError, match=sentence):
        ModelCard.of_record({**person().record(), **changes}, "ann.onnx")


def test_the_last_day_may_be_the_first() -> None:
    assert person(until=date(2020, 1, 31)).until == date(2020, 1, 31)
