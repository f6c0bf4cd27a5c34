"""A portrait of each embedded identity, for places where somebody chooses one."""

from collections.abc import Iterator, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from training.heads import expression, scene
from training.heads.assets import Assets
from training.heads.clip import room
from training.heads.looks import EMBEDDED, Look
from training.heads.person import Anatomy, Person
from training.heads.renderer import Renderer, Surroundings, tone_map

_FINE = 3  # drawn this many times larger, then averaged
_DISTANCE = 13.0  # head units
_SHOWN = 1.75  # head units above and below the middle
_FACE = (("mouthSmile", 0.42), ("cheekSquint", 0.25), ("mouthDimple", 0.2))
_POSE = (-9.0, 1.0, 1.5)  # degrees of yaw, pitch and roll


def portraits(
    assets: Assets, size: int, people: Mapping[str, Look] = EMBEDDED
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """The name and the portrait (size, size, 3) BGR of each identity."""
    renderer = Renderer(size * _FINE, size * _FINE, 1, 2048)
    anatomy = Anatomy(renderer, assets)
    face = {side: weight for name, weight in _FACE for side in expression.both(name, weight)}
    for name, look in people.items():
        person = Person(anatomy, look)
        person.bake()
        around = Surroundings(room(size * _FINE, size * _FINE), look.shirt, look.collar, look.gloss)
        camera = scene.camera(_POSE, _DISTANCE, scene.fov_for(_DISTANCE, _SHOWN), (0.0, -0.15))
        linear, _ = renderer.draw(person.parts(person.pose(face, (9.0, 0.0))), camera, scene.studio(), around)
        fine = np.ascontiguousarray(tone_map(linear[..., :3], 0.95)[..., ::-1])
        yield name, np.asarray(cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    renderer.close()
