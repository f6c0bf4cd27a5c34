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


@pytest.fixture(scope="session", autouse=True)
def folders_of_nobody(folders: Path) -> Iterator[None]:
    """Keys and logs of the tests stay with the tests, also those of the processes that they start."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("config", "state", "cache"):
            patch.setenv(f"XDG_{name.upper()}_HOME", str(folders / name))
        yield


@pytest.fixture(autouse=True)
def logging_as_found() -> Iterator[None]:
    """The root's handlers and the levels of all loggers."""
    root, levels, handlers = logging.getLogger(), levels_of_loggers(), tuple(logging.getLogger().handlers)
    yield
    for name, level in levels_of_loggers().items():
        if level != levels.get(name, logging.NOTSET):  # setting one makes all others forget what they are asked for
            logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))
    for handler in tuple(root.handlers):
        if handler not in handlers:
            root.removeHandler(handler)


def levels_of_loggers() -> dict[str | None, int]:
    """The level of the root, named None, and of each logger that has been made so far."""
    made = [
        (name, one.level) for name, one in logging.root.manager.loggerDict.items() if isinstance(one, logging.Logger)
    ]
    return {None: logging.root.level, **dict(made)}
