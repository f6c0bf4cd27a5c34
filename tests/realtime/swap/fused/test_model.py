"""A fused model draws what the pipeline draws, to a grey level, and refuses what cannot be fused."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import helper

from export.crops import stored_crops
from realtime.errors import ModelError
from realtime.face.geometry import Image, align
from realtime.swap.compose import ComposeSettings, Fit, Swapped
from realtime.swap.consent import Consent
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.fused.model import LOOK, MEMORY, contract_of, fused
from realtime.swap.identity import MODELS, Encoder, Identity
from realtime.swap.session import SessionSettings, open_session
from realtime.swap.swapper import decoded
from realtime.swap.views import Views, crop_of
from tests.models import write_decoder, write_dfm, write_encoder
from tests.realtime.swap.fused.conftest import made
from tests.realtime.swap.fused.helpers import COLOUR, apart, by_graph, by_pipeline
from tests.realtime.swap.helpers import face_at, frame_of, scene

CPU = SessionSettings(provider="cpu", threads=1)


def smooth(width: int = 320, height: int = 240) -> Image:
    """A scene as cameras see it: slopes and soft edges, skin in the middle."""
    picture = np.asarray(cv2.GaussianBlur(scene(width, height), (0, 0), 4), np.uint8)
    cv2.circle(picture, (width // 2, height // 2), height // 3, (100, 125, 175), -1)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 2), np.uint8)


@pytest.mark.parametrize(("side", "degrees"), [(40, 0), (110, -35), (230, 8)])
def test_a_face_of_any_size_is_put_in_as_the_pipeline_does(
    small: ort.InferenceSession, side: int, degrees: float
) -> None:
    image, face = smooth(), face_at(160, 120, side, degrees=degrees)
    mean, most, outside = apart(by_graph(small, [image], [(face, 0)]).frames[0], by_pipeline(image, [face]), image)
    assert mean < (1.2 if side < 80 else 0.3)  # small ones are averaged by a bell in place of boxes
    assert most <= 16
    assert outside <= 3


def test_without_colour_the_identitys_own_is_kept(small: ort.InferenceSession) -> None:
    image, face = smooth(), face_at(160, 120, 120)
    plain = by_graph(small, [image], [(face, 0)], colour=False).frames[0]
    mean, _, _ = apart(plain, by_pipeline(image, [face], colour=False), image)
    assert mean < 0.4
    assert np.abs(plain.astype(int) - by_graph(small, [image], [(face, 0)]).frames[0]).max() > 10


@pytest.mark.parametrize("sigma", [0.1, 2.0])
def test_a_camera_that_is_soft_makes_the_face_as_soft(small: ort.InferenceSession, sigma: float) -> None:
    face = face_at(160, 120, 130)
    image = by_pipeline(smooth(), [face], colour=False)  # a face with eyes and a mouth, whose edges can be measured
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    mean, _, _ = apart(
        by_graph(small, [image], [(face, 0)], soft=True).frames[0], by_pipeline(image, [face], soft=True), image
    )
    assert mean < 0.8


def test_softness_is_only_what_the_camera_asks_for(small: ort.InferenceSession) -> None:
    face = face_at(160, 120, 130)
    sharp = by_pipeline(smooth(), [face], colour=False)
    looks = [
        by_graph(small, [np.asarray(cv2.GaussianBlur(sharp, (0, 0), sigma), np.uint8)], [(face, 0)], soft=True).look
        for sigma in (0.1, 4.0)
    ]
    assert looks[0][0, 5] < 0.005
    assert looks[1][0, 5] > 0.015


@pytest.mark.parametrize(("x", "y"), [(15, 120), (310, 235)])
def test_a_face_at_the_frames_border_is_put_in_as_far_as_it_shows(
    small: ort.InferenceSession, x: float, y: float
) -> None:
    image, face = smooth(), face_at(x, y, 110, degrees=10)
    mean, most, outside = apart(by_graph(small, [image], [(face, 0)]).frames[0], by_pipeline(image, [face]), image)
    assert mean < 0.8
    assert most <= 12
    assert outside <= 2


def test_two_faces_of_a_frame_go_in_at_once(small: ort.InferenceSession) -> None:
    image = smooth()
    faces = [face_at(80, 120, 110), face_at(240, 125, 70, track=2, degrees=-20)]
    both = by_graph(small, [image], [(face, 0) for face in faces]).frames[0]
    mean, _, outside = apart(both, by_pipeline(image, faces), image)
    assert mean < 0.8
    assert outside <= 2


def test_frames_of_several_people_are_each_as_if_they_were_alone(small: ort.InferenceSession) -> None:
    images = [smooth(), scene(seed=1), scene(seed=2)]
    faces = [(face_at(160, 120, 150), 0), (face_at(80, 100, 100), 2), (face_at(240, 100, 60), 2)]
    together = by_graph(small, images, faces).frames
    assert np.array_equal(together[0], by_graph(small, images[:1], faces[:1]).frames[0])
    assert np.array_equal(together[1], images[1])
    alone = by_graph(small, images[2:], [(face, 0) for face, _ in faces[1:]]).frames[0]
    assert np.array_equal(together[2], alone)


def test_colours_follow_slowly_from_frame_to_frame(small: ort.InferenceSession) -> None:
    face, fit = face_at(160, 120, 120), Fit(ComposeSettings(grain=False))
    dark = np.asarray(smooth() * 0.6, np.uint8)
    memory = np.zeros(MEMORY, np.float32)
    for index, image in enumerate((smooth(), dark)):
        mine = by_graph(small, [image], [(face, 0)], memory)
        mean, _, _ = apart(mine.frames[0], by_pipeline(image, [face], fit=fit, index=index), image)
        assert mean < 0.8, index
        memory = np.concatenate([mine.look[0, :6], mine.look[0, 6:8], [0, 0]]).astype(np.float32)
    # No time went by, so neither of them has followed the scene into the dark.
    assert apart(mine.frames[0], by_graph(small, [dark], [(face, 0)]).frames[0], dark)[0] > 10


def test_what_is_known_says_how_far_a_look_has_come(small: ort.InferenceSession) -> None:
    face = face_at(160, 120, 120)
    first = by_graph(small, [smooth()], [(face, 0)]).look[0]
    dark = np.asarray(smooth() * 0.6, np.uint8)
    there = by_graph(small, [dark], [(face, 0)]).look[0, 0]
    lightness = [
        by_graph(small, [dark], [(face, 0)], memory_of(first, seconds)).look[0, 0] for seconds in (0.0, 0.05, 5.0)
    ]
    assert lightness[0] == pytest.approx(first[0], abs=1e-3)
    assert lightness[-1] == pytest.approx(there, abs=0.1)
    assert sorted(lightness, reverse=True) == lightness
    assert first[6] == 1


def memory_of(look: NDArray[np.float32], seconds: float) -> NDArray[np.float32]:
    return np.concatenate([look[:6], [1, 0, seconds, 0]]).astype(np.float32)


def test_a_face_whose_numbers_are_none_is_told(tmp_path: Path, small: ort.InferenceSession) -> None:
    assert np.isfinite(by_graph(small, [smooth()], [(face_at(160, 120, 60), 0)]).look).all()
    path = write_decoder(tmp_path / "aster.onnx", "aster", (float("nan"), 0, 0))
    broken = made(path, write_encoder(tmp_path / "encoder.onnx"))
    look = by_graph(broken, [smooth()], [(face_at(160, 120, 60), 0)]).look
    assert look.shape == (1, LOOK)
    assert not np.isfinite(look[0, -1])


def test_an_embedded_identity_is_drawn_as_the_pipeline_draws_it(aster: ort.InferenceSession) -> None:
    """Through the 8-bit networks, which answer a rounded byte of the crop with a level or two of the picture."""
    image, face = smooth(), face_at(160, 120, 192)
    image[:, 40:280] = stored_crops(240, 1.25)[3]  # somebody, where the face is said to be
    encoder = Encoder(read(MODELS / "encoder.onnx"), open_session(MODELS / "encoder.onnx", CPU))
    side = encoder.contract.size
    codes = encoder([align(image, crop_of(face, side), side)])
    path = MODELS / "aster.onnx"
    identity = Identity(
        read(path), open_session(path, CPU), encoder, Consent.load().granted(ModelFile.read(path), read(path))
    )
    drawn = decoded(Views(image, [face], codes), [0], [identity])
    wanted = Fit(ComposeSettings(grain=False))(Swapped(frame_of(image), drawn)).image
    mean, most, outside = apart(by_graph(aster, [image], [(face, 0)], crop=side).frames[0], wanted, image)
    assert mean < 2
    assert most <= 40
    assert outside <= 6


def read(path: Path) -> Contract:
    return Contract.from_metadata(ModelFile.read(path).metadata, path.name)


def test_a_model_of_another_sort_cannot_be_fused(tmp_path: Path) -> None:
    encoder = ModelFile.read(write_encoder(tmp_path / "encoder.onnx"))
    with pytest.raises(ModelError, match="the encoder model cannot be fused, wanted a decoder or a whole"):
        fused(encoder, encoder)
    decoder = ModelFile.read(write_decoder(tmp_path / "ann.onnx", "ann", digest="fedc" * 4))
    with pytest.raises(ModelError, match="decoder 'ann' expects encoder fedc, loaded 0123"):
        fused(decoder, encoder)
    with pytest.raises(ModelError, match="decoder 'ann' needs the encoder fedc"):
        fused(decoder, None)
    with pytest.raises(ModelError, match="no liveswap contract"):
        fused(ModelFile.read(write_dfm(tmp_path / "old.onnx")), encoder)


def test_a_whole_identity_is_fused_alone(tmp_path: Path, small: ort.InferenceSession) -> None:
    image, face = smooth(), face_at(160, 120, 120)
    whole = write_whole(tmp_path / "ann.onnx")
    data = fused(ModelFile.read(whole), None)
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    alone = by_graph(session, [image], [(face, 0)], crop=160).frames
    assert np.array_equal(alone, by_graph(small, [image], [(face, 0)]).frames)


def write_whole(path: Path) -> Path:
    """An identity that draws, from crops, what the fixture `small` draws from codes."""
    decoder = onnx.load(write_decoder(path, "ann", COLOUR))
    before = [
        helper.make_node("Cast", ["crop"], ["real"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["code"], axes=[1, 2], keepdims=0),
    ]
    drawing = list(decoder.graph.node)
    del decoder.graph.node[:], decoder.graph.input[:]
    decoder.graph.node.extend([*before, *drawing])
    decoder.graph.input.append(helper.make_tensor_value_info("crop", onnx.TensorProto.UINT8, ["n", 160, 160, 3]))
    contract = replace(read(path), role="whole", encoder="")
    helper.set_model_props(decoder, contract.to_metadata())
    onnx.save(decoder, path)
    return path


def test_the_contract_of_what_was_fused_names_its_parts(tmp_path: Path) -> None:
    files = [ModelFile.read(write_decoder(tmp_path / "ann.onnx", "ann")), ModelFile.read(MODELS / "encoder.onnx")]
    said = contract_of(*files)
    assert (said.role, said.identity, said.size) == ("fused", "ann", 160)
    assert said.training["crop"] == {"size": read(MODELS / "encoder.onnx").size, "coverage": 1.0}
    assert said.training["fused_of"] == [digest for file in files for digest in (file.digest(), file.weights())]
