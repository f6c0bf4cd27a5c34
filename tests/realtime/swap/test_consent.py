"""An identity is used with a complete card, a signature that fits, within its dates, and unless it is revoked."""

import json
import logging
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.release import digests, release
from realtime.errors import ConsentError, ModelError, SettingsError, UnknownIdentity
from realtime.places import config_folder
from realtime.swap.consent import SIGNATURE, Consent, RevokedList, signed
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import DIGESTS, MODELS, Shelf
from realtime.swap.sealing import seal
from realtime.swap.session import SessionSettings
from realtime.swap.signing import RELEASE, Signer
from tests.models import SEED, person, write_decoder, write_shelf

CPU = SessionSettings(provider="cpu", threads=1)
OTHER = Signer.of_seed(b"another key, of thirty-two bytes")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A shelf with aster, who is rendered, and ann, who exists."""
    write_shelf(tmp_path / "models", ["aster"])
    write_decoder(tmp_path / "models" / "ann.onnx", "ann", (200, 140, 100), card=person())
    return tmp_path / "models"


def changed(path: Path, change: Callable[[dict[str, str]], object]) -> None:
    """The file with other metadata, everything else as it was."""
    file = ModelFile.read(path)
    said = dict(file.metadata)
    change(said)
    path.write_bytes(file.with_metadata(said))


def refused(models: Path, sentence: str, consent: Consent | None = None) -> None:
    """ann is refused with this sentence and left out; aster is there."""
    with pytest.raises(ConsentError, match=sentence) as seen:
        Shelf.load(models, CPU, ["ann"], consent)
    assert "\n" not in str(seen.value)
    shelf = Shelf.load(models, CPU, None, consent)
    assert shelf.names == ("aster",)
    with pytest.raises(ConsentError, match=sentence):
        shelf["ann"]
    with pytest.raises(ConsentError, match=sentence):
        shelf.add(models / "ann.onnx")


def test_a_person_who_agreed_is_on_the_shelf(models: Path) -> None:
    shelf = Shelf.load(models, CPU)
    assert shelf.names == ("ann", "aster")
    assert shelf["ann"].grant.card == person(key=Signer.of_seed(SEED).public)
    assert shelf.cards()[0].consent["revocation"] == "withdraw@theatre.example"


def test_without_a_card_nobody_is_shown(models: Path) -> None:
    changed(models / "ann.onnx", lambda said: said.update({"liveswap.consent": "{}", "liveswap.kind": "rendered"}))
    refused(models, r"^ann\.onnx carries no card, wanted one as `liveswap identities sign` puts it in$")


def test_a_card_that_was_taken_out_of_a_persons_model_is_missed(models: Path) -> None:
    changed(models / "ann.onnx", lambda said: said.update({"liveswap.consent": "{}"}))
    with pytest.raises(ModelError, match=r"ann\.onnx: decoder 'ann' has no consent record"):
        Shelf.load(models, CPU)


def test_other_weights_do_not_fit_the_signature(models: Path) -> None:
    model = onnx.load(models / "ann.onnx")
    weights = next(entry for entry in model.graph.initializer if entry.name == "drawn_face")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * np.float32(0.5), "drawn_face"))
    onnx.save(model, models / "ann.onnx")
    refused(models, r"^ann\.onnx has a signature that does not match its card and weights$")


def longer(said: dict[str, str]) -> None:
    card = json.loads(said["liveswap.consent"])
    said["liveswap.consent"] = json.dumps({**card, "until": "2999-12-31"})


def other_key(said: dict[str, str]) -> None:
    card = json.loads(said["liveswap.consent"])
    said["liveswap.consent"] = json.dumps({**card, "key": OTHER.public})


@pytest.mark.parametrize(
    "change",
    [
        longer,
        other_key,
        lambda said: said.update({"liveswap.licence": "CC0-1.0"}),
        lambda said: said.update({"liveswap.training": '{"data": "none"}'}),
        lambda said: said.update({"more": "of it"}),
        lambda said: said.update({SIGNATURE: OTHER.sign(b"something")}),
        lambda said: said.update({SIGNATURE: "no hex"}),
    ],
)
def test_metadata_that_was_tampered_with_does_not_fit(models: Path, change: Callable[[dict[str, str]], object]) -> None:
    changed(models / "ann.onnx", change)
    refused(models, r"^ann\.onnx has a signature that does not match its card and weights$")


def test_a_card_without_a_signature_is_none(models: Path) -> None:
    changed(models / "ann.onnx", lambda said: said.pop(SIGNATURE))
    refused(models, r"^ann\.onnx has a card without a signature, wanted one as `liveswap identities sign` makes it$")


def test_the_signature_of_another_model_does_not_fit(models: Path) -> None:
    other = write_decoder(models.parent / "bob.onnx", "bob", (1, 2, 3), card=person("bob"))
    signature = ModelFile.read(other).metadata[SIGNATURE]
    changed(models / "ann.onnx", lambda said: said.update({SIGNATURE: signature}))
    refused(models, "does not match")


def test_a_card_of_somebody_else_is_refused(models: Path) -> None:
    changed(models / "ann.onnx", lambda said: said.update({"liveswap.consent": json.dumps(person("bob").record())}))
    refused(models, r"ann\.onnx draws 'ann' \(person\), its card is of 'bob' \(person\)")


def test_a_card_that_is_incomplete_is_refused(models: Path) -> None:
    def without_scope(said: dict[str, str]) -> None:
        card = json.loads(said["liveswap.consent"])
        del card["scope"]
        said["liveswap.consent"] = json.dumps(card)

    changed(models / "ann.onnx", without_scope)
    refused(models, r"^ann\.onnx: the card of 'ann' is of a person and lacks scope$")


def test_consent_ends_on_its_day(models: Path) -> None:
    def on(day: date) -> Consent:
        return Consent(today=lambda: day)

    assert Shelf.load(models, CPU, ["ann"], on(date(2120, 1, 31))).names == ("ann", "aster")
    refused(models, r"^ann\.onnx has expired: the consent of 'A\. N\.' ended on 2120-01-31$", on(date(2120, 2, 1)))
    refused(models, r"^ann\.onnx may be used from 2020-01-31 on", on(date(2020, 1, 30)))


def test_consent_may_end_while_the_shelf_is_open(models: Path) -> None:
    days = [date(2120, 1, 31)]
    shelf = Shelf.load(models, CPU, ["ann"], Consent(today=lambda: days[-1]))
    assert shelf["ann"].name == "ann"
    days.append(date(2120, 2, 1))
    with pytest.raises(ConsentError, match="has expired"):
        shelf["ann"]
    assert shelf["aster"].name == "aster"


def test_a_list_that_changes_counts_within_a_second_and_is_not_looked_at_more_often(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place, clock = tmp_path / "list.toml", [0.0]
    shelf = Shelf.load(models, CPU, ["ann"], Consent(listed=RevokedList(place, False, lambda: clock[-1])))
    place.write_text('[[revoked]]\nname = "ann"\nreason = "by letter"\n')
    clock.append(0.9)
    assert shelf["ann"].name == "ann"
    clock.append(1.0)
    with pytest.raises(ConsentError, match=r"'ann', which is revoked: by letter$"):
        shelf["ann"]
    assert shelf["aster"].name == "aster"
    place.write_text("[[revoked")
    clock.append(2.0)
    for _ in range(3):
        with pytest.raises(ConsentError, match="which is revoked"):
            shelf["ann"]
    place.unlink()
    clock.append(3.0)
    with pytest.raises(ConsentError, match="which is revoked"):
        shelf["ann"]
    said = [record.message for record in caplog.records if "still holds" in record.message]
    assert len(said) == 2
    assert "is no TOML" in said[0]
    assert "cannot be read: No such file" in said[1]
    place.write_text("")
    clock.append(4.0)
    assert shelf["ann"].name == "ann", "who is taken off the list may be used again"


@pytest.mark.parametrize("by", ["name", "weights", "digest", "beginning", "key", "name and key"])
def test_who_withdrew_is_refused(models: Path, tmp_path: Path, by: str) -> None:
    file = ModelFile.read(models / "ann.onnx")
    key = Signer.of_seed(SEED).public
    lines = {
        "name": 'name = "ann"',
        "weights": f'model = "{file.weights()}"',
        "digest": f'model = "{file.digest()}"',
        "beginning": f'model = "{file.digest()[:8]}"',
        "key": f'key = "{key}"',
        "name and key": f'name = "ann"\nkey = "{key}"',
    }
    listed = tmp_path / "list.toml"
    listed.write_text(f'[[revoked]]\nname = "bob"\n[[revoked]]\n{lines[by]}\ndate = 2026-01-31\nreason = "by letter"\n')
    sentence = r"^ann\.onnx shows 'ann', which is revoked since 2026-01-31: by letter$"
    if by == "key":  # aster is signed with it as well
        with pytest.raises(ConsentError, match=sentence):
            Shelf.load(models, CPU, ["ann"], Consent.load(listed))
    else:
        refused(models, sentence, Consent.load(listed))


def test_a_revoked_model_stays_so_under_another_card_and_key(models: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.toml"
    listed.write_text(f'[[revoked]]\nmodel = "{ModelFile.read(models / "ann.onnx").weights()}"\n')
    seal(models / "ann.onnx", OTHER, person(who="somebody else"))
    refused(models, "which is revoked$", Consent.load(listed))


def test_an_entry_means_what_all_of_its_fields_say(models: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.toml"
    listed.write_text(f'[[revoked]]\nname = "ann"\nkey = "{OTHER.public}"\n')
    assert Shelf.load(models, CPU, None, Consent.load(listed)).names == ("ann", "aster")


def test_the_users_own_list_counts_without_being_named(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    config_folder().mkdir()
    (config_folder() / "revoked.toml").write_text('[[revoked]]\nname = "ann"\n')
    refused(models, "ann.* is revoked")


def test_an_embedded_identity_can_be_revoked_too(tmp_path: Path) -> None:
    listed = tmp_path / "list.toml"
    listed.write_text('[[revoked]]\nname = "aster"\n')
    with pytest.raises(ConsentError, match="aster"):
        Shelf.load(None, CPU, ["aster"], Consent.load(listed))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[", "is no TOML"),
        ('name = "ann"', r"wants entries under \[\[revoked\]\] and nothing else"),
        ('revoked = "ann"', r"wants entries under \[\[revoked\]\]"),
        ('revoked = ["ann"]', r"wants entries under \[\[revoked\]\]"),
        ("[[revoked]]", "entry 1 of .* names nothing, wanted name, model or key"),
        ('[[revoked]]\nname = "a"\n[[revoked]]\nreason = "b"', "entry 2 of .* names nothing"),
        ('[[revoked]]\nnames = "ann"', "the key 'names' in entry 1 of .* nearest one there is is 'name'"),
        ('[[revoked]]\nname = "a"\ndate = "now"', "date in entry 1 of .* wanted a date"),
        ('[[revoked]]\nmodel = "abc"', "model in entry 1 of .* is 'abc', wanted 8 to 64 hex digits"),
        ('[[revoked]]\nkey = "0123456789"', "key in entry 1 of .* wanted 64 hex digits"),
    ],
)
def test_a_bad_list_is_one_sentence_and_not_overlooked(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "list.toml").write_text(text)
    with pytest.raises(SettingsError, match=sentence):
        Consent.load(tmp_path / "list.toml")


def test_a_list_that_was_named_is_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"the list of revoked identities .* cannot be read: No such file"):
        Consent.load(tmp_path / "list.toml")


@pytest.mark.parametrize("place", ["aster", "birch", "cedar", "dahlia", "small/aster", "small/birch", "small/cedar",
                                   "small/dahlia"])  # fmt: skip
def test_what_ships_is_signed_with_the_key_of_the_release(place: str) -> None:
    file = ModelFile.read(MODELS / f"{place}.onnx")
    grant = Consent().granted(file, Contract.from_metadata(file.metadata))
    assert (grant.card.kind, grant.card.key) == ("rendered", RELEASE), "run `python -m export.release`"
    more = ModelFile.of(file.with_metadata({**file.metadata, "liveswap.licence": "CC0-1.0"}), file.name)
    with pytest.raises(ConsentError, match="has a signature that does not match its card and weights"):
        Consent().granted(more, Contract.from_metadata(more.metadata))


def test_a_rendered_identity_without_a_card_is_refused_as_well(models: Path) -> None:
    changed(models / "aster.onnx", lambda said: said.update({"liveswap.consent": "{}"}))
    with pytest.raises(ConsentError, match=r"aster\.onnx carries no card"):
        Shelf.load(models, CPU, ["aster"])


def test_the_digests_of_all_that_ships_are_written_down() -> None:
    assert json.loads((MODELS / DIGESTS).read_text()) == digests(MODELS), "run `python -m export.release`"


def test_a_release_signs_every_identity_anew(models: Path) -> None:
    before = ModelFile.read(models / "ann.onnx")
    release(models, OTHER)
    after = ModelFile.read(models / "ann.onnx")
    assert Shelf.load(models, CPU)["ann"].grant.card == person(key=OTHER.public)
    assert (after.weights(), after.digest() == before.digest()) == (before.weights(), False)
    assert json.loads((models / DIGESTS).read_text())["ann.onnx"] == after.digest()


def test_an_identity_that_is_left_out_is_said_once(models: Path, caplog: pytest.LogCaptureFixture) -> None:
    changed(models / "ann.onnx", lambda said: said.pop(SIGNATURE))
    with caplog.at_level(logging.WARNING):
        Shelf.load(models, CPU)
    assert [record.message for record in caplog.records if "ann" in record.message] == [
        "ann is left out: ann.onnx has a card without a signature, wanted one as `liveswap identities sign` makes it"
    ]


def test_an_identity_that_comes_back_in_order_is_taken(models: Path) -> None:
    changed(models / "ann.onnx", lambda said: said.pop(SIGNATURE))
    shelf = Shelf.load(models, CPU)
    seal(models / "ann.onnx", OTHER)
    assert shelf.add(models / "ann.onnx") == "ann"
    assert shelf["ann"].name == "ann"
    with pytest.raises(UnknownIdentity):
        shelf["bob"]


def test_a_card_of_somebody_else_is_not_signed(models: Path) -> None:
    before = (models / "ann.onnx").read_bytes()
    with pytest.raises(ConsentError, match=r"ann\.onnx draws 'ann', its card is of 'bob'"):
        seal(models / "ann.onnx", OTHER, person("bob"))
    with pytest.raises(ModelError, match="shows nobody and needs no card"):
        seal(models / "encoder.onnx", OTHER)
    assert (models / "ann.onnx").read_bytes() == before
    assert sorted(path.name for path in models.iterdir()) == [
        "ann.onnx",
        "aster.onnx",
        "encoder.onnx",
        "landmarks.onnx",
    ]


def test_a_signature_under_something_else_is_none_under_a_card(models: Path) -> None:
    file = ModelFile.read(models / "ann.onnx")
    again = ModelFile.of(signed(file, Contract.from_metadata(file.metadata), person(), OTHER), "ann.onnx")
    said = {key: value for key, value in again.metadata.items() if key != SIGNATURE}
    forged = OTHER.sign(json.dumps({"metadata": said, "weights": again.weights()}, sort_keys=True).encode())
    (models / "ann.onnx").write_bytes(again.with_metadata({**said, SIGNATURE: forged}))
    refused(models, "does not match")


def test_looking_at_a_card_costs_little_of_a_start() -> None:
    """50 ms of computing for the four embedded identities, with room for a machine four times slower."""
    files = [ModelFile.read(path) for path in sorted(MODELS.glob("[abcd]*.onnx"))]
    consent = Consent.load()
    taken = []
    for _ in range(3):
        began = time.process_time()
        for file in files:
            consent.granted(file, Contract.from_metadata(file.metadata))
        taken.append(time.process_time() - began)
    assert len(files) == 4
    assert min(taken) < 0.2
