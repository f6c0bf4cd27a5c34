import datetime
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from realtime.errors import LiveswapError, SettingsError
from training.consent import read_consent
from training.dataset import Dataset
from training.heads import scene
from training.heads.commands import app
from training.heads.talks import Take, TalkSettings, write_talks

_SMALL = TalkSettings(width=96, height=72, fps=5, takes=1, seconds=0.8, every=2, size=32)


@pytest.fixture(scope="module")
def talks(egg_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("talks")
    assert list(write_talks(egg_folder, out, _SMALL, 1)) == [(0, 16), (8, 16), (12, 16), (16, 16)]
    return out


def _frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def test_each_person_is_filmed_and_has_agreed(talks: Path) -> None:
    ann, bob = (_frames(talks / name / "take-01.mp4") for name in ("ann", "bob"))
    assert len(ann) == len(bob) == 4
    assert ann[0].shape == (72, 96, 3)
    assert np.abs(ann[0].astype(int) - ann[3]).mean() > 0.3  # somebody moves
    assert read_consent(talks / "ann.toml", datetime.date.today()).kind == "rendered"


def test_the_truth_shows_both_in_the_same_moment(talks: Path) -> None:
    data = Dataset.open(talks / "truth", "test")
    assert data.description.identities == ("ann", "bob")
    assert len(data) == 4  # every other frame, each of both as anybody
    first, second = data[2], data[3]
    assert (first.person, second.person) == (0, 1)
    assert np.array_equal(first.pose, second.pose)
    assert np.array_equal(first.blend, second.blend)
    assert np.array_equal(first.identities["bob"], second.identities["bob"])
    assert np.allclose(first.onto["ann"], np.eye(2, 3), atol=1e-4)  # who is drawn as themselves lies where they are
    inside = first.identities["ann"][..., 3] > 250
    off = np.abs(first.x.astype(int) - first.identities["ann"][..., :3])[inside]
    assert 0 < off.mean() < 3  # the camera's grain is all that differs
    assert np.abs(first.x.astype(int) - first.identities["bob"][..., :3])[inside].mean() > 10
    assert len(_frames(talks / "last" / "bob.mp4")) == 4


def test_what_is_filmed_is_kept_and_other_settings_are_refused(egg_folder: Path, talks: Path) -> None:
    assert list(write_talks(egg_folder, talks, _SMALL, 1)) == [(16, 16)]
    with pytest.raises(LiveswapError, match="other settings"):
        list(write_talks(egg_folder, talks, TalkSettings(takes=2), 1))


def test_the_light_of_a_take_changes_once() -> None:
    take = Take.random(np.random.default_rng(3), TalkSettings(seconds=6))
    first, last = take.shot(0).light, take.shot(149).light
    assert not np.allclose(first.key, last.key)
    assert np.isclose(np.linalg.norm(take.shot(75).light.key_from), 1)
    half = scene.between(first, last, 0.5)
    assert np.allclose(half.sky, (first.sky + last.sky) / 2)


@pytest.mark.parametrize("wrong", [{"width": 97}, {"seconds": 0.01}])
def test_what_cannot_be_filmed_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="wanted"):
        TalkSettings(**wrong)  # type: ignore[arg-type]


def test_the_command_says_what_it_made(egg_folder: Path, talks: Path) -> None:
    sizes = ["--width", "96", "--height", "72", "--fps", "5", "--size", "32", "--takes", "1", "--seconds", "0.8"]
    result = CliRunner().invoke(app, ["talks", "--assets", str(egg_folder), "--out", str(talks), *sizes])
    assert result.exit_code == 0, result.output
    assert "1 videos of each of ann, bob" in result.output
    assert (talks / "overview.jpg").is_file()
