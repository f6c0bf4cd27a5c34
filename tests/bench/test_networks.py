"""The networks of others have the sizes that theirs have, and are trained and measured by what trains ours."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bench import contenders as bench
from bench.__main__ import app
from bench.contenders import Contender, contenders, trained
from bench.rebuilt import DfShape, OriginalShape, Rebuilt
from tests.training.facesets import write_faceset
from tests.training.test_paired import write_truth
from training.faceset import Faceset
from training.model import DecoderShape, EncoderShape, SwapNet

NAMES = ("aster", "cedar")
DF = DfShape(size=32, inner=8, encoder=4, decoder=4, mask=2)
ORIGINAL = OriginalShape(size=32, encoder=(8, 8, 16, 16), dense=16, inner=16, between=16, decoder=(16, 8, 8))


def small(size: int = 32) -> tuple[Contender, ...]:
    """All three, small enough for a test."""
    ours, df, original = contenders()
    shapes = EncoderShape(size, squeeze=8, eyes=8, mouth=8, code=16), DecoderShape(size, 16, (8, 16, 16, 8, 8))
    return (
        replace(ours, size=size, make=lambda names: SwapNet(*shapes, names)),
        replace(df, size=size, make=lambda names: Rebuilt(DF, names)),
        replace(original, size=size, make=lambda names: Rebuilt(ORIGINAL, names)),
    )


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Facesets of two people and their truth, in one folder."""
    folder = tmp_path_factory.mktemp("networks")
    for seed, name in enumerate(NAMES):
        write_faceset(folder / name, name, count=8, seed=seed)
    return write_truth(folder)


@pytest.mark.parametrize("shape", [DF, ORIGINAL])
def test_pictures_come_out_as_large_as_they_went_in(shape: DfShape | OriginalShape) -> None:
    net = Rebuilt(shape, NAMES)
    faces = net.draw(torch.rand(2, 3, 32, 32), "cedar").detach()
    assert faces.shape == (2, 3, 32, 32)
    assert 0 <= float(faces.min()) < float(faces.max()) <= 1


def test_they_have_as_many_weights_as_their_sizes_say() -> None:
    with torch.device("meta"):
        df, original = Rebuilt(DfShape(), NAMES), Rebuilt(OriginalShape(), NAMES)
    halvings = 25 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 1024) + 128 + 256 + 512 + 1024
    dense = (16384 + 1) * 1024 + (1024 + 1) * 16384
    doubling = 9 * 1024 * 2048 + 2048
    assert sum(p.numel() for p in original.encoder.parameters()) == halvings + dense + doubling
    assert sum(p.numel() for p in df.encoder.parameters()) == pytest.approx(19.3e6, rel=0.01)


@pytest.mark.parametrize("one", small(), ids=lambda one: one.name)
def test_each_is_trained_until_its_time_is_over(one: Contender, talks: Path) -> None:
    people = [Faceset.open(str(talks / name)) for name in NAMES]
    found = trained(one, people, talks, 0.001, 4, items=1)
    assert found["steps"] >= 1
    assert found["parameters"] > 1000
    assert 0 < found["l1"] < 255
    assert -1 < found["ssim"] < 1


def test_the_command_writes_what_it_found(talks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "contenders", small)
    people, out = [str(talks / name) for name in NAMES], tmp_path / "networks.json"
    more = ["--truth", str(talks), "--minutes", "0.001", "--batch", "2", "--items", "1", "--only", "original"]
    result = CliRunner().invoke(app, ["networks", *people, *more, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert [one["name"] for one in json.loads(out.read_text())["networks"]] == ["original"]
