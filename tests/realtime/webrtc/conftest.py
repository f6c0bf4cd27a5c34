"""What the tests of WebRTC share: a studio with the embedded models, loaded once, and how its identities look."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime import Swapper
from realtime.settings import Settings
from realtime.webrtc.media import MediaSettings
from realtime.webrtc.studio import Studio
from tests.realtime.webrtc.people import Looks, demo

OtherStudio = Callable[..., Studio]


@pytest.fixture(scope="session")
def loaded() -> Studio:
    """The embedded models; no session of one test may outlive it, which `studio` takes care of."""
    return Studio.load(Settings(), MediaSettings(width=640, height=360))


@pytest.fixture
async def studio(loaded: Studio) -> AsyncIterator[Studio]:
    """The studio, whose sessions end with the test."""
    yield loaded
    await loaded.close()


@pytest.fixture
async def studio_with(loaded: Studio) -> AsyncIterator[OtherStudio]:
    """Studios with the same models and other settings of media."""
    async with AsyncExitStack() as opened:

        def made(**changes: Any) -> Studio:
            other = Studio(loaded.settings, replace(loaded.media, **changes), loaded.shelf, loaded.networks)
            opened.push_async_callback(other.close)
            return other

        yield made


@pytest.fixture(scope="session")
def looks(loaded: Studio) -> Looks:
    """How the clip looks with nobody swapped, and as each identity."""
    pictures: list[NDArray[np.uint8]] = [
        np.asarray(picture.to_ndarray(format="bgr24"), np.uint8) for picture in demo()[::4]
    ]
    drawn = {"nobody": pictures}
    for card in loaded.identities:
        swapper = Swapper(loaded.networks.tracker(loaded.settings), loaded.shelf, card.name)
        drawn[card.name] = [swapper.picture(picture) for picture in pictures]
    return Looks(drawn)
