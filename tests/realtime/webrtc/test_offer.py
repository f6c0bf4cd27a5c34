"""Offers that cannot be answered are refused with the right status, before aiortc sees them."""

from contextlib import suppress

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime.webrtc.media import MediaSettings, Wish
from realtime.webrtc.offer import camera_offer, codec_of, fragment_of, viewer_offer, with_rates
from realtime.webrtc.refused import OfferRefused
from realtime.webrtc.studio import Studio
from tests.realtime.webrtc.people import Client, Clip, client, demo

CANDIDATE = "a=candidate:1 1 udp 2130706431 127.0.0.1 50000 typ host"


async def offered(videos: int = 1, audios: int = 0, data: bool = False, direction: str = "sendrecv") -> str:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind, count in (("video", videos), ("audio", audios)):
        for _ in range(count):
            connection.addTransceiver(kind, direction=direction)
    if data:
        connection.createDataChannel("control")
    await connection.setLocalDescription(await connection.createOffer())
    text = str(connection.localDescription.sdp)
    await connection.close()
    return text


def status_of(text: str) -> int:
    """The HTTP status that an offer gets."""
    try:
        camera_offer(text)
    except OfferRefused as refused:
        return refused.status
    return 200


async def test_a_good_offer_is_taken() -> None:
    offer = camera_offer(await offered(1, 1, data=True))
    assert (offer.video, offer.audio) == ("sendrecv", "sendrecv")
    assert camera_offer(await offered(1, direction="sendonly")).audio == "inactive"
    assert viewer_offer(await offered(1, direction="recvonly")).video == "recvonly"


async def test_a_direction_that_is_not_said_is_both() -> None:
    text = (await offered()).replace("a=sendrecv\r\n", "")
    offer = camera_offer(text)
    assert offer.video == "sendrecv"
    assert "a=sendrecv" in offer.text


@pytest.mark.parametrize(
    "text", ["", "garbage", "{}", "v=0", "v=0\r\nm=video", "v=x", "v=0\r\nm=video 9 X 1\r\na=rtpmap:x", "\0" * 100]
)
def test_garbage_is_malformed(text: str) -> None:
    with pytest.raises(OfferRefused) as refused:
        camera_offer(text)
    assert refused.value.status == (422 if text == "v=0" else 400)


async def test_each_useless_offer_says_why() -> None:
    for text, sentence in (
        (await offered(0, 1), "no video"),
        (await offered(0, data=True), "no video"),
        (await offered(5), "has 5 video tracks, wanted one"),
        (await offered(1, 2), "has 2 audio tracks, wanted one"),
        (await offered(1, direction="recvonly"), "video is recvonly, wanted sendrecv or sendonly"),
        (await offered(1, direction="inactive"), "video is inactive"),
        ((await offered()).replace("VP8", "AV1").replace("H264", "VP9"), "none of our video codecs"),
        ((await offered(1, data=True)).replace("m=application", "m=text"), "neither video, audio"),
    ):
        with pytest.raises(OfferRefused, match=sentence) as refused:
            camera_offer(text)
        assert refused.value.status == 422
    with pytest.raises(OfferRefused, match="wanted recvonly"):
        viewer_offer(await offered(1, direction="sendonly"))


async def test_each_malformed_offer_says_why() -> None:
    good = await offered(1, 1, data=True)
    lines = good.splitlines()
    for text, sentence in (
        ("\r\n".join(line for line in lines if not line.startswith("a=ice-pwd")), "no ICE user"),
        ("\r\n".join(line for line in lines if not line.startswith("a=fingerprint")), "no DTLS fingerprint"),
        ("\r\n".join(line for line in lines if not line.startswith("a=setup")), "no DTLS fingerprint"),
        ("\r\n".join(line for line in lines if line != "a=rtcp-mux"), "no rtcp-mux"),
        ("\r\n".join(line for line in lines if not line.startswith("a=mid")), "no mid of their own"),
        (good.replace("a=mid:1", "a=mid:0"), "no mid of their own"),
        (good.replace("BUNDLE 0 1 2", "BUNDLE 0 1 7"), "bundles sections that it does not have"),
        (good.replace("a=sctp-port:5000", "a=sctp-port:0"), "no SCTP port"),
        (good + "a=x:y\r\n" * 2000, "lines, wanted at most 1000"),
        (good + "a=rtpmap:99 X/90000\r\n" * 200, "formats, wanted at most"),
        (good + f"{CANDIDATE}\r\n" * 200, "candidates, wanted at most"),
    ):
        with pytest.raises(OfferRefused, match=sentence) as refused:
            camera_offer(text)
        assert refused.value.status == 400
    with pytest.raises(OfferRefused, match="wanted at most 65536") as refused:
        camera_offer(good + "a=x:" + "y" * 70_000)
    assert refused.value.status == 413


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_to_an_offer_does_more_than_get_it_refused(sample: str, data: st.DataObject) -> None:
    lines = sample.splitlines()
    place = data.draw(st.integers(0, len(lines) - 1))
    kind = data.draw(st.sampled_from(["drop", "cut", "double", "text"]))
    line = lines[place]
    cut = data.draw(st.integers(0, len(line)))
    damaged = {"drop": [], "cut": [line[:cut]], "double": [line, line], "text": [line[:cut] + data.draw(st.text())]}
    assert status_of("\r\n".join([*lines[:place], *damaged[kind], *lines[place + 1 :]]) + "\r\n") in (200, 400, 422)


@pytest.fixture
async def sample() -> str:
    return await offered(1, 1, data=True)


async def test_damaged_offers_leave_no_session_behind(studio: Studio, sample: str) -> None:
    lines = sample.splitlines()
    for place in range(0, len(lines), 3):
        session = studio.session(f"session {place}", Wish())
        offer = "\r\n".join([*lines[:place], lines[place][: len(lines[place]) // 2], *lines[place + 1 :]])
        with suppress(OfferRefused):
            await session.answer(offer)
            await session.close()
        assert session.closed.is_set()
    assert studio.sessions == ()


def test_a_fragment_holds_candidates_of_one_ice_user() -> None:
    text = (
        f"a=ice-ufrag:abcd\r\na=ice-pwd:x\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\n{CANDIDATE}\r\na=end-of-candidates\r\n"
    )
    fragment = fragment_of(text)
    assert fragment.user == "abcd"
    assert fragment.complete
    (candidate,) = fragment.candidates
    assert (candidate.ip, candidate.port, candidate.sdpMid) == ("127.0.0.1", 50000, "0")
    assert fragment_of("").candidates == ()


@pytest.mark.parametrize(
    "text", ["a=candidate:x", "a=candidate:1 1 udp many 127.0.0.1 1 typ host", "hello", f"{CANDIDATE}\n" * 101]
)
def test_a_fragment_that_is_none_is_malformed(text: str) -> None:
    with pytest.raises(OfferRefused) as refused:
        fragment_of(text)
    assert refused.value.status == 400


async def test_candidates_may_come_after_the_offer_and_a_restart_is_refused(studio: Studio) -> None:
    session, one = studio.session("one", Wish()), Client()
    one.connection.addTrack(Clip(demo(10, 320, 180), 10))
    offer = await one.offer()
    kept = [line for line in offer.splitlines() if line.startswith(("a=candidate", "a=end-of"))]
    bare = "\r\n".join(line for line in offer.splitlines() if line not in kept) + "\r\n"
    user = next(line for line in offer.splitlines() if line.startswith("a=ice-ufrag"))
    await one.take(await session.answer(bare))
    with pytest.raises(OfferRefused, match="ICE restart") as refused:
        await session.candidates("a=ice-ufrag:other\r\na=ice-pwd:x\r\n")
    assert refused.value.status == 422
    await session.candidates("\r\n".join([user, "m=video 9 X 0", "a=mid:0", *kept]))
    await one.connected()
    await one.video.until(3)
    await one.close()


async def test_the_answer_tells_chromium_its_bitrates(studio: Studio) -> None:
    session = studio.session("one", Wish())
    media = MediaSettings(start_kbps=2000, least_kbps=500, most_kbps=3000)
    async with client(session, Clip(demo(10, 320, 180), 10)) as one:
        answer = str(one.connection.remoteDescription.sdp)
    assert answer.count("x-google-start-bitrate=1800") == answer.count("a=rtpmap") - answer.count("rtx/90000")
    codec = codec_of(await offered(), "video")
    assert codec is not None
    assert codec.name == "VP8"
    changed = with_rates(await offered(), media)
    assert "a=fmtp:97 x-google-start-bitrate=2000;x-google-min-bitrate=500;x-google-max-bitrate=3000" in changed
    assert "packetization-mode=1;profile-level-id=42001f;x-google-start-bitrate=2000" in changed
