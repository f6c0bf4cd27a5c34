"""Identities from footage: both directions come out, an interruption costs nothing, and bad input is one sentence."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from realtime.errors import LiveswapError
from tests.training.facesets import write_faceset
from tests.training.terminated import terminated
from tests.training.test_command import run
from training import own
from training.batches import PairBatch
from training.checkpoint import SWAP, load, load_swap
from training.directions import evaluate_own
from training.evaluate import as_bytes
from training.faceset import Faceset
from training.loop import Plan, State
from training.losses import toned
from training.model import Decoder, DecoderShape, EncoderShape, SwapNet
from training.origin import Origin
from training.own import train_own
from training.presets import LEARNS, STAYS, Start, start_of
from training.step import Drawn, Step, Weights
from training.swap import SwapSettings
from training.warped import FAR, NEAR, Warped, relit

ENCODER = EncoderShape(size=32, squeeze=16, eyes=16, mouth=16, code=64)
DECODER = DecoderShape(size=32, code=64, widths=(16, 32, 32, 32, 16))
TINY = EncoderShape(size=32, squeeze=8, eyes=8, mouth=8, code=16), DecoderShape(32, 16, (8, 16, 16, 8, 8))
SETTINGS = SwapSettings(
    batch=8, rate=3e-3, precision="fp32", log_steps=20, test_steps=1000, average=0.95, save_seconds=1000
)
FEW = replace(SETTINGS, batch=4, test_steps=4)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The facesets of two people."""
    folder = tmp_path_factory.mktemp("people")
    return tuple(str(write_faceset(folder / name, name, seed=seed)) for seed, name in enumerate(("aster", "cedar")))  # type: ignore[return-value]


def tiny(
    people: tuple[str, ...], out: Path, steps: int, resume: bool = False, start: Start | None = None, **more: Any
) -> State:
    return train_own(people, out, Plan(steps=steps), start or Start(None, *TINY), resume, FEW, **more)


def origin_of(*names: str) -> tuple[SwapNet, Origin]:
    """A network with decoders of these names, and what starts from it."""
    torch.manual_seed(0)
    encoder, decoder = TINY
    net = SwapNet(encoder, decoder, names).eval()
    weights = {name: dict(net.decoders[name].state_dict()) for name in names}
    return net, Origin(dict(net.encoder.state_dict()), encoder, weights, decoder, {}, {})


def test_both_directions_come_out(people: tuple[str, str], tmp_path: Path) -> None:
    """Each decoder, given the other person's face, draws its own person, on faces that training never saw."""
    start = Start(None, ENCODER, DECODER)
    state = train_own(people, tmp_path / "run", Plan(steps=100), start, settings=SETTINGS)
    assert state.numbers["aster_psnr"] > 18
    encoder, decoders, record = load_swap(tmp_path / "run" / "swap.pt")
    assert record["faces"] == {"aster": 40, "cedar": 40}
    assert record["consent"] == {name: {"name": name, "kind": "rendered"} for name in ("aster", "cedar")}
    tests = {name: Faceset.open(place) for name, place in zip(("aster", "cedar"), people, strict=True)}
    for source, wanted in (("aster", "cedar"), ("cedar", "aster")):
        seen = Warped([tests[source]], ENCODER, DECODER, 1, 0).clean(tests[source])
        mean = Warped([tests[wanted]], ENCODER, DECODER, 1, 0).clean(tests[wanted])
        picture = torch.from_numpy(seen.targets).permute(0, 3, 1, 2).float() / 255
        truth = (torch.from_numpy(mean.targets).permute(0, 3, 1, 2).float() / 255).mean(0, keepdim=True)
        inside = (truth[:, 3:] > 0.5).float()
        with torch.no_grad():
            drawn, _ = decoders[wanted].decode(encoder(picture[:, :3]))
        wished = toned(truth[:, :3], inside) * inside
        far, before = (
            float(((toned(one, inside.expand(len(one), -1, -1, -1)) - wished) * inside).square().mean())
            for one in (drawn, picture[:, :3])
        )
        assert far < 0.7 * before
    preview = cv2.imread(str(tmp_path / "run" / "preview.jpg"))
    assert preview is not None
    assert preview.shape == (6 * 32, 4 * 32, 3)  # A, A as A, A as B, B, B as B, B as A; four faces are held out
    found = evaluate_own(tmp_path / "run" / "swap.pt", people)
    entries = {(entry["from"], entry["to"]): entry for entry in found["directions"]}
    assert set(entries) == {(a, b) for a in ("aster", "cedar") for b in ("aster", "cedar")}
    assert entries["aster", "aster"]["drawn"]["face_psnr"] == pytest.approx(state.numbers["aster_psnr"], abs=0.01)
    assert "drawn" not in entries["aster", "cedar"]


@pytest.mark.parametrize("stays", [False, True])
def test_a_training_that_goes_on_is_the_same_bit_for_bit(stays: bool, people: tuple[str, str], tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    start = Start(origin_of("birch")[1], *TINY, stays=True, shown=NEAR) if stays else Start(None, *TINY)
    tiny(people, whole, 7, start=start)
    steps = iter(range(100))
    tiny(people, parts, 7, start=start, ended=lambda: next(steps) >= 3)  # ends after three steps, as with SIGTERM
    assert load(parts / "swap.pt", SWAP)["record"]["steps"] == 3
    tiny(people, parts, 7, resume=True, start=start)
    one, other = (load(place / "swap.pt", SWAP) for place in (whole, parts))
    for part in ("net", "average"):
        assert all(torch.equal(value, other[part][name]) for name, value in one[part].items())
    for mine, its in zip(one["optimiser"]["state"].values(), other["optimiser"]["state"].values(), strict=True):
        assert all(torch.equal(mine[name], its[name]) for name in ("exp_avg", "exp_avg_sq"))
    assert torch.equal(one["random"], other["random"])


def test_a_training_whose_loss_is_no_number_goes_back_and_says_so(
    people: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, calls = Step.forward, iter(range(1000))

    def forward(step: Step, batch: PairBatch) -> tuple[dict[str, torch.Tensor], Drawn]:
        factor, (losses, drawn) = torch.nan if 2 <= next(calls) < 22 else 1.0, real(step, batch)
        return {name: value * factor for name, value in losses.items()}, drawn

    monkeypatch.setattr(Step, "forward", forward)
    state = tiny(people, tmp_path, 24)
    assert "no number for 20 steps up to step 22; went back to step 0" in caplog.text
    assert (state.step, state.skipped) == (24, 22)
    net = load(tmp_path / "swap.pt", SWAP)["average"]
    assert all(bool(torch.isfinite(value).all()) for value in net.values())


def test_a_full_disk_ends_no_training(
    people: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = replace(FEW, save_seconds=0.0)
    arguments = (people, tmp_path, Plan(steps=3), Start(None, *TINY))
    train_own(*arguments, settings=often)
    before = (tmp_path / "swap.pt").read_bytes()
    (tmp_path / "swap.pt.part").symlink_to("/dev/full")
    real = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, **how: None if path.suffix == ".part" else real(path, **how))
    with pytest.raises(LiveswapError, match="No space left on device"):
        train_own(people, tmp_path, Plan(steps=5), Start(None, *TINY), True, often)
    assert "the one before stays, the training goes on" in caplog.text
    assert (tmp_path / "swap.pt").read_bytes() == before


def test_the_last_checkpoints_and_the_best_one_stay(people: tuple[str, str], tmp_path: Path) -> None:
    settings = replace(FEW, save_seconds=0.0, test_steps=1)
    train_own(people, tmp_path, Plan(steps=6), Start(None, *TINY), settings=settings)
    kept = sorted(path.name for path in (tmp_path / "history").iterdir())
    assert kept == ["best.pt", *(f"step-{step:08d}.pt" for step in (4, 5, 6))]
    best = load(tmp_path / "history" / "best.pt", SWAP)["record"]
    assert best["best"] == load(tmp_path / "swap.pt", SWAP)["record"]["best"]
    assert len(list((tmp_path / "previews").iterdir())) == 7


def test_an_encoder_that_stays_does_so_after_a_resume_too(people: tuple[str, str], tmp_path: Path) -> None:
    net, origin = origin_of("birch")
    start = Start(origin, *TINY, stays=True, shown=NEAR)
    train_own(people, tmp_path, Plan(steps=2), start, settings=FEW)
    half = load(tmp_path / "swap.pt", SWAP)["average"]
    train_own(people, tmp_path, Plan(steps=4), Start(None, *TINY), True, FEW)
    after, decoders, said = load_swap(tmp_path / "swap.pt")
    assert (said["only"], said["shown"], said["steps"]) == (["aster", "cedar"], NEAR.record(), 4)
    torch.testing.assert_close(after.state_dict(), net.encoder.state_dict())
    assert any(
        (value != half[f"decoders.cedar.{name}"]).any() for name, value in decoders["cedar"].state_dict().items()
    )


def test_codes_are_moved_to_where_the_other_persons_are(people: tuple[str, str]) -> None:
    """So that a decoder does not listen to what tells the two people's codes apart."""
    net, facesets = SwapNet(*TINY, ("aster", "cedar")), [Faceset.open(place) for place in people]
    batches = Warped(facesets, *TINY, 4, 0, shown=NEAR)
    batch = batches(0)
    assert batch.moved is not None
    assert 0 <= batch.moved.min() < batch.moved.max() <= 1
    seen: dict[str, torch.Tensor] = {}
    for name, decoder in net.decoders.items():
        decoder.register_forward_pre_hook(lambda _, code, name=name: seen.update({name: code[0]}))
    centres = own.centres_of(net, facesets, batches, torch.device("cpu"))
    step = Step(net, tuple(net.decoders), Weights(), precision="fp32", centres=centres)

    def codes(moved: float) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            step(replace(batch, moved=np.full(4, moved, np.float32)))
        return dict(seen)

    as_seen, moved = codes(0.0), codes(1.0)
    torch.testing.assert_close(moved["aster"], as_seen["aster"] + centres[1] - centres[0])
    torch.testing.assert_close(moved["cedar"], as_seen["cedar"] + centres[0] - centres[1])


def test_a_new_decoder_starts_from_whoever_is_most_alike(people: tuple[str, str], tmp_path: Path) -> None:
    net, origin = origin_of("birch", "dahlia")
    for decoder in net.decoders.values():
        assert isinstance(decoder, Decoder)
        torch.nn.init.normal_(decoder.layers[-2].weight, std=0.3)  # type: ignore[arg-type]
    decoders = {name: dict(net.decoders[name].state_dict()) for name in net.decoders}
    start, faceset = Start(replace(origin, decoders=decoders), *TINY, stays=True), Faceset.open(people[0])
    batch = Warped([faceset], *TINY, 1, 0).some(faceset, 4)
    for name in decoders:
        drawn = as_bytes(own.draw(net, name, batch, torch.device("cpu"))[0])
        alike = replace(batch, targets=np.concatenate([drawn, np.full_like(drawn[..., :1], 255)], 3))
        assert own.most_alike(start, alike) == name


def test_against_an_embedded_identity_only_the_new_decoder_learns(people: tuple[str, str], tmp_path: Path) -> None:
    net, origin = origin_of("birch")
    start = Start(origin, *TINY, against="birch", stays=True)
    train_own(people[:1], tmp_path / "run", Plan(steps=2), start, settings=FEW)
    after, decoders, said = load_swap(tmp_path / "run" / "swap.pt")
    assert said["only"] == ["aster"]
    torch.testing.assert_close(after.state_dict(), net.encoder.state_dict())
    torch.testing.assert_close(decoders["birch"].state_dict(), net.decoders["birch"].state_dict())
    assert any(
        (a != b).any() for a, b in zip(decoders["aster"].parameters(), decoders["birch"].parameters(), strict=True)
    )


def test_sigterm_ends_a_training_after_its_step_and_keeps_all(people: tuple[str, str], tmp_path: Path) -> None:
    arguments = (
        "train",
        *people,
        "--out",
        str(tmp_path / "run"),
        "--preset",
        "small",
        "--from",
        "scratch",
        "--size",
        "32",
        "--batch",
        "2",
        "--steps",
        "9999",
    )
    code, said = terminated(arguments)
    assert code == 128 + signal.SIGTERM, said
    assert load(tmp_path / "run" / "swap.pt", SWAP)["record"]["steps"] < 9999


def test_batches_show_each_person_as_often_and_are_always_the_same(people: tuple[str, str]) -> None:
    facesets = [Faceset.open(place) for place in people]
    batch = Warped(facesets, ENCODER, DECODER, 6, 3)(5)
    assert batch.pictures.shape == (6, 32, 32, 3)
    assert batch.targets.shape == (6, 32, 32, 4)
    assert batch.blend is not None
    np.testing.assert_array_equal(batch.pictures, Warped(facesets, ENCODER, DECODER, 6, 3)(5).pictures)
    clean = Warped(facesets, ENCODER, DecoderShape(size=64), 6, 3).clean(facesets[0], 1)
    eyes = (clean.points[0, 36:48] * 64 - 0.5).round().astype(int)
    assert clean.targets[0, eyes[:, 1], eyes[:, 0], 3].min() > 250  # the points lie in the face


def test_the_end_of_each_video_is_held_out(people: tuple[str, str]) -> None:
    faceset = Faceset.open(people[0])
    assert faceset.held_out.tolist() == [36, 37, 38, 39]
    assert faceset.learned.tolist() == list(range(36))


def test_a_face_in_anothers_light_has_its_colours() -> None:
    rng = np.random.default_rng(0)
    dim, bright = (np.clip(rng.normal(mean, 12, (40, 40, 3)), 0, 255).astype(np.uint8) for mean in (70, 170))
    mask = np.full((40, 40), 255, np.uint8)
    assert abs(float(relit(dim, mask, bright, mask, 1.0).mean()) - 170) < 8
    assert abs(float(relit(dim, mask, bright, mask, 0.0).mean()) - 70) < 3
    np.testing.assert_array_equal(relit(dim, np.zeros_like(mask), bright, mask, 1.0), dim)


def test_a_run_on_footage_has_its_previews_already(
    people: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(people, tmp_path / "run", 1)
    assert run(monkeypatch, "preview", str(tmp_path / "run"), "data") == 2
    assert "its pictures are in" in capsys.readouterr().err
    assert run(monkeypatch, "evaluate", str(tmp_path / "run")) == 2
    assert "does not say where its facesets lie" in capsys.readouterr().err


def test_out_of_memory_names_a_batch_that_may_fit() -> None:
    assert "try --batch 16" in str(own.out_of_memory(RuntimeError("CUDA out of memory. Tried"), 32))
    assert "try --batch 2" in str(own.out_of_memory(MemoryError(), 3))
    other = RuntimeError("shapes differ")
    assert own.out_of_memory(other, 32) is other


EXPIRED = """\
name = "{name}"
kind = "person"
who = "Ann"
contact = "a"
statement = "a"
scope = "a"
date = "2020-01-01"
until = "2021-01-01"
revocation = "a"
"""


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"template": '"other-68"'}, "was cut with the template other-68"),
        ({"version": 9}, "is a faceset of version 9"),
        ({"coverage": '"wide"'}, "cannot be read as a faceset"),
        ({"consent": EXPIRED}, "has expired: the consent of 'Ann' ended on 2021-01-01"),
        ({"consent": 'name = "{name}"\nkind = "person"\n'}, "is of a person and lacks who"),
        ({"count": 3}, "has 3 faces, wanted at least 4"),
    ],
)
def test_a_faceset_that_cannot_be_learned_from_is_named(
    changes: dict[str, Any], sentence: str, people: tuple[str, str], tmp_path: Path
) -> None:
    other = str(write_faceset(tmp_path / "bad", "cedar", **changes))
    with pytest.raises(LiveswapError, match=sentence):
        tiny((people[0], other), tmp_path / "run", 1)
    assert not (tmp_path / "run").exists()


def test_trainings_that_cannot_begin_or_go_on_are_named(people: tuple[str, str], tmp_path: Path) -> None:
    for some, sentence in (((people[0],), "1 faceset was given"), ((people[0],) * 2, "wanted names that differ")):
        with pytest.raises(LiveswapError, match=sentence):
            tiny(some, tmp_path / "run", 1)
    with pytest.raises(LiveswapError, match="there is no checkpoint"):
        tiny(people, tmp_path / "run", 1, resume=True)
    tiny(people, tmp_path / "run", 1)
    with pytest.raises(LiveswapError, match="holds a training already, wanted --resume"):
        tiny(people, tmp_path / "run", 1)
    again = str(write_faceset(tmp_path / "again", "cedar", seed=9))
    with pytest.raises(LiveswapError, match="was trained with the training_sets"):
        tiny((people[0], again), tmp_path / "run", 2, resume=True)
    half = (tmp_path / "run" / "swap.pt").read_bytes()
    (tmp_path / "run" / "swap.pt").write_bytes(half[: len(half) // 2])
    with pytest.raises(LiveswapError, match="is truncated"):
        tiny(people, tmp_path / "run", 2, resume=True)
    (Path(again) / "faces" / "000003.jpg").unlink()
    with pytest.raises(LiveswapError, match=r"face 000003 of .* is missing or broken"):
        Faceset.open(again)[3]


@pytest.mark.parametrize(
    ("preset", "source", "sentence"),
    [
        ("huge", "embedded", "the preset 'huge' is unknown, wanted one of small, live, large"),
        ("small", "nobody", "--from nobody is unknown, wanted embedded, scratch, aster"),
        ("large", "aster", "no embedded encoder of 320 px"),
        ("small", "gone.pt", "there is no checkpoint gone.pt"),
    ],
)
def test_a_start_that_is_none_is_named(preset: str, source: str, sentence: str) -> None:
    with pytest.raises(LiveswapError, match=sentence):
        start_of(preset, source)


def test_a_size_takes_the_place_of_the_presets() -> None:
    other = start_of("small", "embedded", 96)
    assert other.encoder.size == other.decoder.size == 96
    with pytest.raises(LiveswapError, match="a multiple of 16"):
        start_of("small", "embedded", 100)


@pytest.mark.parametrize(
    ("source", "encoder", "stays"),
    [("embedded", None, True), ("embedded", LEARNS, False), ("cedar", None, True), ("scratch", None, False)],
)
def test_an_embedded_encoder_stays_unless_it_shall_learn(source: str, encoder: str | None, stays: bool) -> None:
    start = start_of("small", source, encoder=encoder)
    assert (start.stays, start.shown) == (stays, NEAR if stays else FAR)


@pytest.mark.parametrize(
    ("preset", "source", "encoder", "sentence"),
    [
        ("small", "embedded", "melts", "--encoder melts is unknown, wanted stays or learns"),
        ("small", "scratch", STAYS, "an encoder that knows nothing must learn"),
        ("large", "embedded", STAYS, "only an embedded encoder of 128 or 192 px can stay"),
        ("small", "cedar", LEARNS, "beside an embedded identity its encoder stays"),
    ],
)
def test_what_an_encoder_cannot_do_is_said(preset: str, source: str, encoder: str, sentence: str) -> None:
    with pytest.raises(LiveswapError, match=sentence):
        start_of(preset, source, encoder=encoder)


def test_presets_start_from_the_embedded_models() -> None:
    small, large = start_of("small", "embedded"), start_of("large", "scratch")
    assert small.encoder.size == small.decoder.size == 128
    assert small.origin is not None
    assert (large.origin, large.encoder.size) == (None, 320)
    assert start_of("small", "cedar").against == "cedar"
