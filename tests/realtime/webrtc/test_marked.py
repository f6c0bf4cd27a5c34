"""What the settings say of labels and the log holds for every visitor of a server."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from realtime.egress.session_log import usual_place
from realtime.settings import Settings
from realtime.webrtc.lobby import usual_wish
from realtime.webrtc.studio import Studio
from tests.realtime.egress.test_label import words_in
from tests.realtime.webrtc.people import PATIENCE, Clip, client, demo
from tests.realtime.webrtc.test_session import ended


@pytest.fixture
async def french(loaded: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Studio]:
    """A studio whose label is French, at the top."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    settings = replace(loaded.settings, label_language="fr", label_corner="top-right", label_style="icon")
    studio = Studio(settings, loaded.media, loaded.shelf, loaded.networks)
    yield studio
    await studio.close()


async def somebody_shown() -> None:
    """Waits until the log says that a face was swapped: on a busy machine that takes a while."""
    async with asyncio.timeout(PATIENCE):
        while '"shows"' not in usual_place().read_text("utf-8"):
            await asyncio.sleep(0.05)


async def test_a_visitor_sees_the_label_of_the_settings_and_the_log_knows_the_session(french: Studio) -> None:
    session = french.session("one", usual_wish(french))
    async with client(session, Clip(demo())) as one:
        await one.video.until(5)
        await somebody_shown()
        image = one.video.images[-1]
    await ended(session)
    assert words_in(image, "top-right", "icon", "fr") > 0.8
    lines = [json.loads(line) for line in usual_place().read_text("utf-8").splitlines()]
    assert [line["event"] for line in lines] == ["began", "shows", "ended"]
    assert [one["identity"] for one in lines[-1]["shown"]] == ["aster"]
    assert lines[-1]["sinks"] == ["web session one"]
    assert lines[-1]["frames"] > 0


async def test_every_visitor_has_a_session_id_of_their_own(french: Studio) -> None:
    first, second = (french.session(name, usual_wish(french)) for name in ("one", "two"))
    assert first.mark != second.mark
    assert len(first.mark) == 16


def test_a_server_without_a_log_notes_nothing(loaded: Studio) -> None:
    other = Studio(Settings(session_log=False), loaded.media, loaded.shelf, loaded.networks)
    assert other.door.log is None
