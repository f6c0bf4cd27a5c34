"""What is known of one face in one frame: where it looks, what it does, how sharp it is, how it is lit."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.face.face import Face
from realtime.face.geometry import Image, Points, align, scale_of, to_unit, transform
from realtime.frame import Frame
from realtime.swap.views import crop_of

LOOK: Final = 24  # pixels of a side of the small picture by which people are told apart
INNER: Final = 0.56  # of the template's side, what that picture shows: from the brows to the mouth, no hair
# Distances in what tells two moments apart, from which on they are no duplicates.
MOVED: Final = 0.012  # of the template's side, root mean square over the landmarks
CHANGED: Final = 0.25  # of blend weights
LIT: Final = 20.0  # of 255, brightness and colour of the left and the right half

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face in one frame."""

    source: str
    time: float  # seconds in a video; the number of a picture
    track: int  # of the part, the same for the same person from frame to frame
    side: float  # px of the frame that the template's side covers
    sharpness: float  # see sharpness_of
    pose: Values  # (3,) yaw, pitch, roll in degrees: to the picture's right, up, anticlockwise
    landmarks: Points  # (70, 2) unit coordinates of the crop, the irises last
    blend: Values  # (10,)
    light: Values  # (4,) brightness of the face's left and right half, and its two colours (CIE Lab, of 255)
    look: NDArray[np.uint8]  # (LOOK, LOOK, 3) the middle of the crop, made small, CIE Lab
    crop: Image  # (S, S, 3) BGR

    @property
    def moment(self) -> Values:
        """What tells this moment from others of the same person: 1 apart is no duplicate, (154,)."""
        values: Values = moments(self.landmarks[None], self.blend[None], self.light[None])[0]
        return values


def moments(landmarks: Values, blend: Values, light: Values) -> Values:
    """As Sighting.moment, of many: landmarks (n, 70, 2), blend (n, 10), light (n, 4) to (n, 154)."""
    count, points = landmarks.shape[:2]
    where = landmarks.reshape(count, -1) / (MOVED * np.sqrt(points))
    return np.concatenate([where, blend / CHANGED, light / LIT], 1).astype(np.float32)


def sighted(frame: Frame, face: Face, source: str, size: int, coverage: float) -> Sighting:
    """What frame shows of face, in a crop of size x size px that shows coverage times the template."""
    to_crop = crop_of(face, size, coverage)
    crop = align(frame.image, to_crop, size)
    assert face.blend is not None  # the tracker's faces have both
    assert face.irises is not None
    points = to_unit(transform(to_crop, np.concatenate([face.landmarks, face.irises])), size)
    lab = cv2.cvtColor(cv2.resize(crop, (64, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2LAB)
    inner = lab[20:52, 16:48].astype(np.float32)
    light = [inner[:, :16, 0].mean(), inner[:, 16:, 0].mean(), inner[..., 1].mean(), inner[..., 2].mean()]
    return Sighting(
        source=source,
        time=float(frame.at if frame.at is not None else frame.index),
        track=face.track,
        side=1 / scale_of(face.to_template),
        sharpness=sharpness_of(crop, coverage),
        pose=pose_of(face.landmarks),
        landmarks=points,
        blend=np.asarray(face.blend, np.float32),
        light=np.array(light, np.float32),
        look=look_of(crop, coverage),
        crop=crop,
    )


def look_of(crop: Image, coverage: float) -> NDArray[np.uint8]:
    """The middle of a crop, small, in CIE Lab (LOOK, LOOK, 3)."""
    size = crop.shape[0]
    across, down = 0.5 * INNER / coverage * size, (0.55 - 0.5) / coverage * size
    x0, x1 = round(size / 2 - across), round(size / 2 + across)
    y0, y1 = round(size / 2 + down - across), round(size / 2 + down + across)
    small = cv2.resize(crop[y0:y1, x0:x1], (LOOK, LOOK), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2LAB), np.uint8)


def pose_of(landmarks: Points) -> Values:
    """Yaw, pitch and roll in degrees from landmarks (68, 2), (3,).

    Lines fitted to 900 rendered heads with a yaw of up to 60 and a pitch of up to 28 degrees; off by 2.0, 2.8 and
    0.8 degrees on average for others. People whose ears sit elsewhere have a pitch that is off by a constant.
    """
    p = landmarks.astype(np.float64)
    across = p[45] - p[36]
    level = across / max(float(np.linalg.norm(across)), 1e-6)
    upright = np.array([-level[1], level[0]])
    left, right = float((p[30] - p[2]) @ level), float((p[14] - p[30]) @ level)
    width = max(float(np.linalg.norm(p[16] - p[0])), 1e-6)
    eyes = (p[36:42].mean(0) + p[42:48].mean(0)) / 2
    yaw = 34 * (left - right) / max(abs(left + right), 1e-6)
    pitch = 114 * float(((p[0] + p[16]) / 2 - eyes) @ upright) / width + 1.7
    roll = -0.9 * np.degrees(np.arctan2(across[1], across[0]))
    return np.array(np.clip([yaw, pitch, roll], -90, 90), np.float32)


def sharpness_of(crop: Image, coverage: float) -> float:
    """How much of the face's contrast is fine detail: deviation of the Laplacian at 128 px over that of brightness."""
    size = round(128 * coverage)
    grey = cv2.cvtColor(cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    low, high = round(0.25 * size), round(0.75 * size)
    inner = grey[low:high, low:high].astype(np.float32)
    return float(cv2.Laplacian(inner, cv2.CV_32F).std() / (inner.std() + 4))
