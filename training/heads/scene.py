"""What surrounds a rendered head: camera and pose, light, background."""

from collections.abc import Sequence
from typing import Any, Final

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


def between(one: Light, other: Light, share: float) -> Light:
    """The light that is share (0 to 1) of the way from one to other."""

    def mixed(name: str) -> Floats:
        a, b = getattr(one, name), getattr(other, name)
        return np.asarray(a + (b - a) * np.float32(share), np.float32)

    def turned(name: str) -> Floats:
        towards = mixed(name)
        return np.asarray(towards / max(float(np.linalg.norm(towards)), 1e-6), np.float32)

    return Light(turned("key_from"), mixed("key"), turned("fill_from"), mixed("fill"), mixed("sky"), mixed("ground"))


def random_background(rng: np.random.Generator, side: int = 128) -> NDArray[np.uint8]:
    """A room, a heap of shapes, a natural texture or a plain gradient, out of focus, (side, side, 3) RGB."""
    ground, kind = rng.uniform(20, 220, 3), rng.random()
    picture: NDArray[Any]
    if kind < 0.4:
        picture = _room(rng, side)
    elif kind < 0.65:
        picture = _heap(rng, side, ground)
    elif kind < 0.85:
        picture = _texture(rng, side, ground)
    else:
        ramp = np.linspace(-1, 1, side, dtype=np.float32)
        picture = ground * (1 + 0.3 * (rng.normal() * ramp[:, None] + rng.normal() * ramp[None])[..., None] / 2)
    if rng.random() < 0.3:
        picture = picture * (0.4 + 0.6 * rng.random()) + rng.normal(0, 8, picture.shape)
    blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), float(rng.uniform(0.5, 5)))
    return np.clip(blurred, 0, 255).astype(np.uint8)


def _heap(rng: np.random.Generator, side: int, ground: NDArray[np.float64]) -> NDArray[np.float32]:
    """Discs, boxes or bars in colours near the ground's."""
    picture = np.zeros((side, side, 3), np.float32) + ground.astype(np.float32)
    kind = int(rng.integers(3))
    for _ in range(int(rng.integers(3, 25))):
        x0, y0, x1, y1 = (int(v) for v in rng.integers(0, side, 4))
        colour = (ground * 0.5 + rng.uniform(0, 255, 3) * 0.5).tolist()
        if kind == 0:
            cv2.circle(picture, (x0, y0), int(rng.integers(4, 40)), colour, -1)
        elif kind == 1:
            cv2.rectangle(picture, (x0, y0), (x1, y1), colour, -1)
        else:
            cv2.line(picture, (x0, y0), (x1, y1), colour, int(rng.integers(2, 20)))
    return picture


def _texture(rng: np.random.Generator, side: int, ground: NDArray[np.float64]) -> NDArray[np.float32]:
    """Noise whose amplitude falls with its frequency, as in pictures of nature (Field 1987), in two colours."""
    total = np.zeros((side, side, 3), np.float32)
    for cells in (2, 4, 8, 16, 32, 64):
        grid = rng.normal(0, 1, (cells, cells, 3)).astype(np.float32)
        grid = 0.7 * grid[..., :1] + 0.3 * grid
        octave = np.asarray(cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
        total += octave / np.float32(cells**0.8)
    other = rng.uniform(10, 240, 3)
    share = 1 / (1 + np.exp(-2.5 * total))
    return np.asarray(ground * (1 - share) + other * share, np.float32)


def _room(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """A wall with a window, pictures or a shelf of books, light falling off to one side, a lamp at times."""
    wall = np.clip(rng.uniform(90, 235) + rng.normal(0, 14, 3), 0, 255)
    picture = np.zeros((side, side, 3), np.float32) + wall.astype(np.float32)
    for _ in range(int(rng.integers(1, 4))):
        x, y = (int(v) for v in rng.integers(-side // 5, side, 2))
        w, h = (int(v) for v in rng.integers(side // 6, side // 2, 2))
        kind = rng.random()
        if kind < 0.35:  # a window
            day = float(rng.uniform(180, 255))
            cv2.rectangle(picture, (x, y), (x + w, y + h), (day * 0.95, day, day), -1)
            cv2.rectangle(picture, (x, y), (x + w, y + h), (wall * 0.6).tolist(), 2)
            cv2.line(picture, (x + w // 2, y), (x + w // 2, y + h), (wall * 0.7).tolist(), 2)
        elif kind < 0.7:  # books
            cv2.rectangle(picture, (x, y), (x + w, y + h), (wall * 0.35).tolist(), -1)
            left = x + 2
            while left < x + w - 4:
                wide, top = int(rng.integers(2, 7)), y + int(rng.integers(1, max(2, h // 3)))
                cv2.rectangle(picture, (left, top), (left + wide, y + h), rng.uniform(20, 220, 3).tolist(), -1)
                left += wide + 1
        else:  # a picture, a door or a cupboard
            cv2.rectangle(picture, (x, y), (x + w, y + h), rng.uniform(20, 220, 3).tolist(), -1)
            cv2.rectangle(picture, (x, y), (x + w, y + h), (wall * 0.5).tolist(), 1)
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    falloff = np.clip(1 + rng.normal(0, 0.2) * ramp[:, None] + rng.normal(0, 0.25) * ramp[None], 0.3, 1.6)
    picture = np.asarray(picture * falloff[..., None], np.float32)
    if rng.random() < 0.25:  # a lamp
        cx, cy = rng.uniform(-1, 1, 2)
        glow = np.exp(-((ramp[:, None] - cy) ** 2 + (ramp[None] - cx) ** 2) / 0.15)
        picture = np.asarray(picture + glow[..., None] * np.array([120, 100, 70]), np.float32)
    return picture
