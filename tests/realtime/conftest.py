"""What the tests of the command share: a folder of small models, a clip of a face, and a way to say a command."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from realtime.__main__ import main
from tests.models import write_shelf
from tests.realtime.people import astronaut_clip


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


Say = Callable[..., Said]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as realtime/models, with the identities aster and cedar."""
    return write_shelf(tmp_path_factory.mktemp("models") / "models")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of a face."""
    return astronaut_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 15)


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """Runs `liveswap` with these words in this process."""

    def said(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["liveswap", *(str(word) for word in words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Said(code or 0, *capfd.readouterr())

    return said
