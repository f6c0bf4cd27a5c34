"""Writes training data: anybody and each embedded identity under the same expression, pose, gaze and light."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.errors import LiveswapError
from realtime.face.geometry import STEADY, TEMPLATE_NAME, Matrix, Points, crop_matrix, similarity, transform
from training.heads import expression, occluders, scene
from training.heads.assets import Assets
from training.heads.crew import side_by_side
from training.heads.looks import EMBEDDED, random_look
from training.heads.person import Anatomy, Person
from training.heads.renderer import Camera, Light, Material, Mesh, Part, Renderer, Surroundings, tone_map
from training.heads.skin import plain_skin

COVERAGE: Final = 1.25  # a stored crop shows a quarter more than the template, room for augmentation
_STYLES: Final = ("short01", "short02", "short03", "short04", "ponytail01", "long01", "braid01", "bob02")
_STYLE_ODDS: Final = (3, 3, 2, 3, 3, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class PairSettings:
    """What a run writes. `size` is the template crop's side; crops are stored a quarter larger."""

    size: int = 192
    frames: int = 12  # pictures of each random person
    people: int = 16  # random people in each shard
    sharing: int = 3  # people who are seen in the same shot, beside the identities
    seed: int = 0
    identities: tuple[str, ...] = tuple(EMBEDDED)

    def __post_init__(self) -> None:
        if not self.identities or (unknown := set(self.identities) - set(EMBEDDED)):
            asked = ", ".join(sorted(unknown)) if self.identities else "nobody"
            raise LiveswapError(f"--identity {asked}: wanted some of {', '.join(EMBEDDED)}")
        if not 0 <= self.seed < 200:
            raise LiveswapError(f"--seed {self.seed}: wanted 0 to 199, so that all seeds' people have numbers")
        if not 32 <= self.size <= 512:
            raise LiveswapError(f"--size {self.size}: a crop of 32 to 512 pixels is wanted")
        if not 1 <= self.sharing <= self.people or self.items % self.sharing:
            raise LiveswapError(
                f"--sharing {self.sharing}: wanted 1 to --people {self.people}, and a divisor of the "
                f"{self.items} pictures in a shard"
            )

    @property
    def items(self) -> int:
        """Pictures of random people in a shard."""
        return self.people * self.frames

    @property
    def shots(self) -> int:
        """Moments in a shard."""
        return self.items // self.sharing

    @property
    def stored(self) -> int:
        return round(self.size * COVERAGE)

    @property
    def rendered(self) -> int:
        return round(self.size * 1.7)


@dataclass(frozen=True, slots=True)
class Shot:
    """One moment: the expression, where head and eyes point, the camera and the light."""

    weights: expression.Weights
    gaze: tuple[float, float]
    pose: tuple[float, float, float]
    camera: Camera
    light: Light
    background: NDArray[np.uint8]
    exposure: float


@dataclass(frozen=True, slots=True)
class View:
    """A drawn person: picture (h, w, 3) RGB, mask and cover (h, w) uint8, and (70, 2) points in its pixels."""

    picture: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    cover: NDArray[np.uint8]
    points: Points


def random_shot(rng: np.random.Generator) -> Shot:
    """Anything a webcam might see, and a little more."""
    gaze = expression.random_gaze(rng)
    pose = (
        float(np.clip(rng.normal(0, 21), -60, 60)),
        float(np.clip(rng.normal(0, 10), -28, 28)),
        float(rng.uniform(-10, 10)),
    )
    distance = float(rng.uniform(6, 15))
    fov = scene.fov_for(distance, 1.95 * float(rng.uniform(0.97, 1.08)))
    return Shot(
        {**expression.random_expression(rng), **expression.look(*gaze)},
        gaze,
        pose,
        scene.camera(pose, distance, fov),
        scene.random_light(rng),
        scene.random_background(rng),
        float(rng.uniform(0.7, 1.3)),
    )


class Studio:
    """A renderer with the embedded identities in front of it, their light baked."""

    def __init__(self, assets: Assets, size: int, identities: tuple[str, ...]) -> None:
        self.renderer = Renderer(size, size)
        self.anatomy = Anatomy(self.renderer, assets)
        self.identities = {name: Person(self.anatomy, EMBEDDED[name]) for name in identities}
        for person in self.identities.values():
            person.bake()
        self.size = size

    def view(self, person: Person, shot: Shot, things: tuple[Part, ...] = ()) -> View:
        """Draws the person in the shot, with things in front."""
        pose = person.pose(shot.weights, shot.gaze)
        around = Surroundings(shot.background, person.look.shirt, person.look.collar, person.look.gloss)
        linear, cover = self.renderer.draw([*person.parts(pose), *things], shot.camera, shot.light, around)
        mask = (np.clip(linear[..., 3], 0, 1) * 255 + 0.5).astype(np.uint8)
        places = np.vstack([person.marks(pose), person.irises(pose)])
        return View(
            tone_map(linear[..., :3], shot.exposure), mask, cover, shot.camera.project(places, self.size, self.size)
        )

    def thing(self, shape: occluders.Shape, skin: NDArray[np.uint8], shininess: float, shadow: bool) -> Part:
        """A shape as a part; its mesh and texture are to be released after drawing."""
        mesh = Mesh(self.renderer, shape.places[:, :2] * 0.4, shape.triangles)
        ones = np.ones(len(shape.places), np.float32)
        mesh.write(shape.places, shape.normals, ones * 0.85, -ones)
        return Part(mesh, Material.THING, self.renderer.texture(skin), shininess=shininess, casts_shadow=shadow)


@dataclass(frozen=True, slots=True)
class Wearing:
    """What a person wears in all their pictures."""

    glasses: bool
    seed: int
    colour: tuple[float, float, float]


def _glasses(studio: Studio, person: Person, shot: Shot, wearing: Wearing) -> Part:
    marks = person.marks(person.pose(shot.weights))
    eyes = np.array([marks[36:42].mean(0), marks[42:48].mean(0)])
    ears = marks[[0, 16]] + np.array([0, 0.1, -0.5])
    shape = occluders.glasses(np.random.default_rng(wearing.seed), eyes, ears)
    return studio.thing(shape, np.full((4, 4, 3), wearing.colour, np.uint8), 1.2, True)


def _in_front(studio: Studio, person: Person, shot: Shot, rng: np.random.Generator) -> Part | None:
    """A hand or a thing before some point of the face, or nothing."""
    chance = rng.random()
    if chance > 0.24:
        return None
    marks = person.marks(person.pose(shot.weights))
    target = marks[rng.integers(68)] + np.array([*rng.normal(0, 0.25, 2), 0])
    near = float(marks[:, 2].max()) if rng.random() < 0.3 else float(target[2])
    turn = scene.rotation(float(rng.normal(0, 25)), float(rng.normal(0, 20)), float(rng.uniform(-110, 110)))
    shadow = bool(rng.random() < 0.5)
    if chance < 0.15:
        tip = np.array([rng.uniform(-0.3, 0.3), rng.uniform(-0.6, 0.9), 0.0]) @ turn.T
        shift = np.array([target[0], target[1], near + rng.uniform(0.12, 0.5)]) - tip
        own = np.array(person.look.skin.skin) * rng.uniform(0.75, 1.1)
        colour = own if rng.random() < 0.7 else np.array([225, 175, 150]) * rng.uniform(0.3, 1.05)
        skin = plain_skin(rng, (float(colour[0]), float(colour[1]), float(colour[2])), 64)
        return studio.thing(occluders.hand(rng).moved(turn, shift.astype(np.float32)), skin, 0.25, shadow)
    shift = np.array([target[0], target[1], near + rng.uniform(0.3, 0.7)])
    paint = rng.uniform(0, 255, 3) if rng.random() < 0.6 else np.full(3, rng.uniform(5, 70))
    skin = plain_skin(rng, (float(paint[0]), float(paint[1]), float(paint[2])), 64)
    return studio.thing(
        occluders.thing(rng).moved(turn, shift.astype(np.float32)), skin, float(rng.uniform(0, 1.5)), shadow
    )


def _release(part: Part) -> None:
    part.mesh.release()
    part.texture.release()


def cut(picture: NDArray[np.uint8], matrix: Matrix, side: int) -> NDArray[np.uint8]:
    """The (side, side) crop of picture into which matrix carries it; borders repeat."""
    out = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


def bgr(view: View) -> NDArray[np.uint8]:
    """The view's picture with its channels in OpenCV's order."""
    return np.ascontiguousarray(view.picture[..., ::-1])


def _empty(settings: PairSettings) -> dict[str, NDArray[Any]]:
    side, count, shots = settings.stored, settings.items, settings.shots
    arrays: dict[str, NDArray[Any]] = {
        "x": np.zeros((count, side, side, 3), np.uint8),
        "x_occluded": np.zeros((count, side, side), np.uint8),
        "x_points": np.zeros((count, 70, 2), np.float32),
        "blend": np.zeros((count, len(expression.BLEND)), np.float32),
        "pose": np.zeros((count, 3), np.float32),
        "person": np.zeros(count, np.int32),
        "shot": np.zeros(count, np.int32),
    }
    for name in settings.identities:
        arrays[name] = np.zeros((shots, side, side, 4), np.uint8)
        arrays[f"{name}_points"] = np.zeros((shots, 70, 2), np.float32)
        arrays[f"{name}_onto"] = np.zeros((count, 2, 3), np.float32)
    return arrays


def render_shard(studio: Studio, settings: PairSettings, number: int, held_out: bool) -> dict[str, NDArray[Any]]:
    """All arrays of one shard; the same settings and number give the same shard."""
    rng = np.random.default_rng((settings.seed, number, int(held_out)))
    arrays = _empty(settings)
    first = settings.seed * 10**7 + number * settings.people + (10**6 if held_out else 0)
    with ExitStack() as cast:
        people = [cast.enter_context(guest) for guest in _guests(studio, settings, rng)]
        for k in range(settings.shots):
            shot = random_shot(rng)
            for name, value in _render_identities(studio, settings, shot).items():
                arrays[name][k] = value
            for item in range(k * settings.sharing, (k + 1) * settings.sharing):
                who = item % settings.people
                row = _render_item(studio, settings, people[who], shot, rng)
                row |= {"person": np.int32(first + who), "shot": np.int32(k)}
                for name in settings.identities:
                    row[f"{name}_onto"] = onto(arrays[f"{name}_points"][k], row["x_points"])
                for name, value in row.items():
                    arrays[name][item] = value
    return arrays


@dataclass(frozen=True, slots=True)
class Guest:
    """A random person, and what they wear in all their pictures."""

    person: Person
    wearing: Wearing

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.person.close()


def _guests(studio: Studio, settings: PairSettings, rng: np.random.Generator) -> Iterator[Guest]:
    bakes = list(studio.identities.values())
    styles = tuple(s for s, odds in zip(_STYLES, _STYLE_ODDS, strict=True) for _ in range(odds))
    available = tuple(s for s in styles if s in studio.anatomy.assets.hair)
    for p in range(settings.people):
        look = random_look(rng, available)
        wearing = Wearing(bool(rng.random() < 0.18), int(rng.integers(2**31)), tuple(rng.uniform(0, 110, 3)))
        guest = Guest(Person(studio.anatomy, look), wearing)
        guest.person.borrow_light(bakes[p % len(bakes)])
        yield guest


def _render_identities(studio: Studio, settings: PairSettings, shot: Shot) -> dict[str, Any]:
    """Each identity in the shot, cut out by its own landmarks."""
    side, row = settings.stored, dict[str, Any]()
    for name, identity in studio.identities.items():
        view = studio.view(identity, shot)
        matrix = crop_matrix(view.points[:68], side, COVERAGE)
        row[name] = np.dstack([cut(bgr(view), matrix, side), cut(view.mask, matrix, side)])
        row[f"{name}_points"] = transform(matrix, view.points)
    return row


def onto(points: Points, person: Points) -> Matrix:
    """From the identity's crop to the person's, so that their landmarks meet: pasting back fits in profile too."""
    steady = list(STEADY)
    return similarity(points[steady], person[steady])


def _render_item(
    studio: Studio, settings: PairSettings, guest: Guest, shot: Shot, rng: np.random.Generator
) -> dict[str, Any]:
    side, person = settings.stored, guest.person
    front = _in_front(studio, person, shot, rng)
    glasses = _glasses(studio, person, shot, guest.wearing) if guest.wearing.glasses else None
    things = tuple(thing for thing in (glasses, front) if thing)
    anybody = studio.view(person, shot, things)
    for part in things:
        _release(part)
    matrix = crop_matrix(anybody.points[:68], side, COVERAGE)
    return {
        "x": cut(bgr(anybody), matrix, side),
        "x_occluded": cut(anybody.cover, matrix, side),
        "x_points": transform(matrix, anybody.points),
        "blend": expression.labels(shot.weights, shot.gaze),
        "pose": np.array(shot.pose, np.float32),
    }


def write_pairs(
    assets_folder: Path, out: Path, count: int, held_out: int, settings: PairSettings, workers: int
) -> Iterator[int]:
    """Writes at least `count` items, and `held_out` more of other people, into shards below `out`.

    Yields the number of items written so far after each shard; shards that are already there are kept, so an
    interrupted run goes on. Raises LiveswapError when `out` holds data of other settings.
    """
    Assets.load(assets_folder)  # a folder that cannot be used is refused before any process starts
    out.mkdir(parents=True, exist_ok=True)
    made = asdict(settings) | {"identities": list(settings.identities)}
    describe(out, settings.stored, settings.identities, made)
    each = settings.items
    jobs = [(n, True) for n in range(-(-held_out // each))] + [(n, False) for n in range(-(-count // each))]
    todo = [(number, test) for number, test in jobs if not (out / shard_name(number, test)).exists()]
    done = (len(jobs) - len(todo)) * each
    yield done
    tasks = {(number, test): partial(_write_shard, assets_folder, out, settings, number, test) for number, test in todo}
    for _ in side_by_side(tasks, workers):
        done += each
        yield done


def shard_name(number: int, held_out: bool) -> str:
    return f"{'test' if held_out else 'shard'}-{number:04d}"


def describe(out: Path, size: int, identities: Sequence[str], made: Mapping[str, Any]) -> None:
    """Writes out/dataset.json: crops of `size` px. Raises LiveswapError where there is one of other settings."""
    description = {
        "size": size,
        "coverage": COVERAGE,
        "template": TEMPLATE_NAME,
        "identities": list(identities),
        "blend": list(expression.BLEND),
        "made": dict(made),
    }
    path = out / "dataset.json"
    if path.exists() and (there := json.loads(path.read_text())) != description:
        raise LiveswapError(f"{out} holds data made with other settings ({there.get('made')}); choose another folder")
    path.write_text(json.dumps(description, indent=1))


@lru_cache(maxsize=1)
def _studio(assets_folder: Path, settings: PairSettings) -> Studio:
    """The studio of this worker process, set up with its first shard."""
    return Studio(Assets.load(assets_folder), settings.rendered, settings.identities)


def _write_shard(assets_folder: Path, out: Path, settings: PairSettings, number: int, held_out: bool) -> None:
    arrays = render_shard(_studio(assets_folder, settings), settings, number, held_out)
    save_shard(out, shard_name(number, held_out), arrays)


def save_shard(out: Path, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes the arrays into out/name, all or nothing."""
    part = out / f".{name}.part"
    part.mkdir(exist_ok=True)
    for key, array in arrays.items():
        np.save(part / f"{key}.npy", array)
    part.rename(out / name)


def overview(arrays: Mapping[str, NDArray[Any]], identities: tuple[str, ...], rows: int = 8) -> NDArray[np.uint8]:
    """A contact sheet BGR: anybody with landmarks, what covers them, each identity, and each pasted by its mask."""
    n = len(arrays["x"])
    strips = []
    for i in np.linspace(0, n - 1, min(rows, n)).astype(int):
        x = np.ascontiguousarray(arrays["x"][i])
        marked = x.copy()
        for u, v in arrays["x_points"][i]:
            cv2.circle(marked, (round(float(u)), round(float(v))), 1, (0, 255, 0), -1)
        cover = np.repeat(arrays["x_occluded"][i][..., None], 3, 2)
        cells = [x, marked, cover]
        for name in identities:
            picture = cut(arrays[name][arrays["shot"][i]], arrays[f"{name}_onto"][i], x.shape[0])
            alpha = picture[..., 3:].astype(np.float32) / 255 * (1 - cover[..., :1].astype(np.float32) / 255)
            cells += [picture[..., :3], (x + (picture[..., :3].astype(np.float32) - x) * alpha).astype(np.uint8)]
        strips.append(np.hstack(cells))
    return np.vstack(strips)
