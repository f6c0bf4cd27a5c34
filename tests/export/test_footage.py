"""An identity that learned from footage becomes one signed file, which joins any shelf and draws."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from export.__main__ import main
from export.quantize import KEPT
from realtime.face.face import Face
from realtime.face.geometry import template, to_template
from realtime.face.track import box_of
from realtime.swap.consent import Consent
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import MODELS, Shelf
from realtime.swap.session import SessionSettings
from realtime.swap.views import Views
from tests.training.facesets import write_faceset
from training.checkpoint import SWAP, load, save
from training.directions import write_sources
from training.loop import Plan
from training.model import DecoderShape, EncoderShape
from training.own import train_own
from training.presets import Start
from training.swap import SwapSettings

SHAPES = EncoderShape(size=32, squeeze=8, eyes=8, mouth=8, code=16), DecoderShape(32, 16, (8, 16, 16, 8, 8))
AGREED = """\
name = "{name}"
kind = "person"
who = "Ann"
contact = "ann@example.org"
statement = "I agree."
scope = "films"
date = "2020-01-01"
until = "2999-01-01"
revocation = "ann@example.org"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of two people, one of whom exists, of a step."""
    folder = tmp_path_factory.mktemp("own")
    torch.set_num_threads(1)
    people = [
        str(write_faceset(folder / "aster", "aster", consent=AGREED)),
        str(write_faceset(folder / "cedar", "cedar", seed=1)),
    ]
    settings = SwapSettings(batch=2, test_steps=100, save_seconds=100)
    train_own(people, folder / "run", Plan(steps=1), Start(None, *SHAPES), settings=settings)
    return folder / "run"


def export(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["liveswap-export", *(str(argument) for argument in arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_an_identity_brings_its_encoder_and_its_persons_consent(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "ann.onnx"
    data = run.parent / "aster"
    assert export(monkeypatch, run, "--identity", "aster", "--data", data, "--out", out, "--threads", 1) == 0
    contract = Contract.from_metadata(ModelFile.read(out).metadata)
    assert (contract.role, contract.identity, contract.kind, contract.size) == ("whole", "aster", "person", 32)
    assert contract.consent["who"] == "Ann"
    assert contract.consent["training_set"] == f"{0:064d}"
    assert contract.training["steps"] == 1
    shelf = Shelf.load(MODELS / "small", SessionSettings(provider="cpu", threads=1), keep=(), consent=Consent.load())
    assert shelf.add(out) == "aster"
    identity = shelf["aster"]
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    landmarks = template() * np.float32(150) + np.float32(20)
    face = Face(box_of(landmarks), landmarks, 1.0, 1, to_template(landmarks))
    drawn, mask = identity.draw(Views(image, [face, face], np.empty((0, 0), np.float32)), [0, 1])
    assert (drawn.shape, mask.shape) == ((2, 32, 32, 3), (2, 32, 32))
    assert (drawn[0] == drawn[1]).all()
    assert not identity.takes_codes


def test_one_persons_file_says_nothing_of_the_other(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "cedar.onnx"
    assert export(monkeypatch, run, "--identity", "cedar", "--out", out, "--threads", 1) == 0
    metadata = ModelFile.read(out).metadata
    assert not any(word in text for text in metadata.values() for word in ("ann@", "aster", str(run.parent)))


@pytest.mark.slow
@pytest.mark.timeout(600)  # it traces, calibrates and reads faces, on whatever the machine has left
def test_int8_is_calibrated_on_the_facesets_of_the_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sources([str(run.parent / "aster"), str(run.parent / "cedar")], run)
    out, arguments = tmp_path / "aster.onnx", (run, "--identity", "aster", "--threads", 1, "--precision", "int8")
    assert export(monkeypatch, *arguments, "--out", out) == 0
    contract = Contract.from_metadata(ModelFile.read(out).metadata)
    assert contract.precision == "int8"
    assert KEPT in contract.training
    assert "int8, sigmoid" in capsys.readouterr().out
    write_sources([str(tmp_path / "gone")], run)
    assert export(monkeypatch, *arguments, "--out", out) == 2
    assert "int8 is calibrated on faces: " in capsys.readouterr().err
    (run / "facesets.json").unlink()


def test_what_cannot_be_exported_is_one_sentence(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = load(run / "swap.pt", SWAP)
    content["record"]["consent"]["aster"] |= {"until": "2021-01-01"}
    save(tmp_path / "old" / "swap.pt", SWAP, content)
    cases = (
        ((run, "--identity", "zoe", "--out", tmp_path / "a.onnx"), "has no identity zoe, wanted --identity aster"),
        ((run, "--identity", "aster", "--out", tmp_path / "folder"), "wanted the name of a file that ends in .onnx"),
        ((run, "--swap", "x", "--out", tmp_path / "a.onnx"), "a run is exported alone"),
        ((tmp_path / "old", "--identity", "aster", "--out", tmp_path / "a.onnx"), "has expired: the consent of 'Ann'"),
        (
            (run, "--identity", "aster", "--out", tmp_path / "a.onnx", "--precision", "fp8"),
            "the precision 'fp8' is unknown",
        ),
        (
            (run, "--identity", "aster", "--out", tmp_path / "a.onnx", "--precision", "int8"),
            "does not say where its faces",
        ),
        ((tmp_path, "--identity", "aster", "--out", tmp_path / "a.onnx"), "there is no checkpoint"),
    )
    for arguments, sentence in cases:
        assert export(monkeypatch, *arguments) == 2
        assert sentence in capsys.readouterr().err
    assert not list(tmp_path.glob("*.onnx"))
