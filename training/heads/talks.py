"""Films two rendered people who talk, and each drawn as the other: footage, with the truth, to prove a training by."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.errors import LiveswapError, SettingsError
from realtime.face.geometry import crop_matrix, transform
from training.heads import expression, scene
from training.heads.assets import Assets
from training.heads.clip import DISTANCE, Body, Performance, grained, perform, smooth, write_clip
from training.heads.crew import side_by_side
from training.heads.looks import CLEAR_HAIR, Look, random_look
from training.heads.pairs import COVERAGE, Shot, View, bgr, cut, describe, onto, overview, save_shard, shard_name
from training.heads.person import Anatomy, Person
from training.heads.renderer import Floats, Light, Renderer, Surroundings, tone_map

# Whose looks these seeds give, chosen by looking at a sheet: they differ clearly, and nobody is meant.
TALKERS: Final[Mapping[str, int]] = {"ann": 112, "bob": 122}
TRUTH: Final = "truth"  # the folder of a dataset: the last take, in which both do the same
LAST: Final = "last"  # the folder with that take as each person's video
SETTINGS: Final = "talks.json"
CALM: Final = 0.6  # of the way from a studio's light to a random one
GLIDE: Final = 2.0  # seconds in which one light becomes another


@dataclass(frozen=True, slots=True)
class TalkSettings:
    """What is filmed of each person."""

    width: int = 640
    height: int = 480
    fps: int = 25
    takes: int = 8  # to learn from, each in another light and before another wall
    seconds: float = 15.0  # of each take, the last one included
    every: int = 2  # frames of the last take, of which one goes into the truth
    size: int = 160  # px of the template in the truth; crops are stored a quarter larger
    seed: int = 0

    def __post_init__(self) -> None:
        if self.width % 2 or self.height % 2:
            raise SettingsError(f"a video of {self.width} x {self.height} was asked for, wanted even numbers")
        if self.frames < 2:
            raise SettingsError(f"takes of {self.seconds} s at {self.fps} a second were asked for, wanted two frames")

    @property
    def frames(self) -> int:
        """In a take."""
        return round(self.seconds * self.fps)

    @property
    def stored(self) -> int:
        """Px of a crop of the truth."""
        return round(self.size * COVERAGE)


@dataclass(frozen=True, slots=True)
class Take:
    """What happens before the camera: whoever stands there does the same in the same light."""

    show: Performance
    lights: tuple[Light, Light]  # at the beginning and at the end
    changed: Floats  # (n,) 0..1, how far one has become the other
    exposure: Floats  # (n,)
    background: NDArray[np.uint8]
    fov: float  # degrees

    @classmethod
    def random(cls, rng: np.random.Generator, settings: TalkSettings) -> "Take":
        """A take by chance."""
        n, fps = settings.frames, settings.fps
        first, second = (scene.between(scene.studio(), scene.random_light(rng), CALM) for _ in range(2))
        moment = float(rng.uniform(0.3, 0.7)) * n
        changed = np.clip((np.arange(n) - moment) / (GLIDE * fps) + 0.5, 0, 1).astype(np.float32)
        return cls(
            perform(rng, n, fps),
            (first, second),
            changed,
            np.asarray(float(rng.uniform(0.8, 1.1)) * (1 + 0.06 * smooth(rng, n, 2 * fps)), np.float32),
            scene.random_background(rng),
            scene.fov_for(DISTANCE, float(rng.uniform(2.2, 2.7))),
        )

    def shot(self, i: int) -> Shot:
        """Frame i."""
        show = self.show
        pose, gaze = show.pose[i].tolist(), (float(show.gaze[i, 0]), float(show.gaze[i, 1]))
        camera = scene.camera(pose, DISTANCE, self.fov, (float(show.drift[i, 0]), float(show.drift[i, 1])))
        light = scene.between(*self.lights, float(self.changed[i]))
        return Shot(show.weights(i), gaze, tuple(pose), camera, light, self.background, float(self.exposure[i]))


class Stage:
    """A camera, and people who step in front of it; their light is baked. Close it."""

    def __init__(self, assets: Assets, settings: TalkSettings, names: Sequence[str]) -> None:
        self._size = settings.width, settings.height
        self._renderer = renderer = Renderer(*self._size, 1.0, 1024)
        anatomy = Anatomy(renderer, assets)
        self._people = {name: Person(anatomy, look_of(name, assets)) for name in names}
        self._bodies = {
            name: Body(renderer, person.look, np.random.default_rng(person.look.seed))
            for name, person in self._people.items()
        }
        for person in self._people.values():
            person.bake()

    def view(self, name: str, shot: Shot) -> View:
        """The person in the shot."""
        person, body = self._people[name], self._bodies[name]
        body.stand(shot.camera.to_eye)
        pose = person.pose(shot.weights, shot.gaze)
        around = Surroundings(shot.background, person.look.shirt, person.look.collar, person.look.gloss)
        linear, cover = self._renderer.draw([*person.parts(pose), body.part], shot.camera, shot.light, around)
        mask = (np.clip(linear[..., 3], 0, 1) * 255 + 0.5).astype(np.uint8)
        places = np.vstack([person.marks(pose), person.irises(pose)])
        return View(tone_map(linear[..., :3], shot.exposure), mask, cover, shot.camera.project(places, *self._size))

    def close(self) -> None:
        """Gives everything back."""
        self._renderer.close()


def look_of(name: str, assets: Assets) -> Look:
    """How a talker looks; without paint that no skin has."""
    look = random_look(np.random.default_rng(TALKERS[name]), tuple(one for one in CLEAR_HAIR if one in assets.hair))
    return replace(look, skin=replace(look.skin, wild=0.0), texture=1024)


@dataclass(frozen=True, slots=True)
class Job:
    """What one process films in one go: a take of one person, or the last one with everybody."""

    number: int
    names: tuple[str, ...]

    def done(self, out: Path) -> bool:
        """Whether it lies in out."""
        return (out / TRUTH / shard_name(0, True)).exists() if len(self.names) > 1 else self.file(out).exists()

    def file(self, out: Path) -> Path:
        """The video of one person's take."""
        return out / self.names[0] / f"take-{self.number + 1:02d}.mp4"


def write_talks(assets_folder: Path, out: Path, settings: TalkSettings, workers: int) -> Iterator[tuple[int, int]]:
    """Films everything into out; yields how many frames there are and will be, after each take.

    out/NAME/take-NN.mp4 to learn from, out/NAME.toml for `extract --consent`, out/last/NAME.mp4 and out/truth, a
    dataset whose held-out items are the last take's. What is there is kept, so an interrupted run goes on. Raises
    LiveswapError where out holds what was filmed with other settings.
    """
    Assets.load(assets_folder)  # a folder that cannot be used is refused before any process starts
    _prepare(out, settings)
    names = tuple(TALKERS)
    jobs = [Job(settings.takes, names), *(Job(k, (name,)) for k in range(settings.takes) for name in names)]
    total = sum(settings.frames * len(job.names) for job in jobs)
    waiting = [job for job in jobs if not job.done(out)]
    done = total - sum(settings.frames * len(job.names) for job in waiting)
    yield done, total
    tasks = {job: partial(_film, assets_folder, out, settings, job) for job in waiting}
    for job in side_by_side(tasks, workers):
        done += settings.frames * len(job.names)
        yield done, total


def _prepare(out: Path, settings: TalkSettings) -> None:
    made = asdict(settings) | {"people": dict(TALKERS)}
    for folder in (TRUTH, LAST, *TALKERS):
        (out / folder).mkdir(parents=True, exist_ok=True)
    path = out / SETTINGS
    if path.exists() and (there := json.loads(path.read_text())) != made:
        raise LiveswapError(f"{out} holds talks filmed with other settings ({there}); choose another folder")
    path.write_text(json.dumps(made, indent=1))
    describe(out / TRUTH, settings.stored, tuple(TALKERS), made)
    for name in TALKERS:
        (out / f"{name}.toml").write_text(f'name = "{name}"\nkind = "rendered"\n', "utf-8")


@lru_cache(maxsize=1)
def _stage(assets_folder: Path, settings: TalkSettings) -> Stage:
    """The stage of this worker process, set up with its first take."""
    return Stage(Assets.load(assets_folder), settings, tuple(TALKERS))


def _film(assets_folder: Path, out: Path, settings: TalkSettings, job: Job) -> None:
    stage = _stage(assets_folder, settings)
    if len(job.names) > 1:
        arrays = film_last(stage, settings, out / LAST)
        save_shard(out / TRUTH, shard_name(0, True), arrays)
        cv2.imwrite(str(out / "overview.jpg"), overview(arrays, job.names))
    else:
        name = job.names[0]
        rng = np.random.default_rng((settings.seed, job.number, TALKERS[name]))
        take = Take.random(rng, settings)
        _write(job.file(out), (grained(view.picture, rng) for view in _views(stage, name, take)), settings)


def film_last(stage: Stage, settings: TalkSettings, folder: Path) -> dict[str, NDArray[Any]]:
    """Writes the last take as a video of each person; the arrays of a shard of pairs.

    Everybody is anybody in turn: item 2 k shows the first person in shot k, item 2 k + 1 the second.
    """
    rng = np.random.default_rng((settings.seed, settings.takes))
    take = Take.random(rng, settings)
    own: dict[str, list[dict[str, Any]]] = {name: [] for name in TALKERS}

    def passing(name: str) -> Iterator[NDArray[np.uint8]]:
        for i, view in enumerate(_views(stage, name, take)):
            picture = grained(view.picture, rng)
            if i % settings.every == 0:
                own[name].append(_row(view, picture, settings.stored))
            yield picture

    for name in TALKERS:
        _write(folder / f"{name}.mp4", passing(name), settings)
    return _arrays(own, [take.shot(i) for i in range(0, settings.frames, settings.every)])


def _row(view: View, picture: NDArray[np.uint8], side: int) -> dict[str, Any]:
    """What the truth keeps of a frame (h, w, 3) RGB: as it was filmed, and as it was drawn, without grain."""
    matrix = crop_matrix(view.points[:68], side, COVERAGE)
    return {
        "x": cut(np.ascontiguousarray(picture[..., ::-1]), matrix, side),
        "x_occluded": cut(view.cover, matrix, side),
        "x_points": transform(matrix, view.points),
        "drawn": np.dstack([cut(bgr(view), matrix, side), cut(view.mask, matrix, side)]),
    }


def _arrays(own: Mapping[str, Sequence[Mapping[str, Any]]], shots: Sequence[Shot]) -> dict[str, NDArray[Any]]:
    """The rows of everybody in the shots as a shard's arrays."""
    each = range(len(shots))
    arrays: dict[str, NDArray[Any]] = {
        key: np.stack([own[name][k][key] for k in each for name in own]) for key in ("x", "x_occluded", "x_points")
    }
    arrays |= {
        "blend": np.stack([expression.labels(shots[k].weights, shots[k].gaze) for k in each for _ in own]),
        "pose": np.array([shots[k].pose for k in each for _ in own], np.float32),
        "person": np.array([who for _ in each for who in range(len(own))], np.int32),
        "shot": np.repeat(np.arange(len(shots), dtype=np.int32), len(own)),
    }
    for name, rows in own.items():
        points = np.stack([row["x_points"] for row in rows])
        both = zip(arrays["shot"], arrays["x_points"], strict=True)
        arrays[name], arrays[f"{name}_points"] = np.stack([row["drawn"] for row in rows]), points
        arrays[f"{name}_onto"] = np.stack([onto(points[shot], person) for shot, person in both]).astype(np.float32)
    return arrays


def _views(stage: Stage, name: str, take: Take) -> Iterator[View]:
    return (stage.view(name, take.shot(i)) for i in range(take.show.frames))


def _write(path: Path, frames: Iterator[NDArray[np.uint8]], settings: TalkSettings) -> None:
    """A video that is there whole or not at all."""
    part = path.with_name(f".{path.stem}.part.mp4")
    for _ in write_clip(part, frames, settings.fps, 18, "veryfast"):
        pass
    part.replace(path)
