"""The trainings learn from a tiny synthetic dataset, go on where they stopped, and their checkpoints can be read."""

import signal
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from realtime.errors import LiveswapError, SettingsError
from tests.training.synthetic import write_dataset
from tests.training.terminated import terminated
from training import checkpoint
from training.augment import MIRROR_BLEND, MIRROR_POINTS, MIRROR_SIGNS
from training.batches import Pairs
from training.checkpoint import LANDMARKS, load, load_landmarks, load_swap
from training.dataset import Dataset
from training.evaluate import evaluate
from training.landmarks import Crops, LandmarkSettings, face_size, train_landmarks
from training.loop import Plan
from training.model import DecoderShape, EncoderShape, LandmarkShape, template_points
from training.swap import SwapSettings, train_swap

LANDMARK_SHAPE = LandmarkShape(size=48)
pytestmark = pytest.mark.timeout(400)  # trainings of half a minute take many beside other work
ENCODER, DECODER = EncoderShape(size=48), DecoderShape(size=48, widths=(32, 64, 64, 48, 32))
LANDMARK_SETTINGS = LandmarkSettings(batch=16, rate=4e-3, log_steps=20, test_steps=20, average=0.95, precision="auto")
SWAP_SETTINGS = SwapSettings(batch=16, log_steps=20, test_steps=1000, average=0.95, test_items=16, precision="auto")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "pairs", train=160, test=32, size=80)


@pytest.fixture(scope="module")
def landmark_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("landmarks")
    train_landmarks(data, out, Plan(steps=300), settings=LANDMARK_SETTINGS, shape=LANDMARK_SHAPE)
    return out


@pytest.fixture(scope="module")
def swap_run(data: Path, landmark_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("swap")
    train_swap(data, landmark_run / "landmarks.pt", out, Plan(steps=80), False, SWAP_SETTINGS, ENCODER, DECODER)
    return out


def test_landmark_batches_agree_with_their_pictures(data: Path) -> None:
    settings = replace(LANDMARK_SETTINGS, batch=64, negatives=0.0)
    crops = Crops(Dataset.open(data), LandmarkShape(size=160), settings)
    batch = crops(3)
    assert batch.pictures.shape == (64, 160, 160, 3)
    assert batch.present.all()
    assert np.isfinite(batch.points).all()
    # Left eyes stay left of right eyes whether mirrored or not, and a face has not been turned over.
    assert (batch.points[:, 36, 0] < batch.points[:, 45, 0]).all()
    assert (batch.points[:, 27, 1] < batch.points[:, 8, 1]).all()
    np.testing.assert_array_equal(batch.pictures, crops(3).pictures)
    assert (batch.pictures != crops(4).pictures).any()


def test_a_share_of_the_crops_shows_no_face(data: Path) -> None:
    crops = Crops(Dataset.open(data), LANDMARK_SHAPE, replace(LANDMARK_SETTINGS, batch=200, negatives=0.3))
    assert 0.2 < 1 - crops(0).present.mean() < 0.4


def test_points_find_their_mirror_partner() -> None:
    points = template_points(1.25)
    mirrored = points[list(MIRROR_POINTS)] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    assert float((mirrored - points).norm(dim=1).max() / face_size(points[None])) < 0.01


def test_the_landmark_net_learns(data: Path, landmark_run: Path) -> None:
    net, record = load_landmarks(landmark_run / "landmarks.pt")
    assert record["steps"] == 300
    assert record["items"] == 160
    batch = Crops(Dataset.open(data, "test"), LANDMARK_SHAPE, LANDMARK_SETTINGS).test()
    truth = torch.from_numpy(batch.points)
    standing = ((template_points(1.25)[None] - truth).norm(dim=2) / face_size(truth)[:, None]).mean()
    assert record["test"]["nme"] < 0.75 * float(standing)
    with torch.no_grad():
        points = net(torch.from_numpy(batch.pictures).permute(0, 3, 1, 2).float() / 255)[0]
    error = ((points - truth).norm(dim=2) / face_size(truth)[:, None]).mean()
    assert float(error) == pytest.approx(record["test"]["nme"], abs=1e-3)


def test_the_landmark_training_goes_on(data: Path, landmark_run: Path, tmp_path: Path) -> None:
    (tmp_path / "landmarks.pt").write_bytes((landmark_run / "landmarks.pt").read_bytes())
    state = train_landmarks(data, tmp_path, Plan(steps=302), True, LANDMARK_SETTINGS, LANDMARK_SHAPE)
    assert state.step == 302
    with pytest.raises(LiveswapError, match="was trained with the shape"):
        train_landmarks(data, tmp_path, Plan(steps=303), True, LANDMARK_SETTINGS, LandmarkShape(size=64))


def test_landmarks_are_learned_from_several_datasets_until_somebody_ends_it(data: Path, tmp_path: Path) -> None:
    more, steps = write_dataset(tmp_path / "more", train=20, test=2, size=80), iter(range(9))
    state = train_landmarks(
        data,
        tmp_path,
        Plan(steps=50),
        False,
        LANDMARK_SETTINGS,
        LANDMARK_SHAPE,
        more=[more],
        ended=lambda: next(steps) > 2,
    )
    assert state.step == 3
    record = load(tmp_path / "landmarks.pt", LANDMARKS)["record"]
    assert (record["data"], record["items"]) == ("pairs+more", 180)


@pytest.mark.parametrize("training", ["landmarks", "swap"])
def test_sigterm_ends_a_training_after_its_step_and_keeps_all(
    training: str, landmark_run: Path, tmp_path: Path
) -> None:
    data = write_dataset(tmp_path / "data", train=8, test=2, size=40)
    start = ["--landmarks", str(landmark_run / "landmarks.pt")] if training == "swap" else []
    arguments = [training, str(data), "--out", str(tmp_path), "--batch", "4", "--steps", "9999", *start]
    code, said = terminated(arguments)
    assert code == 128 + signal.SIGTERM, said
    assert load(tmp_path / f"{training}.pt", f"liveswap-{training}-1")["record"]["steps"] < 9999


def test_pair_batches_show_the_same_moment(data: Path) -> None:
    dataset = Dataset.open(data)
    batch = Pairs(dataset, ENCODER, DECODER, 8, 0)(5)
    assert batch.pictures.shape == (8, 48, 48, 3)
    assert batch.targets.shape == (8, 48, 48, 4)
    clean = Pairs(dataset, ENCODER, DecoderShape(size=64), 8, 0).clean("cedar", np.array([9]))
    middle = slice(8, 72)  # the template crop of a stored crop of 80 px
    np.testing.assert_allclose(clean.targets[0], dataset[9].identities["cedar"][middle, middle], atol=1)


def test_a_mirror_shows_the_same_moment_the_other_way_round(data: Path) -> None:
    pairs = Pairs(Dataset.open(data), ENCODER, DecoderShape(size=64), 8, 0)
    plain, seen = (pairs.clean("cedar", np.array([3, 9]), mirrored) for mirrored in (False, True))
    for name in ("pictures", "targets", "occluded"):
        before, after = getattr(plain, name), getattr(seen, name)
        np.testing.assert_allclose(after[:, :, ::-1].astype(int), before, atol=2)
    there = plain.points[:, list(MIRROR_POINTS)]
    np.testing.assert_allclose(seen.points[..., 0], 1 - there[..., 0], atol=1e-5)
    np.testing.assert_allclose(seen.points[..., 1], there[..., 1], atol=1e-5)
    assert plain.blend is not None
    assert seen.blend is not None
    np.testing.assert_array_equal(seen.blend, plain.blend[:, list(MIRROR_BLEND)] * np.array(MIRROR_SIGNS))


def test_a_share_of_the_crops_is_mirrored(data: Path) -> None:
    dataset = Dataset.open(data)
    usual, half = Pairs(dataset, ENCODER, DECODER, 32, 0)(1), Pairs(dataset, ENCODER, DECODER, 32, 0, mirrored=0.5)(1)
    assert half.pictures.shape == usual.pictures.shape
    assert not np.array_equal(half.pictures, usual.pictures)
    never = Pairs(dataset, ENCODER, DECODER, 32, 0, mirrored=0.0)(1)
    np.testing.assert_array_equal(usual.pictures, never.pictures)


def test_the_swap_net_beats_the_unchanged_input(data: Path, swap_run: Path) -> None:
    result = evaluate(swap_run / "swap.pt", data)
    assert result["items"] == 32
    means = {
        answer: np.mean([answers[answer]["face_psnr"] for answers in result["identities"].values()])
        for answer in ("swapped", "input", "mean")
    }
    assert means["swapped"] > means["input"] + 1
    assert means["swapped"] > means["mean"] - 2
    assert result["identities"]["aster"]["swapped"]["mouth_ssim"] > result["identities"]["aster"]["input"]["mouth_ssim"]
    assert -1 <= result["identities"]["cedar"]["code"]["jaw_r"] <= 1


def test_the_swap_run_leaves_a_preview_and_a_record(swap_run: Path) -> None:
    picture = cv2.imread(str(swap_run / "preview.jpg"))
    assert picture is not None
    assert picture.shape == (48 * 7, 48 * 12, 3)  # anybody, then drawn, true and pasted for each of two
    encoder, decoders, record = load_swap(swap_run / "swap.pt")
    assert set(decoders) == {"aster", "cedar"}
    assert record["steps"] == 80
    assert record["landmarks"]["steps"] == 300
    with torch.no_grad():
        face, mask = decoders["aster"].decode(encoder(torch.rand(1, 3, 48, 48)))
    assert face.shape == (1, 3, 48, 48)
    assert mask.shape == (1, 1, 48, 48)


def test_the_swap_training_goes_on_but_not_in_another_shape(data: Path, swap_run: Path, tmp_path: Path) -> None:
    (tmp_path / "swap.pt").write_bytes((swap_run / "swap.pt").read_bytes())
    state = train_swap(data, None, tmp_path, Plan(steps=81), True, SWAP_SETTINGS, ENCODER, DECODER)
    assert state.step == 81
    with pytest.raises(LiveswapError, match="was trained with the decoder"):
        train_swap(
            data, None, tmp_path, Plan(steps=82), True, SWAP_SETTINGS, ENCODER, replace(DECODER, up="transposed")
        )


def test_a_warm_start_takes_the_trunk_of_the_landmark_net_only(data: Path, landmark_run: Path, tmp_path: Path) -> None:
    leaky = replace(ENCODER, activation="leaky")
    with pytest.raises(LiveswapError, match="has the activation relu"):
        train_swap(data, landmark_run / "landmarks.pt", tmp_path, Plan(steps=1), False, SWAP_SETTINGS, leaky, DECODER)
    with pytest.raises(SettingsError, match="a batch of"):
        SwapSettings(batch=1)
    with pytest.raises(SettingsError, match=r"a share of 1\.5 mirrored crops"):
        SwapSettings(mirrored=1.5)


def test_checkpoints_that_are_no_use_are_named(landmark_run: Path, swap_run: Path, tmp_path: Path) -> None:
    with pytest.raises(LiveswapError, match="there is no checkpoint"):
        load_swap(tmp_path / "swap.pt")
    whole = (swap_run / "swap.pt").read_bytes()
    for name, content in (("half.pt", whole[: len(whole) // 2]), ("empty.pt", b""), ("text.pt", b"hello there")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LiveswapError, match=f"{name} is truncated or no checkpoint"):
            load_swap(tmp_path / name)
    with pytest.raises(LiveswapError, match="holds liveswap-landmarks-1, wanted liveswap-swap-1"):
        load_swap(landmark_run / "landmarks.pt")
    other = checkpoint.load(swap_run / "swap.pt", checkpoint.SWAP)
    other["record"]["decoder"]["size"] = 96
    checkpoint.save(tmp_path / "other.pt", checkpoint.SWAP, other)
    with pytest.raises(LiveswapError, match=r"other\.pt holds a swap net of another shape"):
        load_swap(tmp_path / "other.pt")


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    checkpoint.save(path, "kind", {"record": {"steps": 1}})
    (tmp_path / "x.pt.part").mkdir()
    with pytest.raises(LiveswapError, match="cannot be written"):
        checkpoint.save(path, "kind", {"record": {"steps": 2}})
    assert checkpoint.load(path, "kind")["record"] == {"steps": 1}


def test_one_decoder_can_learn_alone(data: Path, swap_run: Path, tmp_path: Path) -> None:
    """The encoder and everybody else stay as they were, to the bit; also when the training goes on later."""
    start = swap_run / "swap.pt"
    settings = replace(SWAP_SETTINGS, rate=3e-3)
    train_swap(data, None, tmp_path, Plan(steps=20), False, settings, start=start, only=["cedar"])
    train_swap(data, None, tmp_path, Plan(steps=30), True, settings, only=["cedar"])
    before, after = (checkpoint.load(path, checkpoint.SWAP) for path in (start, tmp_path / "swap.pt"))
    assert after["record"]["steps"] == 30
    for name, value in after["average"].items():
        same = torch.equal(value, before["average"][name])
        assert same != name.startswith("decoders.cedar."), name


@pytest.mark.parametrize(
    ("only", "start", "sentence"), [("zoe", True, "no pairs of 'zoe'"), ("cedar", False, "wanted a start")]
)
def test_who_cannot_learn_alone_is_said(
    data: Path, swap_run: Path, tmp_path: Path, only: str, start: bool, sentence: str
) -> None:
    origin = swap_run / "swap.pt" if start else None
    with pytest.raises(LiveswapError, match=sentence):
        train_swap(data, None, tmp_path, Plan(steps=1), False, SWAP_SETTINGS, start=origin, only=[only])
