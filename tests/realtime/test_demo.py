"""From end to end: the demo and a recorded run on a few frames, compared with what went in, and the README's lines."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.face.detect import open_detector
from realtime.face.geometry import align, covered, crop_matrix
from realtime.face.landmarks import Landmarker
from tests.models import drawn_face
from tests.realtime.clips import pictures_in, write_clip
from tests.realtime.conftest import Say
from tests.realtime.people import HEIGHT, WIDTH, astronaut

SIZE = 160  # pixels of the crops that are compared
ROOT = Path(__file__).resolve().parent.parent.parent
Picture = NDArray[np.uint8]
Matrix = NDArray[np.float32]


def where_the_face_is(picture: Picture, models: Path) -> Matrix:
    """Frame pixels to pixels of the face's crop, found again without the pipeline."""
    (best, *_) = open_detector("centerface").detect(picture)
    return crop_matrix(Landmarker.load(models / "landmarks.onnx").find(picture, best.points).landmarks, SIZE)


def likeness(picture: Picture, to_crop: Matrix) -> float:
    """How much the face looks like the drawn one: correlation of brightness inside its mask, -1..1."""
    drawn, mask = drawn_face((90, 120, 200), SIZE)
    seen = align(picture, to_crop, SIZE)
    inside = mask > 0.9
    wanted = (drawn * 255).astype(np.uint8)
    return float(np.corrcoef(seen.mean(axis=2)[inside], wanted.mean(axis=2)[inside])[0, 1])


def outside(to_crop: Matrix) -> NDArray[np.bool_]:
    """Where nothing may change: off the face's rectangle and off the label, lower left."""
    free = np.ones((HEIGHT, WIDTH), bool)
    x0, y0, x1, y1 = covered(to_crop, SIZE, WIDTH, HEIGHT, margin=8)
    free[y0:y1, x0:x1] = False
    free[HEIGHT - 48 :, :200] = False
    return free


def test_inside_the_face_is_the_identity_and_outside_nothing_changes(
    say: Say, clip: Path, models: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    assert say("run", "--source", clip, "--sink", out, "--models", models).code == 0
    before, after = pictures_in(clip), pictures_in(out)
    assert [round(at, 3) for at, _ in before] == [round(at, 3) for at, _ in after]
    for number in (0, 7, 14):
        original, swapped = before[number][1], after[number][1]
        to_crop = where_the_face_is(original, models)
        assert likeness(original, to_crop) < 0.6
        assert likeness(swapped, to_crop) > 0.8
        difference = np.abs(swapped.astype(float) - original)[outside(to_crop)]
        assert difference.mean() < 3.5  # of 255: what the invisible mark and the codec do to a picture
        assert np.percentile(difference, 99) < 16
    label = slice(HEIGHT - 30, HEIGHT - 4), slice(4, 110)
    assert np.abs(after[0][1][label].astype(float) - before[0][1][label]).mean() > 15


def test_the_demo_makes_a_video_a_picture_and_a_table(say: Say, clip: Path, models: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    said = say("demo", "--clip", clip, "--models", models, "--out", out)
    assert said.code == 0, said.err
    assert "age at delivery" in said.out
    assert "demo.jpg" in said.out
    assert 1 <= len(pictures_in(out / "demo.mp4")) <= 15
    both = cv2.imread(str(out / "demo.jpg"))
    assert both is not None
    assert both.shape == (HEIGHT, 2 * WIDTH, 3)
    before, after = (np.ascontiguousarray(half) for half in np.hsplit(both, 2))
    to_crop = where_the_face_is(before.astype(np.uint8), models)
    assert likeness(after.astype(np.uint8), to_crop) > likeness(before.astype(np.uint8), to_crop) + 0.2


def test_the_demo_says_when_a_clip_has_no_face(say: Say, models: Path, tmp_path: Path) -> None:
    grey = write_clip(tmp_path / "grey.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 5)
    said = say("demo", "--clip", grey, "--models", models, "--out", tmp_path / "out")
    assert said.code == 2
    assert "no face was found in" in said.err


def test_the_readme_swaps_one_picture_in_a_few_lines(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines are run as they stand, with the small models in the embedded ones' place."""
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(lines.splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("realtime.egress.library.MODELS", models)
    cv2.imwrite("picture.jpg", astronaut(1)[0])
    exec(compile(lines, "README.md", "exec"), {})
    swapped = cv2.imread("swapped.png")
    assert swapped is not None
    to_crop = where_the_face_is(astronaut(1)[0], models)
    assert likeness(swapped.astype(np.uint8), to_crop) > 0.85
