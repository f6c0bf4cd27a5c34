"""Things between a face and the camera: glasses, hands, microphones, cups and phones, as simple meshes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Shape:
    """Triangles with normals, in head units."""

    places: Floats  # (n, 3)
    normals: Floats  # (n, 3)
    triangles: Ints  # (t, 3)

    def moved(self, turn: Floats, shift: Floats) -> "Shape":
        """The same, turned by (3, 3) and then shifted by (3,)."""
        return Shape(self.places @ turn.T + shift, self.normals @ turn.T, self.triangles)


Maker = Callable[[np.random.Generator], Shape]


def join(shapes: list[Shape]) -> Shape:
    """Several shapes as one."""
    starts = np.cumsum([0, *(len(s.places) for s in shapes[:-1])])
    return Shape(
        np.concatenate([s.places for s in shapes]).astype(np.float32),
        np.concatenate([s.normals for s in shapes]).astype(np.float32),
        np.concatenate([s.triangles + n for s, n in zip(shapes, starts, strict=True)]).astype(np.int32),
    )


def _grid(rows: int, columns: int) -> Ints:
    """Triangles of a rows x columns grid of vertices."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).ravel()
    b, c, d = a + 1, a + columns, a + columns + 1
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)]).astype(np.int32)


def tube(path: Floats, radii: Floats, closed: bool = False, sides: int = 10) -> Shape:
    """A round tube along path (n, 3) with radii (n,), rounded to a point at both ends unless closed."""
    path = np.asarray(path, np.float64)
    if closed:
        path, radii = np.vstack([path, path[:1]]), np.append(radii, radii[0])
        tangent = np.gradient(np.vstack([path[-2], path, path[1]]), axis=0)[1:-1]
    else:
        tangent = np.gradient(path, axis=0)
        first, last = tangent[0] / np.linalg.norm(tangent[0]), tangent[-1] / np.linalg.norm(tangent[-1])
        caps = ((-1.0, 0.02), (-0.7, 0.7))
        path = np.vstack([*(path[:1] + first * k * radii[0] for k, _ in caps), path,
                          *(path[-1:] - last * k * radii[-1] for k, _ in caps[::-1])])  # fmt: skip
        radii = np.concatenate([[f * radii[0] for _, f in caps], radii, [f * radii[-1] for _, f in caps[::-1]]])
        tangent = np.vstack([first, first, tangent, last, last])
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    aside = np.cross(tangent, np.where(np.abs(tangent[:, 2:]) > 0.9, [[0, 1.0, 0]], [[0, 0, 1.0]]))
    aside /= np.linalg.norm(aside, axis=1, keepdims=True) + 1e-9
    above = np.cross(aside, tangent)
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    normals = aside[:, None] * np.cos(angle)[None, :, None] + above[:, None] * np.sin(angle)[None, :, None]
    places = path[:, None] + normals * np.asarray(radii)[:, None, None]
    flat = (-1, 3)
    return Shape(
        places.reshape(flat).astype(np.float32), normals.reshape(flat).astype(np.float32), _grid(len(path), sides + 1)
    )


def ellipsoid(centre: Floats, radii: Floats, sides: int = 16) -> Shape:
    """A ball with three radii."""
    up = np.linspace(0, np.pi, sides // 2 + 1)[:, None]
    around = np.linspace(0, 2 * np.pi, sides + 1)[None]
    unit = np.stack([np.sin(up) * np.cos(around), np.cos(up) + 0 * around, np.sin(up) * np.sin(around)], -1).reshape(
        -1, 3
    )
    normals = unit / np.asarray(radii)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Shape(
        (unit * radii + centre).astype(np.float32), normals.astype(np.float32), _grid(sides // 2 + 1, sides + 1)
    )


def box(half: Floats) -> Shape:
    """A box about the origin with half sizes (3,)."""
    places: list[Floats] = []
    normals: list[Floats] = []
    triangles: list[list[int]] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
            normal = np.eye(3)[axis] * sign
            start = 4 * len(triangles) // 2
            places += [normal + a * u + b * v for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            normals += [normal] * 4
            triangles += [[start, start + 1, start + 2], [start, start + 2, start + 3]]
    return Shape(
        (np.array(places) * half).astype(np.float32), np.array(normals, np.float32), np.array(triangles, np.int32)
    )


def glasses(rng: np.random.Generator, eyes: Floats, ears: Floats) -> Shape:
    """Rims, bridge and temples before the eyes (2, 3), reaching to the ears (2, 3); picture's left first."""
    wide, high = float(rng.uniform(0.27, 0.36)), float(rng.uniform(0.18, 0.30))
    rim, square = float(rng.uniform(0.012, 0.04)), float(rng.uniform(2.0, 5.0))
    turn = np.linspace(0, 2 * np.pi, 29)[:-1]
    # A superellipse: exponent 2 is round, 5 nearly a rectangle.
    c, s = np.cos(turn), np.sin(turn)
    outline = np.stack(
        [np.sign(c) * np.abs(c) ** (2 / square) * wide, np.sign(s) * np.abs(s) ** (2 / square) * high, 0 * c], 1
    )
    ahead = float(rng.uniform(0.30, 0.42))
    centres = eyes + np.array([0, -0.03, ahead])
    parts = [tube(outline + centre, np.full(len(outline), rim), closed=True, sides=8) for centre in centres]
    left, right = centres[0] + [wide, 0.05, 0], centres[1] + [-wide, 0.05, 0]
    middle = (left + right) / 2 + [0, 0.05, 0.08]
    parts.append(tube(np.array([left, middle, right]), np.full(3, rim), sides=8))
    for centre, ear, sign in zip(centres, ears, (-1.0, 1.0), strict=True):
        hinge = centre + np.array([sign * wide, 0.08, 0])
        parts.append(tube(np.array([hinge, (hinge * 0.5 + ear * 0.5), ear]), np.full(3, rim), sides=8))
    return join(parts)


def hand(rng: np.random.Generator) -> Shape:
    """A flat, slightly bent hand about the origin with its fingers up, palm to the face, about 2.2 head units long."""
    palm = ellipsoid(np.array([0, -0.45, 0]), np.array([0.46, 0.55, 0.17]))
    arm = np.array([[0, -0.8, -0.03], [0, -1.4, -0.05], [0, -2.4, -0.1]])
    parts = [palm, tube(arm, np.array([0.30, 0.29, 0.34]), sides=14)]
    bend, spread = float(rng.uniform(-0.1, 0.9)), float(rng.uniform(0.0, 0.22))
    for i, (x, length) in enumerate(((-0.33, 0.78), (-0.11, 0.95), (0.11, 1.0), (0.33, 0.85))):
        side = (i - 1.5) * spread
        curl = bend + float(rng.normal(0, 0.1))
        steps = np.linspace(0, 1, 5)
        path = np.stack([x + side * steps, 0.0 + length * steps * (1 - 0.35 * abs(curl) * steps),
                         -curl * 0.55 * length * steps**2], 1)  # fmt: skip
        parts.append(tube(path, np.linspace(0.125, 0.095, 5)))
    thumb = np.array([[-0.36, -0.6, 0], [-0.62, -0.3, -0.05], [-0.72, 0.05, -0.12 - 0.2 * bend]])
    parts.append(tube(thumb, np.array([0.15, 0.13, 0.10])))
    whole = join(parts)
    if rng.random() < 0.5:  # the other hand
        flip = np.array([-1, 1, 1], np.float32)
        whole = Shape(whole.places * flip, whole.normals * flip, whole.triangles)
    return whole


def thing(rng: np.random.Generator) -> Shape:
    """A microphone, a cup, a phone or a pen about the origin, standing up."""
    kind = int(rng.integers(4))
    if kind == 0:
        ball = ellipsoid(np.zeros(3), np.array([0.3, 0.34, 0.3]) * rng.uniform(0.7, 1.2))
        return join(
            [ball, tube(np.array([[0, -0.3, 0], [0, -1.0, 0.1], [0, -2.6, 0.4]]), np.array([0.16, 0.15, 0.13]))]
        )
    if kind == 1:
        radius = float(rng.uniform(0.35, 0.5))
        return tube(
            np.array([[0, 0.5, 0], [0, 0.0, 0], [0, -0.8, 0]]),
            np.array([radius, radius * 0.95, radius * 0.8]),
            sides=18,
        )
    if kind == 2:
        return box(np.array([rng.uniform(0.4, 0.5), rng.uniform(0.8, 1.0), 0.05]))
    return tube(np.array([[0, 1.0, 0], [0, 0, 0], [0, -1.5, 0]]), np.array([0.06, 0.07, 0.07]))
