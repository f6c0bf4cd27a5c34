"""What every test leaves as it was found: logging, which the commands set up, and the user's own folders."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.leftovers"]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands in for the user's folders, for all tests."""
    return tmp_path_factory.mktemp("user")


@pytest.fixture(autouse=True)
def folders_of_nobody(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and logs of the tests stay with the tests, also those of the processes that they start."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folders / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(folders / "state"))


@pytest.fixture(autouse=True)
def logging_as_found() -> Iterator[None]:
    """The root's handlers and the levels of ours."""
    ours, root = logging.getLogger("realtime"), logging.getLogger()
    before = ours.level, root.level, tuple(root.handlers)
    yield
    ours.setLevel(before[0])
    root.setLevel(before[1])
    for handler in tuple(root.handlers):
        if handler not in before[2]:
            root.removeHandler(handler)
