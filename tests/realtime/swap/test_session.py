"""Sessions open warm, fall back loudly, and broken files are one sentence."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from realtime.errors import ModelError, NoAcceleration, SettingsError
from realtime.swap import session as sessions
from realtime.swap.session import CPU, SessionSettings, deviation, open_session, probe, provider_of, providers, zeros
from tests.models import write_decoder, write_encoder, write_landmarker


def test_a_model_opens_from_its_path_and_from_its_bytes(tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "encoder.onnx")
    white = {"crop": np.full((3, 128, 128, 3), 255, np.uint8)}
    for model in (path, path.read_bytes()):
        (code,) = open_session(model, SessionSettings(provider="cpu")).run(None, white)
        assert np.asarray(code)[:, :4] == pytest.approx(np.array([[1, 1, 1, 0]] * 3))


def test_the_settings_reach_the_session(tmp_path: Path) -> None:
    session = open_session(write_encoder(tmp_path / "encoder.onnx"), SessionSettings(provider="cpu", threads=1))
    options = session.get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert session.get_providers() == [CPU]
    assert provider_of(session) == "cpu"


def test_a_session_has_run_before_it_is_handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[dict[str, Any]] = []
    original = ort.InferenceSession.run

    def run(self: ort.InferenceSession, names: Any, feed: dict[str, Any], *rest: Any) -> Any:
        runs.append(feed)
        return original(self, names, feed, *rest)

    monkeypatch.setattr(ort.InferenceSession, "run", run)
    open_session(write_landmarker(tmp_path / "landmarks.onnx"), SessionSettings(provider="cpu"))
    (feed,) = runs
    assert feed["crop"].shape == (1, 160, 160, 3)
    assert feed["crop"].dtype == np.uint8


def test_free_dimensions_are_warmed_up_as_told_and_fixed_ones_stay(tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "encoder.onnx")
    session = open_session(path, SessionSettings(provider="cpu"), (4, 64, 64, 3))
    assert zeros(session, (4, 64, 64, 3))["crop"].shape == (4, 128, 128, 3)
    assert zeros(session)["crop"].shape == (1, 128, 128, 3)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        open_session(tmp_path / "gone.onnx", SessionSettings())
    assert str(error.value) == f"there is no model file {tmp_path / 'gone.onnx'}"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_one_sentence(tmp_path: Path, share: float) -> None:
    whole = write_decoder(tmp_path / "ann.onnx", "ann").read_bytes()
    (tmp_path / "ann.onnx").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match=r"^ann\.onnx is no ONNX model that onnxruntime can load: ") as error:
        open_session(tmp_path / "ann.onnx", SessionSettings())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"GIF89a and so on", b"\x00" * 1000, "a text file".encode("utf-16")])
def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"odd\.onnx is no ONNX model"):
        open_session(tmp_path / "odd.onnx", SessionSettings())
    with pytest.raises(ModelError, match="the model is no ONNX model"):
        open_session(content, SessionSettings())


def test_a_model_that_may_not_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, mode: str = "r") -> None:
        raise PermissionError(13, "Permission denied", str(path))

    path = write_decoder(tmp_path / "ann.onnx", "ann")
    monkeypatch.setattr(Path, "open", denied)  # tests may run as root, who may read everything
    with pytest.raises(ModelError, match=r"the model file .*ann\.onnx cannot be read: Permission denied"):
        open_session(path, SessionSettings())


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model file"):
        open_session(tmp_path, SessionSettings())


@pytest.mark.parametrize("wrong", [{"provider": "gpu"}, {"threads": 0}, {"threads": 9999}, {"precision": "fp8"}])
def test_absurd_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=str(next(iter(wrong.values())))):
        SessionSettings(**wrong)


def offer(monkeypatch: pytest.MonkeyPatch, *providers: str) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [*providers, CPU])


def test_an_accelerator_that_was_asked_for_and_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch)
    with pytest.raises(NoAcceleration) as error:
        open_session(write_encoder(tmp_path / "encoder.onnx"), SessionSettings(provider="cuda"))
    assert str(error.value) == (
        "the provider cuda was asked for and this onnxruntime offers only the CPU: "
        "wanted onnxruntime-gpu in its place, or --provider auto"
    )


def test_a_broken_model_is_told_from_a_broken_accelerator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "CUDAExecutionProvider")
    (tmp_path / "odd.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"odd\.onnx is no ONNX model"):
        open_session(tmp_path / "odd.onnx", SessionSettings(provider="cuda"))


def test_auto_without_an_accelerator_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    offer(monkeypatch, "AzureExecutionProvider")
    assert provider_of(open_session(write_encoder(tmp_path / "encoder.onnx"), SessionSettings())) == "cpu"
    assert not caplog.records


class Accelerated(ort.InferenceSession):  # type: ignore[misc]
    """A session that says it runs on CUDA, on a machine without a GPU, and whose outputs can be spoiled."""

    spoiled: float = 1.0

    def __init__(self, model: Any, options: Any, providers: Sequence[Any]) -> None:
        self.claims = str(providers[0][0]) if isinstance(providers[0], tuple) else str(providers[0])
        super().__init__(model, options, providers=[CPU])

    def get_providers(self) -> list[str]:
        return [self.claims] if self.claims == CPU else [self.claims, CPU]

    def run(self, *arguments: Any) -> list[Any]:
        factor = 1.0 if self.claims == CPU else self.spoiled
        return [output * np.float32(factor) for output in super().run(*arguments)]


@pytest.fixture
def claimed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """onnxruntime, where it says that it runs on CUDA."""
    offer(monkeypatch, "CUDAExecutionProvider")
    monkeypatch.setattr(ort, "preload_dlls", lambda: None)
    monkeypatch.setattr(ort, "InferenceSession", Accelerated)
    return monkeypatch


@pytest.mark.parametrize(
    ("factor", "provider", "says"),
    [
        (1.0, "cuda", "runs on cuda"),
        (1.001, "cuda", "runs on cuda, 0.10 % from the CPU's answers"),
        (0.0, "cpu", "NO ACCELERATION: the provider cuda gives other answers than the CPU for encoder.onnx: 100.0 %"),
        (float("nan"), "cpu", "gives other answers than the CPU for encoder.onnx: inf %"),
    ],
)
def test_auto_takes_an_accelerator_only_when_it_answers_like_the_cpu(
    tmp_path: Path,
    claimed: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    factor: float,
    provider: str,
    says: str,
) -> None:
    claimed.setattr(Accelerated, "spoiled", factor)
    with caplog.at_level(logging.INFO):
        session = open_session(write_encoder(tmp_path / "encoder.onnx"), SessionSettings())
    assert provider_of(session) == provider
    assert any(says in record.message for record in caplog.records)


def test_an_accelerator_that_was_asked_for_and_answers_otherwise_is_one_sentence(
    tmp_path: Path, claimed: pytest.MonkeyPatch
) -> None:
    claimed.setattr(Accelerated, "spoiled", 0.0)
    with pytest.raises(NoAcceleration, match=r"other answers than the CPU for encoder\.onnx: 100\.0 % off"):
        open_session(write_encoder(tmp_path / "encoder.onnx"), SessionSettings(provider="cuda"))


def test_an_accelerator_whose_libraries_are_missing_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """onnxruntime drops a provider whose libraries are missing without raising: the session says cpu."""
    offer(monkeypatch, "MIGraphXExecutionProvider")
    create = sessions._create
    monkeypatch.setattr(sessions, "_create", lambda source, name, settings, _: create(source, name, settings, CPU))
    encoder = write_encoder(tmp_path / "encoder.onnx")
    with pytest.raises(NoAcceleration, match="could not load MIGraphXExecutionProvider"):
        open_session(encoder, SessionSettings(provider="migraphx"))
    assert provider_of(open_session(encoder, SessionSettings())) == "cpu"
    assert "could not load MIGraphXExecutionProvider, wanted AMD's driver" in caplog.text
    assert caplog.text.strip().endswith("; the CPU takes over")


def test_deviation_is_relative_and_infinite_for_what_is_not_finite() -> None:
    reference = [np.array([2.0, -2.0]), np.array([100.0])]
    assert deviation(reference, reference) == 0
    assert deviation([np.array([2.2, -2.2]), np.array([100.0])], reference) == pytest.approx(0.1, rel=1e-3)
    assert deviation([np.array([2.0, np.nan]), np.array([100.0])], reference) == float("inf")


def test_the_self_tests_input_is_the_same_every_time(tmp_path: Path) -> None:
    session = open_session(write_encoder(tmp_path / "encoder.onnx"), SessionSettings(provider="cpu"))
    one, other = probe(session, ()), probe(session, ())
    assert np.array_equal(one["crop"], other["crop"])
    assert one["crop"].std() > 50


def test_nvidias_providers_are_asked_for_with_their_options() -> None:
    plain, exact = SessionSettings(), SessionSettings(precision="fp32")
    assert providers("CPUExecutionProvider", plain) == ["CPUExecutionProvider"]
    assert providers("CUDAExecutionProvider", plain) == [("CUDAExecutionProvider", {}), "CPUExecutionProvider"]
    assert providers("CUDAExecutionProvider", exact)[0] == ("CUDAExecutionProvider", {"use_tf32": "0"})
    assert providers("CUDAExecutionProvider", plain, True)[0] == ("CUDAExecutionProvider", {"enable_cuda_graph": "1"})
    first, *others = providers("TensorrtExecutionProvider", plain, True)
    assert others == [("CUDAExecutionProvider", {"enable_cuda_graph": "1"}), "CPUExecutionProvider"]
    assert isinstance(first, tuple)
    name, options = first
    assert name == "TensorrtExecutionProvider"
    assert options["trt_cuda_graph_enable"] == "1"
    assert "trt_fp16_enable" not in options  # places in a frame do not fit into 16 bits


def test_what_a_session_is_tried_with_can_be_given(tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "encoder.onnx")
    assert open_session(path, SessionSettings(provider="cpu"), tried={"crop": np.zeros((3, 128, 128, 3), np.uint8)})
    with pytest.raises(ModelError, match="does not run: Required inputs"):
        open_session(path, SessionSettings(provider="cpu"), tried={"face": np.zeros((1, 8), np.float32)})
