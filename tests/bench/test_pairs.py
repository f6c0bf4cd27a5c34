"""Swapped pairs are held against the truth: who draws the truth scores full, and who does not, less."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.pairs import ANSWERS, Chunk, Subject, Tally, measure, of_side, shapes
from realtime.errors import LiveswapError
from realtime.face.landmarks import Landmarker
from realtime.swap.contract import Contract
from realtime.swap.identity import Shelf
from realtime.swap.session import SessionSettings
from tests.models import write_shelf
from tests.training.synthetic import write_dataset

ITEMS = np.arange(8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("pairs") / "data")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shelf, Landmarker]:
    folder, settings = write_shelf(tmp_path_factory.mktemp("models")), SessionSettings(threads=1)
    return Shelf.load(folder, settings), Landmarker.load(folder / "landmarks.onnx", settings)


@pytest.fixture(scope="module")
def chunk(data: Path, models: tuple[Shelf, Landmarker]) -> Chunk:
    shelf, landmarker = models
    return Subject(data, shelf, shelf["aster"], landmarker, 500).chunk(ITEMS)


def test_the_truth_scores_full_and_everybody_else_less(chunk: Chunk) -> None:
    scores = {name: chunk.pictures_scored(name) for name in ANSWERS}
    for key in ("face_ssim", "eyes_ssim", "composed_face_ssim", "composed_mouth_ssim"):
        means = {name: float(scores[name][key].nanmean()) for name in ANSWERS}
        assert means["truth"] > 0.98, key
        assert max(means[name] for name in ANSWERS if name != "truth") < 0.97, key
    assert float(scores["truth"]["composed_face_psnr"].nanmean()) > 90  # compared with itself
    assert float(scores["input"]["composed_face_psnr"].nanmean()) < 40


def test_pictures_are_compared_at_a_side_that_sizes_have_in_common(chunk: Chunk) -> None:
    own = chunk.batch.targets.shape[1]
    plain, same = chunk.pictures_scored("mean"), chunk.pictures_scored("mean", own)
    assert all(torch.equal(plain[key], same[key]) for key in plain if not plain[key].isnan().any())
    halved = {name: chunk.pictures_scored(name, own // 2) for name in ("mean", "truth")}
    assert float(halved["truth"]["face_ssim"].nanmean()) > 0.98
    assert float(halved["mean"]["face_psnr"].nanmean()) != pytest.approx(float(plain["face_psnr"].nanmean()), abs=1e-3)


def test_a_pixel_of_a_smaller_picture_is_the_mean_of_what_it_covers() -> None:
    fine = np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float32)
    coarse = of_side(fine, 4)
    assert coarse.shape == (2, 4, 4, 3)
    np.testing.assert_allclose(coarse, fine.reshape(2, 4, 2, 4, 2, 3).mean((2, 4)), atol=1e-6)
    assert of_side(fine, 8) is fine


def test_the_true_mask_leaves_out_exactly_what_is_in_front(chunk: Chunk) -> None:
    occluded = chunk.batch.occluded > 127
    assert (occluded & (chunk.batch.targets[..., 3] > 127)).any()  # the items have something in front
    areas = {name: chunk.masks_scored(name) for name in ("swapped", "mean", "truth")}
    for key in ("mask", "occluder"):
        share = {name: one[key].sum(0)[0] / one[key].sum(0)[1] for name, one in areas.items()}
        assert share["truth"] > 0.98, key
        assert share["swapped"] < 0.95, key
    assert chunk.masks_scored("input") == {}  # the unchanged input has no mask


def test_landmarks_are_held_against_the_identitys_own(chunk: Chunk) -> None:
    truth = chunk.points.copy()
    for k, reading in enumerate(chunk.answers["swapped"].readings):
        reading.landmarks[:] = truth[k, :68] + [3, 4]
        reading.irises[:] = truth[k, 68:] + [3, 4]
    across = np.linalg.norm(truth[:, 45] - truth[:, 36], axis=1)
    assert (chunk.points_scored("swapped") <= 5 / across + 1e-4).all()
    assert chunk.points_scored("swapped") == pytest.approx(5 / across, rel=0.2)


def test_a_tally_takes_the_mean_of_items_and_areas_together(chunk: Chunk) -> None:
    tally = Tally()
    tally.add(chunk)
    tally.add(chunk)
    numbers = tally.numbers()
    assert numbers["swapped"]["face_psnr"] == pytest.approx(
        float(chunk.pictures_scored("swapped")["face_psnr"].nanmean())
    )
    assert set(numbers["truth"]) == {"landmarks_percent", "blink_r", "jaw_r", "gaze_yaw_r", "gaze_pitch_r"}
    assert "mask_iou" not in numbers["input"]
    assert numbers["swapped"]["blink_r"] == 0  # the small landmark model says the same of every face


def test_only_held_out_items_are_used_and_their_number_is_said(data: Path, models: tuple[Shelf, Landmarker]) -> None:
    shelf, landmarker = models
    numbers, rows = measure(data, shelf, ["cedar"], landmarker, 500)
    assert (numbers["items"], numbers["people"]) == (8, 2)
    assert set(numbers["identities"]) == {"cedar"}
    assert rows
    assert measure(data, shelf, ["cedar"], landmarker, 3)[0]["items"] == 3


def test_a_dataset_of_others_is_one_sentence(data: Path, models: tuple[Shelf, Landmarker]) -> None:
    with pytest.raises(LiveswapError, match="has pairs of aster, cedar, wanted one of willow"):
        measure(data, models[0], ["willow"], models[1], 8)


def test_crops_of_two_coverages_are_refused() -> None:
    encoder = Contract("encoder", 128, 1.25, "Apache-2.0", encoder="0123")
    decoder = Contract("decoder", 160, 1.0, "Apache-2.0", encoder="0123", identity="ann", kind="rendered")
    with pytest.raises(LiveswapError, match=r"sees 1.25 of the template and decoder 'ann' draws 1, wanted the same"):
        shapes(encoder, decoder)


def test_the_dataset_is_read_without_error_by_the_face_that_is_given(chunk: Chunk) -> None:
    """The alignment is exact: the true picture, composed, is where the identity's own picture is."""
    true = torch.from_numpy(chunk.batch.targets[..., 3]).float() / 255
    shown = torch.from_numpy(np.asarray(chunk.answers["truth"].masks))
    bare = torch.from_numpy(chunk.batch.occluded) == 0
    assert float((shown - true).abs()[bare].max()) < 1e-5
