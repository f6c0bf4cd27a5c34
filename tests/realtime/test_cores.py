"""Work goes to the fast cores beside one memory, where the system tells of them and they are enough."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from realtime.cores import SYSTEM, held_to, keep_to, parsed, placement, spread, threads_of_one, written
from realtime.errors import SettingsError
from realtime.flow.worker import Worker
from realtime.settings import Settings, load

EIGHT = frozenset(range(8))


def system(
    folder: Path, named: str = "", clocks: dict[int, int] | None = None, nodes: dict[int, str] | None = None
) -> Path:
    """A folder like the kernel's, with cores that it names as fast, clocks in kHz by core, and cores by node."""
    files = {"cpu_core/cpus": named} if named else {}
    files |= {f"system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq": str(clock) for core, clock in (clocks or {}).items()}
    files |= {f"system/node/node{node}/cpulist": cores for node, cores in (nodes or {}).items()}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text}\n")
    return folder


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (3, 2), (64, 2)])
def test_a_model_has_one_thread_where_two_cores_are_all_there_are(cores: int, threads: int) -> None:
    assert threads_of_one(cores) == threads
    assert Settings().threads == threads_of_one()


def preferred(folder: Path, allowed: frozenset[int] = EIGHT, threads: int = 2) -> str | None:
    cores = placement("auto", threads, allowed, folder).cores
    return None if cores is None else written(cores)


def test_cores_that_are_alike_are_left_to_the_system(tmp_path: Path) -> None:
    assert preferred(tmp_path) is None  # the system says nothing
    folder = system(tmp_path, clocks=dict.fromkeys(EIGHT, 5_000_000) | {3: 4_600_000}, nodes={0: "0-7"})
    assert preferred(folder) is None
    assert placement("auto", 2, EIGHT, folder).said == "8 cores alike: wherever the system puts it"


def test_cores_that_are_named_as_fast_are_preferred(tmp_path: Path) -> None:
    folder = system(tmp_path, named="0-3", clocks=dict.fromkeys(EIGHT, 4_000_000))
    assert preferred(folder) == "0-3"
    assert placement("auto", 2, EIGHT, folder).said == "the 4 fast ones of 8 cores: 0-3"
    assert preferred(folder, frozenset({2, 3, 4, 5})) == "2-3"  # of those that the process may use


def test_otherwise_the_clock_tells(tmp_path: Path) -> None:
    clocks = {core: 1_800_000 if core < 4 else 2_400_000 for core in EIGHT}
    assert preferred(system(tmp_path, clocks=clocks)) == "4-7"


def test_fast_cores_that_are_too_few_are_not_enough(tmp_path: Path) -> None:
    folder = system(tmp_path, named="0-1")
    assert preferred(folder, threads=2) == "0-1"
    assert preferred(folder, threads=4) is None
    assert preferred(folder, frozenset({1, 4, 5})) is None


def test_work_stays_beside_one_memory(tmp_path: Path) -> None:
    folder = system(tmp_path, nodes={0: "0-2", 1: "3-7", 2: "8-15"})
    assert preferred(folder) == "3-7"
    assert preferred(folder, threads=6) is None
    hybrid = system(tmp_path, named="1-4")
    assert placement("auto", 2, EIGHT, hybrid).said.endswith("of them the 2 beside one memory: 1-2")


@pytest.mark.parametrize(
    ("workers", "threads", "made", "wanted"),
    [
        (3, 1, {}, [None, None, None]),
        (3, 1, {"nodes": {0: "0-3", 1: "4-7"}}, ["0-3", "4-7", "0-3"]),  # each beside one memory, in turns
        (2, 4, {"nodes": {0: "0-4", 1: "5-7"}}, [None, None]),  # one memory has too few
        (2, 2, {"named": "0-3"}, ["0-3", "0-3"]),
        (3, 2, {"named": "0-3"}, [None, None, None]),  # the fast ones are not enough for all
        (2, 1, {"named": "0-5", "nodes": {0: "0-3", 1: "4-7"}}, ["0-3", "4-5"]),
    ],
)
def test_workers_are_spread_over_fast_cores_and_memories(
    tmp_path: Path, workers: int, threads: int, made: dict[str, Any], wanted: list[str | None]
) -> None:
    found = spread("auto", threads, workers, EIGHT, system(tmp_path, **made))
    assert [None if one.cores is None else written(one.cores) for one in found] == wanted


def test_workers_are_where_the_settings_say() -> None:
    assert [one.cores for one in spread("2-3", 1, 2, EIGHT)] == [frozenset({2, 3})] * 2
    assert [one.cores for one in spread("all", 1, 2, EIGHT)] == [None, None]
    with pytest.raises(SettingsError, match=r"^cores is '8', and this process may use 0-7$"):
        spread("8", 1, 2, EIGHT)


def test_files_that_say_something_else_are_as_if_missing(tmp_path: Path) -> None:
    folder = system(tmp_path, named="many", nodes={0: ""})
    (folder / "system/cpu/cpu0/cpufreq").mkdir(parents=True)
    (folder / "system/cpu/cpu0/cpufreq/cpuinfo_max_freq").write_text("<unsupported>")
    assert preferred(folder) is None


def test_what_is_asked_for_is_taken_and_what_cannot_be_is_refused() -> None:
    assert placement("1,3-4", 2, EIGHT).cores == frozenset({1, 3, 4})
    assert placement("all", 2, EIGHT).cores is None
    with pytest.raises(SettingsError, match="cores is '7-9', and this process may use 0-7"):
        placement("7-9", 2, EIGHT)
    for text in ("", "fast", "1-", "3-1", "-1", "1,,2"):
        with pytest.raises(SettingsError, match="cores is"):
            load(None, {"cores": text})


def test_lists_are_read_and_written_as_the_kernel_does() -> None:
    assert written(parsed("0-3,8,10-11")) == "0-3,8,10-11"


@pytest.mark.skipif(sys.platform != "linux", reason="cores can be chosen on Linux alone")
def test_a_worker_is_kept_to_its_cores_and_nobody_else() -> None:
    before = os.sched_getaffinity(0)
    one = frozenset({max(before)})

    async def kept() -> set[int]:
        async with Worker("work") as worker:
            await worker.run(partial(keep_to, one))
            return await worker.run(os.sched_getaffinity, 0)

    assert asyncio.run(kept()) == one
    assert os.sched_getaffinity(0) == before
    with held_to(one):
        assert os.sched_getaffinity(0) == one
    assert os.sched_getaffinity(0) == before
    with held_to(None):
        assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(not SYSTEM.exists(), reason="no such system")
def test_this_machine_has_a_place_for_work() -> None:
    assert placement("auto", 2).said
