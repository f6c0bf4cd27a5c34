"""What the pipeline runs is what was trained, with its contract inside."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from export.parity import TORCH_BOUND, Running, torch_parity
from export.to_onnx import (
    DecoderGraph,
    EncoderGraph,
    LandmarkGraph,
    digest,
    export_decoder,
    export_encoder,
    export_landmarks,
)
from realtime.errors import ModelError
from realtime.swap.card import ModelCard
from realtime.swap.contract import Contract
from realtime.swap.identity import Shelf
from realtime.swap.sealing import seal
from realtime.swap.session import SessionSettings
from realtime.swap.signing import Signer
from tests.export.conftest import CODE, SIZE, Made
from tests.models import SEED
from training.model import Decoder, DecoderShape


@pytest.fixture(scope="module")
def files(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    export_landmarks(made.landmarks, folder / "landmarks.onnx", "Apache-2.0", {"steps": 12})
    encoder = export_encoder(made.swap.encoder, folder / "encoder.onnx", "Apache-2.0", {"steps": 34})
    for name in ("aster", "cedar"):
        card, path = ModelCard(name=name, kind="rendered"), folder / f"{name}.onnx"
        export_decoder(_decoder(made, name), path, card, encoder.encoder, "CC0-1.0", {"steps": 34})
        seal(path, Signer.of_seed(SEED))
    return folder


@pytest.mark.parametrize("name", ["landmarks", "encoder", "aster", "cedar"])
def test_onnxruntime_says_what_torch_says(made: Made, files: Path, name: str) -> None:
    graph, items = _graph(made, name)
    assert torch_parity(graph, files / f"{name}.onnx", items) < TORCH_BOUND


def test_another_networks_file_is_found_out(made: Made, files: Path) -> None:
    graph, items = _graph(made, "aster")
    with pytest.raises(ModelError, match=r"cedar\.onnx differs from torch by"):
        torch_parity(graph, files / "cedar.onnx", items)


@pytest.mark.parametrize("count", [1, 3])
def test_the_batch_is_free(made: Made, files: Path, count: int) -> None:
    codes = Running.open(files / "encoder.onnx")(made.crops[:count])["code"]
    drawn = Running.open(files / "aster.onnx")(codes)
    assert codes.shape == (count, CODE)
    assert drawn["face"].shape == (count, SIZE, SIZE, 3)
    assert drawn["mask"].shape == (count, SIZE, SIZE)


def test_faces_and_masks_lie_between_0_and_1(made: Made, files: Path) -> None:
    drawn = Running.open(files / "aster.onnx")(1000 * np.ones((1, CODE), np.float32))
    assert all(values.min() >= 0 and values.max() <= 1 for values in drawn.values())


def test_the_channels_stay_blue_green_red(made: Made, files: Path) -> None:
    with torch.inference_mode():
        face, _ = _decoder(made, "aster").decode(torch.ones(1, CODE))
    drawn = Running.open(files / "aster.onnx")(np.ones((1, CODE), np.float32))["face"]
    assert drawn[0].mean((0, 1)) == pytest.approx(face[0].mean((1, 2)).numpy(), abs=1e-4)


def test_the_contract_travels_in_the_file(made: Made, files: Path) -> None:
    contracts = {name: _contract(files / f"{name}.onnx") for name in ("landmarks", "encoder", "aster")}
    assert (contracts["landmarks"].role, contracts["landmarks"].coverage) == ("landmarks", 1.25)
    assert (contracts["encoder"].size, contracts["encoder"].encoder) == (SIZE, digest(made.swap.encoder))
    aster = contracts["aster"]
    assert (aster.role, aster.identity, aster.kind, aster.licence) == ("decoder", "aster", "rendered", "CC0-1.0")
    assert aster.encoder == contracts["encoder"].encoder
    assert aster.training == {"steps": 34}


def test_the_pipelines_shelf_takes_the_files(made: Made, files: Path) -> None:
    shelf = Shelf.load(files, SessionSettings(provider="cpu", threads=1))
    assert shelf.names == ("aster", "cedar")
    face, _ = shelf["cedar"].decode(shelf.encoder(list(made.crops[:2])))
    assert face.shape == (2, SIZE, SIZE, 3)


def test_files_say_nothing_of_the_machine_that_made_them(files: Path) -> None:
    for path in files.glob("*.onnx"):
        assert b".py" not in path.read_bytes()
        assert str(Path.cwd()).encode() not in path.read_bytes()


def test_the_digest_depends_on_every_weight_and_name_and_on_nothing_else() -> None:
    decoder = Decoder(DecoderShape(size=SIZE, code=CODE, widths=(8, 16, 16, 8, 8)))
    same, other = copy.deepcopy(decoder), copy.deepcopy(decoder)
    with torch.no_grad():
        next(other.parameters()).view(-1)[-1] += 1e-3
    assert digest(decoder) == digest(same)
    assert digest(decoder) != digest(other)
    assert digest(torch.nn.Linear(2, 2)) != digest(torch.nn.Linear(2, 2))
    assert len(digest(decoder)) == 16
    int(digest(decoder), 16)


def _decoder(made: Made, name: str) -> Decoder:
    decoder = made.swap.decoders[name]
    assert isinstance(decoder, Decoder)
    return decoder


def _graph(made: Made, name: str) -> tuple[torch.nn.Module, Any]:
    if name == "landmarks":
        return LandmarkGraph(made.landmarks), made.crops
    if name == "encoder":
        return EncoderGraph(made.swap.encoder), made.crops
    codes = np.random.default_rng(1).normal(0, 1, (6, CODE)).astype(np.float32)
    return DecoderGraph(_decoder(made, name)), codes


def _contract(path: Path) -> Contract:
    return Contract.from_metadata({entry.key: entry.value for entry in onnx.load(path).metadata_props}, path.name)
