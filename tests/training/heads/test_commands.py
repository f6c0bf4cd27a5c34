import json
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from realtime.errors import LiveswapError
from training.heads.assets import Assets
from training.heads.clip import ClipSettings, film, perform, write_clip
from training.heads.commands import app
from training.heads.pairs import PairSettings, write_pairs
from training.heads.portrait import portraits


def test_pairs_are_written_resumed_and_held_out(egg_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs"
    settings = PairSettings(size=32, frames=1, people=2, sharing=2, seed=4, identities=("aster", "dahlia"))
    assert list(write_pairs(egg_folder, out, 4, 2, settings, 1)) == [0, 2, 4, 6]
    names = sorted(p.name for p in out.iterdir() if p.is_dir())
    assert names == ["shard-0000", "shard-0001", "test-0000"]
    description = json.loads((out / "dataset.json").read_text())
    assert description["identities"] == ["aster", "dahlia"]
    assert description["size"] == np.load(out / "shard-0000" / "x.npy").shape[1] == 40
    kept = (out / "shard-0000" / "x.npy").stat().st_mtime_ns
    assert list(write_pairs(egg_folder, out, 6, 2, settings, 1)) == [6, 8]  # only the new shard is rendered
    assert (out / "shard-0000" / "x.npy").stat().st_mtime_ns == kept


def test_a_folder_with_other_settings_is_refused(egg_folder: Path, tmp_path: Path) -> None:
    settings = PairSettings(size=32, frames=1, people=1, sharing=1)
    assert list(write_pairs(egg_folder, tmp_path, 0, 0, settings, 1)) == [0]
    with pytest.raises(LiveswapError, match="other settings"):
        list(write_pairs(egg_folder, tmp_path, 0, 0, PairSettings(size=48, frames=1, people=1, sharing=1), 1))


@pytest.mark.parametrize("sharing", [0, 3, 5])
def test_sharing_that_does_not_come_out_even_is_refused(sharing: int) -> None:
    with pytest.raises(LiveswapError, match=f"--sharing {sharing}: wanted 1 to --people 4"):
        PairSettings(frames=2, people=4, sharing=sharing)


def test_one_identity_is_enough_and_other_seeds_are_other_people(egg_folder: Path, tmp_path: Path) -> None:
    people = []
    for seed in ("0", "3"):
        out = tmp_path / seed
        arguments = ["--assets", str(egg_folder), "--out", str(out), "--count", "1", "--size", "32", "--held-out", "0"]
        more = ["--workers", "1", "--frames", "1", "--people", "1", "--sharing", "1", "--identity", "cedar"]
        result = CliRunner().invoke(app, [*arguments, *more, "--seed", seed])
        assert result.exit_code == 0, result.output
        assert json.loads((out / "dataset.json").read_text())["identities"] == ["cedar"]
        assert not (out / "shard-0000" / "aster.npy").exists()
        people.append(int(np.load(out / "shard-0000" / "person.npy")[0]))
    assert len(set(people)) == 2


def test_identities_and_seeds_that_there_are_not_are_refused() -> None:
    with pytest.raises(LiveswapError, match="--identity elm: wanted some of aster"):
        PairSettings(identities=("aster", "elm"))
    with pytest.raises(LiveswapError, match="--identity nobody"):
        PairSettings(identities=())
    with pytest.raises(LiveswapError, match="--seed 200: wanted 0 to 199"):
        PairSettings(seed=200)


def test_the_command_renders_and_shows_what_it_made(egg_folder: Path, tmp_path: Path) -> None:
    arguments = ["--assets", str(egg_folder), "--out", str(tmp_path / "o"), "--count", "1", "--size", "32"]
    result = CliRunner().invoke(
        app, [*arguments, "--held-out", "0", "--workers", "1", "--frames", "2", "--people", "1", "--sharing", "1"]
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "o" / "overview.jpg").is_file()


def test_rendering_needs_both_folders() -> None:
    result = CliRunner().invoke(app, ["--count", "1"])
    assert result.exit_code == 2
    assert "--assets" in result.output


@pytest.mark.usefixtures("few_rays")
def test_portraits_show_everybody_and_nobody_twice(egg_assets: Assets) -> None:
    pictures = dict(portraits(egg_assets, 32))
    assert list(pictures) == ["aster", "birch", "cedar", "dahlia"]
    assert all(picture.shape == (32, 32, 3) and picture.std() > 5 for picture in pictures.values())
    assert np.abs(pictures["aster"].astype(int) - pictures["dahlia"]).mean() > 1


@pytest.mark.usefixtures("few_rays")
def test_a_talking_head_is_filmed(egg_assets: Assets, tmp_path: Path) -> None:
    settings = ClipSettings(width=96, height=64, fps=10, seconds=0.5, supersample=1)
    path = tmp_path / "clip.mp4"
    assert list(write_clip(path, film(egg_assets, settings), settings.fps)) == [1, 2, 3, 4, 5]
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 5
    assert frames[0].shape == (64, 96, 3)
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 0.3


def test_a_performance_talks_blinks_and_turns() -> None:
    show = perform(np.random.default_rng(1), 300, 30.0)
    assert show.jaw.max() > 0.3
    assert 2 <= int(((show.blink[1:] > 0.9) & (show.blink[:-1] <= 0.9)).sum()) <= 8
    assert np.ptp(show.pose[:, 0]) > 35
    assert all(abs(value) <= 1.2 for value in show.weights(100).values())
