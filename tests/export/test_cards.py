"""Exported identities get a card each and are signed; who learned from footage does not pass for rendered."""

from pathlib import Path

import pytest

from export.cards import cards_of
from realtime.errors import ConsentError
from realtime.swap.card import ModelCard
from realtime.swap.identity import Shelf
from realtime.swap.session import SessionSettings
from realtime.swap.signing import Signer
from tests.export.conftest import Made
from tests.export.test_main import run
from tests.models import card_file, person
from training.checkpoint import SWAP, load, save

DIGEST = "5e" * 32
pytestmark = pytest.mark.timeout(400)  # networks are traced, which takes a second, or minutes beside other work


def test_rendered_identities_need_no_card_and_persons_have_theirs(tmp_path: Path) -> None:
    card = card_file(tmp_path / "ann.toml", person())
    cards = cards_of(("ann", "aster"), {"training_set": DIGEST}, [card])
    assert cards["ann"] == person(training_set=DIGEST)
    assert cards["aster"] == ModelCard(name="aster", kind="rendered", training_set=DIGEST)


def test_who_learned_from_footage_needs_a_card(tmp_path: Path) -> None:
    record = {"faces": {"ann": 200, "bob": 100}}
    card = card_file(tmp_path / "ann.toml", person())
    with pytest.raises(ConsentError, match="bob learned from footage, wanted --card with what the person agreed to"):
        cards_of(("ann", "bob"), record, [card])
    assert cards_of(("ann", "bob"), record, [card], rendered=True)["bob"].kind == "rendered"


def test_what_the_training_noted_of_consent_becomes_the_card(tmp_path: Path) -> None:
    record = {
        "faces": {"ann": 200, "bob": 100},
        "consent": {"ann": person().record(), "bob": person("bob").record()},
        "training_sets": {"ann": DIGEST},
    }
    cards = cards_of(("ann", "bob"), record, [card_file(tmp_path / "bob.toml", person("bob", scope="one evening"))])
    assert cards == {"ann": person(training_set=DIGEST), "bob": person("bob", scope="one evening")}
    with pytest.raises(ConsentError, match="the checkpoint: the card of 'ann' is of a person and lacks who"):
        cards_of(("ann",), {"consent": {"ann": {"kind": "person"}}})


def test_a_card_of_nobody_and_a_second_card_are_refused(tmp_path: Path) -> None:
    card = card_file(tmp_path / "ann.toml", person())
    with pytest.raises(ConsentError, match=r"ann\.toml is of 'ann', the checkpoint has aster, cedar"):
        cards_of(("aster", "cedar"), {}, [card])
    with pytest.raises(ConsentError, match=r"ann\.toml is the second one of 'ann'"):
        cards_of(("ann",), {}, [card, card])


def test_the_command_puts_the_card_in_and_signs(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = load(made.swap_file, SWAP)
    content["record"]["faces"] = {"aster": 9, "cedar": 9}
    save(tmp_path / "swap.pt", SWAP, content)
    words = ("--swap", tmp_path / "swap.pt", "--out", tmp_path / "models")
    assert run(monkeypatch, *words) == 2
    assert "aster, cedar learned from footage" in capsys.readouterr().err
    cards = [card_file(tmp_path / f"{name}.toml", person(name)) for name in ("aster", "cedar")]
    assert run(monkeypatch, *words, "--card", cards[0], "--card", cards[1]) == 0
    shelf = Shelf.load(tmp_path / "models", SessionSettings(provider="cpu", threads=1))
    assert shelf["cedar"].grant.card == person("cedar", key=Signer.own().public)
