"""Where a face lies and how to cut it out and put it back: the alignment template and pure functions on points.

Pixel convention: the centre of the upper-left pixel is (0, 0), as in OpenCV. A crop's unit coordinates run
from 0 (left or top border of the first pixel) to 1 (right or bottom border of the last), so that a template
means the same at every crop size.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.pool import Scratch

Points = NDArray[np.float32]  # (n, 2) x y
Matrix = NDArray[np.float32]  # (2, 3) affine, maps column vectors (x, y, 1)
Image = NDArray[np.uint8]  # (h, w, 3) BGR

TEMPLATE_NAME: Final = "liveswap-68-v1"

# The 68 Multi-PIE points of the mean neutral head of ICT-FaceKit (MIT), seen from the front without perspective,
# mirrored and averaged, in unit coordinates: 0.27 between the eyes' centres, which lie on y = 0.40.
_TEMPLATE_POINTS: Final = (
    (0.1948, 0.3976),
    (0.1984, 0.4881),
    (0.2124, 0.5691),
    (0.2282, 0.6476),
    (0.2627, 0.7360),
    (0.3216, 0.8073),
    (0.3735, 0.8365),
    (0.4363, 0.8508),
    (0.5000, 0.8637),
    (0.5637, 0.8508),
    (0.6265, 0.8365),
    (0.6784, 0.8073),
    (0.7373, 0.7360),
    (0.7718, 0.6476),
    (0.7876, 0.5691),
    (0.8016, 0.4881),
    (0.8052, 0.3976),
    (0.2589, 0.3344),
    (0.2955, 0.3022),
    (0.3427, 0.2906),
    (0.3999, 0.2933),
    (0.4514, 0.3050),
    (0.5486, 0.3050),
    (0.6001, 0.2933),
    (0.6573, 0.2906),
    (0.7045, 0.3022),
    (0.7411, 0.3344),
    (0.5000, 0.3949),
    (0.5000, 0.4407),
    (0.5000, 0.4831),
    (0.5000, 0.5331),
    (0.4481, 0.5974),
    (0.4750, 0.5971),
    (0.5000, 0.5998),
    (0.5250, 0.5971),
    (0.5519, 0.5974),
    (0.3151, 0.4077),
    (0.3396, 0.3893),
    (0.3847, 0.3868),
    (0.4236, 0.4151),
    (0.3869, 0.4221),
    (0.3401, 0.4226),
    (0.5764, 0.4151),
    (0.6153, 0.3868),
    (0.6604, 0.3893),
    (0.6849, 0.4077),
    (0.6599, 0.4226),
    (0.6131, 0.4221),
    (0.3949, 0.6959),
    (0.4294, 0.6651),
    (0.4698, 0.6504),
    (0.5000, 0.6529),
    (0.5302, 0.6504),
    (0.5706, 0.6651),
    (0.6051, 0.6959),
    (0.5747, 0.7181),
    (0.5429, 0.7283),
    (0.5000, 0.7314),
    (0.4571, 0.7283),
    (0.4253, 0.7181),
    (0.4084, 0.6946),
    (0.4587, 0.6866),
    (0.5000, 0.6877),
    (0.5413, 0.6866),
    (0.5916, 0.6946),
    (0.5443, 0.6901),
    (0.5000, 0.6909),
    (0.4557, 0.6901),
)

# Points that an expression hardly moves: nose, eyes and four points of the mouth; no brows, no jaw.
STEADY: Final = (*range(27, 48), 48, 51, 54, 57)

# Where each of the 68 points lands when the picture is mirrored.
MIRROR: Final = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37,
    36, 41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip


_TEMPLATE: Final = np.array(_TEMPLATE_POINTS, np.float32)
_TEMPLATE.setflags(write=False)
_STEADY: Final = np.array(STEADY)
_STEADY.setflags(write=False)


def template() -> Points:
    """The 68 points of the template in unit coordinates of the crop, (68, 2) in 0..1."""
    return _TEMPLATE.copy()


def steady_of(points: Points) -> Points:
    """Those of 68 points (68, 2) that an expression hardly moves, (len(STEADY), 2)."""
    return np.asarray(points[_STEADY], np.float32)


def to_pixels(unit: Points, size: int) -> Points:
    """Unit coordinates (n, 2) to pixels of a crop of size x size."""
    return (unit * size - 0.5).astype(np.float32)


def to_unit(pixels: Points, size: int) -> Points:
    """Pixels (n, 2) of a crop of size x size to unit coordinates."""
    return ((pixels + 0.5) / size).astype(np.float32)


def similarity(source: Points, target: Points) -> Matrix:
    """Rotation, scale and shift that best carry source onto target (least squares, no reflection).

    Closed form in two dimensions (Umeyama 1991, here with complex numbers): with both sets centred,
    the factor is <source, target> / <source, source>.
    Both (n, 2), n >= 2. Raises ValueError when all source points coincide.
    """
    s, t = _complex(source), _complex(target)
    s_mean, t_mean = complex(s.mean()), complex(t.mean())
    s -= s_mean
    spread = np.vdot(s, s).real
    if not spread > 1e-12:
        place = np.round([s_mean.real, s_mean.imag], 3).tolist()
        raise ValueError(f"a similarity needs points that differ, all {len(s)} lie on {place}")
    factor = complex(np.vdot(s, t - t_mean)) / spread
    shift = t_mean - factor * s_mean
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]], np.float32)


def invert(matrix: Matrix) -> Matrix:
    """The affine map that undoes this one, (2, 3). Raises ZeroDivisionError for one that makes a plane a line."""
    (a, b, x), (c, d, y) = matrix.tolist()
    area = a * d - b * c
    a, b, c, d = d / area, -b / area, -c / area, a / area
    return np.array([[a, b, -(a * x + b * y)], [c, d, -(c * x + d * y)]], np.float32)


def transform(matrix: Matrix, points: Points) -> Points:
    """Each of points (n, 2) through the affine map."""
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def scale_of(matrix: Matrix) -> float:
    """How many target pixels one source pixel becomes along a line."""
    (a, b), (c, d) = matrix[:, :2].tolist()
    return math.sqrt(abs(a * d - b * c))


def crop_matrix(landmarks: Points, size: int, coverage: float = 1.0) -> Matrix:
    """Frame pixels to crop pixels, so that the steady points of landmarks (68, 2) lie on the template.

    coverage is how much of the face's surroundings the crop shows: 1 is the template itself, 1.25 shows a quarter
    more in each direction about the same centre.
    """
    return within_crop(to_template(landmarks), size, coverage)


def to_template(landmarks: Points) -> Matrix:
    """Frame px to the template's unit square by the steady ones of landmarks (68, 2)."""
    return similarity(steady_of(landmarks), steady_of(_TEMPLATE))


def within_crop(to_unit_square: Matrix, size: int, coverage: float = 1.0) -> Matrix:
    """Frame px to px of a crop of size x size that shows coverage times the template's square, whose map is given."""
    matrix = to_unit_square / coverage
    matrix[:, 2] += 0.5 - 0.5 / coverage
    matrix *= size
    matrix[:, 2] -= 0.5
    return np.asarray(matrix, np.float32)


def align(image: Image, matrix: Matrix, size: int, out: Image | None = None, scratch: Scratch | None = None) -> Image:
    """The crop of size x size that matrix (frame pixels to crop pixels) cuts out of image; borders repeat.

    It is in out, where there is one, and what is in between in scratch.
    """
    cells = averaged(matrix, size, image.shape[1], image.shape[0])
    if cells is None:
        crop = cv2.warpAffine(image, matrix, (size, size), out, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(crop, np.uint8)
    scratch = scratch or Scratch()
    # OpenCV reads between pixels of four channels three times as fast as between those of three, and no differently.
    over = cv2.cvtColor(
        _over(cells, image, scratch), cv2.COLOR_BGR2BGRA, scratch("four", (cells.rows, cells.columns, 4))
    )
    fx, fy = cells.wide, cells.high
    back = np.array([[fx, 0, cells.left + (fx - 1) / 2], [0, fy, cells.top + (fy - 1) / 2], [0, 0, 1]])
    to_crop = (matrix.astype(np.float64) @ back).astype(np.float32)
    four = scratch("crop of four", (size, size, 4))
    cv2.warpAffine(over, to_crop, (size, size), four, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(four, cv2.COLOR_BGRA2BGR, out), np.uint8)


@dataclass(frozen=True, slots=True)
class Cells:
    """A part of a frame that is averaged over cells before a crop is cut out of it; cells need not be whole pixels."""

    left: int  # px of the frame
    top: int
    right: int
    bottom: int
    columns: int
    rows: int
    halvings: int  # after which a cell is one to two pixels wide; the part's sides can be halved so often

    @property
    def wide(self) -> float:
        """Pixels of the frame in one cell along a row."""
        return (self.right - self.left) / self.columns

    @property
    def high(self) -> float:
        """Likewise down a column."""
        return (self.bottom - self.top) / self.rows


def averaged(matrix: Matrix, size: int, width: int, height: int) -> Cells | None:
    """What is averaged of a width x height frame for a crop much smaller than the face, or thin lines would alias.

    The crop has half as many pixels then; None for a crop that is fine enough to be read at once.
    """
    scale = scale_of(matrix)
    if scale >= 0.5:
        return None
    x0, y0, x1, y1 = covered(matrix, size, width, height)
    if x1 - x0 < 2 or y1 - y0 < 2:
        x0, y0, x1, y1 = 0, 0, width, height
    halvings = int(min(1 / (2 * scale), width, height)).bit_length() - 1
    whole = 1 << halvings
    wide, high = (
        min(-(-(end - start) // whole), most // whole) * whole
        for start, end, most in ((x0, x1, width), (y0, y1, height))
    )
    left, top = min(x0, width - wide), min(y0, height - high)
    columns, rows = (max(1, round(side * 2 * scale)) for side in (wide, high))
    return Cells(left, top, left + wide, top + high, columns, rows, halvings)


def _complex(points: Points) -> NDArray[np.complex128]:
    """A copy of points (n, 2) as numbers x + iy, (n,)."""
    return np.array(points, np.float64, order="C").view(np.complex128)[:, 0]


def _over(cells: Cells, image: Image, scratch: Scratch) -> Image:
    """The averages of image over the cells, (rows, columns, 3).

    OpenCV halves a picture 14 times as fast as it averages over parts of pixels. So it is halved as often as may be,
    and the rest is a reading between pixels: for cells of one or two pixels the same average, between them about it.
    """
    part: NDArray[Any] = image[cells.top : cells.bottom, cells.left : cells.right]
    for step in range(cells.halvings):
        high, wide = part.shape[0] // 2, part.shape[1] // 2
        half = scratch(f"half {step}", (high, wide, 3))
        part = cv2.resize(part, (wide, high), half, interpolation=cv2.INTER_AREA)
    averages = scratch("averages", (cells.rows, cells.columns, 3))
    cv2.resize(part, (cells.columns, cells.rows), averages, interpolation=cv2.INTER_LINEAR)
    return averages


def covered(matrix: Matrix, size: int, width: int, height: int, margin: int = 1) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 of the part of a width x height frame that the crop covers; empty (x0 >= x1) when it lies outside."""
    end = size - 0.5
    corners = np.array([(-0.5, -0.5), (end, -0.5), (end, end), (-0.5, end)], np.float32)
    points = transform(invert(matrix), corners)
    x0, y0 = np.floor(points.min(0)).astype(int) - margin
    x1, y1 = np.ceil(points.max(0)).astype(int) + 1 + margin
    return max(0, int(x0)), max(0, int(y0)), min(width, int(x1)), min(height, int(y1))


def paste(image: Image, crop: NDArray[np.float32], mask: NDArray[np.float32], matrix: Matrix) -> Image:
    """A copy of image with crop blended in where mask says so; the inverse of align.

    crop (s, s, 3) in 0..255, mask (s, s) in 0..1, matrix frame pixels to crop pixels. Pixels outside the crop's
    rectangle are untouched.
    """
    size = crop.shape[0]
    x0, y0, x1, y1 = covered(matrix, size, image.shape[1], image.shape[0])
    out = image.copy()
    if x0 >= x1 or y0 >= y1:
        return out
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ np.array([x0, y0], np.float32)
    where = (x1 - x0, y1 - y0)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(crop, shifted, where, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(mask, shifted, where, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=0.0)
    region = out[y0:y1, x0:x1].astype(np.float32)
    region += (patch - region) * alpha[..., None]
    out[y0:y1, x0:x1] = np.clip(region + 0.5, 0, 255).astype(np.uint8)
    return out
