"""Bad input is a picture or one clear sentence: never a traceback, never a hang."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pytest
import skimage.data

from realtime.egress.gate import Gate
from realtime.errors import EndOfStream
from realtime.face.face import Detection
from realtime.face.geometry import Image
from realtime.face.landmarks import Landmarker
from realtime.face.track import Tracker, TrackingSettings
from realtime.flow.pipeline import Pipeline, Stage
from realtime.frame import Frame
from realtime.sinks.null import Null
from realtime.sinks.video_file import Recording
from realtime.swap.compose import Composer
from realtime.swap.identity import Shelf
from realtime.swap.session import SessionSettings
from realtime.swap.swapper import Swapper
from tests.models import write_decoder
from tests.realtime.clips import pictures_in
from tests.realtime.conftest import Say
from tests.realtime.people import astronaut
from tests.realtime.swap.helpers import PlacedFaces, face_at, frame_of, scene

CPU = SessionSettings(provider="cpu", threads=1)


def portrait(side: int) -> Image:
    """The astronaut's head and shoulders."""
    rgb: Image = skimage.data.astronaut()  # type: ignore[no-untyped-call]
    return np.asarray(cv2.resize(rgb[:320, 60:380, ::-1], (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def on_grey(width: int, height: int, *faces: tuple[int, int, int]) -> Image:
    """Portraits, each (x, y, side), on grey."""
    picture = np.full((height, width, 3), 120, np.uint8)
    for x, y, side in faces:
        picture[y : y + side, x : x + side] = portrait(side)
    return picture


PICTURES: Final[Mapping[str, Image]] = {
    "no face": on_grey(640, 360),
    "black": np.zeros((360, 640, 3), np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (360, 640, 3)).astype(np.uint8),
    "forty faces": on_grey(1280, 720, *((20 + 125 * n, 10 + 140 * m, 120) for n in range(10) for m in range(4))),
    "a face of 20 px": on_grey(640, 360, (300, 100, 60)),
    "grey": np.repeat(astronaut(1)[0][..., 1:2], 3, axis=2),
    "upright": on_grey(360, 640, (20, 100, 300)),
    "4K": on_grey(3840, 2160, (1200, 500, 1100)),
    "odd": on_grey(641, 361, (100, 20, 300)),
    "a face beyond the edge": np.ascontiguousarray(on_grey(640, 360, (0, 20, 320))[:, 120:]),
    "nothing but a face": portrait(320)[40:200, 80:240],
    "a strip": on_grey(1600, 80),
}


@pytest.mark.parametrize("name", PICTURES)
def test_any_picture_gives_a_picture(say: Say, models: Path, tmp_path: Path, name: str) -> None:
    source, out = tmp_path / "in.png", tmp_path / "out.png"
    cv2.imwrite(str(source), PICTURES[name])
    said = say("run", "--source", source, "--sink", out, "--models", models)
    assert (said.code, said.err) == (0, "")
    written = cv2.imread(str(out))
    assert written is not None
    assert written.shape == PICTURES[name].shape


@pytest.mark.parametrize("size", [(8, 8), (30, 20)])
def test_a_picture_too_small_for_the_marks_does_not_leave(
    say: Say, models: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    cv2.imwrite(str(tmp_path / "in.png"), on_grey(*size))
    said = say("run", "--source", tmp_path / "in.png", "--sink", tmp_path / "out.png", "--models", models)
    assert said.code == 2
    sentence = said.err.splitlines()[-1]
    assert "no frame could be marked, so none has left" in sentence
    assert "too small to carry the mark" in sentence
    assert len(np.unique(np.asarray(cv2.imread(str(tmp_path / "out.png"))).reshape(-1, 3), axis=0)) == 1  # a card


class Crowd:
    """A detector that sees forty faces, in rows of ten; the first one is the largest."""

    def detect(self, image: Image, thorough: bool = False) -> tuple[Detection, ...]:
        places = [(20 + 125 * n, 10 + 140 * m, 121 if n + m == 0 else 120) for m in range(4) for n in range(10)]
        return tuple(self._seen(x + side / 2, y + side / 3, side / 4) for x, y, side in places)

    def _seen(self, x: float, y: float, half: float) -> Detection:
        box = np.array([x - half, y - half, x + half, y + half], np.float32)
        points = np.array([(-0.4, -0.3), (0.4, -0.3), (0, 0.1), (-0.3, 0.5), (0.3, 0.5)]) * half + (x, y)
        return Detection(box, points.astype(np.float32), 0.9)


def test_of_forty_faces_four_are_swapped_and_the_others_are_blurred(models: Path) -> None:
    tracker = Tracker(Crowd(), Landmarker.load(models / "landmarks.onnx", CPU), TrackingSettings(max_faces=8))
    swapper, compose = Swapper(tracker, Shelf.load(models, CPU), "aster"), Composer()
    picture = PICTURES["forty faces"]
    for index in range(3):
        swapped = swapper(frame_of(picture, index))
        shown = compose(swapped).image
    assert (len(swapped.faces), len(swapped.others)) == (4, 36)
    for box in swapped.others:
        (x0, y0), (x1, y1) = np.maximum(box[:2], 0).astype(int), box[2:].astype(int)
        before, after = (cv2.Laplacian(one[y0:y1, x0:x1], cv2.CV_32F).std() for one in (picture, shown))
        assert after < 0.2 * before


class Changing:
    """A recorded source whose pictures change their size midway, as a camera's do when somebody turns it."""

    live = False

    def __init__(self, pictures: Sequence[Image]) -> None:
        self._frames = [Frame(picture, index, 100.0 + index, index / 30) for index, picture in enumerate(pictures)]

    async def read(self) -> Frame:
        if not self._frames:
            raise EndOfStream("that was all")
        return self._frames.pop(0)

    async def __aenter__(self) -> "Changing":
        return self

    async def __aexit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("recorded", [True, False])
async def test_pictures_may_change_their_size_midway(models: Path, tmp_path: Path, recorded: bool) -> None:
    sizes = [(640, 360), (360, 640), (1280, 720), (641, 361), (640, 360)]
    pictures = [on_grey(*size, (20, 20, 300)) for size in sizes for _ in range(3)]
    tracker = Tracker.load(TrackingSettings(landmarks=models / "landmarks.onnx"), CPU)
    swapper = Swapper(tracker, Shelf.load(models, CPU), "aster")
    path = tmp_path / "out.mp4"
    async with Gate(Recording(path) if recorded else Null()) as gate:
        stages: list[Stage[Any, Any]] = [Stage("swap", swapper), Stage("compose", Composer())]
        pipeline = Pipeline(Changing(pictures), stages, gate)
        await pipeline.run()
    assert pipeline.meters.report()["frames_out"] == len(pictures)
    if recorded:
        assert {picture.shape for _, picture in pictures_in(path)} == {(360, 640, 3)}


def broken_models(folder: Path, models: Path) -> dict[str, Path]:
    """Files that are no identities, by what is wrong with them."""
    whole = write_decoder(folder / "whole.onnx", "whole")
    (folder / "truncated.onnx").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "folder.onnx").mkdir()
    (folder / "notes.onnx").write_text("these are notes, no model")
    return {
        "truncated": folder / "truncated.onnx",
        "empty": folder / "empty.onnx",
        "no ONNX": folder / "notes.onnx",
        "a folder": folder / "folder.onnx",
        "absent": folder / "absent.onnx",
        "of another encoder": write_decoder(folder / "foreign.onnx", "stranger", digest="feedfeed" * 2),
        "no decoder": models / "encoder.onnx",
    }


@pytest.mark.parametrize(
    "wrong", ["truncated", "empty", "no ONNX", "a folder", "absent", "of another encoder", "no decoder"]
)
@pytest.mark.parametrize("place", ["", "left="])
def test_a_model_that_is_none_is_one_sentence(
    say: Say, models: Path, tmp_path: Path, clip: Path, wrong: str, place: str
) -> None:
    identity = f"{place}{broken_models(tmp_path, models)[wrong]}"
    said = say("run", "--source", clip, "--sink", "null", "--models", models, "--identity", identity)
    assert said.code == 2
    (sentence,) = said.err.splitlines()
    assert sentence.startswith("liveswap: ")


@pytest.mark.parametrize("wrong", ["truncated", "empty", "no ONNX", "of another encoder"])
@pytest.mark.parametrize("role", ["aster", "encoder", "landmarks"])
def test_a_broken_file_among_the_models_is_one_sentence(
    say: Say, models: Path, tmp_path: Path, clip: Path, wrong: str, role: str
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    for path in models.glob("*.onnx"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / f"{role}.onnx").write_bytes(broken_models(tmp_path, models)[wrong].read_bytes())
    said = say("run", "--source", clip, "--sink", "null", "--models", folder)
    assert said.code == 2
    (sentence,) = said.err.splitlines()
    assert sentence.startswith("liveswap: ")


@pytest.mark.parametrize(
    "words",
    [
        ("--identity", "left=aster,lefty=cedar"),
        ("--identity", "aster", "--identity", "cedar"),
        ("--identity", "left=nobody"),
        ("--faces", "0"),
        ("--fade", "-1"),
        ("--tail", "nan"),
        ("--others", "show"),
        ("--unsure", "show"),
    ],
    ids=" ".join,
)
def test_settings_without_a_meaning_are_one_sentence(
    say: Say, models: Path, clip: Path, words: tuple[str, ...]
) -> None:
    said = say("run", "--source", clip, "--sink", "null", "--models", models, *words)
    assert said.code == 2
    (sentence,) = said.err.splitlines()
    assert sentence.startswith("liveswap: ")


def test_several_people_are_several_identities_from_the_command_on(say: Say, models: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in.png", tmp_path / "out.png"
    before = on_grey(900, 360, (0, 30, 300), (300, 30, 300), (600, 30, 300))
    cv2.imwrite(str(source), before)
    words = ("run", "--source", source, "--sink", out, "--models", models)
    assert say(*words, "--identity", "left=aster", "--identity", "right=cedar").code == 0
    after = np.asarray(cv2.imread(str(out)), np.uint8)
    heads = [np.s_[60:170, x + 100 : x + 190] for x in (0, 300, 600)]
    assert all(np.abs(after[head].astype(int) - before[head]).mean() > 5 for head in heads)
    assert detail(after[heads[1]]) < 0.2 * detail(before[heads[1]])  # the one in the middle is nobody
    assert min(detail(after[heads[0]]), detail(after[heads[2]])) > 2 * detail(after[heads[1]])


def detail(part: Image) -> float:
    return float(cv2.Laplacian(part, cv2.CV_32F).std())


@pytest.mark.parametrize("side", [1, 2, 5000])
def test_absurdly_small_and_large_faces_are_composed(models: Path, side: int) -> None:
    swapper = Swapper(PlacedFaces([face_at(160, 120, side)]), Shelf.load(models, CPU), "aster")
    assert Composer()(swapper(frame_of(scene()))).image.shape == (240, 320, 3)
