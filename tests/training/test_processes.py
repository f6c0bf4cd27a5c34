"""Two processes learn what one does, and whatever happens to one of them, none waits in vain."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from realtime.errors import SettingsError
from tests.training.facesets import write_faceset
from tests.training.together import STEPS, train
from training.checkpoint import SWAP, load
from training.processes import ALONE, Processes, gathered


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("people")
    return [str(write_faceset(folder / name, name, seed=seed)) for seed, name in enumerate(("aster", "cedar"))]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, people: list[str]) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """Runs of one process and of two with the same batch; what the leading and the other one of these say."""
    out = tmp_path_factory.mktemp("runs")
    torch.set_num_threads(1)
    alone = {"losses": train(people, out / "one").losses}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = (sys.executable, "-W", "error", "-m", "tests.training.together", str(out), *people)
    both = [
        subprocess.Popen(
            command, env={**os.environ, **world, "RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=100) for process in both]
    finally:
        for process in both:
            process.kill()
            process.wait()
    assert [process.returncode for process in both] == [0, 0], "\n".join(text for _, text in said)
    first, second = (json.loads(text.splitlines()[-1]) for text, _ in said)
    return out, alone | first | {"two": first["losses"], "losses": alone["losses"]}, second


def test_two_processes_have_the_losses_of_one_with_the_doubled_batch(
    runs: tuple[Path, dict[str, Any], dict[str, Any]],
) -> None:
    _, said, other = runs
    assert len(said["two"]) == len(said["losses"]) == STEPS
    for two, one in zip(said["two"], said["losses"], strict=True):
        assert two == pytest.approx(one, rel=1e-4)
    assert other["losses"] == []  # who does not lead shows nothing
    assert said["losses"][0] != pytest.approx(said["losses"][-1], rel=1e-3)  # and something was learned


def test_a_checkpoint_does_not_know_how_many_processes_wrote_it(
    runs: tuple[Path, dict[str, Any], dict[str, Any]], people: list[str], tmp_path: Path
) -> None:
    """One process went on with two, two go on with one: the same losses again."""
    out, said, _ = runs
    records = [load(out / name / "swap.pt", SWAP) for name in ("one", "two")]
    assert records[0].keys() == records[1].keys()
    assert records[0]["record"].keys() == records[1]["record"].keys()
    (tmp_path / "swap.pt").write_bytes((out / "two" / "swap.pt").read_bytes())
    alone = train(people, tmp_path, resume=True, steps=STEPS + 2).losses
    assert len(alone) == len(said["on"]) == 2
    for one, two in zip(alone, said["on"], strict=True):
        assert one == pytest.approx(two, rel=1e-4)


def test_all_end_where_one_is_told_to(runs: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    out, said, other = runs
    assert said["ended"] == other["ended"] == 2
    assert load(out / "ended" / "swap.pt", SWAP)["record"]["steps"] == 2


def test_all_go_back_where_the_loss_of_one_is_no_number(runs: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    _, said, other = runs
    assert (said["back"], said["skipped"]) == (other["back"], other["skipped"]) == (24, 22)


def test_batches_are_shared_out_evenly_or_not_at_all() -> None:
    assert [list(Processes(rank, 2).share(4)) for rank in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(SettingsError, match="5 faces of each person, which 2 processes cannot share out evenly"):
        Processes(0, 2).share(5)


def test_a_process_by_itself_joins_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with gathered("cpu") as found:
        assert found == (ALONE, "cpu")
    layer = torch.nn.Linear(2, 2)
    assert ALONE.joined(layer) is layer
    assert ALONE.agreed(3.0, True) == (3.0, True)


@pytest.mark.slow
def test_torchrun_trains_with_two_processes_and_sigterm_ends_both(people: list[str], tmp_path: Path) -> None:
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "training")
    few = ("--preset", "small", "--batch", "4", "--steps", "999")
    command = (*launch, "train", *people, "--out", str(tmp_path / "run"), *few)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "from step 0" in line:
                break
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=100)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode != 0
    assert load(tmp_path / "run" / "swap.pt", SWAP)["record"]["steps"] < 999, said
    assert said.count("step ") == 1  # one of them says where it ended
