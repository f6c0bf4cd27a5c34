"""Films a rendered person talking to a camera, as a video file: footage of nobody, to drive and to test with."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from training.heads import expression, occluders, scene
from training.heads.assets import Assets
from training.heads.expression import Weights
from training.heads.looks import Look, random_look
from training.heads.person import Anatomy, Person
from training.heads.renderer import Floats, Material, Mesh, Part, Renderer, Surroundings, tone_map
from training.heads.skin import plain_skin

DISTANCE: Final = 11.0  # head units from the camera, about 90 cm


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """What to film."""

    width: int = 1280
    height: int = 720
    fps: int = 30
    seconds: float = 10.0
    seed: int = 11  # the person and what they do
    supersample: float = 1.5
    hair: str | None = "short02"
    half_height: float = 2.4  # head units above and below the middle of the picture


@dataclass(frozen=True, slots=True)
class Performance:
    """What the head does over time; each array has one value a frame."""

    jaw: Floats
    shapes: dict[str, Floats]
    blink: Floats
    gaze: Floats  # (n, 2) degrees
    pose: Floats  # (n, 3) degrees
    drift: Floats  # (n, 2) head units
    frames: int = field(default=0)

    def weights(self, i: int) -> Weights:
        """Shapes at frame i."""
        out: Weights = {"jawOpen": float(self.jaw[i])}
        for name, curve in self.shapes.items():
            out.update(expression.both(name, float(curve[i])) if name in _PAIRED else {name: float(curve[i])})
        out.update(expression.both("eyeBlink", float(self.blink[i])))
        return out | expression.look(float(self.gaze[i, 0]), float(self.gaze[i, 1]))


_PAIRED: Final = ("mouthSmile", "mouthUpperUp", "mouthLowerDown", "mouthStretch", "mouthPress", "browOuterUp",
                  "browInnerUp", "browDown", "cheekSquint", "eyeSquint")  # fmt: skip


def smooth(rng: np.random.Generator, n: int, period: float) -> Floats:
    """Smooth noise of unit variance whose ups and downs last about `period` frames."""
    kernel = np.exp(-0.5 * (np.arange(-3 * period, 3 * period + 1) / (period / 2)) ** 2)
    raw = np.convolve(rng.normal(size=n + len(kernel)), kernel, "same")[len(kernel) // 2 :][:n]
    return np.asarray(raw / max(float(np.sqrt((kernel**2).sum())), 1e-6), np.float32)


def perform(rng: np.random.Generator, n: int, fps: float) -> Performance:
    """Speech-like mouth, blinks, glances, nods; two head turns and a smile."""
    t = np.arange(n) / fps
    speaking = 1 / (1 + np.exp(-6 * (smooth(rng, n, fps * 0.9) + 0.5)))
    syllables = np.maximum(0, 0.55 + 0.75 * smooth(rng, n, fps * 0.085)) * speaking
    position = t / max(t[-1], 1e-6)
    smile = np.exp(-(((position - 0.42) / 0.05) ** 2)) + np.exp(-(((position - 0.93) / 0.07) ** 2))
    turn = 32 * np.exp(-(((position - 0.62) / 0.055) ** 2)) - 30 * np.exp(-(((position - 0.77) / 0.055) ** 2))

    def shape(period: float, gain: float, bias: float = 0.0) -> Floats:
        return np.asarray(np.clip(bias + gain * smooth(rng, n, fps * period), 0, 1) * speaking, np.float32)

    shapes = {
        "mouthFunnel": shape(0.15, 0.25),
        "mouthPucker": shape(0.18, 0.3),
        "mouthStretch": shape(0.16, 0.2),
        "mouthUpperUp": shape(0.12, 0.2, 0.08) + 0.25 * smile,
        "mouthLowerDown": shape(0.12, 0.25, 0.12) + 0.15 * smile,
        "mouthPress": shape(0.2, 0.2),
        "mouthSmile": np.clip(shape(0.8, 0.15, 0.05) + 0.85 * smile, 0, 1),
        "cheekSquint": 0.5 * smile,
        "eyeSquint": 0.25 * smile,
        "browInnerUp": np.clip(0.35 * smooth(rng, n, fps * 0.5), 0, 0.8),
        "browOuterUp": np.clip(0.35 * smooth(rng, n, fps * 0.5), 0, 0.8),
        "browDown": np.clip(0.25 * smooth(rng, n, fps * 0.6), 0, 0.6),
    }
    pose = np.stack([6 * smooth(rng, n, fps * 0.8) + turn, 3.5 * smooth(rng, n, fps * 0.5),
                     2.5 * smooth(rng, n, fps * 1.0)], 1)  # fmt: skip
    glances = np.stack([_held(rng, n, fps, 7.0), _held(rng, n, fps, 3.0)], 1)
    gaze = np.clip(glances - 0.7 * pose[:, :2], [-28, -14], [28, 14]).astype(np.float32)  # mostly at the camera
    return Performance(
        np.clip(0.55 * syllables * (1 - 0.6 * smile), 0, 0.75).astype(np.float32), shapes, _blinks(rng, n, fps), gaze,
        pose, np.stack([0.10 * smooth(rng, n, fps), 0.05 * smooth(rng, n, fps)], 1), n,
    )  # fmt: skip


def _held(rng: np.random.Generator, n: int, fps: float, spread: float) -> Floats:
    """Values that stay for a while and jump, as eyes do; half of the time zero."""
    out = np.zeros(n, np.float32)
    i = 0
    while i < n:
        length = int(rng.uniform(0.5, 2.0) * fps)
        out[i : i + length] = rng.normal(0, spread) if rng.random() < 0.5 else 0
        i += length
    return out


def _blinks(rng: np.random.Generator, n: int, fps: float) -> Floats:
    """Lids closed for about 0.1 s every 2 to 4 s; weight 0..1."""
    out = np.zeros(n, np.float32)
    moment = float(rng.uniform(0.8, 1.6))
    while moment * fps < n:
        age = np.arange(n) / fps - moment
        out = np.maximum(out, np.clip(np.minimum((age + 0.09) / 0.07, (0.2 - age) / 0.12), 0, 1))
        moment += float(rng.uniform(2.0, 3.6))
    return out.astype(np.float32)


def room(width: int, height: int) -> NDArray[np.uint8]:
    """A wall with a shelf and a window, out of focus, (height, width, 3) RGB."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    wall = np.stack([150 - 30 * y, 146 - 32 * y, 138 - 30 * y], -1) * (0.75 + 0.35 * (1 - x))[..., None]
    picture = wall.astype(np.float32)

    def block(left: float, top: float, right: float, bottom: float, colour: tuple[int, int, int]) -> None:
        picture[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = colour

    block(0.0, 0.05, 0.17, 0.62, (214, 224, 232))
    block(0.078, 0.05, 0.09, 0.62, (120, 118, 116))
    block(0.70, 0.30, 1.0, 0.325, (96, 72, 54))
    spines = ((150, 60, 50), (60, 84, 120), (190, 170, 120), (70, 100, 80), (110, 80, 110), (170, 120, 70))
    for i, colour in enumerate(spines):
        block(0.73 + 0.035 * i, 0.13 + 0.02 * (i % 3), 0.76 + 0.035 * i, 0.30, colour)
    block(0.80, 0.55, 0.97, 0.75, (92, 100, 96))
    blurred = cv2.GaussianBlur(picture, (0, 0), height / 90)
    return np.clip(blurred, 0, 255).astype(np.uint8)


def film(assets: Assets, settings: ClipSettings) -> Iterator[NDArray[np.uint8]]:
    """The frames, (height, width, 3) RGB."""
    rng = np.random.default_rng((settings.seed, 77))
    look = replace(random_look(np.random.default_rng(settings.seed), tuple(assets.hair)), hair=settings.hair)
    look = replace(look, texture=1024, shirt=(0.10, 0.16, 0.22), collar=-1.9, skin=replace(look.skin, wild=0.0))
    frames = round(settings.seconds * settings.fps)
    show = perform(rng, frames, settings.fps)
    renderer = Renderer(settings.width, settings.height, settings.supersample, 2048)
    person = Person(Anatomy(renderer, assets), look)
    person.bake()
    body = Body(renderer, look, np.random.default_rng(settings.seed))
    background = room(settings.width, settings.height)
    fov = scene.fov_for(DISTANCE, settings.half_height)
    around = Surroundings(background, look.shirt, look.collar, 0.9)
    for i in range(frames):
        camera = scene.camera(show.pose[i].tolist(), DISTANCE, fov, (float(show.drift[i, 0]), float(show.drift[i, 1])))
        body.stand(camera.to_eye)
        parts = [
            *person.parts(person.pose(show.weights(i), (float(show.gaze[i, 0]), float(show.gaze[i, 1])))),
            body.part,
        ]
        linear, _ = renderer.draw(parts, camera, scene.studio(), around)
        yield grained(tone_map(linear[..., :3], 0.92), rng)
    renderer.close()


def grained(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """picture (h, w, 3) with a sensor's grain."""
    noisy = picture.astype(np.float32) + rng.normal(0, 1.2, picture.shape[:2])[..., None]
    return np.clip(noisy, 0, 255).astype(np.uint8)


class Body:
    """Shoulders, DISTANCE from the camera, that stay where they are while the head turns."""

    def __init__(self, renderer: Renderer, look: Look, rng: np.random.Generator) -> None:
        shape = occluders.ellipsoid(np.array([0.0, -4.1, -1.45]), np.array([3.2, 2.4, 1.75]), 60)
        self._places = np.c_[shape.places, np.ones(len(shape.places))] @ scene.camera((0, 0, 0), DISTANCE).to_eye.T
        self._normals = shape.normals
        self._mesh = Mesh(renderer, shape.places[:, :2], shape.triangles)
        r, g, b = (255 * c ** (1 / 2.2) for c in look.shirt)
        self.part = Part(self._mesh, Material.THING, renderer.texture(plain_skin(rng, (r, g, b), 256)), shininess=0.03)

    def stand(self, to_eye: Floats) -> None:
        """Undoes the head's motion, which the camera's matrix holds."""
        back = np.linalg.inv(to_eye.astype(np.float64))
        places = (self._places @ back.T)[:, :3].astype(np.float32)
        ones = np.ones(len(places), np.float32)
        self._mesh.write(places, (self._normals @ back[:3, :3].T).astype(np.float32), ones * 0.9, -ones)


def write_clip(
    path: Path, frames: Iterator[NDArray[np.uint8]], fps: int, crf: int = 24, preset: str = "slow"
) -> Iterator[int]:
    """Encodes frames (h, w, 3) RGB as H.264; yields how many are written."""
    with av.open(str(path), "w") as container:
        stream = None
        for i, picture in enumerate(frames):
            if stream is None:
                stream = container.add_stream("libx264", rate=fps, options={"crf": str(crf), "preset": preset})
                stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            yield i + 1
        if stream is not None:
            container.mux(stream.encode(None))
