"""Packages: needed and missing, too old, there twice."""

import pytest

from realtime.doctor.finding import NOTE, OK, WRONG
from realtime.doctor.packages import Need, applies, findings, judged, numbers, python

NEEDS = [Need("av", "18", ""), Need("onnxruntime", "1.31", ""), Need("pyvirtualcam", "0.12", "virtualcam")]
GOOD = {"av": "18.1.0", "onnxruntime": "1.32.0", "pyvirtualcam": "0.15.0"}


@pytest.mark.parametrize(
    ("line", "need"),
    [
        ("numpy>=2", Need("numpy", "2", "")),
        ("typer", Need("typer", "", "")),
        ("pyvirtualcam>=0.12; extra == 'virtualcam'", Need("pyvirtualcam", "0.12", "virtualcam")),
        ('onnxruntime-gpu[cuda,cudnn]>=1.31; extra == "gpu"', Need("onnxruntime-gpu", "1.31", "gpu")),
        ("torch==2.13.0; extra == 'training'", Need("torch", "", "training")),
        ("av<19,>=18.1", Need("av", "18.1", "")),
    ],
)
def test_a_line_of_the_metadata_is_understood(line: str, need: Need) -> None:
    assert Need.parse(line) == need


@pytest.mark.parametrize(
    ("line", "system", "needed"),
    [
        ("numpy>=2", "linux", True),
        ("cameras>=1.3; sys_platform != 'linux'", "linux", False),
        ("cameras>=1.3; sys_platform != 'linux'", "darwin", True),
        ('tray>=1; sys_platform == "win32" and extra == "tray"', "linux", False),
        ('tray>=1; sys_platform == "win32" and extra == "tray"', "win32", True),
    ],
)
def test_what_another_system_needs_is_not_asked_for(line: str, system: str, needed: bool) -> None:
    assert applies(line, system) is needed


def test_what_is_there_is_named_with_its_version() -> None:
    base, extra = judged(NEEDS, GOOD)
    assert (base.state, base.seen) == (OK, "av 18.1.0, onnxruntime 1.32.0")
    assert (extra.state, extra.name, extra.seen) == (OK, "for virtualcam", "pyvirtualcam 0.15.0")


@pytest.mark.parametrize(
    ("there", "seen"),
    [
        ({**GOOD, "av": "17.9"}, "av 17.9, wanted 18 or newer"),
        ({"onnxruntime": "1.32.0", "pyvirtualcam": "0.15.0"}, "av missing"),
        ({"onnxruntime": "1.9.1", "pyvirtualcam": "0.15.0"}, "av missing; onnxruntime 1.9.1, wanted 1.31 or newer"),
    ],
)
def test_what_is_missing_or_old_is_wrong_and_has_a_remedy(there: dict[str, str], seen: str) -> None:
    base, _ = judged(NEEDS, there)
    assert (base.state, base.seen) == (WRONG, seen)
    assert base.remedy == "pip install -c constraints.txt -e ."


def test_an_extra_that_is_missing_is_a_note_that_says_how_to_get_it() -> None:
    _, extra = judged(NEEDS, {"av": "18", "onnxruntime": "1.31"})
    assert (extra.state, extra.remedy) == (NOTE, "pip install -c constraints.txt -e '.[virtualcam]'")


def test_the_gpu_package_stands_for_the_plain_one_and_both_together_are_wrong() -> None:
    base, _ = judged(NEEDS, {"av": "18", "onnxruntime-gpu": "1.31.1", "pyvirtualcam": "1"})
    assert (base.state, base.seen) == (OK, "av 18, onnxruntime-gpu 1.31.1")
    twice, *_ = judged(NEEDS, {**GOOD, "onnxruntime-gpu": "1.31.1"})
    assert twice.state == WRONG
    assert twice.remedy.startswith("pip uninstall --yes onnxruntime onnxruntime-gpu, then install")


def test_versions_compare_as_numbers() -> None:
    assert numbers("1.9") < numbers("1.31.0") < numbers("2.13.0+cpu")
    assert numbers("") == ()


def test_an_old_python_is_wrong() -> None:
    assert python((3, 10)).state == WRONG
    assert python((3, 11)).state == OK


def test_this_very_installation_is_complete() -> None:
    assert [found for found in findings() if found.state == WRONG] == []
