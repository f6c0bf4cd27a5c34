"""An egg-shaped head with the same arrays as the real assets, so that no test needs files from outside."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.face.geometry import template

_CM = 24.1  # centimetres in one unit of the template: eyes 6.5 cm apart
_EYE_HEIGHT = 3.6


def _sphere(rows: int, columns: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Unit vertices with x right, y up, z forward; UVs with u = .5 in front; triangles."""
    polar, turn = np.meshgrid(np.linspace(0.02, np.pi - 0.02, rows), np.linspace(-np.pi, np.pi, columns), indexing="ij")
    places = np.stack([np.sin(polar) * np.sin(turn), np.cos(polar), np.sin(polar) * np.cos(turn)], -1).reshape(-1, 3)
    uvs = np.stack([turn / (2 * np.pi) + 0.5, 1 - polar / np.pi], -1).reshape(-1, 2)
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).ravel()
    b, c, d = a + 1, a + columns, a + columns + 1
    return places, uvs, np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


class _Builder:
    def __init__(self) -> None:
        self.places: list[NDArray[Any]] = []
        self.uvs: list[NDArray[Any]] = []
        self.faces: list[NDArray[Any]] = []
        self.materials: list[str] = []

    def add(self, places: NDArray[Any], uvs: NDArray[Any], triangles: NDArray[Any], material: Any) -> tuple[int, int]:
        start = sum(len(p) for p in self.places)
        self.places.append(places)
        self.uvs.append(uvs)
        self.faces.append(np.hstack([triangles, triangles]) + start)
        named = [material] * len(triangles) if isinstance(material, str) else list(material)
        self.materials += named
        return start, start + len(places)


def arrays() -> dict[str, Any]:
    """All that ict_facekit.npz holds, and where the landmarks, eyeballs and the mouth lie."""
    b = _Builder()
    unit, uvs, triangles = _sphere(70, 121)
    front = unit[triangles].mean(1)[:, 2] > -0.2
    skin = unit * [7.6, 11.5, 9.0]
    b.add(skin, uvs, triangles, np.where(front, "M_Face", "M_BackHead"))
    skin_end = len(skin)
    small, small_uvs, small_triangles = _sphere(12, 17)
    eyeballs, irises = [], []
    for x, side in ((-3.25, "Right"), (3.25, "Left")):
        z = float(skin[np.argmin(np.hypot(skin[:, 0] - x, skin[:, 1] - _EYE_HEIGHT) - skin[:, 2] * 1e-3), 2])
        centre = np.array([x, _EYE_HEIGHT, z - 0.2])
        eyeballs.append(b.add(small * 1.3 + centre, small_uvs, small_triangles, f"M_Sclera{side}"))
        irises.append(b.add(small * 0.5 + centre + [0, 0, 1.0], small_uvs, small_triangles, f"M_Iris{side}"))
    socket = b.add(small * 1.0 + [0, -4.4, 7.0], small_uvs, small_triangles, "M_Face")
    for material, y in (("M_GumsTongue", -4.6), ("M_Teeth", -4.2), ("M_EyeLashes", 4.6)):
        b.add(small * [1.5, 0.2, 0.2] + [0, y, 8.6], small_uvs, small_triangles, material)
    places = np.concatenate(b.places).astype(np.float32)
    names = sorted(set(b.materials))
    shapes = _expressions(places, irises)
    rng = np.random.default_rng(0)
    modes = np.stack([places * rng.normal(0, 0.02, 3) for _ in range(6)])
    return {
        "v": places,
        "vt": np.concatenate(b.uvs).astype(np.float32),
        "F": np.concatenate(b.faces).astype(np.int32),
        "M": np.array([names.index(m) for m in b.materials], np.int8),
        "mats": np.array(names),
        "idm": modes.astype(np.float16),
        "exn": np.array(list(shapes)),
        "ex": np.stack(list(shapes.values())).astype(np.float16),
        "landmarks": _landmarks(skin),
        "eyeballs": np.array(eyeballs),
        "socket": np.array(socket),
        "skin_end": np.array(skin_end),
    }


def _landmarks(skin: NDArray[Any]) -> NDArray[np.int32]:
    wanted = (template() - [0.5, 0.4]) * [_CM, -_CM] + [0, _EYE_HEIGHT]
    front = np.where(skin[:, 2] > 0)[0]
    return np.array([front[np.argmin(((skin[front, :2] - p) ** 2).sum(1))] for p in wanted], np.int32)


def _expressions(places: NDArray[Any], irises: list[tuple[int, int]]) -> dict[str, NDArray[Any]]:
    jaw = np.zeros_like(places)
    jaw[:, 1] = -2.5 * np.clip((-4 - places[:, 1]) / 3, 0, 1)
    out = {"jawOpen": jaw}
    for side, (low, high) in zip(("R", "L"), irises, strict=True):
        for name in ("Up", "Down", "Out", "In"):  # an egg has no lids for these to move
            out[f"eyeLook{name}_{side}"] = np.zeros_like(places)
        lid = np.zeros_like(places)
        lid[low:high, 2] = -3.0
        out[f"eyeBlink_{side}"] = lid
    return out


def write(folder: Path) -> Path:
    """The egg's assets as files, with a cap of hair for each style that is asked for by name."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "ict_facekit.npz", **arrays())
    places, uvs, triangles = _sphere(10, 21)
    top = triangles[places[triangles].mean(1)[:, 1] > 0.45]
    corners = np.arange(len(places), dtype=np.int32)
    strands = np.random.default_rng(1).integers(60, 200, (64, 64, 4), np.uint8)
    strands[..., 3] = 255
    for style in ("short01", "short02", "short04", "ponytail01"):
        np.savez_compressed(folder / f"hair_{style}.npz", v=places * 1.05, gpu_pos=corners, gpu_uv=uvs, gpu_tri=top)
        cv2.imwrite(str(folder / f"hair_{style}.png"), strands)
    return folder
