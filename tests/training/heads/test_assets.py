from pathlib import Path

import numpy as np
import pytest

from realtime.errors import LiveswapError
from training.heads.assets import EYEBALLS, LANDMARKS, Assets, pack


def test_assets_are_read_with_their_hair(egg_assets: Assets) -> None:
    assert egg_assets.vertices.shape[1] == 3
    assert egg_assets.modes.shape[1:] == egg_assets.vertices.shape
    assert "jawOpen" in egg_assets.expression_names
    assert egg_assets.hair["short02"].texture.shape == (64, 64, 4)


def test_a_folder_without_a_head_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(LiveswapError, match="heads pack"):
        Assets.load(tmp_path)


def test_hair_without_its_picture_is_refused(egg_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "ict_facekit.npz").write_bytes((egg_folder / "ict_facekit.npz").read_bytes())
    (tmp_path / "hair_short02.npz").write_bytes((egg_folder / "hair_short02.npz").read_bytes())
    with pytest.raises(LiveswapError, match="RGBA picture"):
        Assets.load(tmp_path)


def _write_obj(path: Path, lift: float) -> None:
    lines = [f"v {x} {y} {lift}" for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
    lines += ["vt 0 0", "vt 1 0", "vt 1 1", "vt 0 1", "usemtl M_Face", "f 1/1 2/2 3/3 4/4"]
    path.write_text("\n".join(lines))


def test_packing_a_clone_keeps_offsets_from_the_neutral_head(tmp_path: Path) -> None:
    model = tmp_path / "clone" / "FaceXModel"
    model.mkdir(parents=True)
    _write_obj(model / "generic_neutral_mesh.obj", 0)
    _write_obj(model / "identity000.obj", 0.5)
    _write_obj(model / "identity070.obj", 9)
    _write_obj(model / "jawOpen.obj", -2)
    with np.load(pack(tmp_path / "clone", tmp_path / "out")) as packed:
        assert packed["F"].tolist() == [[0, 1, 2, 0, 1, 2], [0, 2, 3, 0, 2, 3]]  # the square became two triangles
        assert packed["idm"].shape == (1, 4, 3)
        assert packed["idm"][0, :, 2].tolist() == [0.5] * 4
        assert packed["exn"].tolist() == ["jawOpen"]
        assert packed["ex"][0, :, 2].tolist() == [-2] * 4


def test_a_folder_that_is_no_clone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LiveswapError, match="no clone of ICT-FaceKit"):
        pack(tmp_path, tmp_path / "out")


def test_without_a_word_about_landmarks_the_real_head_is_meant(egg_folder: Path, tmp_path: Path) -> None:
    with np.load(egg_folder / "ict_facekit.npz") as packed:
        kept = {k: packed[k] for k in packed if k not in ("landmarks", "eyeballs", "socket", "skin_end")}
    np.savez(tmp_path / "ict_facekit.npz", **kept)
    assets = Assets.load(tmp_path)
    assert tuple(assets.landmarks) == LANDMARKS
    assert assets.eyeballs == EYEBALLS
