"""The container files name what this tree has: files, extras, flags, health check. Building them takes Docker."""

import re
import shlex
import tomllib

import pytest

from realtime.__main__ import app
from tests.deploy.flags import flags_of
from tests.test_architecture import ROOT

FILES = ("Dockerfile", "Dockerfile.cuda")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
Step = tuple[str, str]  # instruction, and what follows


def steps(name: str) -> list[Step]:
    """The instructions of a container file, continued lines joined."""
    lines = [line for line in (ROOT / "deploy" / name).read_text("utf-8").splitlines() if not line.startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    words = [line.split(maxsplit=1) for line in whole.splitlines() if line.strip()]
    return [(instruction, rest) for instruction, rest in words]


def of(name: str, instruction: str) -> list[str]:
    return [rest for found, rest in steps(name) if found == instruction]


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_is_copied_is_there(name: str) -> None:
    copied = [words for rest in of(name, "COPY") if not (words := shlex.split(rest))[0].startswith("--from")]
    assert all((ROOT / source).exists() for words in copied for source in words[:-1])
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) <= {source for words in copied for source in words[:-1]}, "the build needs all packages"
    assert PROJECT["project"]["readme"] in {source for words in copied for source in words[:-1]}


@pytest.mark.parametrize("name", FILES)
def test_what_is_installed_is_an_extra_or_pinned(name: str) -> None:
    run = " ".join(of(name, "RUN"))
    for extras in re.findall(r"'\.\[([\w,]+)\]'", run):
        assert set(extras.split(",")) <= set(PROJECT["project"]["optional-dependencies"])
    assert "'.[webrtc]'" in run
    pinned = (ROOT / "constraints.txt").read_text("utf-8")
    for package in re.findall(r"'(onnxruntime[\w-]*)\[", run):
        assert re.search(rf"^{package}==", pinned, re.MULTILINE)
    assert run.count("pip install") == run.count("--constraint constraints.txt")


@pytest.mark.parametrize("name", FILES)
def test_it_serves_with_flags_that_there_are(name: str) -> None:
    entry, usual = (re.findall(r'"([^"]*)"', of(name, key)[-1]) for key in ("ENTRYPOINT", "CMD"))
    assert entry[:2] == ["liveswap", "serve"]
    assert flags_of(app, "serve") >= {word for word in entry + usual if word.startswith("--")}


@pytest.mark.parametrize("name", FILES)
def test_it_is_asked_how_it_is_and_runs_as_nobody_special(name: str) -> None:
    (check,) = of(name, "HEALTHCHECK")
    path = re.findall(r'"([^"]*)"', check)[2]
    assert f"COPY deploy/probe.py {path}" in (ROOT / "deploy" / name).read_text("utf-8")
    assert check.endswith('"ready"]')
    assert of(name, "USER")[-1] == "10001"


def test_the_gpus_file_takes_one_onnxruntime_away_before_the_other_comes() -> None:
    run = next(rest for rest in of("Dockerfile.cuda", "RUN") if "pip" in rest)
    assert run.index("'.[webrtc]'") < run.index("uninstall --yes onnxruntime ") < run.index("'onnxruntime-gpu[")
    assert "--provider" in of("Dockerfile.cuda", "ENTRYPOINT")[-1]
