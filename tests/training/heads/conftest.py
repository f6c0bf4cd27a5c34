"""The egg's assets, written once."""

from pathlib import Path

import pytest

from tests.training.heads import egg
from training.heads.assets import Assets


@pytest.fixture(scope="session")
def egg_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return egg.write(tmp_path_factory.mktemp("egg"))


@pytest.fixture(scope="session")
def egg_assets(egg_folder: Path) -> Assets:
    return Assets.load(egg_folder)
