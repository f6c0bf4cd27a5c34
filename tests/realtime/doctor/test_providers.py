"""Providers are tried in a process of their own, which may hang or crash."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.doctor.finding import NOTE, OK, WRONG
from realtime.doctor.probe import counted, difference, golden, outcome
from realtime.doctor.providers import asked, judged, known
from realtime.errors import NoAcceleration
from realtime.swap.session import SessionSettings, bare_session
from tests.models import write_encoder

BROKEN = "tests.realtime.doctor.broken"
GOOD: dict[str, Any] = {"difference": 0.001, "milliseconds": 5.0, "nodes": {"cuda": 99, "cpu": 1}}


def test_a_network_runs_and_is_compared_and_its_nodes_are_counted(tmp_path: Path) -> None:
    model = write_encoder(tmp_path / "encoder.onnx")
    seen = outcome(model, (), "cpu", speed_s=0.0)
    assert seen.difference < 1e-5
    assert seen.milliseconds > 0
    assert set(seen.nodes) == {"cpu"}
    assert seen.nodes["cpu"] >= 1


def test_a_provider_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(NoAcceleration, match="offers only the CPU"):
        outcome(write_encoder(tmp_path / "encoder.onnx"), (), "cuda")


def test_the_golden_input_is_a_face_and_the_same_every_time(tmp_path: Path) -> None:
    session = bare_session(write_encoder(tmp_path / "encoder.onnx"), SessionSettings(provider="cpu"))
    one, other = golden(session, ())["crop"], golden(session, ())["crop"]
    assert np.array_equal(one, other)
    assert one.dtype == np.uint8
    assert one.shape == (1, 128, 128, 3)
    assert one.std() > 20


def test_a_nodes_provider_is_read_from_the_profile() -> None:
    events: list[dict[str, Any]] = [
        {"cat": "Session", "name": "model_run"},
        *[
            {"cat": "Node", "name": f"conv{n}_kernel_time", "args": {"provider": "CUDAExecutionProvider"}}
            for n in "aab"
        ],
        {"cat": "Node", "name": "slice_kernel_time", "args": {"provider": "CPUExecutionProvider"}},
        {"cat": "Node", "name": "fence", "args": {}},
    ]
    assert counted(events) == {"cuda": 2, "cpu": 1}


def test_difference_is_relative_to_the_largest_value_and_infinite_for_what_is_no_number() -> None:
    wanted = [np.array([0.0, 10.0])]
    assert difference([np.array([0.0, 9.0])], wanted) == pytest.approx(0.05)
    assert difference([np.array([0.0, np.nan])], wanted) == float("inf")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("crashes", "ended with exit code"),
        ("raises", "ended with exit code 1: RuntimeError: no libcudnn"),
        ("babbles", "said nothing that can be read: 'what?"),
    ],
)
def test_a_provider_that_breaks_the_probe_is_a_finding(how: str, words: str) -> None:
    said = asked(how, module=BROKEN)
    assert isinstance(said, str)
    assert said.startswith(words)
    (found,) = judged("cuda", said)
    assert (found.state, found.seen) == (NOTE, said)


def test_a_provider_that_hangs_is_given_up() -> None:
    began = time.perf_counter()
    assert asked("hangs", longest_s=0.5, module=BROKEN) == "did not come back within 0.5 seconds"
    assert time.perf_counter() - began < 30  # not the minute that it sleeps


@pytest.mark.parametrize(
    ("outcome", "state", "words"),
    [
        (GOOD, OK, "5.0 ms, 0.10 % from fp32, 100 nodes: 99 % on cuda, 1 % on cpu"),
        ({**GOOD, "difference": 0.5}, NOTE, "50.00 % from fp32"),
        ({**GOOD, "difference": None}, NOTE, "no numbers"),
        ({"error": "onnxruntime could not load CUDAExecutionProvider"}, NOTE, "could not load"),
    ],
)
def test_an_accelerator_is_judged_by_its_answers(outcome: dict[str, Any], state: str, words: str) -> None:
    (found,) = judged("cuda", {"encoder": outcome})
    assert (found.name, found.state) == ("cuda: encoder", state)
    assert words in found.seen
    assert bool(found.remedy) == (state != OK)


def test_what_is_the_same_for_every_network_is_said_once() -> None:
    (found,) = judged("cuda", {name: {"error": "it did not load"} for name in ("encoder", "aster")})
    assert found.name == "cuda: every network"


def test_what_a_provider_wants_is_its_remedy() -> None:
    (found,) = judged("cuda", {"encoder": {"error": "it did not load, wanted CUDA: pip install it"}})
    assert found.seen == "it did not load"
    assert found.remedy == "CUDA: pip install it; until then, --provider auto goes without it"


def test_a_processor_that_fails_is_wrong() -> None:
    (found,) = judged("cpu", {"encoder": {"error": "does not run"}})
    assert found.state == WRONG


def test_only_providers_that_a_run_can_use_are_asked() -> None:
    offered = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "AzureExecutionProvider", "CPUExecutionProvider"]
    assert known(offered) == ("cuda", "cpu")
