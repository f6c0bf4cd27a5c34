"""What surrounds a rendered head: camera and pose, light, background."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from training.heads.renderer import Camera, Floats, Light

_NECK: Final = np.array([0.0, -0.6, -1.0], np.float32)  # the point about which the head turns, head units


def rotation(yaw: float, pitch: float, roll: float) -> Floats:
    """Degrees to (3, 3): + yaw turns to the picture's right, + pitch up, + roll anticlockwise in the picture."""
    y, p, r = np.radians([yaw, -pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z, np.float32)


def camera(
    pose: Sequence[float], distance: float = 13.0, fov: float = 11.0, shift: tuple[float, float] = (0.0, 0.0)
) -> Camera:
    """A head at `distance` head units with pose (yaw, pitch, roll) in degrees, aimed between eyes and mouth."""
    turn = rotation(pose[0], pose[1], pose[2])
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3] = turn
    matrix[:3, 3] = _NECK - turn @ _NECK + np.array([shift[0], 0.3 + shift[1], -distance], np.float32)
    return Camera(matrix, fov)


def fov_for(distance: float, half_height: float = 1.72) -> float:
    """The field of view, degrees, that shows half_height head units above and below the middle at that distance."""
    return float(2 * np.degrees(np.arctan(half_height / distance)))


def direction(azimuth: float, elevation: float) -> Floats:
    """Unit vector towards a light: azimuth + to the picture's right, elevation + up, degrees; (0, 0) is the camera."""
    a, e = np.radians([azimuth, elevation])
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], np.float32)


def studio() -> Light:
    """A warm key from the upper right, a cool rim, a soft sky."""
    return Light(
        direction(25, 30), _f(2.1, 2.0, 1.9), direction(-110, 25), _f(0.48, 0.54, 0.66), _f(0.44, 0.48, 0.55),
        _f(0.21, 0.17, 0.16),
    )  # fmt: skip


def _f(*values: float) -> Floats:
    return np.array(values, np.float32)


def random_light(rng: np.random.Generator) -> Light:
    """From hard side light to a soft room, warm to cool; a screen's glow from the front at times."""
    warmth = np.array([1, 0.93 + 0.07 * rng.random(), 0.78 + 0.3 * rng.random()])
    key = warmth * rng.uniform(1.4, 2.6)
    key_from = direction(float(rng.uniform(-65, 65)), float(rng.uniform(0, 62)))
    fill = np.array([0.8, 0.9, 1.1]) * rng.uniform(0.1, 0.9)
    fill_from = direction(float(rng.choice([-1, 1]) * rng.uniform(70, 150)), float(rng.uniform(0, 40)))
    sky = np.array([0.75, 0.85, 1.0]) * rng.uniform(0.35, 0.8)
    ground = np.array([0.6, 0.5, 0.42]) * rng.uniform(0.2, 0.5)
    kind = rng.random()
    if kind < 0.35:  # a soft room
        key, sky, ground = key * rng.uniform(0.1, 0.6), sky * rng.uniform(1.2, 2.2), ground * rng.uniform(1, 2.2)
    elif kind < 0.45:  # hard
        sky, ground = sky * 0.5, ground * 0.5
    elif kind < 0.57:  # a screen or window low in front
        key_from = direction(float(rng.uniform(-30, 30)), float(rng.uniform(-25, 5)))
        key, sky = key * np.array([0.8, 0.92, 1.1]) * 0.7, sky * 0.7
    elif kind < 0.67:  # a lamp overhead: dark sockets
        key_from = direction(float(rng.uniform(-25, 25)), float(rng.uniform(60, 80)))
    if rng.random() < 0.15:
        fill = fill * rng.uniform(0.4, 1.6, 3)
    return Light(key_from, *(np.asarray(v, np.float32) for v in (key, fill_from, fill, sky, ground)))


def random_background(rng: np.random.Generator, side: int = 128) -> NDArray[np.uint8]:
    """A blurred heap of discs, boxes or bars, or a plain gradient, (side, side, 3) RGB."""
    ground = rng.uniform(20, 220, 3)
    picture = np.zeros((side, side, 3), np.float32) + ground
    kind = int(rng.integers(4))
    for _ in range(int(rng.integers(3, 25)) if kind < 3 else 0):
        x0, y0, x1, y1 = (int(v) for v in rng.integers(0, side, 4))
        colour = (ground * 0.5 + rng.uniform(0, 255, 3) * 0.5).tolist()
        if kind == 0:
            cv2.circle(picture, (x0, y0), int(rng.integers(4, 40)), colour, -1)
        elif kind == 1:
            cv2.rectangle(picture, (x0, y0), (x1, y1), colour, -1)
        else:
            cv2.line(picture, (x0, y0), (x1, y1), colour, int(rng.integers(2, 20)))
    if kind == 3:
        ramp = np.linspace(-1, 1, side, dtype=np.float32)
        picture *= 1 + 0.3 * (rng.normal() * ramp[:, None] + rng.normal() * ramp[None])[..., None] / 2
    if rng.random() < 0.5:
        picture = picture * (0.4 + 0.6 * rng.random()) + rng.normal(0, 8, picture.shape)
    blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), float(rng.uniform(0.8, 7)))
    return np.clip(blurred, 0, 255).astype(np.uint8)
