"""A model's answers lie in memory that goes round, and are what the session itself answers."""

import threading
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from realtime.swap.contract import Contract
from realtime.swap.running import Runner
from tests.models import DIGEST, save, write_decoder, write_encoder

CPU = ["CPUExecutionProvider"]


@pytest.fixture
def encoder(tmp_path: Path) -> ort.InferenceSession:
    return ort.InferenceSession(str(write_encoder(tmp_path / "encoder.onnx")), providers=CPU)


def crops(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 128, 128, 3), np.uint8)


def test_answers_are_those_of_the_session_whatever_the_batch(encoder: ort.InferenceSession) -> None:
    run = Runner()
    for count in (1, 3, 2, 1):
        (code,) = run(encoder, {"crop": crops(count, count)}, ["code"])
        assert np.array_equal(code, encoder.run(["code"], {"crop": crops(count, count)})[0])


def test_answers_that_are_kept_are_never_written_to_again(tmp_path: Path) -> None:
    session = ort.InferenceSession(str(write_decoder(tmp_path / "aster.onnx", "aster")), providers=CPU)
    run = Runner()
    kept = []
    for number in range(30):
        face, mask = run(session, {"code": np.full((1 + number % 2, 8), number, np.float32)}, ["face", "mask"])
        face += number
        if number % 3 == 0:
            kept.append((face[-1], face[-1].copy(), mask[:1], mask[:1].copy()))
        del face, mask
    assert all(np.array_equal(*pair) for one in kept for pair in (one[:2], one[2:]))


def test_answers_that_nobody_keeps_share_their_memory(encoder: ort.InferenceSession) -> None:
    run, feed = Runner(), {"crop": crops(1)}
    assert len({run(encoder, feed, ["code"])[0].ctypes.data for _ in range(9)}) == 1


def test_threads_do_not_get_each_others_answers(encoder: ort.InferenceSession) -> None:
    run = Runner()
    wrong: list[int] = []

    def several(seed: int) -> None:
        feed = {"crop": crops(2, seed)}
        wanted = encoder.run(["code"], feed)[0]
        wrong.extend(seed for _ in range(40) if not np.array_equal(run(encoder, feed, ["code"])[0], wanted))

    threads = [threading.Thread(target=several, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("shape", [["n", "side"], ["n", 4]])
def test_a_model_that_leaves_its_answers_size_open_is_run_all_the_same(tmp_path: Path, shape: list[str | int]) -> None:
    node = helper.make_node("Identity", ["code"], ["face"])
    kinds = helper.make_tensor_value_info("code", TensorProto.FLOAT, ["n", 4])
    answer = helper.make_tensor_value_info("face", TensorProto.FLOAT, shape)
    contract = Contract(role="encoder", size=64, coverage=1.0, licence="Apache-2.0", encoder=DIGEST)
    path = save(tmp_path / "open.onnx", [node], {}, [kinds], [answer], contract)
    session = ort.InferenceSession(str(path), providers=CPU)
    code = np.arange(8, dtype=np.float32).reshape(2, 4)
    (face,) = Runner()(session, {"code": code}, ["face"])
    assert np.array_equal(face, code)
