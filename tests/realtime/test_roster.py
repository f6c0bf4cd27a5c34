"""The commands about identities: listed, shown, signed, imported, revoked; in words and as JSON."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from realtime.egress.library import Swapper
from realtime.errors import ConsentError, UnknownIdentity
from realtime.roster import entries, in_full, plain
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import Shelf
from realtime.swap.session import SessionSettings
from realtime.swap.signing import RELEASE, Signer
from tests.models import SEED, card_file, person, write_decoder, write_dfm, write_shelf
from tests.realtime.conftest import Say

CPU = SessionSettings(provider="cpu", threads=1)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_shelf(tmp_path / "models", ["aster"])
    write_decoder(tmp_path / "models" / "ann.onnx", "ann", (200, 140, 100), card=person())
    return tmp_path / "models"


@pytest.fixture
def revoked(tmp_path: Path) -> Path:
    path = tmp_path / "revoked.toml"
    path.write_text('[[revoked]]\nname = "ann"\nreason = "by letter"\n')
    return path


def test_identities_are_listed_with_who_agreed(say: Say, models: Path) -> None:
    said = say("identities", "--models", models)
    assert said.code == 0
    lines = {name: next(line for line in said.out.splitlines() if name in line) for name in ("ann", "aster")}
    assert all(word in lines["ann"] for word in ("person", "A. N.", "2120-01-31", "yes"))
    assert "rendered" in lines["aster"]
    assert max(map(len, said.out.splitlines())) <= 80


def test_an_identity_that_may_not_be_used_is_listed_with_the_reason(say: Say, models: Path, revoked: Path) -> None:
    said = say("identities", "--models", models, "--revoked", revoked)
    assert "not to be used: ann.onnx shows 'ann', which is revoked: by letter" in said.out
    found = {entry["name"]: entry for entry in json.loads(
        say("identities", "--models", models, "--revoked", revoked, "--json").out)}  # fmt: skip
    assert (found["aster"]["refused"], found["ann"]["refused"][:17]) == ("", "ann.onnx shows 'a")
    assert found["ann"]["card"]["scope"] == "rehearsals and shows of 'Twins'"


def test_one_identity_is_shown_in_full(say: Say, models: Path) -> None:
    said = say("identities", "show", "ann", "--models", models)
    assert said.code == 0
    card = person()
    texts = (card.who, card.contact, card.statement, card.scope, card.revocation, str(card.date), str(card.until))
    for text in (*texts, Signer.of_seed(SEED).public, ModelFile.read(models / "ann.onnx").weights()):
        assert text in said.out
    found = json.loads(say("identities", "--models", models, "show", "ann", "--json").out)
    assert found["signed_by"] == Signer.of_seed(SEED).public
    assert found["card"] == card.signed_by(found["signed_by"]).record()


def test_an_embedded_identity_says_who_signed_it(say: Say) -> None:
    said = say("identities", "show", "aster").out
    assert f"{RELEASE} (liveswap)" in said
    assert "nobody who exists" in said


def test_an_unknown_identity_is_answered_with_those_there_are(say: Say, models: Path) -> None:
    said = say("identities", "show", "bob", "--models", models)
    assert (said.code, said.err) == (2, "liveswap: there is no identity 'bob', wanted one of ann, aster\n")
    assert say("identities", "show", "nothing.onnx").code == 2


def test_a_text_that_a_terminal_would_obey_is_shown_harmless(models: Path) -> None:
    assert plain("one\x1b[2J\ntwo", 3) == "one?[2J\n   two"
    (entry,) = entries({"models": str(models)}, "ann")
    assert "?[31m" in "\n".join(in_full(replace(entry, card={**entry.card, "scope": "\x1b[31mred"})))


def test_signing_asks_for_no_card_of_rendered_people(say: Say, models: Path) -> None:
    said = say("identities", "sign", models)
    assert said.code == 0
    assert [line.split("/")[-1].split(",")[0] for line in said.out.splitlines()] == [
        "ann.onnx holds ann (person)",
        "aster.onnx holds aster (rendered)",
    ]
    assert Shelf.load(models, CPU)["ann"].grant.card == person(key=Signer.own().public)


def test_an_unsigned_model_is_refused_until_it_is_signed(say: Say, models: Path, clip: Path, tmp_path: Path) -> None:
    path = models / "ann.onnx"
    file = ModelFile.read(path)
    path.write_bytes(file.with_metadata({**file.metadata, "liveswap.consent": "{}", "liveswap.kind": "rendered"}))
    run = ("run", "--source", clip, "--sink", "null", "--models", models, "--identity", "ann", "--duration", "0.1")
    said = say(*run)
    assert said.code == 2
    assert said.err.endswith(
        "liveswap: ann.onnx carries no card, wanted one as `liveswap identities sign` puts it in\n"
    )
    assert say("identities", "sign", path, "--card", card_file(tmp_path / "card.toml", person())).code == 0
    assert say(*run).code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("identities", "sign", "MODELS", "--card", "CARD"), "holds 2 identities, wanted one file for one --card"),
        (
            ("identities", "sign", "MODELS/aster.onnx", "--card", "CARD"),
            "draws 'aster', its card is of 'ann'",
        ),
        (("identities", "sign", "MODELS/encoder.onnx"), "shows nobody and needs no card"),
        (("identities", "sign", "MODELS/nothing.onnx"), "there is no model file"),
        (("identities", "sign", "EMPTY"), "holds no identities"),
        (("identities", "sign", "MODELS", "--key", "nothing.pem"), "there is no key nothing.pem"),
        (("identities", "sign", "MODELS/ann.onnx", "--card", "BAD"), "is of a person and lacks revocation"),
        (("import-dfm", "DFM", "--card", "BAD"), "is of a person and lacks revocation"),
        (("import-dfm", "DFM", "--card", "CARD", "--out", "MODELS/ann.onnx"), "exists already, wanted another --out"),
        (("import-dfm", "DFM", "--card", "CARD", "--out", "ann.dfm"), "wanted a file that ends with .onnx"),
        (("import-dfm", "DFM", "--card", "CARD", "--out", "EMPTY/no/ann.onnx"), "cannot be written"),
        (("import-dfm", "CARD", "--card", "CARD", "--out", "EMPTY/ann.onnx"), "card.toml is no ONNX model"),
        (("identities", "--revoked", "nothing.toml"), "nothing.toml cannot be read"),
        (("run", "--revoked", "BAD", "--source", "DFM", "--sink", "null"), "wants entries under [[revoked]]"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    say: Say, models: Path, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    card_file(tmp_path / "card.toml", person())
    card_file(tmp_path / "bad.toml", person(), ["revocation"])
    write_dfm(tmp_path / "ann.dfm")
    (tmp_path / "empty").mkdir()
    places = {"MODELS": models, "CARD": tmp_path / "card.toml", "BAD": tmp_path / "bad.toml"}
    places.update({"DFM": tmp_path / "ann.dfm", "EMPTY": tmp_path / "empty"})
    for short, place in places.items():
        words = tuple(word.replace(short, str(place)) for word in words)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.onnx")}
    said = say(*words)
    assert said.code == 2
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.onnx")} == before
    assert not list((tmp_path / "empty").iterdir())


def test_an_imported_model_runs_like_any_other(say: Say, models: Path, clip: Path, tmp_path: Path) -> None:
    card = card_file(tmp_path / "card.toml", person("bob"))
    out = tmp_path / "bob.onnx"
    said = say("import-dfm", write_dfm(tmp_path / "bob.dfm", True), "--card", card, "--out", out)
    assert (said.code, said.err) == (0, "")
    assert f"{out} holds bob (person)" in said.out
    assert "A. N." in say("identities", "show", out).out
    words = ("--sink", "null", "--models", models, "--identity", out, "--duration", "0.1")
    assert say("run", "--source", clip, *words).code == 0


def test_a_wrong_folder_for_secrets_is_said(say: Say, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(models / "ann.onnx"))
    said = say("identities", "sign", models)
    assert said.code == 2
    assert "cannot be" in said.err


def test_the_library_refuses_as_well(models: Path, revoked: Path) -> None:
    assert Swapper.load("ann", models, session=CPU).identity == "ann"
    with pytest.raises(ConsentError, match="which is revoked: by letter"):
        Swapper.load("ann", models, session=CPU, revoked=revoked)
    with pytest.raises(UnknownIdentity):
        Swapper.load("bob", models, session=CPU, revoked=revoked)
