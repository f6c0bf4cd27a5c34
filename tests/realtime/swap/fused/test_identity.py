"""Identities that draw whole frames: fused when they are opened, or before; refused where they do not belong."""

import json
from pathlib import Path

import numpy as np
import pytest

from export.fuse import fuse_identity
from realtime.errors import ModelError
from realtime.swap.consent import signed
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.fused.identity import FusedIdentity, Fusing
from realtime.swap.identity import Shelf
from realtime.swap.session import SessionSettings
from realtime.swap.signing import Signer
from realtime.swap.swapper import Swapper
from realtime.swap.views import Views
from tests.models import SEED, write_encoder, write_shelf
from tests.realtime.swap.helpers import PlacedFaces, face_at, frame_of, scene

CPU = SessionSettings(provider="cpu", threads=1)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_shelf(tmp_path / "models", ["aster"])


def test_an_identity_is_fused_as_it_is_opened_and_keeps_its_grant(models: Path) -> None:
    opened = Shelf.load(models, CPU, opening=Fusing(CPU))["aster"]
    usual = Shelf.load(models, CPU)["aster"]
    assert isinstance(opened, FusedIdentity)
    assert (opened.name, opened.digest, opened.grant) == (usual.name, usual.digest, usual.grant)


def test_a_file_that_was_fused_before_is_taken_as_it_is(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "fused.onnx"
    fuse_identity(str(models / "aster.onnx"), path, models / "encoder.onnx")
    shelf = Shelf.load(models, CPU, [], opening=Fusing(CPU, fuse=never))
    assert shelf.add(path) == "aster"
    face = face_at(160, 120, 90)
    (undrawn,) = Swapper(PlacedFaces([face]), shelf, "aster")(frame_of(scene())).undrawn
    assert undrawn.identity is shelf["aster"]
    assert undrawn.face is face


def never(drawing: ModelFile, encoder: ModelFile | None) -> bytes:
    raise AssertionError("it is fused already")


def test_without_fused_such_a_file_is_one_sentence(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "fused.onnx"
    fuse_identity(str(models / "aster.onnx"), path, models / "encoder.onnx")
    with pytest.raises(ModelError, match="fused 'aster' draws whole frames, wanted --fused beside it"):
        Shelf.load(models, CPU).add(path)


def test_a_file_of_another_version_is_refused(models: Path, tmp_path: Path) -> None:
    encoder = ModelFile.read(write_encoder(tmp_path / "encoder.onnx"))
    source = Contract.from_metadata(ModelFile.read(models / "aster.onnx").metadata)
    said = {**source.to_metadata(), "liveswap.role": "fused"}
    for training, why in (
        (
            {"fused_of": ["ab"], "crop": {"size": 128, "coverage": 1.0}},
            r"odd\.onnx does not run: Required inputs \(\['crop'\]\) are missing",
        ),
        ({"fused_of": ["ab"]}, "fused 'aster' does not say what crops it reads"),
    ):
        contract = Contract.from_metadata({**said, "liveswap.training": json.dumps(training)})
        shelf = Shelf.load(models, CPU, [], opening=Fusing(CPU))
        grant = shelf._consent.granted(ModelFile.read(models / "aster.onnx"), source)
        odd = ModelFile.of(signed(encoder, contract, grant.card, Signer.of_seed(SEED)), "odd.onnx")
        (tmp_path / "odd.onnx").write_bytes(odd.data)
        with pytest.raises(ModelError, match=why):
            shelf.add(tmp_path / "odd.onnx")


def test_it_draws_nothing_but_whole_frames(models: Path) -> None:
    identity = Shelf.load(models, CPU, opening=Fusing(CPU))["aster"]
    with pytest.raises(ModelError, match="draws whole frames, not faces alone"):
        identity.draw(Views(scene(), [face_at(160, 120, 90)], np.zeros((1, 8), np.float32)), [0])
    with pytest.raises(ModelError, match="draws whole frames, not from codes"):
        identity.decode(np.zeros((1, 8), np.float32))
