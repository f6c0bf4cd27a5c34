"""A person who does not exist: a mix of identity modes and procedural skin, ready to be drawn in any expression."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from realtime.errors import LiveswapError
from training.heads import expression
from training.heads import skin as paint
from training.heads.assets import Assets, Hair
from training.heads.looks import Look
from training.heads.renderer import Creases, Floats, Material, Mesh, Part, Renderer, Texture
from training.heads.scene import rotation

UNIT: Final = 8.2  # centimetres in one head unit


@dataclass(frozen=True, slots=True)
class Pose:
    """A person's vertices for one picture, in head units about the point between the eyes."""

    places: Floats  # (n, 3)
    normals: Floats  # (n, 3)
    openness: float  # 0 mouth shut .. 1 wide open, for blending the baked light
    creases: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # how deep each group is, 0..1


@dataclass(frozen=True, slots=True)
class Eye:
    """The vertices of one eye."""

    ball: NDArray[np.int64]  # all that turns with the gaze
    sclera: NDArray[np.int64]
    pupil: NDArray[np.int64]  # those in the middle of the iris

    def centre(self, places: Floats) -> Floats:
        """About which the ball turns, (3,): the middle of the sphere, whose front bulges and has more vertices."""
        low, high = places[self.sclera].min(0), places[self.sclera].max(0)
        middle = (low + high) / 2
        middle[2] = low[2] + (high[1] - low[1]) / 2
        return np.asarray(middle, np.float32)


def _eye(assets: Assets, side: str) -> Eye:
    iris, sclera = (assets.faces[assets.materials == f"M_{part}{side}"] for part in ("Iris", "Sclera"))
    vertices, first = np.unique(iris[:, :3].ravel(), return_index=True)
    radius = np.linalg.norm(assets.uvs[iris[:, 3:].ravel()[first]] - 0.5, axis=1)
    front = assets.vertices[vertices, 2] > assets.vertices[vertices, 2].mean()
    whites = np.unique(sclera[:, :3])
    return Eye(np.union1d(vertices, whites), whites, vertices[front & (radius < max(0.2, float(radius.min())))])


class Anatomy:
    """What all heads share: parts, their meshes and the smooth outline of the face. One for each renderer."""

    MATERIALS: Final[Mapping[str, tuple[tuple[str, ...], Material]]] = {
        "face": (("M_Face",), Material.SKIN),
        "back": (("M_BackHead",), Material.SKIN),
        "gums": (("M_GumsTongue",), Material.WET),
        "socket": ((), Material.WET),
        "teeth": (("M_Teeth",), Material.WET),
        "sclera": (("M_ScleraLeft", "M_ScleraRight"), Material.EYE),
        "iris": (("M_IrisLeft", "M_IrisRight"), Material.EYE),
        "lash": (("M_EyeLashes",), Material.SHEET),
    }

    def __init__(self, renderer: Renderer, assets: Assets) -> None:
        self.renderer, self.assets = renderer, assets
        self.index = {name: i for i, name in enumerate(assets.expression_names)}
        triangles = assets.faces[:, :3]
        n = len(assets.vertices)
        ones = (np.ones(3 * len(triangles), np.float32), (triangles.T.ravel(), np.tile(np.arange(len(triangles)), 3)))
        self._spread = scipy.sparse.csr_matrix(ones, (n, len(triangles)))
        self.corners: dict[str, NDArray[np.int32]] = {}
        self.meshes: dict[str, Mesh] = {}
        for name, (materials, _) in self.MATERIALS.items():
            self._add(name, materials)
        self.mark_uvs = self._mark_uvs()
        self.inside = face_outline(assets)
        self.hair = {name: Mesh(renderer, h.uvs, h.triangles) for name, h in assets.hair.items()}
        self.hair_textures = {name: renderer.texture(h.texture[::2, ::2]) for name, h in assets.hair.items()}
        # The picture's left eye, which is the subject's right, comes first.
        self.eyes = tuple(_eye(assets, side) for side in ("Right", "Left"))

    def _add(self, name: str, materials: tuple[str, ...]) -> None:
        assets, (low, high) = self.assets, self.assets.socket
        inner = ((assets.faces[:, :3] >= low) & (assets.faces[:, :3] < high)).all(1)
        chosen = inner if name == "socket" else np.isin(assets.materials, materials) & ~inner
        faces = assets.faces[chosen]
        pairs = np.stack([faces[:, :3].ravel(), faces[:, 3:].ravel()], 1)
        unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
        uvs = assets.uvs[unique[:, 1]] if len(unique) else np.zeros((0, 2), np.float32)
        if len(uvs) and name in ("back", "teeth", "gums", "lash"):
            uvs = uvs - np.floor(uvs.min(0) + 1e-3)
        if not len(unique):
            return
        self.corners[name] = unique[:, 0].astype(np.int32)
        self.meshes[name] = Mesh(self.renderer, uvs, inverse.reshape(-1, 3).astype(np.int32))

    def _mark_uvs(self) -> Floats:
        faces = self.assets.faces
        first = {int(v): int(t) for v, t in zip(faces[::-1, :3].ravel(), faces[::-1, 3:].ravel(), strict=True)}
        return self.assets.uvs[[first[int(v)] for v in self.assets.landmarks]]

    def normals(self, places: Floats) -> Floats:
        """Area-weighted vertex normals (n, 3)."""
        a, b, c = (places[self.assets.faces[:, k]] for k in range(3))
        total = self._spread @ np.cross(b - a, c - a)
        length = np.linalg.norm(total, axis=1, keepdims=True)
        return np.asarray(total / np.maximum(length, 1e-9), np.float32)


def face_outline(assets: Assets) -> Floats:
    """For each vertex the signed distance, head units, to the face's outline seen from the front; > 0 inside.

    The outline follows the jaw, drawn in by 3 %, and an arch over the forehead below the hairline.
    """
    middle = _between_eyes(assets, assets.vertices)
    p = (assets.vertices - middle) / UNIT
    jaw = p[assets.landmarks[:17], :2] * [0.97, 1] + [0, -0.03]
    xs = np.linspace(0.86, -0.86, 15)
    arch = np.stack([xs, 0.34 + 0.40 * np.cos(xs / 0.86 * np.pi / 2) ** 0.7], 1)
    outline = ((np.vstack([jaw, arch]) + 2) * 200).astype(np.float32).reshape(-1, 1, 2)
    distance = [cv2.pointPolygonTest(outline, (float(x), float(y)), True) / 200 for x, y in (p[:, :2] + 2) * 200]
    return np.where(p[:, 2] < -0.75, -1, np.clip(distance, -1, 1)).astype(np.float32)


def _between_eyes(assets: Assets, vertices: Floats) -> Floats:
    (a, b), (c, d) = assets.eyeballs
    return np.asarray((vertices[a:b].mean(0) + vertices[c:d].mean(0)) / 2, np.float32)


class Person:
    """A Look brought onto the GPU. Use with `with`, or call close(): textures are given back."""

    def __init__(self, anatomy: Anatomy, look: Look) -> None:
        self.anatomy, self.look = anatomy, look
        assets, rng = anatomy.assets, np.random.default_rng(look.seed)
        k = min(len(look.modes), len(assets.modes))
        rest = assets.vertices + np.tensordot(look.modes[:k], assets.modes[:k], 1)
        self.middle = _between_eyes(assets, rest)
        self.rest = _sink_eyes(assets, rest, look.eye_depth)
        self._textures = self._paint(rng)
        if look.hair and look.hair not in assets.hair:
            raise LiveswapError(f"the assets hold no hair '{look.hair}', only {', '.join(assets.hair) or 'none'}")
        self._hair = self._fit_hair(assets.hair[look.hair]) if look.hair else None
        self.light: tuple[dict[str, Floats], dict[str, Floats]] | None = None

    def __enter__(self) -> "Person":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for texture in self._textures.values():
            texture.release()

    def _paint(self, rng: np.random.Generator) -> dict[str, Texture]:
        look, upload = self.look, self.anatomy.renderer.texture
        small = 256 if look.texture > 512 else 128
        gum = np.clip(0.55 * np.array([170.0, 82.0, 80.0]) + 0.45 * np.array(look.skin.lip), 0, 255)
        return {
            "face": upload(paint.face_texture(rng, look.skin, self.anatomy.mark_uvs, look.texture)),
            "creases": upload(paint.crease_texture(rng, look.skin, self.anatomy.mark_uvs, 512)),
            "back": upload(paint.plain_skin(rng, look.skin.skin)),
            "gums": upload(paint.flat(paint.colour_of(gum))),
            "socket": upload(paint.flat((104.0, 40.0, 38.0))),
            "teeth": upload(paint.flat(look.teeth)),
            "sclera": upload(paint.sclera_texture(rng, look.sclera, small)),
            "iris": upload(paint.iris_texture(rng, look.iris, float(rng.uniform(0.28, 0.42)), small)),
            "lash": upload(paint.lash_texture(rng, look.lash, small)),
        }

    def _fit_hair(self, hair: Hair) -> tuple[Floats, Floats]:
        """Hair of this skull: places (g, 3) and normals (g, 3) of its rendered corners, head units."""
        end, c = self.anatomy.assets.skin_end, self.middle
        skin = self.rest[:end]
        above = skin[skin[:, 1] > c[1] + 3.5]
        wide = float(np.abs(above[:, 0]).max()) if len(above) else 8.0
        scale = np.array([wide * 1.04, float(skin[:, 1].max() - c[1]), float(c[2] - skin[:, 2].min())])
        places = (hair.vertices * scale * self.look.hair_slack / UNIT).astype(np.float32)
        corners = hair.corners[hair.triangles]
        a, b, d = (places[corners[:, k]] for k in range(3))
        total = np.zeros_like(places)
        for k in range(3):
            np.add.at(total, corners[:, k], np.cross(b - a, d - a))
        total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)
        return places[hair.corners], total[hair.corners]

    def pose(self, weights: Mapping[str, float], gaze: tuple[float, float] = (0.0, 0.0)) -> Pose:
        """The head in an expression, shapes by name, its eyes turned by gaze: yaw and pitch in degrees.

        The shapes eyeLook... move the lids alone, so the eyeballs are turned here, each about its own centre.
        """
        assets, index = self.anatomy.assets, self.anatomy.index
        chosen = [(index[name], weight) for name, weight in weights.items() if weight and name in index]
        moved = self.rest
        if chosen:
            rows, amounts = (list(values) for values in zip(*chosen, strict=True))
            moved = moved + np.tensordot(np.array(amounts, np.float32), assets.expressions[rows], 1)
        places = ((moved - self.middle) / UNIT).astype(np.float32)
        if any(gaze):
            turn = rotation(gaze[0], gaze[1], 0.0)
            for eye in self.anatomy.eyes:
                centre = eye.centre(places)
                places[eye.ball] = (places[eye.ball] - centre) @ turn.T + centre
        open_mouth = (
            weights.get("jawOpen", 0) * 1.2
            + weights.get("mouthUpperUp_L", 0) * 0.5
            + weights.get("mouthSmile_L", 0) * 0.3
        )
        creases = expression.creases(weights, self.look.age)
        return Pose(places, self.anatomy.normals(places), float(np.clip(open_mouth, 0, 1)), creases)

    def bake(self) -> None:
        """Works out how much of the sky each vertex sees, mouth shut and open. Costs seconds; others can borrow it."""
        self.light = (self._bake({}), self._bake({"jawOpen": 0.8}))

    def borrow_light(self, other: "Person") -> None:
        """Takes over another's baked light: heads share their vertices' order."""
        self.light = other.light

    def _bake(self, weights: Mapping[str, float]) -> dict[str, Floats]:
        pose = self.pose(weights)
        surfaces = {
            name: (pose.places[corners], pose.normals[corners]) for name, corners in self.anatomy.corners.items()
        }
        blockers = [p for p in self.parts(pose) if p.material in (Material.SKIN, Material.HAIR, Material.WET)]
        return self.anatomy.renderer.bake_openness(blockers, surfaces, np.array([0, -0.3, -0.6], np.float32))

    def parts(self, pose: Pose) -> list[Part]:
        """Writes the pose into the meshes and lists what is to be drawn. Valid until the next person does so."""
        out = []
        for name, corners in self.anatomy.corners.items():
            places = pose.places[corners]
            openness = self._openness(name, places, pose.openness)
            self.anatomy.meshes[name].write(places, pose.normals[corners], openness, self.anatomy.inside[corners])
            material = self.anatomy.MATERIALS[name][1]
            shininess = {"teeth": 0.22, "gums": 0.3, "socket": 0.1}.get(name, 0.3)
            creased = Creases(self._textures["creases"], pose.creases) if name == "face" else None
            out.append(
                Part(self.anatomy.meshes[name], material, self._textures[name], shininess=shininess, creases=creased)
            )
        if self._hair is not None and self.look.hair is not None:
            places, normals = self._hair
            mesh = self.anatomy.hair[self.look.hair]
            mesh.write(places, normals, np.full(len(places), 0.8, np.float32), np.full(len(places), -1, np.float32))
            r, g, b = (min(2.4, c / 105.0) for c in self.look.hair_colour)
            texture = self.anatomy.hair_textures[self.look.hair]
            out.append(Part(mesh, Material.HAIR, texture, (r, g, b)))
        return out

    def _openness(self, name: str, places: Floats, mouth: float) -> Floats:
        if self.light is None:
            return np.ones(len(places), np.float32)
        shut, wide = self.light[0][name], self.light[1][name]
        seen = shut * (1 - mouth) + wide * mouth
        if name == "teeth":  # the front ones catch light, molars fade into the dark of the mouth
            z = places[:, 2]
            seen = (seen * 0.6 + 0.22) * np.clip((z - (z.max() - 0.36)) / 0.3, 0.02, 1)
        return np.asarray(seen, np.float32)

    def irises(self, pose: Pose) -> Floats:
        """Centres of both irises (2, 3), head units, picture's left first."""
        return np.array([pose.places[eye.pupil].mean(0) for eye in self.anatomy.eyes], np.float32)

    def marks(self, pose: Pose) -> Floats:
        """The 68 landmarks (68, 3), head units."""
        return pose.places[self.anatomy.assets.landmarks]


def _sink_eyes(assets: Assets, vertices: Floats, depth: float) -> Floats:
    """Moves the eyes and the skin around them back by `depth` cm, fading with the distance from each eye."""
    if not depth:
        return vertices.astype(np.float32)
    out = vertices.astype(np.float32).copy()
    for low, high in assets.eyeballs:
        centre = vertices[low:high].mean(0)
        away = np.linalg.norm((vertices - centre)[:, :2] / [2.6, 1.7], axis=1)
        near = (vertices[:, 2] > centre[2] - 2.5).astype(np.float32)
        out[:, 2] -= depth * near * np.clip(1.6 - away, 0, 1) ** 2 * (3 - 2 * np.clip(1.6 - away, 0, 1))
    return out
