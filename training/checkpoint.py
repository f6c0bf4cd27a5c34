"""Checkpoints: everything a training needs to go on, written so that a crash leaves the old one whole."""

import contextlib
import errno
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from realtime.errors import LiveswapError
from training.model import Decoder, DecoderShape, Encoder, EncoderShape, LandmarkNet, LandmarkShape, SwapNet

LANDMARKS: Final = "liveswap-landmarks-1"
SWAP: Final = "liveswap-swap-1"


def save(path: Path, kind: str, content: dict[str, Any]) -> None:
    """Writes content (tensors, state dicts and plain values) to path, all or nothing.

    content["record"] is the JSON-able training record. Raises LiveswapError when path cannot be written.
    """
    beside = path.with_name(path.name + ".part")
    try:
        data = io.BytesIO()  # first, since torch's own writing says nothing of a full disk
        torch.save({"kind": kind, **content}, data)
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(data.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise LiveswapError(f"the checkpoint {path} cannot be written: {error.strerror}") from error


def remember(path: Path, history: Path, step: int, last: int, best: bool) -> None:
    """Keeps the checkpoint at path under history as well: of the newest `last`, and as best.pt where it is the best.

    A further name of the same file costs no room. Raises LiveswapError when it cannot be made.
    """
    try:
        history.mkdir(parents=True, exist_ok=True)
        _name_again(path, history / f"step-{step:08d}.pt")
        if best:
            _name_again(path, history / "best.pt")
        for old in sorted(history.glob("step-*.pt"))[:-last]:
            old.unlink()
    except OSError as error:
        raise LiveswapError(f"the checkpoint {path} cannot be kept in {history}: {error.strerror}") from error


def _name_again(path: Path, name: Path) -> None:
    beside = name.with_name(name.name + ".part")
    beside.unlink(missing_ok=True)
    try:
        os.link(path, beside)
    except OSError:  # a file system without further names
        shutil.copyfile(path, beside)
    beside.replace(name)


def load(path: Path, kind: str) -> dict[str, Any]:
    """What save wrote. Raises LiveswapError for a file that is missing, truncated or of another kind."""
    if not path.is_file():
        raise LiveswapError(f"there is no checkpoint {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError, ValueError, KeyError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # which is what a file cut very short gives
            raise LiveswapError(f"{path} cannot be read: {error.strerror}") from error
        raise LiveswapError(f"{path} is truncated or no checkpoint of liveswap") from error
    seen = content.get("kind") if isinstance(content, dict) else None
    if seen != kind:
        raise LiveswapError(f"{path} holds {seen or 'something else'}, wanted {kind}")
    return dict(content)


def contents(
    record: dict[str, Any], net: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> dict[str, Any]:
    """What save writes of a training."""
    return {
        "record": record,
        "net": net.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
    }


def resume(
    path: Path,
    kind: str,
    shapes: Mapping[str, Any],
    net: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
) -> tuple[int, float]:
    """Fills net, average and optimiser from the checkpoint; the steps and seconds to go on from.

    shapes: what the record must say, by its keys. Raises LiveswapError when it says otherwise.
    """
    content = load(path, kind)
    record = content["record"]
    peaks = [group["initial_lr"] for group in optimiser.param_groups]
    for key, wanted in shapes.items():
        if _plain(record.get(key)) != _plain(wanted):
            raise LiveswapError(f"{path} was trained with the {key} {record.get(key)}, wanted {wanted}")
    try:
        net.load_state_dict(content["net"])
        average.load_state_dict(content["average"])
        optimiser.load_state_dict(content["optimiser"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise LiveswapError(f"{path} does not hold what its training needs to go on: {_first_line(error)}") from error
    for group, peak in zip(optimiser.param_groups, peaks, strict=True):
        group["initial_lr"] = peak
    return int(record["steps"]), float(record["seconds"])


def _plain(value: Any) -> Any:
    """Tuples as lists, as JSON has them."""
    return json.loads(json.dumps(value))


def load_landmarks(path: Path) -> tuple[LandmarkNet, dict[str, Any]]:
    """The averaged landmark net in eval mode, batch normalisation folded away, and its training record."""
    content = load(path, LANDMARKS)
    try:
        record = content["record"]
        net = LandmarkNet(LandmarkShape.read(record["shape"]), record.get("normalised", True))
        net.load_state_dict(content["average"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise LiveswapError(f"{path} holds a landmark net of another shape: {_first_line(error)}") from error
    return net.eval().folded(), record


def load_swap_net(path: Path) -> tuple[SwapNet, dict[str, Any]]:
    """The averaged encoder, decoders and auxiliary head in eval mode, and the training record."""
    content = load(path, SWAP)
    try:
        record = content["record"]
        encoder, decoder = EncoderShape.read(record["encoder"]), DecoderShape.read(record["decoder"])
        net = SwapNet(encoder, decoder, record["identities"])
        net.load_state_dict(content["average"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise LiveswapError(f"{path} holds a swap net of another shape: {_first_line(error)}") from error
    return net.eval(), record


def load_swap(path: Path) -> tuple[Encoder, dict[str, Decoder], dict[str, Any]]:
    """The averaged encoder, the decoder of each identity by name, all in eval mode, and the training record."""
    net, record = load_swap_net(path)
    decoders = {name: module for name, module in net.decoders.items() if isinstance(module, Decoder)}
    return net.encoder, decoders, record


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(":") if str(error).strip() else type(error).__name__
