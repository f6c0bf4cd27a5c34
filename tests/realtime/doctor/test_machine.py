"""Processor, memory and graphics, from what systems say about them."""

from pathlib import Path

import pytest

from realtime.doctor import graphics, memory, processor
from realtime.doctor.finding import NOTE, OK, WRONG
from realtime.doctor.graphics import Card


@pytest.mark.parametrize(
    ("text", "state", "words"),
    [
        ("flags : fpu avx2 avx512f avx512_vnni", OK, "one: AVX2, AVX-512, AVX-512 VNNI"),
        ("flags : fpu avx2", NOTE, "no VNNI"),
        ("flags : fpu sse2", NOTE, "none that networks use; networks run slowly"),
        ("Features : fp asimd asimddp", OK, "NEON, dot product"),
        ("processor : 0", OK, "does not say"),
    ],
)
def test_a_processor_is_judged_by_what_networks_use(tmp_path: Path, text: str, state: str, words: str) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{text}\n")
    found = processor.judged("one", processor.abilities(tmp_path / "cpuinfo"))
    assert found.state == state
    assert words in found.seen
    assert bool(found.remedy) == (state == NOTE)


@pytest.mark.parametrize(("free", "state"), [(100, WRONG), (900 * memory.MB, NOTE), (9000 * memory.MB, OK), (None, OK)])
def test_memory_is_judged_by_what_a_run_takes(free: int | None, state: str) -> None:
    found = memory.judged(free)
    assert (found.state, bool(found.remedy)) == (state, state != OK)


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n")
    assert memory.available(tmp_path) == 8_000_000 * 1024
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.current").write_text("300\n")
    (group / "memory.max").write_text("max\n")
    assert memory.available(tmp_path) == 8_000_000 * 1024
    (group / "memory.max").write_text("1000\n")
    assert memory.available(tmp_path) == 700


@pytest.mark.parametrize(
    ("card", "offered", "state", "words"),
    [
        (Card("X", "570.1", "cuda"), ["CUDAExecutionProvider"], OK, "X, driver 570.1"),
        (Card("X", "570.1", "cuda"), ["CPUExecutionProvider"], NOTE, "install onnxruntime-gpu in place of"),
        (Card("X", "", "cuda"), ["CUDAExecutionProvider"], NOTE, "install its maker's driver"),
        (Card("X", "i915", ""), ["CPUExecutionProvider"], OK, "X, driver i915"),
    ],
)
def test_a_card_that_is_not_used_is_a_note(card: Card, offered: list[str], state: str, words: str) -> None:
    found = graphics.judged(card, offered)
    assert found.state == state
    assert words in f"{found.seen} {found.remedy}"


def test_cards_are_read_from_what_linux_lists(tmp_path: Path) -> None:
    for number, maker, driver in ((0, "0x8086", "i915"), (1, "0x10de", ""), (2, "0x1234", "bochs")):
        device = tmp_path / f"card{number}" / "device"
        device.mkdir(parents=True)
        (device / "vendor").write_text(f"{maker}\n")
        if driver:
            (tmp_path / driver).mkdir()
            (device / "driver").symlink_to(tmp_path / driver)
    cards = graphics._listed(tmp_path)
    assert [(card.name, card.driver) for card in cards] == [("a card by Intel", "i915"), ("a card by NVIDIA", "")]
