"""Models of DeepFaceLab are wrapped with a card and draw faces from pictures, in both families of inputs."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from realtime.errors import ConsentError, ModelError, SettingsError
from realtime.face.geometry import template
from realtime.swap.contract import Contract
from realtime.swap.dfm import OUTPUTS, Wrapping, wrapped
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import Shelf
from realtime.swap.session import SessionSettings
from realtime.swap.signing import Signer
from realtime.swap.swapper import Swapper
from realtime.swap.views import Views, crop_of
from tests.models import SEED, person, write_dfm, write_shelf
from tests.realtime.swap.helpers import PlacedFaces, face_at, frame_of

CPU = SessionSettings(provider="cpu", threads=1)
SIGNER = Signer.of_seed(SEED)


def imported(path: Path, how: Wrapping | None = None) -> Path:
    """The DFM as a model file of ours, beside it."""
    out = path.with_suffix(".onnx")
    out.write_bytes(wrapped(ModelFile.read(path), person(), SIGNER, how or Wrapping()))
    return out


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf.load(write_shelf(tmp_path / "models", ["aster"]), CPU)


@pytest.mark.parametrize("morphs", [False, True])
def test_a_dfm_draws_from_the_picture_what_its_three_answers_say(tmp_path: Path, shelf: Shelf, morphs: bool) -> None:
    """Faces mirrored in colour, half covered by the mask of what went in and half by that of what came out."""
    assert shelf.add(imported(write_dfm(tmp_path / "ann.dfm", morphs), Wrapping(morph=0.5))) == "ann"
    image = np.full((120, 160, 3), (51, 102, 204), np.uint8)
    faces = [face_at(60, 60, 40), face_at(100, 60, 40)]
    drawn, mask = shelf["ann"].draw(Views(image, faces, np.empty((0, 0), np.float32)), [1, 0])
    assert drawn.shape == (2, 64, 64, 3)
    assert mask.shape == (2, 64, 64)
    lighter = 0.5 if morphs else 1.0
    assert drawn[0, 32, 32] == pytest.approx(np.array([0.8, 0.6, 0.2]) * lighter, abs=0.01)
    assert mask[0, 32, [8, 56]] == pytest.approx([0.25, 0.5], abs=1e-3)


def test_a_dfm_goes_through_the_same_swap_beside_another_identity(tmp_path: Path, shelf: Shelf) -> None:
    path = imported(write_dfm(tmp_path / "ann.dfm"))
    faces = [face_at(60, 60, 40), face_at(110, 60, 40, track=2)]
    swapper = Swapper(PlacedFaces(faces), shelf, f"left={path},right=aster")
    swapped = swapper(frame_of(np.full((120, 160, 3), (51, 102, 204), np.uint8)))
    left, right = swapped.faces
    assert (left.identity, right.identity) == ("ann", "aster")
    assert left.model == shelf["ann"].digest
    assert left.image[32, 32] == pytest.approx([204, 153, 51], abs=2)
    assert np.allclose(left.to_crop, crop_of(faces[0], 64, shelf["ann"].contract.coverage))


def test_alone_a_dfm_needs_no_codes(tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf.encoder, "_session", None)
    swapper = Swapper(PlacedFaces([face_at(60, 60, 40)]), shelf, str(imported(write_dfm(tmp_path / "ann.dfm"))))
    (one,) = swapper(frame_of(np.full((120, 160, 3), 90, np.uint8))).faces
    assert one.identity == "ann"
    with pytest.raises(ModelError, match="dfm 'ann' draws from pictures"):
        shelf["ann"].decode(np.zeros((1, 8), np.float32))


def test_the_crop_is_as_wide_as_deepfacelab_has_it(tmp_path: Path) -> None:
    file = ModelFile.read(imported(write_dfm(tmp_path / "ann.dfm")))
    contract = Contract.from_metadata(file.metadata)
    brows = template()[26, 0] - template()[17, 0]
    assert contract.coverage == pytest.approx(2.131 * brows, abs=1e-3)
    assert (contract.role, contract.kind, contract.size, contract.encoder) == ("dfm", "person", 64, "")


def test_wrapping_leaves_the_weights_alone(tmp_path: Path) -> None:
    path = write_dfm(tmp_path / "ann.dfm")
    assert ModelFile.read(imported(path)).weights() == ModelFile.read(path).weights()


def test_a_dfm_without_a_card_is_no_model_of_ours(tmp_path: Path, shelf: Shelf) -> None:
    with pytest.raises(ModelError, match="carries no liveswap contract"):
        shelf.add(write_dfm(tmp_path / "ann.dfm"))


def test_an_imported_model_that_was_changed_is_refused(tmp_path: Path, shelf: Shelf) -> None:
    path = imported(write_dfm(tmp_path / "ann.dfm"))
    model = onnx.load(path)
    model.graph.node[0].name = "changed"
    onnx.save(model, path)
    with pytest.raises(ConsentError, match="does not match"):
        shelf.add(path)


def test_what_is_no_dfm_is_refused(tmp_path: Path) -> None:
    ours = write_shelf(tmp_path / "models", ["aster"])
    with pytest.raises(ModelError, match="is a model of liveswap already"):
        wrapped(ModelFile.read(ours / "aster.onnx"), person(), SIGNER, Wrapping())
    model = onnx.load(write_dfm(tmp_path / "ann.dfm"))
    model.graph.output.reverse()
    with pytest.raises(ModelError, match=f"wanted a DFM: .* into {', '.join(OUTPUTS)}"):
        wrapped(ModelFile.of(model.SerializeToString(), "ann.dfm"), person(), SIGNER, Wrapping())
    model = onnx.load(write_dfm(tmp_path / "ann.dfm"))
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("in_face:0", TensorProto.FLOAT, ["n", "s", "s", 3]))
    with pytest.raises(ModelError, match="wanted squares"):
        wrapped(ModelFile.of(model.SerializeToString(), "ann.dfm"), person(), SIGNER, Wrapping())
    with pytest.raises(ModelError, match="is no ONNX model"):
        ModelFile.of(b"not at all", "ann.dfm")


@pytest.mark.parametrize(("how", "sentence"), [({"morph": 1.5}, "morph is 1.5"), ({"coverage": 0}, "coverage is 0")])
def test_absurd_wishes_are_refused(how: dict[str, float], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Wrapping(**how)  # type: ignore[arg-type]
