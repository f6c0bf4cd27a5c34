"""The geometry a rendered head is made of: reading it from a folder, and packing that folder from ICT-FaceKit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.errors import LiveswapError

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# Vertices of ICT-FaceKit's mesh that lie on the 68 Multi-PIE points; the first half of each contour is the
# subject's right, which is the picture's left.
LANDMARKS: Final = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443,
    268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360,
    1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732,
    5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
)  # fmt: skip
SKIN_END: Final = 11248  # vertices before this are skin of the face, the head and the neck
SOCKET: Final = (11248, 13294)  # the inside of the mouth
EYEBALLS: Final = (
    (23021, 23791),
    (21451, 22221),
)  # vertex ranges, picture's left first


@dataclass(frozen=True, slots=True)
class Hair:
    """One style, in skull units about the point between the eyes."""

    vertices: Floats  # (v, 3)
    corners: Ints  # (g,) which vertex each rendered corner is
    uvs: Floats  # (g, 2)
    triangles: Ints  # (t, 3) into corners
    texture: NDArray[np.uint8]  # (1024, 1024, 4) RGBA


@dataclass(frozen=True, slots=True)
class Assets:
    """A head's mesh, the ways it varies, and hair to put on it; lengths in centimetres."""

    vertices: Floats  # (n, 3) x to the picture's right, y up, z towards the camera
    uvs: Floats  # (m, 2)
    faces: Ints  # (t, 6) three vertex indices, three UV indices
    materials: NDArray[np.str_]  # (t,) name of each face's material
    modes: Floats  # (k, n, 3) identity modes
    expressions: Floats  # (e, n, 3) expression shapes
    expression_names: tuple[str, ...]  # ARKit's names with _L and _R for the subject's left and right
    landmarks: Ints  # (68,) vertices on the Multi-PIE points
    eyeballs: tuple[tuple[int, int], tuple[int, int]]  # vertex ranges, picture's left first
    socket: tuple[int, int]  # vertex range of the inside of the mouth
    skin_end: int  # vertices before this are skin
    hair: Mapping[str, Hair]

    @staticmethod
    def load(folder: Path) -> "Assets":
        """Reads ict_facekit.npz and hair_*.npz with hair_*.png. Raises LiveswapError when they are not there."""
        path = folder / "ict_facekit.npz"
        if not path.is_file():
            raise LiveswapError(
                f"{folder} holds no ict_facekit.npz: make it from a clone of ICT-FaceKit with "
                "`liveswap-train heads pack CLONE --out FOLDER`"
            )
        with np.load(path, allow_pickle=False) as packed:
            return _from_arrays(
                dict(packed),
                {p.stem[5:]: _load_hair(p) for p in sorted(folder.glob("hair_*.npz"))},
            )


def _from_arrays(a: dict[str, NDArray[Any]], hair: Mapping[str, Hair]) -> Assets:
    names = np.array([str(name) for name in a["mats"]])
    return Assets(
        vertices=a["v"].astype(np.float32),
        uvs=a["vt"].astype(np.float32),
        faces=a["F"].astype(np.int32),
        materials=names[a["M"].astype(int)],
        modes=a["idm"].astype(np.float32),
        expressions=a["ex"].astype(np.float32),
        expression_names=tuple(str(name) for name in a["exn"]),
        landmarks=np.asarray(a.get("landmarks", LANDMARKS), np.int32),
        eyeballs=_ranges(a["eyeballs"]) if "eyeballs" in a else EYEBALLS,
        socket=_range(a["socket"]) if "socket" in a else SOCKET,
        skin_end=int(a.get("skin_end", np.array(SKIN_END))),
        hair=hair,
    )


def _range(values: NDArray[Any]) -> tuple[int, int]:
    return int(values[0]), int(values[1])


def _ranges(values: NDArray[Any]) -> tuple[tuple[int, int], tuple[int, int]]:
    return _range(values[0]), _range(values[1])


def _load_hair(path: Path) -> Hair:
    picture = cv2.imread(str(path.with_suffix(".png")), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        raise LiveswapError(f"{path.with_suffix('.png')} should be an RGBA picture beside {path.name}")
    with np.load(path, allow_pickle=False) as a:
        return Hair(
            vertices=a["v"].astype(np.float32),
            corners=a["gpu_pos"].astype(np.int32),
            uvs=a["gpu_uv"].astype(np.float32),
            triangles=a["gpu_tri"].astype(np.int32).reshape(-1, 3),
            texture=np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA), np.uint8),
        )


def pack(clone: Path, out: Path, modes: int = 50) -> Path:
    """Makes out/ict_facekit.npz from the OBJ files of a clone of ICT-FaceKit (its folder FaceXModel).

    Keeps the first `modes` identity modes and all expression shapes, as float16 offsets from the neutral head.
    Raises LiveswapError when the clone does not hold them. Returns the file's path.
    """
    model = clone / "FaceXModel"
    neutral = model / "generic_neutral_mesh.obj"
    if not neutral.is_file():
        raise LiveswapError(f"{clone} is no clone of ICT-FaceKit: FaceXModel/generic_neutral_mesh.obj is missing")
    vertices, uvs, faces, materials = _read_obj(neutral)
    names = sorted(set(materials))
    identity: dict[int, NDArray[np.float16]] = {}
    expression: dict[str, NDArray[np.float16]] = {}
    for path in sorted(model.glob("*.obj")):
        if path.stem.startswith("generic"):
            continue
        number = int(path.stem[8:]) if path.stem.startswith("identity") else -1
        if number >= modes:
            continue
        shape = _read_vertices(path.read_text().splitlines())
        if shape.shape != vertices.shape:
            raise LiveswapError(f"{path} has {len(shape)} vertices, the neutral head has {len(vertices)}")
        offset = (shape - vertices).astype(np.float16)
        if number >= 0:
            identity[number] = offset
        else:
            expression[path.stem] = offset
    if not identity or not expression:
        raise LiveswapError(f"{model} holds {len(identity)} identity modes and {len(expression)} expressions")
    out.mkdir(parents=True, exist_ok=True)
    target = out / "ict_facekit.npz"
    np.savez_compressed(
        target,
        v=vertices,
        vt=uvs,
        F=faces,
        M=np.array([names.index(material) for material in materials], np.int8),
        mats=np.array(names),
        idm=np.array([identity[number] for number in sorted(identity)]),
        exn=np.array(list(expression)),
        ex=np.array(list(expression.values())),
    )
    return target


def _read_vertices(lines: list[str]) -> Floats:
    return np.array([line.split()[1:4] for line in lines if line.startswith("v ")], np.float32)


def _read_obj(path: Path) -> tuple[Floats, Floats, Ints, list[str]]:
    lines = path.read_text().splitlines()
    uvs = np.array([line.split()[1:3] for line in lines if line.startswith("vt ")], np.float32)
    faces: list[list[int]] = []
    materials: list[str] = []
    material = ""
    for line in lines:
        if line.startswith("usemtl"):
            material = line.split()[1]
        elif line.startswith("f "):
            corners = [[int(n) - 1 for n in corner.split("/")[:2]] for corner in line.split()[1:]]
            for k in range(1, len(corners) - 1):  # polygons become fans of triangles
                a, b, c = corners[0], corners[k], corners[k + 1]
                faces.append([a[0], b[0], c[0], a[1], b[1], c[1]])
                materials.append(material)
    return _read_vertices(lines), uvs, np.array(faces, np.int32), materials
