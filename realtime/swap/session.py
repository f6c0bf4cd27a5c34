"""The one place that creates inference sessions: provider, threads, precision, warm-up and self-test."""

import hashlib
import io
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from realtime.errors import ModelError, NoAcceleration, SettingsError
from realtime.places import state_folder
from realtime.swap.choices import FP32, INT8, Choices

logger = logging.getLogger(__name__)

CPU: Final = "CPUExecutionProvider"
# The names of settings to onnxruntime's, in the order in which "auto" prefers them.
ACCELERATORS: Final[Mapping[str, str]] = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
# The package that brings each, in place of onnxruntime.
PACKAGES: Final[Mapping[str, str]] = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu",
    "migraphx": "onnxruntime-migraphx",
    "directml": "onnxruntime-directml",
    "openvino": "onnxruntime-openvino",
    "coreml": "onnxruntime for macOS",
}
# What each needs on the machine besides.
LIBRARIES: Final[Mapping[str, str]] = {
    "cuda": "NVIDIA's driver, CUDA and cuDNN: pip install 'onnxruntime-gpu[cuda,cudnn]'",
    "tensorrt": "NVIDIA's driver, CUDA, cuDNN and TensorRT: pip install tensorrt",
    "migraphx": "AMD's driver, ROCm and MIGraphX",
    "directml": "a graphics driver with DirectX 12",
    "openvino": "OpenVINO: pip install openvino",
    "coreml": "macOS 12 or newer",
}
OF_NVIDIA: Final = ("cuda", "tensorrt")
# The others compile for each input size, which costs a detector of free size more than they gain.
AUTOMATIC: Final = ("cuda", "migraphx", "directml")
PRECISIONS: Final = ("auto", "int8", "fp32")
TOLERANCE: Final = 0.02  # of the output's own spread; TF32 stays under 0.005, a black fp16 picture is near 1

# onnxruntime's exceptions share no base class but Exception.
_ORT_ERRORS: Final = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
_KINDS: Final[Mapping[str, type[np.generic]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}

Shape = Sequence[int]
Asked = Sequence[str | tuple[str, dict[str, str]]]  # of onnxruntime: providers, some with their options
Feed = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How models are run."""

    provider: str = "auto"  # auto (a GPU where one works, else the CPU), cpu, or one of ACCELERATORS
    threads: int = 2  # of one model on the CPU
    # auto: as fast as the provider likes (TF32 on CUDA), int8 on the CPU unless choices know better; fp32: full floats
    precision: str = "auto"
    choices: Choices | None = None  # what was measured on this machine; None measures nothing

    def __post_init__(self) -> None:
        known = ("auto", "cpu", *ACCELERATORS)
        if self.provider not in known:
            raise SettingsError(f"the provider {self.provider!r} is unknown, wanted one of {', '.join(known)}")
        if not 1 <= self.threads <= 256:
            raise SettingsError(f"{self.threads} threads for a model, wanted 1 to 256")
        if self.precision not in PRECISIONS:
            raise SettingsError(f"the precision {self.precision!r} is unknown, wanted one of {', '.join(PRECISIONS)}")


def open_session(
    model: Path | bytes,
    settings: SessionSettings,
    shape: Shape = (),
    name: str = "",
    tried: Feed | None = None,
    captured: bool = False,
) -> ort.InferenceSession:
    """A session that has run once and whose provider gives the CPU's answers.

    shape is what to warm the first input up with where the model leaves a dimension free; the other free ones are 1.
    name says in messages which model it is where that comes as bytes. tried is what to warm it up and to compare it
    with, where numbers by chance make no sense; captured has NVIDIA's cards record a run and repeat it, for sessions
    that are only run with bound buffers of the same places.
    With "auto", a GPU that does not start or answers otherwise than the CPU is left out, loudly. Raises NoAcceleration
    where a provider was asked for and cannot be used; ModelError when the file is missing, unreadable, truncated or no
    ONNX, or when it does not run.
    """
    name = name or (model.name if isinstance(model, Path) else "the model")
    source = str(_existing(model)) if isinstance(model, Path) else model
    plain = _plain(source, name, settings, shape, tried)
    accelerator = wanted(settings, ort.get_available_providers())
    if accelerator:
        try:
            return _accelerated(source, name, accelerator, settings, shape, plain, tried, captured)
        except NoAcceleration as error:
            if settings.provider != "auto":
                raise
            logger.warning("NO ACCELERATION: %s; the CPU takes over", error)
    _run(plain, name, tried or zeros(plain, shape))
    return plain


def _plain(
    source: str | bytes, name: str, settings: SessionSettings, shape: Shape, tried: Feed | None
) -> ort.InferenceSession:
    """A session on the CPU, in the arithmetic that was asked for, or was found to be the faster one."""
    choices = settings.choices
    if choices is None or settings.precision != "auto" or not _is_for_cpu(settings):
        return _create(source, name, settings, CPU)
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    if b"DequantizeLinear" not in data:  # a model of floats has no other arithmetic
        return _create(source, name, settings, CPU)
    digest = hashlib.sha256(data).hexdigest()
    if known := choices.of(digest):
        return _create(source, name, replace(settings, precision=known), CPU)
    began = time.perf_counter()
    narrow = _create(source, name, settings, CPU)
    if not choices.affords(2 * (time.perf_counter() - began)):
        choices.leave(digest)
        return narrow
    began = time.perf_counter()
    wide, feed = _create(source, name, replace(settings, precision=FP32), CPU), tried or probe(narrow, shape)
    agree = deviation(_run(narrow, name, feed), _run(wide, name, feed)) <= TOLERANCE
    choices.spent(time.perf_counter() - began)
    return narrow if choices.decide(digest, narrow, wide, feed, agree) == INT8 else wide


def _is_for_cpu(settings: SessionSettings) -> bool:
    """Whether no accelerator is to take over."""
    offered = ort.get_available_providers()
    found = any(ACCELERATORS[name] in offered for name in AUTOMATIC)
    return settings.provider == "cpu" or (settings.provider == "auto" and not found)


def provider_of(session: ort.InferenceSession) -> str:
    """The provider that runs the session, in the words of the settings: cpu, cuda, ..."""
    first = session.get_providers()[0]
    return next((name for name, provider in ACCELERATORS.items() if provider == first), "cpu")


def zeros(session: ort.InferenceSession, shape: Shape = ()) -> Feed:
    """An input of zeros for each of the session's inputs; free dimensions of the first as in shape, others 1."""
    feed: Feed = {}
    for place, entry in enumerate(session.get_inputs()):
        free = shape if place == 0 and len(shape) == len(entry.shape) else [1] * len(entry.shape)
        sizes = [
            own if isinstance(own, int) and own > 0 else other for own, other in zip(entry.shape, free, strict=True)
        ]
        feed[entry.name] = np.zeros(sizes, _KINDS.get(entry.type, np.float32))
    return feed


def deviation(outputs: Sequence[NDArray[Any]], reference: Sequence[NDArray[Any]]) -> float:
    """The largest difference between two runs' outputs, relative to the reference's own spread; inf when not finite."""
    worst = 0.0
    for output, wanted in zip(outputs, reference, strict=True):
        if not np.isfinite(output).all():
            return float("inf")
        difference = np.abs(output.astype(np.float64) - wanted.astype(np.float64)).mean()
        worst = max(worst, float(difference / (np.abs(wanted.astype(np.float64)).mean() + 1e-6)))
    return worst


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ModelError(f"there is no model file {path}")
    try:
        path.open("rb").close()
    except OSError as error:
        raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error
    return path


def wanted(settings: SessionSettings, offered: Sequence[str]) -> str:
    """The accelerator to use, in the words of the settings; empty for the CPU. offered is in onnxruntime's words.

    Raises NoAcceleration where one was asked for and is not offered.
    """
    if settings.provider == "cpu":
        return ""
    if settings.provider == "auto":
        return next((name for name in AUTOMATIC if ACCELERATORS[name] in offered), "")
    if ACCELERATORS[settings.provider] not in offered:
        there = ", ".join(name for name, provider in ACCELERATORS.items() if provider in offered) or "only the CPU"
        raise NoAcceleration(
            f"the provider {settings.provider} was asked for and this onnxruntime offers {there}: "
            f"wanted {PACKAGES[settings.provider]} in its place, or --provider auto"
        )
    return settings.provider


def _accelerated(
    source: str | bytes,
    name: str,
    accelerator: str,
    settings: SessionSettings,
    shape: Shape,
    plain: ort.InferenceSession,
    tried: Feed | None,
    captured: bool,
) -> ort.InferenceSession:
    """A session on the accelerator. Raises NoAcceleration when it does not start or answers otherwise than plain."""
    try:
        session = _create(source, name, settings, ACCELERATORS[accelerator])
        if provider_of(session) != accelerator:
            raise ModelError(not_loaded(accelerator))
        outputs = _run(session, name, tried or probe(session, shape))
        if captured and accelerator in OF_NVIDIA:
            session = _create(source, name, settings, ACCELERATORS[accelerator], captured=True)
    except ModelError as error:
        raise NoAcceleration(f"the provider {accelerator} cannot run {name}: {error}") from error
    off = deviation(outputs, _run(plain, name, tried or probe(plain, shape)))
    if off > TOLERANCE:
        raise NoAcceleration(
            f"the provider {accelerator} gives other answers than the CPU for {name}: "
            f"{100 * off:.1f} % off, allowed are {100 * TOLERANCE:.1f} %"
        )
    logger.info("%s runs on %s, %.2f %% from the CPU's answers", name, accelerator, 100 * off)
    return session


def not_loaded(accelerator: str) -> str:
    """Says that a provider's libraries are missing; onnxruntime then leaves it out without a word to its caller."""
    return f"onnxruntime could not load {ACCELERATORS[accelerator]}, wanted {LIBRARIES[accelerator]}"


def probe(session: ort.InferenceSession, shape: Shape) -> Feed:
    """An input with something to see, the same at each call: noise in the range of a picture's bytes or of a code."""
    random = np.random.default_rng(0)
    feed = zeros(session, shape)
    return {
        key: random.integers(0, 256, value.shape).astype(value.dtype)
        if value.dtype == np.uint8
        else random.normal(0, 1, value.shape).astype(value.dtype)
        for key, value in feed.items()
    }


def bare_session(
    model: Path, settings: SessionSettings, literal: bool = False, profile: Path | None = None
) -> ort.InferenceSession:
    """A session on the provider of the settings as it is, neither warmed up nor compared: for whoever examines it.

    literal runs the graph as the file has it, without onnxruntime's optimisations; profile is what the files of
    onnxruntime's profiler are called. Raises NoAcceleration, or ModelError as open_session does.
    """

    def adjust(options: ort.SessionOptions) -> None:
        if literal:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(profile)

    accelerator = wanted(settings, ort.get_available_providers())
    session = _create(str(_existing(model)), model.name, settings, ACCELERATORS.get(accelerator, CPU), adjust)
    if accelerator and provider_of(session) != accelerator:
        raise NoAcceleration(not_loaded(accelerator))
    return session


def engine_session(model: Path, told: Mapping[str, str]) -> ort.InferenceSession:
    """A session on TensorRT with these options of its provider, not warmed up; CUDA and the CPU run what it leaves.

    Raises NoAcceleration where it does not start, and ModelError where there is no such file.
    """
    asked: Asked = [(ACCELERATORS["tensorrt"], dict(told)), (ACCELERATORS["cuda"], {}), CPU]
    source = str(_existing(model))
    try:
        session = _create(source, model.name, SessionSettings(), ACCELERATORS["tensorrt"], asked=asked)
    except ModelError as error:
        raise NoAcceleration(f"TensorRT cannot run {model.name}: {error}") from error
    if provider_of(session) != "tensorrt":
        raise NoAcceleration(not_loaded("tensorrt"))
    return session


def _create(
    source: str | bytes,
    name: str,
    settings: SessionSettings,
    provider: str,
    adjust: Callable[[ort.SessionOptions], None] | None = None,
    captured: bool = False,
    asked: Asked = (),
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors only: unused initializers and the like are no news for an operator
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # or the pools of two models fight
    if settings.precision == FP32 and provider == CPU:
        options.add_session_config_entry("session.disable_quant_qdq", "1")  # layers stay between their conversions
    if adjust is not None:
        adjust(options)
    # What goes wrong is raised or seen by whoever asked; onnxruntime's own lines are for those who look closer.
    ort.set_default_logger_severity(2 if logger.isEnabledFor(logging.DEBUG) else 4)
    if provider in (ACCELERATORS[name] for name in OF_NVIDIA):
        with redirect_stdout(io.StringIO()):  # it prints what it does not find
            ort.preload_dlls()  # finds CUDA and cuDNN where pip has put them
    try:
        return ort.InferenceSession(source, options, providers=asked or providers(provider, settings, captured))
    except _ORT_ERRORS as error:
        raise ModelError(f"{name} is no ONNX model that onnxruntime can load: {_first_line(error)}") from error


def providers(
    provider: str, settings: SessionSettings, captured: bool = False
) -> list[str | tuple[str, dict[str, str]]]:
    """What onnxruntime is asked for, the first one first, with its options; what one cannot do, the next one does.

    TensorRT keeps what it has compiled beside the user's logs, and leaves what it does not know to CUDA.
    """
    if provider == CPU:
        return [CPU]
    exact = settings.precision == "fp32"
    cuda = {**({"use_tf32": "0"} if exact else {}), **({"enable_cuda_graph": "1"} if captured else {})}
    if provider == ACCELERATORS["tensorrt"]:
        kept = str(state_folder() / "tensorrt")
        options = {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": kept,
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": kept,
            **({"trt_cuda_graph_enable": "1"} if captured else {}),
        }
        return [(provider, options), (ACCELERATORS["cuda"], cuda), CPU]
    return [(provider, cuda if provider == ACCELERATORS["cuda"] else {}), CPU]


def _run(session: ort.InferenceSession, name: str, feed: Feed) -> list[NDArray[Any]]:
    try:
        return [np.asarray(output) for output in session.run(None, feed)]
    except (*_ORT_ERRORS, ValueError) as error:  # a ValueError where an input is not among what it is fed
        raise ModelError(f"{name} does not run: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no reason given"])[0][:200]
