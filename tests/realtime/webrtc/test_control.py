"""The data channel: what is understood, what is refused, and what comes of it."""

import json

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.errors import SettingsError
from realtime.webrtc.control import Changes, Ping, understood
from realtime.webrtc.media import Wish
from realtime.webrtc.studio import Studio
from tests.realtime.egress.test_label import words_in
from tests.realtime.webrtc.people import Clip, client, demo

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_wishes_and_pings_are_understood() -> None:
    assert understood('{"type": "set", "identity": "cedar"}') == Changes({"identity": "cedar"})
    both = understood(b'{"type": "set", "no_face": "blur", "label": "top-left"}')
    assert both == Changes({"no_face": "blur", "label": "top-left"})
    assert understood('{"type": "ping", "at": 123.5}') == Ping(123.5)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("", "no JSON"),
        ("hello", "no JSON"),
        ("[" * 4000, "no JSON"),
        ('{"type": "ping", "at": NaN}', "no JSON"),
        (b"\xff\xfe", "no UTF-8"),
        ("[]", "no JSON object"),
        ('"set"', "no JSON object"),
        ("{}", "type None, wanted set or ping"),
        ('{"type": "dance"}', "type 'dance', wanted set or ping"),
        ('{"type": ["set"]}', "wanted set or ping"),
        ('{"type": "set"}', "set names nothing, wanted identity, no_face, label, style"),
        ('{"type": "set", "identity": 3}', "identity is 3, wanted a text"),
        ('{"type": "set", "label": null}', "label is None, wanted a text"),
        ('{"type": "set", "gate": "open"}', "set names 'gate'"),
        ('{"type": "ping"}', "no number at"),
        ('{"type": "ping", "at": true}', "no number at"),
        ('{"type": "ping", "at": 1e300}', "no number at"),
        ('{"type": "ping", "at": "%s"}' % ("x" * 5000), "wanted at most 4096"),
        ("ä" * 2100, "wanted at most 4096"),
    ],
)
def test_what_cannot_be_understood_is_said_in_one_sentence(message: str | bytes, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as refused:
        understood(message)
    assert len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)


@given(st.one_of(st.text(), st.binary(), JSON.map(json.dumps)))
def test_no_message_does_more_than_be_refused(message: str | bytes) -> None:
    try:
        meant = understood(message)
    except SettingsError:
        return
    assert isinstance(meant, Ping | Changes)


async def test_the_state_is_said_on_opening_and_after_each_change(studio: Studio) -> None:
    session = studio.session("one", Wish(identity="cedar", no_face="hold"))
    async with client(session, Clip(demo(10, 320, 180), 10)) as one:
        assert await one.told_of("state") == {
            "type": "state",
            "identity": "cedar",
            "no_face": "hold",
            "label": "bottom-left",
            "style": "text",
            "identities": list(studio.shelf.names),
        }
        one.say({"type": "set", "no_face": "blur", "identity": "aster"})
        state = await one.told_of("state")
        assert (state["identity"], state["no_face"], state["label"]) == ("aster", "blur", "bottom-left")
        one.say({"type": "ping", "at": 5.25})
        assert await one.told_of("pong") == {"type": "pong", "at": 5.25}
        stats = await one.told_of("stats")
        assert set(stats) == {
            *("type", "fps", "age_ms", "age_p95_ms", "faces", "frames_in", "frames_out", "dropped"),
            *("width", "height", "bitrate_kbps", "audio_delay_ms", "viewers"),
        }


async def test_what_cannot_be_done_is_said_and_changes_nothing(studio: Studio) -> None:
    session = studio.session("one", Wish())
    async with client(session, Clip(demo(10, 320, 180), 10)) as one:
        await one.told_of("state")
        for message, sentence in (
            ({"type": "set", "identity": "/etc/passwd"}, "there is no identity '/etc/passwd', wanted aster"),
            ({"type": "set", "identity": "cedar", "label": "off"}, "label is 'off'"),
            ({"type": "set", "style": "none"}, "style is 'none'"),
            ({"type": "set", "identity": "cedar", "no_face": "show"}, "no_face"),
            ({"type": "open"}, "wanted set or ping"),
            (b"\x00\xff", "no UTF-8"),
        ):
            one.say(message)
            assert sentence in (await one.told_of("error"))["error"]
        assert session.wish == Wish()


async def test_the_last_of_many_wishes_is_the_one_that_counts(studio: Studio) -> None:
    session = studio.session("one", Wish())
    async with client(session, Clip(demo(10, 320, 180), 10)) as one:
        await one.told_of("state")
        for number in range(50):
            one.say({"type": "set", "identity": ("aster", "cedar")[number % 2]})
        one.say({"type": "set", "label": "top-left"})
        state = await one.told(lambda message: message["type"] == "state" and message["label"] == "top-left")
        assert state["identity"] == "cedar"


async def test_the_label_moves_to_the_corner_that_is_wished_for(studio: Studio) -> None:
    session = studio.session("one", Wish(label="top-right"))
    async with client(session, Clip(demo(10), 10)) as one:
        await one.video.until(5)
        assert words_in(one.video.images[-1], "top-right") > 0.8
        one.say({"type": "set", "label": "bottom-right"})
        await one.told(lambda message: message["type"] == "state" and message["label"] == "bottom-right")
        await one.video.until(len(one.video.frames) + 8)
        assert words_in(one.video.images[-1], "bottom-right") > 0.8


async def test_what_is_shown_without_a_face_changes_too(studio: Studio) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (45, 80, 3), np.uint8)
    wall = [av.VideoFrame.from_ndarray(noise, format="bgr24").reformat(640, 360, "yuv420p")]
    session = studio.session("one", Wish())
    async with client(session, Clip(wall, 10)) as one:
        await one.video.until(8)
        assert one.video.images[-1][100:200].std() > 20
        one.say({"type": "set", "no_face": "blank"})
        await one.told(lambda message: message["type"] == "state" and message["no_face"] == "blank")
        await one.video.until(len(one.video.frames) + 8)
        assert one.video.images[-1][100:200].std() < 5
