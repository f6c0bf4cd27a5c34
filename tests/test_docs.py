"""Commands, flags and links in the documents lead somewhere."""

import re
import shlex
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = {
    "liveswap": "realtime",
    "liveswap-train": "training",
    "liveswap-export": "export",
    "liveswap-bench": "bench",
}
OF_OTHERS = ("docker", "kubectl", "torchrun", "tensorboard", "openssl")  # programs whose flags are theirs


@pytest.fixture(scope="module")
def commands() -> dict[str, Any]:
    """Each program's command, with its own below it."""
    return {name: typer.main.get_command(import_module(f"{of}.__main__").app) for name, of in PACKAGES.items()}


def blocks(text: str) -> Iterator[str]:
    """The lines of what is set as code, each with those that continue it."""
    for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()


def called(line: str) -> list[str]:
    """A program of ours and its words, where the line calls one; nothing else. Comments are left out."""
    if any(re.search(rf"(^|\s){program}\s", line) for program in OF_OTHERS):
        return []
    found = re.search(r"(?:^|[\s/])(liveswap(?:-\w+)?)(\s.*|$)", re.sub(r"(^|\s)#\s.*", "", line))
    return [found[1], *shlex.split(found[2])] if found and found[1] in PACKAGES else []


def wrong_in(words: list[str], commands: Mapping[str, Any]) -> list[str]:
    """The words after the program's name that are no command or flag of it."""
    command, rest = commands[words[0]], words[1:]
    while inner := getattr(command, "commands", None):
        if rest and rest[0] in inner:
            command = inner[rest.pop(0)]
        elif "export" in inner:
            command = inner["export"]  # which need not be named
        else:
            break
    if rest and inner and not rest[0].startswith("-"):
        return [rest[0]]
    flags = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)} | {"--help"}
    return [word for word in rest if re.match(r"-+[a-z]", word) and word.split("=")[0] not in flags]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_flag_of_a_block_exists(page: Path, commands: dict[str, Any]) -> None:
    wrong = {line: said for line in blocks(page.read_text("utf-8")) if (said := wrong_of(line, commands))}
    assert wrong == {}


def wrong_of(line: str, commands: Mapping[str, Any]) -> list[str]:
    words = called(line)
    return wrong_in(words, commands) if words else []


def test_what_does_not_exist_would_be_noticed(commands: dict[str, Any]) -> None:
    assert wrong_of("liveswap run --source 0 --speed 3    # --no such flag", commands) == ["--speed"]
    assert wrong_of(".venv/bin/liveswap dance", commands) == ["dance"]
    assert wrong_of("liveswap-train heads talks --rate 3", commands) == ["--rate"]
    assert wrong_of("LIVESWAP_TOKEN=x liveswap serve --workers 2", commands) == []
    assert wrong_of("docker run --rm liveswap --workers 8", commands) == []


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_link_to_a_file_or_a_heading_leads_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" not in target:
            place, _, anchor = target.partition("#")
            file = page.parent / place if place else page
            assert file.exists(), f"{page.name} links to {target}"
            assert not anchor or anchor in anchors(file), f"{page.name} links to {target}"
