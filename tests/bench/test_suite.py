"""All measurements in one go, and two of their results beside each other."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from bench.compare import changes, leaves
from bench.suite import PARTS, Part, measure, reason, run, wanted
from realtime.errors import LiveswapError

COMPOSE = next(part for part in PARTS if part.name == "compose")


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The exit code of liveswap-bench with these words."""
    monkeypatch.setattr(sys, "argv", ["liveswap-bench", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_every_part_is_a_command_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in PARTS:
        assert command(monkeypatch, part.name, "--help") == 0
        said = capsys.readouterr().out
        flags = {word for word in (*part.words, *part.quick) if word.startswith("--")}
        assert all(flag in said for flag in (*flags, "--out"))


def test_a_quick_suite_leaves_numbers_and_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(monkeypatch, "all", "--quick", "--only", "compose", "--folder", tmp_path) == 0
    numbers = json.loads((tmp_path / "all.json").read_text())
    assert numbers["quick"] is True
    assert list(numbers["parts"]) == ["compose"]
    assert numbers["machine"]["cores"] >= 1
    report = (tmp_path / "all.md").read_text()
    assert "## compose" in report
    assert "300 px" in report
    assert str(tmp_path / "all.md") in capsys.readouterr().out


def test_a_part_that_fails_is_a_sentence_and_the_others_go_on(tmp_path: Path) -> None:
    broken = Part("compose", quick=("--width", "7"))
    results, failed = measure((broken, COMPOSE), tmp_path, quick=True)
    assert list(results) == ["compose"]
    assert len(failed) == 1
    assert "Invalid value for '--width'" in failed[0]


def test_a_part_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.suite.LIMIT_S", 0.01)
    with pytest.raises(LiveswapError, match="more than 0 s"):
        run(COMPOSE, tmp_path, quick=True)


def test_an_unknown_part_is_refused() -> None:
    assert wanted(None) == PARTS
    assert wanted(["glass", "latency"]) == tuple(part for part in PARTS if part.name in ("latency", "glass"))
    with pytest.raises(LiveswapError, match="no part 'speed', wanted latency, stages"):
        wanted(["speed"])


def test_the_reason_is_the_last_line_that_says_something() -> None:
    assert reason("Usage: x\n╭─ Error ─╮\n│ No such option: --y │\n╰─────────╯\n") == "No such option: --y"
    assert reason("liveswap-bench: no file\n") == "no file"
    assert reason("") == ""


def test_what_changed_most_comes_first_and_the_origin_is_no_number() -> None:
    before = {"a": 10, "b": {"c": [1.0, 2.0]}, "machine": {"cores": 2}, "same": 5, "flag": True, "zero": 0}
    after = {"a": 11, "b": {"c": [4.0, 2.0]}, "machine": {"cores": 8}, "same": 5, "flag": False, "zero": 3, "new": 1}
    found = changes(before, after)
    assert [change.name for change in found] == ["zero", "b.c[0]", "a", "b.c[1]", "same"]
    assert [change.ratio for change in found] == [None, 4.0, pytest.approx(1.1), 1.0, 1.0]
    assert dict(leaves({"x": float("nan"), "y": "3"})) == {}


def write(path: Path, numbers: Any) -> Path:
    path.write_text(json.dumps(numbers))
    return path


def test_two_files_are_shown_beside_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = write(tmp_path / "one.json", {"fps": 30, "age": {"p95": 20}, "machine": {"cores": 2}})
    other = write(tmp_path / "other.json", {"fps": 30.3, "age": {"p95": 30}, "machine": {"cores": 4}})
    assert command(monkeypatch, "compare", one, other) == 0
    said = capsys.readouterr().out
    assert "age.p95" in said
    assert "1.50" in said
    assert "fps" not in said
    assert "the machines differ" in said.replace("\n", " ")


@pytest.mark.parametrize(
    ("numbers", "said"), [([1], "holds a list"), ({"other": 3}, "no number in common"), (None, "holds a NoneType")]
)
def test_files_that_cannot_be_compared_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, numbers: Any, said: str
) -> None:
    one = write(tmp_path / "one.json", {"fps": 30})
    assert command(monkeypatch, "compare", one, write(tmp_path / "two.json", numbers)) == 2
    assert said in capsys.readouterr().err
    assert command(monkeypatch, "compare", one, tmp_path / "missing.json") == 2
    (tmp_path / "text.json").write_text("no JSON")
    assert command(monkeypatch, "compare", one, tmp_path / "text.json") == 2
    assert "is no JSON" in capsys.readouterr().err
