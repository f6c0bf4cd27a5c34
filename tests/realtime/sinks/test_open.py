"""From what the user wrote to sinks."""

from pathlib import Path

import pytest

from realtime.errors import LiveswapError, SettingsError, SinkError
from realtime.sinks.fan_out import FanOut
from realtime.sinks.null import Null
from realtime.sinks.open import open_sink
from realtime.sinks.picture import Picture
from realtime.sinks.preview import Preview
from realtime.sinks.video_file import Recording
from realtime.sinks.virtual_camera import VirtualCamera
from tests.realtime.flow.things import frame


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("virtualcam", VirtualCamera),
        ("virtualcam:/dev/video10", VirtualCamera),
        ("preview", Preview),
        ("null", Null),
        ("out.mp4", Recording),
        ("some/OUT.MOV", Recording),
        ("out.png", Picture),
        ("out-%05d.jpg", Picture),
    ],
)
def test_a_text_names_a_sink(text: str, kind: type) -> None:
    assert type(open_sink([text], live=True)) is kind


async def test_several_texts_are_sinks_side_by_side(tmp_path: Path) -> None:
    sink = open_sink(["null", str(tmp_path / "a.png"), str(tmp_path / "b.mp4")], live=False)
    assert isinstance(sink, FanOut)
    async with sink:
        await sink.write(frame(0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.mp4"]


@pytest.mark.parametrize(
    ("texts", "error", "words"),
    [
        ([], SettingsError, "there is no sink: wanted at least one"),
        (["null", "null"], SettingsError, "sink null is named twice"),
        (["out.xyz"], SinkError, "sink 'out.xyz' is unknown: wanted virtualcam, preview, null or a file that ends in"),
        (["out"], SinkError, "sink 'out' is unknown"),
        ([""], SinkError, "sink '' is unknown"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(texts: list[str], error: type[LiveswapError], words: str) -> None:
    with pytest.raises(error, match=words):
        open_sink(texts, live=True)
