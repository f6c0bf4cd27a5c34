"""Sessions whose frames one model draws together."""

from dataclasses import replace

import numpy as np

from realtime.face.geometry import Image
from realtime.frame import Frame
from realtime.swap.fused.batcher import Batcher
from realtime.swap.fused.identity import Fusing
from realtime.swap.identity import Shelf
from realtime.webrtc.engine import Engine
from realtime.webrtc.media import Wish
from realtime.webrtc.studio import Studio
from tests.realtime.webrtc.people import FACE, Looks, demo


def test_an_engine_with_a_batcher_shows_the_identity(loaded: Studio, looks: Looks) -> None:
    """Beside a usual one, on the same pictures: with the same face, and nothing of the camera's."""
    settings = replace(loaded.settings, fused=True)
    shelf = Shelf.load(settings.folder, settings.session, ["aster"], settings.consent, Fusing(settings.session))
    wish, shown = Wish(identity="aster"), []
    for of, batcher in ((shelf, Batcher()), (loaded.shelf, None)):
        engine = Engine(settings, of, loaded.networks.tracker(settings), wish, batcher)
        shown.append(carried(engine))
    assert looks.who(shown[0]) == "aster"
    difference = np.abs(shown[0][FACE].astype(int) - shown[1][FACE])
    assert difference.mean() < 3


def carried(engine: Engine) -> Image:
    """The last of some pictures that went through an engine's stages."""
    first, last = engine.stages(lambda frame: frame)
    for index, picture in enumerate(demo(3)):
        image = np.asarray(picture.to_ndarray(format="bgr24"), np.uint8)
        frame = last.work(first.work(Frame(image, index, index / 30)))
    return np.asarray(frame.image, np.uint8)


def test_a_fused_studio_gives_its_sessions_one_batcher(loaded: Studio) -> None:
    settings = replace(loaded.settings, fused=True)
    studio = Studio(settings, loaded.media, loaded.shelf, loaded.networks)
    batchers = [studio.session(name, Wish(identity="aster"))._engine.batcher for name in ("one", "two")]
    assert isinstance(batchers[0], Batcher)
    assert batchers[0] is batchers[1]
    usual = Studio(loaded.settings, loaded.media, loaded.shelf, loaded.networks)
    assert usual.session("one", Wish(identity="aster"))._engine.batcher is None
