"""Bad input of a training, through the command: one sentence, exit code 2, and nothing that was there is lost."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.facesets import write_faceset
from tests.training.nobody import write_nobody
from tests.training.test_command import logging_as_found, run  # noqa: F401  logging_as_found is a fixture
from tests.training.test_own import one_thread  # noqa: F401  a fixture
from training import checkpoint, loop
from training.batches import PairBatch
from training.step import Drawn, Step

SMALL = ("--preset", "small", "--size", "32", "--from", "scratch", "--batch", "4")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[str, str], Path]:
    """The facesets of two people, and the folder of a training that took one step."""
    folder = tmp_path_factory.mktemp("begun")
    first, second = (
        str(write_faceset(folder / name, name, count=6, seed=seed)) for seed, name in enumerate(("aster", "cedar"))
    )
    with pytest.MonkeyPatch.context() as patching:
        assert run(patching, "train", first, second, "--out", str(folder / "run"), "--steps", "1", *SMALL) == 0
    return (first, second), folder / "run"


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line on stderr, which is the command's."""
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("liveswap-train: ")
    return said


def failing(monkeypatch: pytest.MonkeyPatch, begin: int, fail: Any) -> None:
    """Lets the steps of a training from number `begin` on do what fail(losses) does."""
    real, calls = Step.forward, iter(range(10_000))

    def forward(step: Step, batch: PairBatch) -> tuple[dict[str, torch.Tensor], Drawn]:
        losses, drawn = real(step, batch)
        return (fail(losses) if next(calls) >= begin else losses), drawn

    monkeypatch.setattr(Step, "forward", forward)


def out_of_memory(losses: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What PyTorch's allocator on the CPU says."""
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 2 bytes")


def test_a_batch_that_does_not_fit_names_one_that_may(
    begun: tuple[tuple[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    people, out = begun[0], Path(shutil.copytree(begun[1], tmp_path / "run"))
    before = (out / "swap.pt").read_bytes()
    failing(monkeypatch, 1, out_of_memory)
    assert run(monkeypatch, "train", *people, "--out", str(out), "--steps", "3", "--resume", *SMALL) == 2
    assert "a batch of 4 does not fit into the memory, try --batch 2" in sentence(capsys)
    assert (out / "swap.pt").read_bytes() == before


def test_a_loss_that_is_never_a_number_ends_the_training_with_what_was_good(
    begun: tuple[tuple[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    people, out = begun[0], Path(shutil.copytree(begun[1], tmp_path / "run"))
    before = (out / "swap.pt").read_bytes()
    monkeypatch.setattr(loop, "PATIENCE", 2)
    failing(monkeypatch, 0, lambda losses: {name: value * torch.nan for name, value in losses.items()})
    assert run(monkeypatch, "train", *people, "--out", str(out), "--steps", "200", "--resume", *SMALL) == 2
    assert "training stopped, going back did not help" in sentence(capsys)
    assert (out / "swap.pt").read_bytes() == before


def test_a_checkpoint_that_cannot_be_gone_on_from_is_named_and_left(
    begun: tuple[tuple[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    people, out = begun[0], Path(shutil.copytree(begun[1], tmp_path / "run"))
    whole = checkpoint.load(out / "swap.pt", checkpoint.SWAP)
    half = (out / "swap.pt").read_bytes()[:10_000]
    checkpoint.save(tmp_path / "old.pt", "liveswap-swap-0", {"record": whole["record"]})
    for bad, wanted in (
        (half, "is truncated or no checkpoint of liveswap"),
        ((tmp_path / "old.pt").read_bytes(), "wanted liveswap-swap-1"),
    ):
        (out / "swap.pt").write_bytes(bad)
        on = ("train", *people, "--out", str(out), "--steps", "2", "--resume", *SMALL)
        for arguments in (on, ("evaluate", str(out))):
            assert run(monkeypatch, *arguments) == 2
            assert wanted in sentence(capsys)
        assert (out / "swap.pt").read_bytes() == bad


def test_facesets_of_different_templates_are_named(
    begun: tuple[tuple[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = str(write_faceset(tmp_path / "other", "cedar", count=6, template='"other-68"'))
    assert run(monkeypatch, "train", begun[0][0], other, "--out", str(tmp_path / "run"), "--steps", "1", *SMALL) == 2
    assert "was cut with the template other-68, wanted liveswap-68-v1" in sentence(capsys)
    assert not (tmp_path / "run" / "swap.pt").exists()


def test_footage_of_two_people_asks_whose_face_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    talks, out = write_nobody(tmp_path / "talks"), tmp_path / "faceset"
    both = [str(talks / name / f"{name}-1.mp4") for name in ("ann", "bob")]
    agreed = ("--consent", str(talks / "ann.toml"), "--out", str(out), "--workers", "1")
    assert run(monkeypatch, "extract", *both, *agreed) == 2
    said = sentence(capsys)
    assert "2 people are in the footage, person 1" in said
    assert "say --person 1" in said
    assert (out / "people.jpg").is_file()
    assert not (out / "faceset.toml").exists()
