"""The requests of OBS Studio, replayed: its WHIP output as a camera, and its browser source as a viewer.

OBS speaks through libcurl, gathers no candidates before its offer goes out, sends none later, and takes 201 and 200
for success alone.
"""

import asyncio
import re
from dataclasses import dataclass
from fractions import Fraction

import aiohttp
import av
import numpy as np
import pytest
from aiortc import RTCRtpSender
from aiortc.mediastreams import MediaStreamTrack
from aiortc.sdp import SessionDescription

from realtime.webrtc.studio import Studio
from tests.realtime.webrtc.people import Client, Clip, Looks, demo
from tests.realtime.webrtc.web import opened, shows

TOKEN = "stream-key-of-obs"
AGENT = "Mozilla/5.0 (OBS-Studio/30.2.3; Linux x86_64; en-US)"
BROWSER_SOURCE = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.0.0 OBS/30.2.3"
HEAD = """\
v=0
o=rtc 2890844526 0 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=group:LS 0 1
a=msid-semantic:WMS *
a=setup:actpass
a=ice-ufrag:Xk3q
a=ice-pwd:7yE0vTtqHn2mSg5bWc9dLx
a=ice-options:ice2,trickle
a=fingerprint:sha-256 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF
"""
AUDIO = """\
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=sendonly
a=ssrc:1374895621 cname:fV4mWbLqP0sKd2Zx
a=ssrc:1374895621 msid:qT7hJc5nRy1uGe8a qT7hJc5nRy1uGe8a-audio
a=msid:qT7hJc5nRy1uGe8a qT7hJc5nRy1uGe8a-audio
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1
"""
VIDEO = """\
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:1
a=sendonly
a=ssrc:1374895622 cname:fV4mWbLqP0sKd2Zx
a=ssrc:1374895622 msid:qT7hJc5nRy1uGe8a qT7hJc5nRy1uGe8a-video
a=msid:qT7hJc5nRy1uGe8a qT7hJc5nRy1uGe8a-video
a=rtcp-mux
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 goog-remb
a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1
"""
OFFER = (HEAD + AUDIO + VIDEO).replace("\n", "\r\n")


@dataclass(frozen=True, slots=True)
class Told:
    """An answer as libcurl hands it over."""

    status: int
    headers: dict[str, str]
    body: str


async def curl(client: aiohttp.ClientSession, method: str, path: str, body: str = "", expect: bool = False) -> Told:
    """One request with the headers that libcurl gives it for OBS; expect: with a question before the body."""
    base = client._base_url
    assert base is not None
    lines = [f"{method} {path} HTTP/1.1", f"Host: {base.authority}", "Accept: */*"]
    lines += ["Content-Type: application/sdp"] * bool(body)
    lines += [f"Authorization: Bearer {TOKEN}", f"User-Agent: {AGENT}"]
    lines += [f"Content-Length: {len(body)}"] * bool(body) + ["Expect: 100-continue"] * expect
    reader, writer = await asyncio.open_connection(base.host, base.port)
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode())
        if expect:
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
    finally:
        writer.close()
    return Told(int(head[0].split()[1]), headers, content.decode())


class Tone(MediaStreamTrack):
    """Sound as OBS sends it: stereo, 48 kHz, in pieces of 20 ms."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._sent = 0

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(0.02)
        wave = (3000 * np.sin(np.arange(1920) // 2 * 0.06)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 960 * self._sent, Fraction(1, 48000)
        self._sent += 1
        return frame


def obs() -> tuple[Client, Clip]:
    """A peer that sends H.264 and Opus, both sendonly, and wants nothing back."""
    one, clip = Client(), Clip(demo())
    one.connection.addTransceiver(Tone(), direction="sendonly")
    video = one.connection.addTransceiver(clip, direction="sendonly")
    known = RTCRtpSender.getCapabilities("video").codecs
    video.setCodecPreferences([codec for codec in known if codec.mimeType == "video/H264"])
    return one, clip


def bare(offer: str) -> str:
    """The offer as it goes out before any candidate is known."""
    return re.sub(r"a=(?:candidate:.+?|end-of-candidates)\r\n", "", offer)


@pytest.mark.parametrize("expect", [False, True])
async def test_the_offer_of_obs_is_answered_in_a_way_that_obs_takes(studio: Studio, expect: bool) -> None:
    async with opened(studio, token=TOKEN) as client:
        told = await curl(client, "POST", "/whip?name=obs", OFFER, expect)
        assert told.status == 201
        assert told.headers["content-type"] == "application/sdp"
        assert told.headers["location"].startswith("/whip/")  # OBS takes it for a path
        assert "?" not in told.headers["location"]
        assert told.body.startswith("v=0")
        answer = SessionDescription.parse(told.body)
        assert [(media.kind, media.direction, media.rtp.muxId) for media in answer.media] == [
            ("audio", "recvonly", "0"),
            ("video", "recvonly", "1"),
        ]
        assert [media.rtp.codecs[0].mimeType for media in answer.media] == ["audio/opus", "video/H264"]
        assert [media.rtp.codecs[0].payloadType for media in answer.media] == [111, 96]
        assert {media.dtls.role for media in answer.media if media.dtls} <= {"client", "server"}
        assert all(media.ice_candidates for media in answer.media[:1])
        assert "a=group:BUNDLE 0 1" in told.body
        (session,) = studio.sessions
        told = await curl(client, "DELETE", told.headers["location"])
        assert told.status == 200
        assert session.closed.is_set()


async def test_obs_is_the_camera_and_its_browser_source_the_viewer(studio: Studio, looks: Looks) -> None:
    one, clip = obs()
    async with opened(studio, token=TOKEN) as client:
        told = await curl(client, "POST", "/whip?name=obs&identity=cedar", bare(await one.offer()))
        assert told.status == 201
        await one.take(told.body)
        await one.connected()
        viewer = Client()
        for kind in ("video", "audio"):
            viewer.connection.addTransceiver(kind, direction="recvonly")
        headers = {
            "Authorization": f"Bearer {TOKEN}",
            "Content-Type": "application/sdp",
            "Origin": str(client._base_url).rstrip("/"),
            "Referer": str(client._base_url),
            "User-Agent": BROWSER_SOURCE,
            "Accept-Encoding": "gzip, deflate, br, zstd",
        }
        async with client.post("/whep/obs", data=await viewer.offer(), headers=headers) as response:
            assert response.status == 201
            watched = response.headers["Location"]
            await viewer.take(await response.text())
        await viewer.connected()
        await shows(viewer.video, looks, "cedar")
        await viewer.audio.until(10)
        async with client.delete(watched, headers=headers) as response:
            assert response.status == 200
        clip.stop()
        await one.close()  # OBS closes its connection first, and then says so
        assert (await curl(client, "DELETE", told.headers["location"])).status in (200, 404)
        assert not studio.sessions
        await viewer.close()


async def test_obs_that_starts_again_finds_its_name_free(studio: Studio) -> None:
    async with opened(studio, token=TOKEN) as client:
        for _ in range(3):
            told = await curl(client, "POST", "/whip?name=obs", OFFER)
            assert told.status == 201
            assert (await curl(client, "DELETE", told.headers["location"])).status == 200


@pytest.mark.parametrize("codec", ["AV1/90000", "H265/90000"])
async def test_obs_with_a_codec_that_we_lack_is_told_which_to_choose(studio: Studio, codec: str) -> None:
    async with opened(studio, token=TOKEN) as client:
        told = await curl(client, "POST", "/whip", OFFER.replace("H264/90000", codec))
        assert told.status == 422
        assert "H264" in told.body


async def test_obs_with_a_wrong_key_is_told_so(studio: Studio) -> None:
    async with opened(studio, token="another-stream-key") as client:
        told = await curl(client, "POST", "/whip", OFFER)
        assert told.status == 401
        assert "token is wrong" in told.body
