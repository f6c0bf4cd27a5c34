"""Small trained-looking networks, their checkpoints and some crops, made once for all tests of the export."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.to_onnx import digest
from training.checkpoint import LANDMARKS, SWAP, save
from training.model import DecoderShape, EncoderShape, LandmarkNet, LandmarkShape, SwapNet

SIZE = 32
CODE = 16


@dataclass(frozen=True)
class Made:
    """What an export starts from."""

    landmarks: LandmarkNet  # folded
    swap: SwapNet
    landmarks_file: Path
    swap_file: Path
    crops_file: Path
    crops: NDArray[np.uint8]  # (24, SIZE, SIZE, 3)


@pytest.fixture(scope="session", autouse=True)
def traced_once() -> Iterator[None]:
    """A network that was traced before, of the same make and weights, is not traced again: that takes seconds."""
    real, traced = torch.onnx.export, dict[str, bytes]()

    def export(module: torch.nn.Module, example: tuple[Any, ...], path: Path, **how: Any) -> None:
        make = [
            repr({name: value for name, value in vars(part).items() if name[0] != "_"}) for part in module.modules()
        ]
        key = repr((type(module), module, make, digest(module), [one.shape for one in example], how))
        if key in traced:
            path.write_bytes(traced[key])
            return
        real(module, example, path, **how)
        traced[key] = path.read_bytes()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", export)
        yield


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("checkpoints")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        landmarks = LandmarkNet(LandmarkShape(size=SIZE, squeeze=8, hidden=32))
        decoder = DecoderShape(size=SIZE, code=CODE, widths=(8, 16, 16, 8, 8))
        swap = SwapNet(EncoderShape(size=SIZE, squeeze=8, code=CODE), decoder, ["aster", "cedar"])
        for module in swap.modules():
            if isinstance(module, torch.nn.Conv2d):  # as spread as trained weights, so that pictures differ
                torch.nn.init.kaiming_normal_(module.weight)
        _see_something(landmarks)
    save(
        folder / "landmarks.pt",
        LANDMARKS,
        {"record": {"shape": landmarks.shape.record(), "steps": 12}, "average": landmarks.state_dict()},
    )
    shapes = {"encoder": swap.encoder.shape.record(), "decoder": decoder.record()}
    record = {**shapes, "identities": ["aster", "cedar"], "steps": 34}
    save(folder / "swap.pt", SWAP, {"record": record, "average": swap.state_dict()})
    np.save(folder / "crops.npy", crops())
    return Made(
        landmarks.eval().folded(),
        swap.eval(),
        folder / "landmarks.pt",
        folder / "swap.pt",
        folder / "crops.npy",
        crops(),
    )


def crops() -> NDArray[np.uint8]:
    """Smooth coloured pictures, each another."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (24, 5, 5, 3), dtype=np.uint8)
    return np.stack(
        [np.asarray(cv2.resize(one, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), np.uint8) for one in coarse]
    )


def _see_something(net: LandmarkNet) -> None:
    """A pass in training mode, so that batch normalisation has statistics to fold."""
    net.train()
    with torch.no_grad():
        for _ in range(8):
            net(torch.from_numpy(crops()).permute(0, 3, 1, 2).float() / 255)
    net.eval()
