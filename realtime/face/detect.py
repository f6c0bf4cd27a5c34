"""Where faces are in a picture: detectors behind one type, boxes and five points out."""

import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.errors import MissingExtra, ModelError, SettingsError
from realtime.face.face import Detection
from realtime.face.geometry import Image, Points
from realtime.pool import Scratch
from realtime.swap.session import SessionSettings, open_session

logger = logging.getLogger(__name__)

CENTERFACE: Final = Path(__file__).resolve().parent.parent / "models" / "detector" / "centerface.onnx"
BORDER: Final = 0.125  # of the picture on each side, so that faces that fill it or leave it are found too
THRESHOLD: Final = 0.5  # least score
OVERLAP: Final = 0.3  # intersection over union from which two boxes are one face
STRIDE: Final = 32  # what both detectors want their input's sides to be a multiple of

Floats = NDArray[np.float32]


class Detector(Protocol):
    """Finds faces."""

    def detect(self, image: Image, thorough: bool = False) -> tuple[Detection, ...]:
        """The faces in image (h, w, 3), best first; thorough finds small and huge ones too and takes longer.

        Boxes and points are in frame pixels and may lie outside the picture. The image is only read.
        """
        ...


@dataclass(frozen=True, slots=True)
class View:
    """A size at which a picture is looked at."""

    longest: int  # pixels of the input's longer side, border included
    border: float = BORDER


# What a look consists of. Measured by `liveswap-bench tracking`, faces in shares of the picture's longer side:
# QUICK finds from a 13th of it to most of it; THOROUGH adds a view for those from a 32nd on, which overlooks large
# ones, and one for those that fill the picture or leave it. It takes four times as long.
QUICK: Final = (View(320),)
THOROUGH: Final = (View(576, 0), View(256))

Views = tuple[View, ...]


@dataclass(frozen=True, slots=True)
class Canvas:
    """A picture made smaller, in the middle of a black canvas."""

    image: Image  # (height, width, 3) BGR, sides as the network wants them
    scale: Floats  # (2,) canvas pixels for each picture pixel, x y
    corner: Floats  # (2,) where the picture's upper-left corner lies, x y

    def to_frame(self, points: Floats) -> Points:
        """Places on the canvas (..., 2), counted from its border, as frame pixels."""
        return ((points - self.corner) / self.scale - 0.5).astype(np.float32)


def place(image: Image, view: View, scratch: Scratch | None = None) -> Canvas:
    """image with the view's border on a canvas of about the view's size, both sides multiples of STRIDE; in scratch."""
    height, width = image.shape[:2]
    longest, bordered = view.longest, max(height, width) * (1 + 2 * view.border)
    whole = [
        max(STRIDE, int(np.ceil(side * longest / max(height, width) / STRIDE)) * STRIDE) for side in (width, height)
    ]
    return place_within(image, (whole[0], whole[1]), longest / bordered, scratch)


def place_within(image: Image, size: tuple[int, int], scale: float, scratch: Scratch | None = None) -> Canvas:
    """image times scale in the middle of a canvas of size (width, height); in scratch."""
    scratch = scratch or Scratch()
    height, width = image.shape[:2]
    small_width, small_height = max(1, round(width * scale)), max(1, round(height * scale))
    x, y = (size[0] - small_width) // 2, (size[1] - small_height) // 2
    canvas = scratch("canvas", (size[1], size[0], 3))
    canvas[:] = 0
    part = canvas[y : y + small_height, x : x + small_width]
    halved = _halved(image, small_width, small_height, scratch)
    how = cv2.INTER_AREA if halved.shape[1] >= 2 * small_width else cv2.INTER_LINEAR  # where it could not be halved
    cv2.resize(halved, (small_width, small_height), part, interpolation=how)
    exact = np.array([small_width / width, small_height / height], np.float32)
    return Canvas(canvas, exact, np.array([x, y], np.float32))


def _halved(image: Image, width: int, height: int, scratch: Scratch) -> Image:
    """image, halved as often as it stays at least so large: OpenCV halves far faster than it averages by other shares.

    Sides that are odd stay as they are, since halving those is such a share.
    """
    step = 0
    while (
        image.shape[0] % 2 == image.shape[1] % 2 == 0 and image.shape[0] >= 2 * height and image.shape[1] >= 2 * width
    ):
        half = (image.shape[0] // 2, image.shape[1] // 2)
        image = np.asarray(
            cv2.resize(image, half[::-1], scratch(f"half {step}", (*half, 3)), interpolation=cv2.INTER_AREA), np.uint8
        )
        step += 1
    return image


class CenterFace:
    """CenterFace (MIT), its weights in int8 by `liveswap-export --detector`, with decoding of our own."""

    _CELL: Final = 4  # input pixels for each cell of the outputs

    def __init__(self, settings: SessionSettings, quick: Views = QUICK, thorough: Views = THOROUGH) -> None:
        """quick and thorough say what such looks consist of. Raises ModelError."""
        self._views = quick, thorough
        self._session = open_session(CENTERFACE, settings, (1, 3, 192, quick[0].longest))
        self._scratch = Scratch()

    def detect(self, image: Image, thorough: bool = False) -> tuple[Detection, ...]:
        """As Detector.detect."""
        return merged([self._seen(place(image, view, self._scratch)) for view in self._views[thorough]])

    def _seen(self, canvas: Canvas) -> tuple[Detection, ...]:
        said = self._session.run(None, {"input.1": centerface_input(canvas.image, self._scratch)})
        heat, size, offset, points = (output[0] for output in said)
        return decode_centerface(heat[0], size, offset, points, canvas)


def decode_centerface(
    heat: Floats, size: Floats, offset: Floats, points: Floats, canvas: Canvas
) -> tuple[Detection, ...]:
    """Detections from CenterFace's outputs on a grid of cells of four input pixels.

    heat (h, w) is the score, size (2, h, w) the logarithm of height and width in cells, offset (2, h, w) the
    centre's place in its cell (y x), points (10, h, w) five times y x in units of the box.
    """
    rows, columns = np.nonzero(heat > THRESHOLD)
    at = (slice(None), rows, columns)
    cells = np.stack([columns, rows], 1)
    extent = np.exp(size[at].T[:, ::-1]) * CenterFace._CELL  # (n, 2) width height
    centre = (cells + offset[at].T[:, ::-1] + 0.5) * CenterFace._CELL
    corner = centre - extent / 2
    five = points[at].T.reshape(-1, 5, 2)[..., ::-1] * extent[:, None] + corner[:, None]
    boxes = np.concatenate([corner, corner + extent], 1)
    return _detections(boxes, five, heat[rows, columns], canvas)


def centerface_input(image: Image, scratch: Scratch | None = None) -> Floats:
    """A canvas (h, w, 3) BGR as CenterFace takes it: (1, 3, h, w) RGB 0..255; in scratch."""
    planes = (scratch or Scratch())("planes", (1, 3, *image.shape[:2]), np.float32)
    for channel in range(3):
        np.copyto(planes[0, channel], image[..., 2 - channel])
    return planes


class InsightFaceDetector:
    """The detector of one of insightface's packs, downloaded by insightface when it is not there."""

    def __init__(self, pack: str, settings: SessionSettings, quick: Views = QUICK, thorough: Views = THOROUGH) -> None:
        """pack is a name (buffalo_l) or the path of a detection model in ONNX (9 or 15 outputs, five points).

        Raises MissingExtra without insightface, ModelError when the pack cannot be had or holds no such detector.
        """
        try:
            from insightface.model_zoo.scrfd import SCRFD
        except ImportError as error:
            raise MissingExtra(
                f"the detector insightface:{pack} needs insightface, wanted: pip install 'liveswap[insightface]'"
            ) from error
        self._views = quick, thorough
        model = Path(pack) if pack.endswith(".onnx") else _pack_file(pack)
        session = open_session(model, settings, (1, 3, quick[0].longest, quick[0].longest))
        if len(session.get_outputs()) not in (9, 15):
            raise ModelError(f"{model.name} has {len(session.get_outputs())} outputs, wanted a detector's 9 or 15")
        self._network: Any = SCRFD(model_file=str(model), session=session, static_shape_sessions=False)
        self._network.prepare(0, det_thresh=THRESHOLD, nms_thresh=OVERLAP)

    def detect(self, image: Image, thorough: bool = False) -> tuple[Detection, ...]:
        """As Detector.detect; a model of fixed input size is quick and thorough in one."""
        fixed: tuple[int, int] | None = self._network.static_input_size
        if fixed:
            height, width = image.shape[:2]
            whole = min(fixed[0] / width, fixed[1] / height) / (1 + 2 * BORDER)
            return self._seen(place_within(image, fixed, whole))
        return merged([self._seen(place(image, view)) for view in self._views[thorough]])

    def _seen(self, canvas: Canvas) -> tuple[Detection, ...]:
        scored, points = self._network.detect(canvas.image, input_size=canvas.image.shape[1::-1])
        return _detections(scored[:, :4], points, scored[:, 4], canvas)


def open_detector(name: str, threads: int = 2, provider: str = "cpu") -> Detector:
    """The detector that the settings name: centerface or insightface:PACK. Raises SettingsError for others."""
    settings = SessionSettings(provider=provider, threads=threads)
    kind, _, pack = name.partition(":")
    if name == "centerface":
        return CenterFace(settings)
    if kind == "insightface" and pack:
        return InsightFaceDetector(pack, settings)
    raise SettingsError(f"the detector {name!r} is unknown, wanted centerface or insightface:PACK")


def overlap(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one box (4,) with each of boxes (n, 4)."""
    corner = np.maximum(box[:2], boxes[:, :2])
    extent = np.clip(np.minimum(box[2:], boxes[:, 2:]) - corner, 0, None)
    shared = extent.prod(1)
    area = (box[2:] - box[:2]).prod()
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return np.asarray(shared / np.maximum(area + areas - shared, 1e-9), np.float32)


def distinct(boxes: Floats, scores: Floats) -> list[int]:
    """The boxes (n, 4) to keep, best score first, where each is the best of those that overlap it."""
    kept: list[int] = []
    rest = np.argsort(-scores, kind="stable")
    while len(rest):
        best, rest = int(rest[0]), rest[1:]
        kept.append(best)
        rest = rest[overlap(boxes[best], boxes[rest]) < OVERLAP]
    return kept


def merged(views: Sequence[tuple[Detection, ...]]) -> tuple[Detection, ...]:
    """The faces that several views of one picture show, each once, best first."""
    found = [detection for seen in views for detection in seen]
    if len(views) < 2 or not found:
        return tuple(found)
    boxes = np.stack([detection.box for detection in found])
    scores = np.array([detection.score for detection in found], np.float32)
    return tuple(found[index] for index in distinct(boxes, scores))


def _detections(boxes: Floats, points: Floats, scores: Floats, canvas: Canvas) -> tuple[Detection, ...]:
    corners = canvas.to_frame(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
    five = canvas.to_frame(points)
    return tuple(Detection(corners[i], five[i], float(scores[i])) for i in distinct(boxes, scores))


def _pack_file(pack: str) -> Path:
    """The detection model of one of insightface's packs, downloaded when it is not there."""
    from insightface.utils.storage import ensure_available

    logger.warning(
        "insightface's weights (%s) are downloaded when first used and are for non-commercial research only", pack
    )
    try:
        folder = Path(ensure_available("models", pack))
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        reason = type(error).__name__  # the message itself is a paragraph of addresses
        raise ModelError(
            f"insightface's pack {pack!r} is not on this machine and cannot be downloaded: {reason}"
        ) from error
    names = [file for mark in ("det_", "scrfd", "retinaface") for file in sorted(folder.glob(f"**/{mark}*.onnx"))]
    if not names:
        raise ModelError(f"insightface's pack {pack!r} in {folder} holds no detection model (det_*.onnx)")
    return names[0]
