"""Fused models made once: of the small test models, and of an embedded identity."""

from pathlib import Path

import onnxruntime as ort
import pytest

from realtime.swap.envelope import ModelFile
from realtime.swap.fused.model import fused
from realtime.swap.identity import MODELS
from tests.models import write_decoder, write_encoder


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> ort.InferenceSession:
    """Of an encoder and a decoder that draws the same face always."""
    folder = tmp_path_factory.mktemp("fused")
    return made(write_decoder(folder / "aster.onnx", "aster", (110, 130, 150)), write_encoder(folder / "encoder.onnx"))


@pytest.fixture(scope="session")
def aster() -> ort.InferenceSession:
    """Of the embedded identity of that name."""
    return made(MODELS / "aster.onnx", MODELS / "encoder.onnx")


def made(decoder: Path, encoder: Path) -> ort.InferenceSession:
    """The session of what is fused of both, neither warmed up nor compared."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    data = fused(ModelFile.read(decoder), ModelFile.read(encoder))
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
