"""The egg's assets, written once."""

from functools import partialmethod
from pathlib import Path

import pytest

from tests.training.heads import egg
from training.heads.assets import Assets
from training.heads.renderer import Renderer


@pytest.fixture(scope="session")
def egg_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return egg.write(tmp_path_factory.mktemp("egg"))


@pytest.fixture(scope="session")
def egg_assets(egg_folder: Path) -> Assets:
    return Assets.load(egg_folder)


@pytest.fixture
def few_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    """How much of the sky each vertex sees is found roughly, where a test looks at something else."""
    monkeypatch.setattr(Renderer, "bake_openness", partialmethod(Renderer.bake_openness, directions=8, side=128))
