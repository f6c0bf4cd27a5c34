"""An identity becomes one file from frame to frame, which keeps its contract, its card and its revocations."""

from pathlib import Path

import pytest

from export import __main__ as command
from export.fuse import fuse_identity
from realtime.errors import ConsentError, ModelError, SettingsError
from realtime.swap.consent import Consent, Revoked
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from tests.models import person, write_decoder, write_encoder

ALL = Consent()


@pytest.fixture
def ann(tmp_path: Path) -> Path:
    write_encoder(tmp_path / "encoder.onnx")
    return write_decoder(tmp_path / "ann.onnx", "ann", card=person())


def test_the_card_and_the_contract_go_along(ann: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "fused.onnx"
    fuse_identity(str(ann), out, ann.with_name("encoder.onnx"))
    file = ModelFile.read(out)
    contract = Contract.from_metadata(file.metadata, out.name)
    assert (contract.role, contract.identity, contract.kind) == ("fused", "ann", "person")
    grant = ALL.granted(file, contract)
    assert grant.card.who == person().who
    assert grant.card.statement == person().statement


def test_revoking_an_identity_revokes_what_was_fused_of_it(ann: Path, tmp_path: Path) -> None:
    out, encoder = tmp_path / "fused.onnx", ann.with_name("encoder.onnx")
    fuse_identity(str(ann), out, encoder)
    file = ModelFile.read(out)
    revoked = Consent(revoked=(Revoked(model=ModelFile.read(ann).digest()[:12], reason="withdrawn"),))
    with pytest.raises(ConsentError, match="revoked: withdrawn"):
        revoked.granted(file, Contract.from_metadata(file.metadata, out.name))
    with pytest.raises(ConsentError, match="revoked: withdrawn"):
        fuse_identity(str(ann), out, encoder, revoked)


def test_a_fused_file_that_names_no_parts_is_refused(ann: Path, tmp_path: Path) -> None:
    out = tmp_path / "fused.onnx"
    fuse_identity(str(ann), out, ann.with_name("encoder.onnx"))
    file = ModelFile.read(out)
    said = {**file.metadata, "liveswap.training": "{}"}
    changed = ModelFile.of(file.with_metadata(said), out.name)
    with pytest.raises(ConsentError, match="signature"):
        ALL.granted(changed, Contract.from_metadata(changed.metadata, out.name))


def test_an_identity_without_its_encoder_is_one_sentence(ann: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="decoder 'ann' expects encoder 0123, wanted --encoder with its file"):
        fuse_identity(str(ann), tmp_path / "fused.onnx")
    with pytest.raises(SettingsError, match=r"wanted the name of a file that ends in \.onnx"):
        fuse_identity(str(ann), tmp_path / "folder")
    with pytest.raises(ModelError, match="there is no model file"):
        fuse_identity("nobody", tmp_path / "fused.onnx")


def test_the_command_fuses_an_embedded_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "aster-fused.onnx"
    monkeypatch.setattr("sys.argv", ["liveswap-export", "--fuse", "aster", "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert not ended.value.code
    assert "draws aster from frame to frame" in " ".join(capsys.readouterr().out.split())
    assert Contract.from_metadata(ModelFile.read(out).metadata, out.name).role == "fused"
