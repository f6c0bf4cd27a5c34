from dataclasses import replace

import numpy as np
import pytest

from realtime.face.geometry import transform
from training.heads import expression, occluders, scene
from training.heads.assets import Assets
from training.heads.looks import EMBEDDED, random_look
from training.heads.pairs import PairSettings, Shot, Studio, View, overview, random_shot, render_shard
from training.heads.person import Person
from training.heads.renderer import tone_map

_SETTINGS = PairSettings(size=64, frames=2, people=2, sharing=2, identities=("aster", "cedar"))


_RAISED = {**expression.both("browInnerUp", 1.0), **expression.both("browOuterUp", 1.0)}


@pytest.fixture(scope="module")
def studio(egg_assets: Assets) -> Studio:
    return Studio(egg_assets, _SETTINGS.rendered, _SETTINGS.identities)


def _shot(
    weights: expression.Weights | None = None,
    pose: tuple[float, float, float] = (0, 0, 0),
    gaze: tuple[float, float] = (0, 0),
) -> Shot:
    camera = scene.camera(pose, 11.0, scene.fov_for(11.0))
    grey = np.full((32, 32, 3), 110, np.uint8)
    return Shot(weights or {}, gaze, pose, camera, scene.studio(), grey, 1.0)


def _view(studio: Studio, shot: Shot) -> View:
    return studio.view(studio.identities["aster"], shot)


def test_a_head_stands_before_the_background_with_its_face_masked(studio: Studio) -> None:
    view = _view(studio, _shot())
    assert np.abs(view.picture[:3, :3].astype(int) - view.picture[0, 0]).max() < 3  # a corner shows the background
    nose = view.points[30].round().astype(int)
    assert view.mask[nose[1], nose[0]] > 250
    assert view.mask[0].max() == 0
    inside = (view.points[:68] > 0).all(1) & (view.points[:68] < studio.size).all(1)
    assert inside.all()


def test_the_same_shot_gives_the_same_picture(studio: Studio) -> None:
    assert np.array_equal(_view(studio, _shot()).picture, _view(studio, _shot()).picture)


def test_yaw_turns_the_nose_to_the_pictures_right_and_pitch_lifts_it(studio: Studio) -> None:
    still, turned = _view(studio, _shot()).points, _view(studio, _shot(pose=(25, 0, 0))).points
    lifted = _view(studio, _shot(pose=(0, 15, 0))).points
    assert turned[30, 0] > still[30, 0] + 3
    assert lifted[30, 1] < still[30, 1] - 2


def test_irises_move_with_the_gaze(studio: Studio) -> None:
    ahead = _view(studio, _shot())
    right, up = _view(studio, _shot(gaze=(25, 0))), _view(studio, _shot(gaze=(0, 20)))
    assert (right.points[68:, 0] > ahead.points[68:, 0] + 0.5).all()
    assert (up.points[68:, 1] < ahead.points[68:, 1] - 0.5).all()
    assert np.allclose(right.points[:68], ahead.points[:68])
    for x, y in ahead.points[68:].round().astype(int):  # the eyes are drawn turned, not only labelled so
        near = (slice(y - 4, y + 5), slice(x - 6, x + 7))
        assert np.abs(right.picture[near].astype(int) - ahead.picture[near]).mean() > 3


def test_an_open_jaw_lowers_the_chin_and_changes_the_picture(studio: Studio) -> None:
    shut, wide = _view(studio, _shot()), _view(studio, _shot({"jawOpen": 1.0}))
    assert wide.points[8, 1] > shut.points[8, 1] + 2
    assert not np.array_equal(wide.picture, shut.picture)


def test_a_raised_brow_creases_the_forehead_of_an_old_face_more_than_of_a_young_one(studio: Studio) -> None:
    """An egg has no brows to raise, so what changes is the crease alone."""
    changed = {}
    for age in (0.0, 1.0):
        with Person(studio.anatomy, replace(EMBEDDED["birch"], hair=None, age=age)) as person:
            still, raised = (studio.view(person, _shot(w)).picture.astype(int) for w in ({}, _RAISED))
            assert np.array_equal(still, studio.view(person, _shot()).picture)
            view = studio.view(person, _shot())
            x, y = view.points[[19, 24]].mean(0).round().astype(int)
            forehead = (slice(max(0, y - 24), y), slice(x - 16, x + 16))
            changed[age] = np.abs(raised - still)[forehead].mean()
            elsewhere = np.abs(raised - still)[view.points[8].round().astype(int)[1] :].mean()
            assert elsewhere < 0.1
    assert changed[1.0] > changed[0.0] > 0.2


def test_a_thing_in_front_covers_the_face_and_leaves_its_mask(studio: Studio) -> None:
    shape = occluders.box(np.array([0.4, 0.4, 0.1])).moved(np.eye(3, dtype=np.float32), np.array([0, -0.5, 1.6], "f4"))
    part = studio.thing(shape, np.full((4, 4, 3), 200, np.uint8), 0.2, True)
    bare = _view(studio, _shot())
    covered = studio.view(studio.identities["aster"], _shot(), (part,))
    x, y = covered.points[30].round().astype(int)
    assert bare.cover[y, x] == 0
    assert covered.cover[y, x] == 255
    assert covered.mask[y, x] == 0
    assert (covered.cover > 0).mean() < 0.3


@pytest.mark.parametrize("make", [occluders.hand, occluders.thing])
def test_occluders_are_closed_shapes_of_a_sensible_size(make: occluders.Maker) -> None:
    for seed in range(8):
        shape = make(np.random.default_rng(seed))
        assert np.isfinite(shape.places).all()
        assert np.allclose(np.linalg.norm(shape.normals, axis=1), 1, atol=1e-3)
        assert shape.triangles.max() < len(shape.places)
        assert 0.05 < np.ptp(shape.places, axis=0).max() < 6


def test_the_embedded_identities_differ_and_repeat(studio: Studio) -> None:
    aster = _view(studio, _shot()).picture.astype(int)
    cedar = studio.view(studio.identities["cedar"], _shot()).picture.astype(int)
    assert np.abs(aster - cedar).mean() > 5
    with Person(studio.anatomy, EMBEDDED["aster"]) as again:
        again.borrow_light(studio.identities["aster"])
        assert np.array_equal(studio.view(again, _shot()).picture, aster)


def test_baked_light_is_a_share_and_darkens_the_inside_of_the_mouth(studio: Studio) -> None:
    light = studio.identities["aster"].light
    assert light is not None
    shut, _ = light
    assert all(values.min() >= 0 and values.max() <= 1.0001 for values in shut.values())
    assert shut["socket"].mean() < shut["face"].mean()


def test_random_people_differ(studio: Studio) -> None:
    pictures = []
    for seed in (1, 2):
        with Person(studio.anatomy, random_look(np.random.default_rng(seed), ("short02",))) as person:
            pictures.append(studio.view(person, _shot()).picture.astype(int))
    assert np.abs(pictures[0] - pictures[1]).mean() > 3


def test_a_shard_has_every_label_and_is_repeated_by_its_number(studio: Studio) -> None:
    arrays = render_shard(studio, _SETTINGS, 3, held_out=False)
    n, side = _SETTINGS.items, _SETTINGS.stored
    assert arrays["x"].shape == (n, side, side, 3)
    assert arrays["aster"].shape == arrays["cedar"].shape == (2, side, side, 4)
    assert arrays["shot"].tolist() == [0, 0, 1, 1]
    assert np.array_equal(arrays["blend"][0], arrays["blend"][1])  # two people in one shot
    assert arrays["x_points"].shape == (n, 70, 2)
    assert arrays["blend"].shape == (n, 10)
    assert len(set(arrays["person"].tolist())) == _SETTINGS.people
    again = render_shard(studio, _SETTINGS, 3, held_out=False)
    assert all(np.array_equal(arrays[key], again[key]) for key in arrays)
    other = render_shard(studio, _SETTINGS, 3, held_out=True)
    assert not set(other["person"].tolist()) & set(arrays["person"].tolist())


def test_the_identity_lies_on_the_persons_face_in_the_crop(studio: Studio) -> None:
    arrays = render_shard(studio, _SETTINGS, 0, held_out=False)
    for name in _SETTINGS.identities:
        for shot, onto, points in zip(arrays["shot"], arrays[f"{name}_onto"], arrays["x_points"], strict=True):
            moved = transform(onto, arrays[f"{name}_points"][shot])
            assert np.linalg.norm((moved - points)[27:48], axis=1).mean() < 0.05 * _SETTINGS.stored
    sheet = overview(arrays, _SETTINGS.identities, 2)
    assert sheet.shape == (2 * _SETTINGS.stored, (3 + 2 * len(_SETTINGS.identities)) * _SETTINGS.stored, 3)


def test_random_shots_cover_poses_and_light() -> None:
    rng = np.random.default_rng(0)
    shots = [random_shot(rng) for _ in range(200)]
    yaw = np.array([shot.pose[0] for shot in shots])
    assert yaw.std() > 12
    assert all(abs(np.linalg.norm(shot.light.key_from) - 1) < 1e-5 for shot in shots)


def test_tone_mapping_keeps_black_and_rises() -> None:
    ramp = tone_map(np.linspace(0, 4, 50, dtype=np.float32)[None, :, None].repeat(3, 2))[0, :, 0].astype(int)
    assert ramp[0] == 0
    assert (np.diff(ramp) >= 0).all()
    assert ramp[-1] > 220
