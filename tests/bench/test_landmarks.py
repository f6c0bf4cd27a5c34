"""Landmark errors are those that were put in: on rendered people, and against a mesh that the tests make."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import rendered
from bench.__main__ import main
from bench.against_mesh import (
    PAIRS,
    POINTS,
    Compared,
    as_ours,
    error_of,
    overall,
    read_meshes,
    size_of,
    spread,
    together,
    without_offsets,
)
from realtime.errors import LiveswapError
from realtime.face.geometry import crop_matrix, invert, template, to_pixels, transform
from realtime.face.landmarks import Landmarker
from realtime.swap.session import SessionSettings
from tests.models import write_landmarker, write_shelf
from tests.realtime.people import astronaut_clip
from tests.test_architecture import FILES, imports_of, module_of
from tests.training.synthetic import write_dataset
from training.dataset import Dataset

RNG = np.random.default_rng


def face() -> NDArray[np.float64]:
    points = to_pixels(template(), 200).astype(np.float64)
    return np.concatenate([points, [points[36:42].mean(0), points[42:48].mean(0)]])


def mesh_of(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """A mesh whose vertices lie on our points; of pairs both lie there."""
    mesh = np.zeros((478, 2), np.float32)
    for pairs in PAIRS.values():
        for ours, theirs in pairs:
            mesh[list(theirs)] = points[ours]
    return mesh


def compared(errors: NDArray[np.float64], name: str = "clip", opening: NDArray[np.float64] | None = None) -> Compared:
    lids = np.full(len(errors), 0.1) if opening is None else opening
    return Compared(name, len(errors), errors, lids, lids, 1 - lids)


def test_each_point_and_each_vertex_is_used_once_and_left_is_left() -> None:
    assert len(set(POINTS)) == len(POINTS) == 54
    vertices = [vertex for pairs in PAIRS.values() for _, theirs in pairs for vertex in theirs]
    assert len(set(vertices)) == len(vertices)
    assert set(range(17, 70)) | {8} == set(POINTS)


def test_a_mesh_on_our_points_has_no_error() -> None:
    mesh = as_ours(mesh_of(face()))
    assert np.isnan(mesh[0]).all()  # the jaw
    assert np.abs(error_of(face(), mesh)).max() < 1e-6


@pytest.mark.parametrize("degrees", [0, 30, -75])
def test_errors_are_counted_along_the_eyes_in_shares_of_the_face(degrees: float) -> None:
    turn = np.deg2rad(degrees)
    rotation = 1.7 * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    mesh, moved = face(), face() + np.array([2.0, -1.0])
    error = error_of(moved @ rotation, mesh @ rotation)
    assert np.allclose(error, np.array([2, -1]) / size_of(mesh), atol=1e-4)


def test_constant_offsets_are_learnt_from_the_other_files_alone() -> None:
    offsets = RNG(0).normal(0, 0.05, (54, 2))
    files = [compared(offsets + RNG(k).normal(0, 0.01, (30, 54, 2)), str(k)) for k in range(1, 4)]
    raw, mended = spread([file.errors for file in files]), without_offsets(files)
    assert mended is not None
    assert raw["mean"] > 5
    assert spread(mended)["mean"] < 1.5
    strange = compared(files[0].errors + 0.1, "strange")  # what one file alone has is no difference of definitions
    wrong = without_offsets([strange, *files])
    assert wrong is not None
    assert overall(wrong[0])["mean"] > 10
    assert without_offsets(files[:1]) is None


def test_the_mean_of_frames_and_of_points_have_their_own_percentiles() -> None:
    errors = np.zeros((100, 54, 2))
    errors[:, 0, 0] = 1.0  # one point of each frame is far off
    numbers = overall(errors)
    assert numbers["mean"] == pytest.approx(100 / 54)
    assert numbers["p95"] == pytest.approx(100 / 54)
    assert numbers["p95_points"] == 0


def test_a_clip_blinks_where_the_lids_fall_in_more_than_one_frame() -> None:
    opening = RNG(0).normal(0.1, 0.005, 40)
    nothing = np.zeros((40, 54, 2))
    assert not compared(nothing, opening=opening).blinks
    opening[20] = 0.03
    assert not compared(nothing, opening=opening).blinks
    opening[21] = 0.04
    assert compared(nothing, opening=opening).blinks
    assert not compared(nothing[:8], opening=opening[16:24]).blinks  # the faces of a picture
    blinking = replace(compared(nothing, opening=opening), opening=2 * opening)
    assert together([blinking], [blinking.opening])["pooled"] == pytest.approx(1)


def test_errors_of_rendered_people_are_those_of_the_reading(tmp_path: Path) -> None:
    data = Dataset.open(write_dataset(tmp_path / "data"), "test")
    items = [data[k] for k in range(4)]
    landmarker = Landmarker.load(write_landmarker(tmp_path / "landmarks.onnx"), SessionSettings(threads=1))
    readings = [landmarker(item.x, np.eye(2, 3, dtype=np.float32)) for item in items]
    for reading, item in zip(readings, items, strict=True):
        reading.landmarks[:], reading.irises[:] = item.x_points[:68] + np.array([3, 4]), item.x_points[68:]
    numbers = rendered.errors_of(readings, items)
    across = np.linalg.norm(items[0].x_points[45] - items[0].x_points[36])
    assert numbers["all 68"]["mean"] == pytest.approx(500 / across, rel=0.1)
    assert numbers["irises"]["mean"] == pytest.approx(0, abs=1e-6)


def test_the_crops_of_a_number_are_always_the_same_and_differ_between_numbers(tmp_path: Path) -> None:
    data = Dataset.open(write_dataset(tmp_path / "data"), "test")
    landmarker = Landmarker.load(write_landmarker(tmp_path / "landmarks.onnx"), SessionSettings(threads=1))
    first, again, other = (rendered.crop_of(data[0], number, data, landmarker) for number in (3, 3, 3 + len(data)))
    assert (first == again).all()
    assert np.abs(first - other).max() > 0.01


def write_meshes(path: Path, frames: int, shift: float, name: str = "one.mp4") -> Path:
    """Meshes of the astronaut, `shift` px beside what the small landmark model reads."""
    where = crop_matrix(ASTRONAUT, 200)
    points = transform(invert(where), face().astype(np.float32)) + np.array([shift, 0], np.float32)
    np.savez(path, **{name: np.stack([mesh_of(points.astype(np.float64))] * frames)[:, None]})  # type: ignore[arg-type]
    return path


# Where about the small landmark model sees the astronaut's face in tests.realtime.people's pictures.
ASTRONAUT = to_pixels(template(), 110) + np.array([242, 28], np.float32)


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["liveswap-bench", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_measures_rendered_people_and_real_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, out = tmp_path / "clips", tmp_path / "numbers.json"
    clips.mkdir()
    astronaut_clip(clips / "one.mp4", 4)
    words = ["--models", write_shelf(tmp_path / "models"), "--pairs", write_dataset(tmp_path / "data"), "--frames", 20]
    meshes = write_meshes(tmp_path / "meshes.npz", 4, 0)
    assert run(monkeypatch, "landmarks", *words, "--mesh", meshes, "--footage", clips, "--out", out) == 0
    numbers = json.loads(out.read_text())
    assert (numbers["pairs"]["frames"], numbers["pairs"]["items"], numbers["pairs"]["people"]) == (20, 8, 2)
    assert numbers["pairs"]["presence"] == {  # the small landmark model sees a face everywhere
        "negatives": 4, "taken_for_a_face_percent": 100.0, "faces_missed_percent": 0.0,
    }  # fmt: skip
    assert numbers["footage"]["meshes"] == 4
    assert numbers["footage"]["compared"] == 4
    assert numbers["footage"]["without_offsets"] is None
    printed = capsys.readouterr().out
    assert "20 frames: 8 pictures of 2 people" in printed
    assert "4 of 4 faces" in printed


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "nothing to measure on"),
        (("--mesh", "meshes.npz"), "belong together"),
        (("--footage", "clips"), "belong together"),
        (("--mesh", "gone.npz", "--footage", "clips"), "cannot be read as meshes"),
        (("--mesh", "others.npz", "--footage", "clips"), "none of the 1 files"),
        (("--mesh", "short.npz", "--footage", "clips"), "has 4 frames, the meshes are of 3"),
        (("--mesh", "long.npz", "--footage", "clips"), "has 4 frames, the meshes are of 5"),
        (("--mesh", "far.npz", "--footage", "clips"), "neither the mesh nor the tracker"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    words: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    astronaut_clip(tmp_path / "clips" / "one.mp4", 4)
    write_meshes(tmp_path / "others.npz", 4, 0, "another.mp4")
    for name, frames, shift in (("short", 3, 0), ("long", 5, 0), ("far", 4, 300)):
        write_meshes(tmp_path / f"{name}.npz", frames, shift)
    assert run(monkeypatch, "landmarks", *words, "--models", write_shelf(tmp_path / "models")) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.strip().splitlines()) == 1


def test_meshes_of_another_shape_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "meshes.npz", clip=np.zeros((3, 468, 2)))
    with pytest.raises(LiveswapError, match=r"holds \(3, 468, 2\) for clip, wanted"):
        read_meshes(tmp_path / "meshes.npz")


def test_the_script_for_the_other_environment_is_an_island() -> None:
    """MediaPipe's environment has none of our packages, and ours has no MediaPipe."""
    packages = ("realtime", "training", "export", "bench", "tests")
    island = next(path for path in FILES if module_of(path) == "bench.mesh")
    assert not [name for name in imports_of(island) if name.split(".")[0] in packages]
    for path in FILES:
        if path != island:
            assert not {"bench.mesh", "mediapipe"} & imports_of(path), module_of(path)
