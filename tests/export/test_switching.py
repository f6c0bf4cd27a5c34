"""A file in any precision joins a shelf as it is, and a run switches to it between two frames."""

from pathlib import Path

import numpy as np
import pytest

from export.fallback import to_mixed
from export.half import halve
from export.parity import Agreement
from realtime.swap.identity import Shelf
from realtime.swap.sealing import seal
from realtime.swap.session import SessionSettings
from realtime.swap.signing import Signer
from realtime.swap.swapper import Swapper
from tests.export.small import SIZE, write_small
from tests.models import SEED, write_shelf
from tests.realtime.swap.helpers import PlacedFaces, face_at, frame_of, scene

CROPS = np.random.default_rng(0).integers(0, 256, (16, SIZE, SIZE, 3)).astype(np.uint8)
NAMES = {"ann": "fp32", "bob": "fp16", "eve": "int8"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file for each of NAMES; of the int8 one a layer gave way."""
    folder = tmp_path_factory.mktemp("files")
    plain = {name: write_small(folder / f"{name}.plain.onnx", whole=True, identity=name) for name in NAMES}
    made = {name: folder / f"{name}.onnx" for name in NAMES}
    tried: list[Path] = []

    def second(path: Path) -> Agreement:
        tried.append(path)
        return Agreement(len(tried) == 2, "")

    plain["ann"].rename(made["ann"])
    halve(plain["bob"], made["bob"], CROPS)
    assert len(to_mixed(plain["eve"], made["eve"], CROPS, CROPS, second).kept) == 1
    for path in made.values():
        seal(path, Signer.of_seed(SEED))
    return made


def test_every_precision_is_switched_to_between_two_frames(files: dict[str, Path], tmp_path: Path) -> None:
    shelf = Shelf.load(write_shelf(tmp_path / "models"), SessionSettings(provider="cpu", threads=1))
    swapper = Swapper(PlacedFaces([face_at(160, 120, 120)]), shelf, "aster")
    drawn = {}
    for number, (name, path) in enumerate(files.items()):
        swapper.identity = str(path)
        (face,) = swapper(frame_of(scene(), number)).faces
        assert (face.identity, face.image.shape) == (name, (SIZE, SIZE, 3))
        drawn[name] = face.image
    assert {card.name: card.precision for card in shelf.cards() if card.name in NAMES} == NAMES
    assert np.abs(drawn["bob"] - drawn["ann"]).mean() < 1  # of 255: it is one network
    assert np.abs(drawn["eve"] - drawn["ann"]).mean() < 4
    swapper.identity = "aster"
    assert swapper(frame_of(scene(), 9)).faces[0].identity == "aster"


def test_several_faces_are_one_batch_in_every_precision(files: dict[str, Path], tmp_path: Path) -> None:
    shelf = Shelf.load(write_shelf(tmp_path / "models"), SessionSettings(provider="cpu", threads=1))
    faces = [face_at(60 + 70 * track, 120, 60, track=track) for track in range(3)]
    for path in files.values():
        swapped = Swapper(PlacedFaces(faces), shelf, str(path))(frame_of(scene())).faces
        assert [face.identity for face in swapped] == [path.stem] * 3
