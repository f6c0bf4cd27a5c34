"""What every test leaves as it was found: logging, which the commands set up for their process."""

import logging
from collections.abc import Iterator

import pytest


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
