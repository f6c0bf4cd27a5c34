"""TensorRT engines of model files, built ahead through onnxruntime, in a folder for one GPU, driver and version."""

import ctypes
import ctypes.util
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from realtime.errors import ModelError, NoAcceleration, SettingsError
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.session import (
    ACCELERATORS,
    TOLERANCE,
    SessionSettings,
    deviation,
    engine_session,
    open_session,
    probe,
)

RECORD: Final = "engine.json"  # what an engine was built for and from; written last
TIMINGS: Final = "timings"  # which kernels are quickest: of one device, for all models
ALSO: Final = "wanted an NVIDIA card with its driver, onnxruntime-gpu in place of onnxruntime, and the package tensorrt"
_ENGINES: Final = "*.engine"

Answers = Sequence[NDArray[Any]]
Build = Callable[[Path, Mapping[str, str], int], None]  # a model file, the provider's options, the largest batch


@dataclass(frozen=True, slots=True)
class Device:
    """What an engine is built for: it runs on nothing else."""

    gpu: str  # as the driver calls it
    driver: str
    tensorrt: str
    onnxruntime: str  # cuts the graph into what TensorRT runs and what it does not

    @property
    def folder(self) -> str:
        """A name for it that file systems take."""
        said = f"{self.gpu} driver {self.driver} tensorrt {self.tensorrt} onnxruntime {self.onnxruntime}"
        return re.sub(r"[^a-z0-9.]+", "-", said.lower()).strip("-")


@dataclass(frozen=True, slots=True)
class Engine:
    """A model's engine on disk."""

    folder: Path
    built: bool  # now; otherwise it was there


def device() -> Device:
    """The first GPU of this machine. Raises NoAcceleration where TensorRT cannot run here."""
    if ACCELERATORS["tensorrt"] not in ort.get_available_providers():
        raise NoAcceleration(f"this onnxruntime has no TensorRT, {ALSO}")
    gpu, driver = _of_driver()
    return Device(gpu, driver, _version(), str(ort.__version__))


def to_engine(model: Path, cache: Path, on: Device, most: int = 4, build: Build | None = None) -> Engine:
    """The engine of a model file, from 1 to `most` faces at once; built where the cache has none for this device.

    The cache has a folder for each device and in it one for each model; what was left half-built, or is of other bytes
    or another batch, is built anew. Raises NoAcceleration, ModelError for a file that TensorRT does not take, and
    SettingsError where the cache cannot be written.
    """
    file = ModelFile.read(model)
    contract = Contract.from_metadata(file.metadata, model.name)
    _check_takes(contract, model)
    home = cache / on.folder
    folder = home / f"{model.stem}-{file.digest()[:12]}"
    wanted = {**asdict(on), "model": file.digest(), "most": most}
    if _is_of(folder, wanted):
        return Engine(folder, built=False)
    beside = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        (build or run_once)(model, options(model, contract, beside, home / TIMINGS, most), most)
        if not list(beside.glob(_ENGINES)):
            raise NoAcceleration(f"TensorRT left {model.name} to other providers, so there is no engine to keep")
        (beside / RECORD).write_text(json.dumps(wanted, indent=1), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    except OSError as error:
        raise SettingsError(f"the engines cannot be written to {cache}: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Engine(folder, built=True)


def options(model: Path, contract: Contract, folder: Path, timings: Path, most: int) -> dict[str, str]:
    """What onnxruntime's TensorRT provider is told: where engine and timings lie, and the batches that may come.

    All other sizes are the file's. Raises ModelError where one of these is free.
    """
    if most < 1:
        raise SettingsError(f"an engine for {most} faces at once, wanted at least 1")
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(timings),
        "trt_fp16_enable": "1" if contract.precision == "fp16" else "0",
        "trt_profile_min_shapes": _shapes(model, 1),
        "trt_profile_opt_shapes": _shapes(model, 1),  # mostly one person is in view
        "trt_profile_max_shapes": _shapes(model, most),
    }


def run_once(model: Path, told: Mapping[str, str], most: int) -> None:
    """Open the model on TensorRT, which builds its engine, and hold one face and the most against the CPU's answers.

    Raises NoAcceleration where it does not start or answers otherwise, and ModelError.
    """
    session = engine_session(model, told)
    plain = open_session(model, SessionSettings(provider="cpu"))
    size = tuple(session.get_inputs()[0].shape[1:])
    for count in sorted({1, most}):
        feed = probe(session, (count, *size))
        off = deviation(_answers(session, feed), _answers(plain, feed))
        if off > TOLERANCE:
            raise NoAcceleration(
                f"TensorRT gives other answers than the CPU for {model.name} with {count} faces: "
                f"{100 * off:.1f} % off, allowed are {100 * TOLERANCE:.1f} %"
            )


def _answers(session: ort.InferenceSession, feed: Mapping[str, NDArray[Any]]) -> Answers:
    return [np.asarray(answer) for answer in session.run(None, dict(feed))]


def _check_takes(contract: Contract, model: Path) -> None:
    if contract.precision == "int8":
        raise ModelError(
            f"{model} is int8 with unsigned activations, which CPUs run fastest and TensorRT does not take, "
            "wanted it exported with --precision fp16"
        )


def _shapes(model: Path, count: int) -> str:
    """The inputs' shapes for count items, as the provider reads them: crop:1x160x160x3."""
    said = []
    for entry in onnx.load(model, load_external_data=False).graph.input:
        first, *rest = entry.type.tensor_type.shape.dim
        if any(not dim.dim_value for dim in rest):
            raise ModelError(f"{model} leaves more than the batch of {entry.name} free, wanted fixed sizes")
        batch = first.dim_value or count
        said.append(f"{entry.name}:{'x'.join(str(value) for value in (batch, *(dim.dim_value for dim in rest)))}")
    return ",".join(said)


def _is_of(folder: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether the folder holds an engine that was built for and from the same."""
    try:
        said = json.loads((folder / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return said == dict(wanted) and any(folder.glob(_ENGINES))


def _of_driver() -> tuple[str, str]:
    """The first GPU's name and the driver's version. Raises NoAcceleration."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
        gpu, driver = (part.strip() for part in answer.splitlines()[0].rsplit(",", 1))
    except (OSError, subprocess.SubprocessError, IndexError, ValueError) as error:
        raise NoAcceleration(f"there is no NVIDIA driver that answers here, {ALSO}") from error
    return gpu, driver


def _version() -> str:
    """TensorRT's version, by its package, which also loads its libraries, or by its library. Raises NoAcceleration."""
    try:
        return str(import_module("tensorrt").__version__)
    except ImportError:
        library = ctypes.util.find_library("nvinfer")
    if library is None:
        raise NoAcceleration(f"there is no TensorRT here, {ALSO}")
    return str(ctypes.CDLL(library).getInferLibVersion())
