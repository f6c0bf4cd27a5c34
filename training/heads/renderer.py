"""Draws meshes of a head with light and shadow on a GPU, or on the processor through Mesa (EGL, no screen needed)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import cv2
import moderngl
import numpy as np
from numpy.typing import NDArray

from training.heads import shaders

Floats = NDArray[np.float32]
Texture = moderngl.Texture
_SHADOW_RADIUS: Final = 3.2  # head units around the head that the shadow map covers
# Colour over what is there by its alpha; the alpha that is there (the mask) stays.
_OVER: Final[Any] = (moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA, moderngl.ZERO, moderngl.ONE)
_ROW: Final = 8  # floats a vertex: place, normal, openness to ambient light, inside of the face's outline


class Material(IntEnum):
    """How a surface answers light; the numbers are the shader's."""

    SKIN = 0
    EYE = 1
    WET = 2
    HAIR = 3
    SHEET = 4
    THING = 5


@dataclass(frozen=True, slots=True)
class Light:
    """Two directional lights and a sky, linear RGB; directions are unit vectors towards the light in eye space."""

    key_from: Floats
    key: Floats
    fill_from: Floats
    fill: Floats
    sky: Floats
    ground: Floats


@dataclass(frozen=True, slots=True)
class Camera:
    """Where the head stands before the camera: to_eye (4, 4) and the vertical field of view in degrees."""

    to_eye: Floats
    fov: float

    def projection(self, aspect: float = 1.0) -> Floats:
        """OpenGL's perspective matrix (4, 4) for a picture `aspect` times as wide as high."""
        near, far, focal = 1.0, 200.0, 1 / np.tan(np.radians(self.fov) / 2)
        matrix = np.zeros((4, 4), np.float32)
        matrix[0, 0], matrix[1, 1] = focal / aspect, focal
        matrix[2, 2], matrix[2, 3] = (
            (far + near) / (near - far),
            2 * far * near / (near - far),
        )
        matrix[3, 2] = -1
        return matrix

    def project(self, places: Floats, width: int, height: int) -> Floats:
        """Head units (n, 3) to pixels (n, 2)."""
        homogeneous = (
            np.c_[places, np.ones(len(places), np.float32)] @ self.to_eye.T @ self.projection(width / height).T
        )
        flat = homogeneous[:, :2] / homogeneous[:, 3:]
        unit = np.c_[flat[:, 0] * 0.5 + 0.5, 0.5 - flat[:, 1] * 0.5]
        return np.asarray(unit * np.array([width, height]) - 0.5, np.float32)


class Mesh:
    """Triangles on the GPU whose vertices are written anew for each picture."""

    def __init__(self, renderer: "Renderer", uvs: Floats, triangles: NDArray[np.int32]) -> None:
        context = renderer.context
        self._vertices = context.buffer(reserve=len(uvs) * _ROW * 4, dynamic=True)
        self._uvs = context.buffer(np.ascontiguousarray(uvs, np.float32).tobytes())
        self._index = context.buffer(np.ascontiguousarray(triangles, np.int32).tobytes())
        names = ("place", "normal", "openness", "inside")
        self.lit = context.vertex_array(
            renderer.head,
            [(self._vertices, "3f 3f 1f 1f", *names), (self._uvs, "2f", "uv")],
            self._index,
        )
        self.depth = context.vertex_array(
            renderer.shadow,
            [(self._vertices, "3f 20x", "place"), (self._uvs, "2f", "uv")],
            self._index,
        )

    def write(self, places: Floats, normals: Floats, openness: Floats, inside: Floats) -> None:
        """One row for each vertex: (n, 3), (n, 3), (n,) 0..1, (n,) signed, > 0 inside the face's outline."""
        rows = np.empty((len(places), _ROW), np.float32)
        rows[:, :3], rows[:, 3:6], rows[:, 6], rows[:, 7] = (
            places,
            normals,
            openness,
            inside,
        )
        self._vertices.write(rows.tobytes())

    def release(self) -> None:
        for resource in (self.lit, self.depth, self._vertices, self._uvs, self._index):
            resource.release()


@dataclass(frozen=True, slots=True)
class Creases:
    """What skin.crease_texture drew, and how deep each of its four groups is, 0..1."""

    texture: Texture
    depths: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Part:
    """A mesh with its looks."""

    mesh: Mesh
    material: Material
    texture: Texture
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shininess: float = 0.3
    casts_shadow: bool = True
    creases: Creases | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else the shader wants to know."""

    background: NDArray[np.uint8]  # (h, w, 3) RGB
    shirt: tuple[float, float, float] = (0.1, 0.1, 0.2)  # linear RGB
    collar: float = -2.2  # height where the shirt begins, head units
    gloss: float = 1.0
    bump: float = 0.03
    skull: tuple[float, float, float] = (
        0.0,
        0.1,
        -0.9,
    )  # the skull's centre, head units


class Renderer:
    """One off-screen picture of width x height, drawn at `supersample` times that. Not to be shared between threads."""

    def __init__(self, width: int, height: int, supersample: float = 1, shadow: int = 1024) -> None:
        self.width, self.height = width, height
        self._drawn = extent = (round(width * supersample), round(height * supersample))
        self.context = context = moderngl.create_context(standalone=True, **dict[str, Any](backend="egl"))
        self.head = context.program(vertex_shader=shaders.HEAD_VERTEX, fragment_shader=shaders.HEAD_FRAGMENT)
        self.shadow = context.program(vertex_shader=shaders.SHADOW_VERTEX, fragment_shader=shaders.SHADOW_FRAGMENT)
        back = context.program(vertex_shader=shaders.BACK_VERTEX, fragment_shader=shaders.BACK_FRAGMENT)
        self._colour, self._cover = (
            context.texture(extent, 4, dtype="f2"),
            context.texture(extent, 4),
        )
        self._target = context.framebuffer([self._colour, self._cover], context.depth_renderbuffer(extent))
        self._shadows = context.depth_texture((shadow, shadow))
        self._shadows.compare_func = "<="
        self._shadow_target = context.framebuffer(depth_attachment=self._shadows)
        self._shadow_size = shadow
        corners = context.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], "f4").tobytes())
        self._back = context.vertex_array(back, [(corners, "2f", "place")])
        self._back_texture = context.texture((64, 64), 3)

    def close(self) -> None:
        """Gives the context and all it holds back."""
        self.context.release()

    def texture(self, picture: NDArray[np.uint8]) -> Texture:
        """A picture (h, w, 3 or 4) RGB(A) as a texture with mipmaps; the first row is v = 1."""
        texture = self.context.texture(picture.shape[1::-1], picture.shape[2], picture[::-1].tobytes(), alignment=1)
        texture.build_mipmaps()
        return texture

    def draw(
        self, parts: Sequence[Part], camera: Camera, light: Light, around: Surroundings
    ) -> tuple[Floats, NDArray[np.uint8]]:
        """The picture (height, width, 4): linear RGB and the visible face's mask 0..1; and (height, width) uint8 cover
        by hair and things in front, 0..255."""
        context = self.context
        middle = camera.to_eye[:3, :3] @ np.array(around.skull, np.float32) + camera.to_eye[:3, 3]
        to_shadow = _shadow_matrix(light.key_from, middle, _SHADOW_RADIUS)
        casting = [p for p in parts if p.casts_shadow and p.material in (Material.SKIN, Material.HAIR, Material.THING)]
        self._draw_shadows(casting, camera.to_eye, to_shadow, self._shadow_target)
        self._target.use()
        self._target.clear(0, 0, 0, 0, depth=1.0)
        self._draw_background(around.background)
        self._set_uniforms(camera, light, around, to_shadow, middle)
        context.enable_only(moderngl.DEPTH_TEST)
        solid = (Material.SKIN, Material.EYE, Material.WET, Material.THING)
        self._draw_parts((p for p in parts if p.material in solid), 0, 2)
        self._draw_parts((p for p in parts if p.material == Material.HAIR), 0.5, 2)
        context.enable_only(moderngl.DEPTH_TEST | moderngl.BLEND)
        context.blend_func = _OVER
        self._target.depth_mask = False
        self._draw_parts((p for p in parts if p.material == Material.SHEET), 0.01, 2)
        self._draw_parts((p for p in parts if p.material == Material.HAIR), 0.01, 0.5)
        self._target.depth_mask = True
        return self._read()

    def _read(self) -> tuple[Floats, NDArray[np.uint8]]:
        wide, high = self._drawn
        raw = np.frombuffer(self._target.read(components=4, dtype="f2"), np.float16).reshape(high, wide, 4)
        picture = np.nan_to_num(raw[::-1].astype(np.float32))
        covered = np.frombuffer(self._target.read(components=1, attachment=1, alignment=1), np.uint8)
        covered = covered.reshape(high, wide)[::-1]
        to = (self.width, self.height)
        if to != self._drawn:
            picture = np.asarray(cv2.resize(picture, to, interpolation=cv2.INTER_AREA), np.float32)
            covered = np.asarray(cv2.resize(covered, to, interpolation=cv2.INTER_AREA), np.uint8)
        return picture, np.ascontiguousarray(covered)

    def _draw_background(self, picture: NDArray[np.uint8]) -> None:
        if self._back_texture.size != picture.shape[1::-1]:
            self._back_texture.release()
            self._back_texture = self.context.texture(picture.shape[1::-1], 3, alignment=1)
        self._back_texture.write(np.ascontiguousarray(picture[::-1]).tobytes(), alignment=1)
        self.context.enable_only(moderngl.NOTHING)
        self._back_texture.use(0)
        self._back.render(moderngl.TRIANGLE_STRIP)

    def _set_uniforms(
        self,
        camera: Camera,
        light: Light,
        around: Surroundings,
        to_shadow: Floats,
        skull: Floats,
    ) -> None:
        program: Any = self.head
        self._shadows.use(1)
        program["picture"], program["shadows"], program["creases"] = 0, 1, 2
        for name, matrix in (
            ("to_eye", camera.to_eye),
            ("project", camera.projection(self.width / self.height)),
            ("to_shadow", to_shadow),
        ):
            program[name].write(_bytes(matrix))
        for name in ("key_from", "key", "fill_from", "fill", "sky", "ground"):
            program[name] = tuple(float(x) for x in getattr(light, name))
        program["shirt"], program["collar"] = around.shirt, around.collar
        program["gloss"], program["bump"] = around.gloss, around.bump
        program["skull"] = tuple(float(x) for x in skull)
        program["shadow_texel"] = 2.6 / self._shadow_size

    def _draw_parts(self, parts: Iterable[Part], alpha_low: float, alpha_high: float) -> None:
        program: Any = self.head
        program["alpha_low"], program["alpha_high"] = alpha_low, alpha_high
        for part in parts:
            program["mat"], program["tint"], program["shininess"] = (
                int(part.material),
                part.tint,
                part.shininess,
            )
            program["crease"] = part.creases.depths if part.creases else (0.0, 0.0, 0.0, 0.0)
            if part.creases:
                part.creases.texture.use(2)
            part.texture.use(0)
            part.mesh.lit.render()

    def _draw_shadows(
        self,
        parts: Sequence[Part],
        to_eye: Floats,
        to_shadow: Floats,
        target: moderngl.Framebuffer,
    ) -> None:
        program: Any = self.shadow
        target.use()
        target.clear(depth=1.0)
        self.context.enable_only(moderngl.DEPTH_TEST)
        program["to_eye"].write(_bytes(to_eye))
        program["to_shadow"].write(_bytes(to_shadow))
        program["picture"] = 0
        for part in parts:
            program["mat"] = int(part.material)
            part.texture.use(0)
            part.mesh.depth.render()

    def bake_openness(
        self,
        parts: Sequence[Part],
        surfaces: Mapping[str, tuple[Floats, Floats]],
        centre: Floats,
        radius: float = 2.4,
        directions: int = 64,
        side: int = 512,
    ) -> dict[str, Floats]:
        """For each surface's vertices (places, normals) the share of the sky they see past `parts`, (n,) 0..1.

        One shadow map for each direction of a Fibonacci sphere, weighted by the cosine.
        """
        depth = self.context.depth_texture((side, side))
        target = self.context.framebuffer(depth_attachment=depth)
        seen = {name: np.zeros(len(places)) for name, (places, _) in surfaces.items()}
        weight = {name: np.full(len(places), 1e-3) for name, (places, _) in surfaces.items()}
        for i in range(directions):
            y = 1 - 2 * (i + 0.5) / directions
            turn = 2 * np.pi * i / ((1 + 5**0.5) / 2)
            across = (1 - y * y) ** 0.5
            direction = np.array([across * np.cos(turn), y, across * np.sin(turn)], np.float32)
            matrix = _shadow_matrix(direction, centre, radius)
            self._draw_shadows(parts, np.eye(4, dtype=np.float32), matrix, target)
            nearest = np.frombuffer(depth.read(), np.float32).reshape(side, side)
            for name, (places, normals) in surfaces.items():
                cosine = np.maximum(normals @ direction, 0) + 0.15
                at = (np.c_[places + normals * 0.01, np.ones(len(places))] @ matrix.T)[:, :3] * 0.5 + 0.5
                cell = np.clip((at[:, :2] * side).astype(int), 0, side - 1)
                seen[name] += cosine * ((at[:, 2] - 0.006) < nearest[cell[:, 1], cell[:, 0]])
                weight[name] += cosine
        target.release()
        depth.release()
        return {name: (seen[name] / weight[name]).astype(np.float32) for name in surfaces}


def _bytes(matrix: Floats) -> bytes:
    return np.ascontiguousarray(matrix.T, np.float32).tobytes()


def _shadow_matrix(direction: Floats, centre: Floats, radius: float) -> Floats:
    """Orthographic view from `direction` onto a ball about `centre`, (4, 4) to clip space."""
    z = direction / np.linalg.norm(direction)
    x = np.cross([0, 1, 0.01], z)
    x /= np.linalg.norm(x)
    turn = np.array([x, np.cross(z, x), z])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, -turn @ centre
    return (np.diag([1 / radius, 1 / radius, -1 / radius, 1]) @ matrix).astype(np.float32)


def tone_map(linear: Floats, exposure: float = 1.0) -> NDArray[np.uint8]:
    """Linear RGB (h, w, 3) to 8 bit with a soft shoulder and a gamma of 2.2."""
    light = np.maximum(linear * exposure, 0)
    light = light * (1 + light / 6.0) / (1 + light) * 1.12
    return np.asarray(np.clip(light, 0, 1) ** (1 / 2.2) * 255 + 0.5, np.uint8)
