"""Identities are loaded, described, and refused by name when they do not fit."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from realtime.errors import ModelError, UnknownIdentity
from realtime.swap.identity import Shelf
from realtime.swap.session import SessionSettings
from tests.models import save, write_decoder, write_encoder, write_shelf

ONE_THREAD = SessionSettings(provider="cpu", threads=1)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_shelf(tmp_path / "models")


def test_a_folder_becomes_a_shelf_of_its_identities(models: Path) -> None:
    shelf = Shelf.load(models, ONE_THREAD)
    assert shelf.names == ("aster", "cedar")
    assert shelf["cedar"].name == "cedar"


def test_a_code_becomes_a_face_and_a_mask_of_the_promised_shape(models: Path) -> None:
    shelf = Shelf.load(models, ONE_THREAD)
    codes = shelf.encoder([np.full((128, 128, 3), (51, 102, 204), np.uint8)] * 2)
    assert codes[1, :3] == pytest.approx([0.2, 0.4, 0.8], abs=1e-3)
    face, mask = shelf["aster"].decode(codes)
    assert face.shape == (2, 160, 160, 3)
    assert mask.shape == (2, 160, 160)
    assert face[1, 90, 80] * 255 == pytest.approx([90, 120, 200], abs=1)


def test_a_list_of_files_is_enough(models: Path) -> None:
    shelf = Shelf.load([models / "encoder.onnx", models / "cedar.onnx"], ONE_THREAD)
    assert shelf.names == ("cedar",)


def test_only_the_identities_to_keep_are_warm_and_the_others_load_when_asked_for(models: Path) -> None:
    shelf = Shelf.load(models, ONE_THREAD, keep=["aster"])
    (models / "aster.onnx").unlink()
    assert shelf["aster"].name == "aster"  # needs no file any more
    assert shelf["cedar"].name == "cedar"
    (models / "cedar.onnx").unlink()
    assert shelf["cedar"].name == "cedar"  # stays warm once loaded


def test_an_unknown_identity_is_answered_with_those_there_are(models: Path) -> None:
    with pytest.raises(UnknownIdentity, match=r"no identity 'ann', wanted one of aster, cedar"):
        Shelf.load(models, ONE_THREAD)["ann"]


def test_a_decoder_from_elsewhere_joins_the_shelf(models: Path, tmp_path: Path) -> None:
    shelf = Shelf.load(models, ONE_THREAD)
    assert shelf.add(write_decoder(tmp_path / "somebody.onnx", "dahlia")) == "dahlia"
    assert shelf.names == ("aster", "cedar", "dahlia")
    assert shelf["dahlia"].name == "dahlia"


def test_a_decoder_of_another_encoder_is_refused_by_name(models: Path, tmp_path: Path) -> None:
    foreign = write_decoder(tmp_path / "ann.onnx", "ann", digest="feedfacefeedface")
    shelf = Shelf.load(models, ONE_THREAD)
    with pytest.raises(ModelError, match=r"decoder 'ann' expects encoder feed, loaded 0123"):
        shelf.add(foreign)
    with pytest.raises(ModelError, match="decoder 'ann' expects encoder"):
        Shelf.load([models / "encoder.onnx", foreign], ONE_THREAD)
    assert shelf.names == ("aster", "cedar")


def test_an_encoder_is_no_identity(models: Path) -> None:
    with pytest.raises(ModelError, match="encoder model was given where a model with the role decoder is wanted"):
        Shelf.load(models, ONE_THREAD).add(models / "encoder.onnx")


def test_a_decoder_for_longer_codes_is_refused(models: Path, tmp_path: Path) -> None:
    path = write_decoder(tmp_path / "ann.onnx", "ann", code_length=32)
    with pytest.raises(ModelError, match="decoder 'ann' expects codes of 32 numbers, the encoder makes 8"):
        Shelf.load(models, ONE_THREAD).add(path)


def test_a_truncated_file_is_named(models: Path) -> None:
    path = models / "cedar.onnx"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ModelError, match=r"cedar\.onnx"):
        Shelf.load(models, ONE_THREAD)


def test_a_model_without_a_contract_is_named(models: Path, tmp_path: Path) -> None:
    bare = _identity_graph(tmp_path / "bare.onnx")
    with pytest.raises(ModelError, match=r"bare\.onnx carries no liveswap contract"):
        Shelf.load(models, ONE_THREAD).add(bare)


@pytest.mark.parametrize("encoders", [0, 2])
def test_a_shelf_has_exactly_one_encoder(models: Path, encoders: int) -> None:
    (models / "encoder.onnx").unlink()
    for number in range(encoders):
        write_encoder(models / f"encoder{number}.onnx")
    with pytest.raises(ModelError, match=f"holds {encoders} encoders, wanted one"):
        Shelf.load(models, ONE_THREAD)


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no folder of models"):
        Shelf.load(tmp_path / "nowhere", ONE_THREAD)


def test_cards_say_what_is_known_and_fit_into_json(models: Path) -> None:
    cards = Shelf.load(models, ONE_THREAD).cards()
    assert [card.name for card in cards] == ["aster", "cedar"]
    said = json.loads(json.dumps(cards[0].as_dict()))
    assert (said["kind"], said["licence"], said["size"], said["precision"]) == ("rendered", "Apache-2.0", 160, "fp32")
    assert said["file_bytes"] == (models / "aster.onnx").stat().st_size


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_answers_that_are_no_numbers_are_a_fault(models: Path, value: float) -> None:
    shelf = Shelf.load(models, ONE_THREAD)
    with pytest.raises(ModelError, match="decoder 'aster' answered with values that are no numbers"):
        shelf["aster"].decode(np.full((1, 8), value, np.float32))


def test_a_model_that_cannot_take_its_input_is_a_fault(models: Path) -> None:
    shelf = Shelf.load(models, ONE_THREAD)
    with pytest.raises(ModelError, match="the encoder model failed"):
        shelf.encoder([np.zeros((64, 64, 3), np.uint8)])


def test_two_threads_may_ask_for_the_same_identity(models: Path) -> None:
    shelf = Shelf.load(models, ONE_THREAD, keep=[])
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(shelf["aster"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert len({id(identity) for identity in got}) == 1


def _identity_graph(path: Path) -> Path:
    """A model that does nothing and promises nothing."""
    values: dict[str, NDArray[Any]] = {}
    entry = helper.make_tensor_value_info("code", TensorProto.FLOAT, ["n", 8])
    leaving = helper.make_tensor_value_info("face", TensorProto.FLOAT, ["n", 8])
    return save(path, [helper.make_node("Identity", ["code"], ["face"])], values, [entry], [leaving], None)
