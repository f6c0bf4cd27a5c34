"""Engines are kept for one GPU, driver and version, and built anew when any of it changes."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import onnx
import onnxruntime as ort
import pytest

from export.half import halve
from export.quantize import RECIPES, quantize
from export.to_tensorrt import RECORD, Device, device, options, to_engine
from realtime.errors import ModelError, NoAcceleration, SettingsError
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from tests.export.small import SIZE, codes, write_small

CARD = Device("NVIDIA GeForce RTX 4090", "570.86.10", "10.9.0", "1.31.1")


class Builder:
    """Writes what TensorRT would and remembers what it was told."""

    def __init__(self, engines: int = 1) -> None:
        self.told: list[Mapping[str, str]] = []
        self._engines = engines

    def __call__(self, model: Path, told: Mapping[str, str], most: int) -> None:
        self.told.append(told)
        for number in range(self._engines):
            Path(told["trt_engine_cache_path"], f"{number}.engine").write_bytes(b"engine")


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return write_small(tmp_path / "ann.onnx", whole=True)


def test_what_was_built_is_kept(whole: Path, tmp_path: Path) -> None:
    build = Builder()
    first, again = (to_engine(whole, tmp_path / "cache", CARD, build=build) for _ in range(2))
    assert (first.built, again.built, len(build.told)) == (True, False, 1)
    assert first.folder == again.folder
    assert sorted(path.name for path in first.folder.iterdir()) == ["0.engine", RECORD]
    assert first.folder.parent.name == "nvidia-geforce-rtx-4090-driver-570.86.10-tensorrt-10.9.0-onnxruntime-1.31.1"


@pytest.mark.parametrize(
    "change", [{"gpu": "NVIDIA L4"}, {"driver": "575.1"}, {"tensorrt": "10.10.0"}, {"onnxruntime": "1.32.0"}]
)
def test_another_device_has_a_folder_of_its_own(whole: Path, tmp_path: Path, change: dict[str, str]) -> None:
    build = Builder()
    one = to_engine(whole, tmp_path / "cache", CARD, build=build)
    other = to_engine(whole, tmp_path / "cache", replace(CARD, **change), build=build)
    assert other.built
    assert other.folder != one.folder
    assert build.told[0]["trt_timing_cache_path"] != build.told[1]["trt_timing_cache_path"]
    assert not to_engine(whole, tmp_path / "cache", CARD, build=build).built


def spoil_record(folder: Path) -> None:
    (folder / RECORD).write_text("{")


def lose_engine(folder: Path) -> None:
    (folder / "0.engine").unlink()


@pytest.mark.parametrize("spoil", [spoil_record, lose_engine])
def test_what_is_not_whole_is_built_anew(whole: Path, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(to_engine(whole, tmp_path / "cache", CARD, build=Builder()).folder)
    assert to_engine(whole, tmp_path / "cache", CARD, build=Builder()).built


def test_another_batch_and_other_weights_are_built_anew(whole: Path, tmp_path: Path) -> None:
    to_engine(whole, tmp_path / "cache", CARD, 4, Builder())
    assert to_engine(whole, tmp_path / "cache", CARD, 8, Builder()).built
    write_small(whole, whole=True, identity="bob")
    assert to_engine(whole, tmp_path / "cache", CARD, 8, Builder()).built


def test_a_build_that_fails_leaves_nothing_behind(whole: Path, tmp_path: Path) -> None:
    def fails(model: Path, told: Mapping[str, str], most: int) -> None:
        Builder()(model, told, most)
        raise NoAcceleration("the card is busy")

    with pytest.raises(NoAcceleration, match="busy"):
        to_engine(whole, tmp_path / "cache", CARD, build=fails)
    assert not list((tmp_path / "cache").rglob("*.engine"))
    with pytest.raises(NoAcceleration, match=r"TensorRT left ann\.onnx to other providers"):
        to_engine(whole, tmp_path / "cache", CARD, build=Builder(engines=0))


def test_the_provider_is_told_the_batches_and_where_things_lie(whole: Path, tmp_path: Path) -> None:
    contract = Contract.from_metadata(ModelFile.read(whole).metadata)
    told = options(whole, contract, tmp_path / "engine", tmp_path / "timings", 4)
    assert told == {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(tmp_path / "engine"),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(tmp_path / "timings"),
        "trt_fp16_enable": "0",
        "trt_profile_min_shapes": f"crop:1x{SIZE}x{SIZE}x3",
        "trt_profile_opt_shapes": f"crop:1x{SIZE}x{SIZE}x3",
        "trt_profile_max_shapes": f"crop:4x{SIZE}x{SIZE}x3",
    }
    halve(write_small(tmp_path / "decoder.onnx"), tmp_path / "half.onnx", codes())
    half = Contract.from_metadata(ModelFile.read(tmp_path / "half.onnx").metadata)
    told = options(tmp_path / "half.onnx", half, tmp_path, tmp_path, 2)
    assert (told["trt_fp16_enable"], told["trt_profile_max_shapes"]) == ("1", "code:2x16")


def test_what_tensorrt_does_not_take_is_refused(whole: Path, tmp_path: Path) -> None:
    quantize(write_small(tmp_path / "decoder.onnx"), tmp_path / "int8.onnx", codes(), RECIPES[0])
    with pytest.raises(ModelError, match=r"int8\.onnx is int8 .* wanted it exported with --precision fp16"):
        to_engine(tmp_path / "int8.onnx", tmp_path / "cache", CARD, build=Builder())
    model = onnx.load(whole)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"
    onnx.save(model, whole)
    with pytest.raises(ModelError, match="leaves more than the batch of crop free, wanted fixed sizes"):
        to_engine(whole, tmp_path / "cache", CARD, build=Builder())
    with pytest.raises(SettingsError, match="an engine for 0 faces at once"):
        to_engine(write_small(whole), tmp_path / "cache", CARD, 0, Builder())


def test_a_cache_that_cannot_be_written_is_named(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(SettingsError, match=r"the engines cannot be written to .*cache"):
        to_engine(whole, tmp_path / "cache", CARD, build=Builder())


@pytest.mark.skipif("TensorrtExecutionProvider" in ort.get_available_providers(), reason="this machine has TensorRT")
def test_without_tensorrt_that_is_one_sentence() -> None:
    with pytest.raises(NoAcceleration, match="this onnxruntime has no TensorRT, wanted an NVIDIA card with its driver"):
        device()


def test_the_device_is_what_the_driver_and_the_packages_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["TensorrtExecutionProvider"])
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="10.9.0"))
    said = SimpleNamespace(stdout="NVIDIA H200, 570.86.10\nNVIDIA L4, 570.86.10\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: said)
    assert device() == Device("NVIDIA H200", "570.86.10", "10.9.0", ort.__version__)
    said.stdout = ""
    with pytest.raises(NoAcceleration, match="no NVIDIA driver that answers here"):
        device()
