"""WHIP and WHEP as RFC 9725 and the draft have them, with aiortc as the client of both."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from realtime.webrtc.media import IceServer
from realtime.webrtc.studio import Studio
from realtime.webrtc.whip import ice_link
from tests.realtime.webrtc.conftest import OtherStudio
from tests.realtime.webrtc.people import PATIENCE, Client, Clip, Looks, demo
from tests.realtime.webrtc.web import FRAGMENT, SDP, error_of, opened, shows

CANDIDATE = "candidate:1 1 udp 2113937151 192.0.2.1 54400 typ host"


@pytest.fixture
async def client(studio: Studio) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a server."""
    async with opened(studio) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Made:
    """What a 201 said."""

    location: str
    etag: str
    links: tuple[str, ...]
    offer: str

    @property
    def watching(self) -> str:
        """Where others may watch."""
        (found,) = [re.match(r"<([^>]+)>", link) for link in self.links if "whep" in link]
        assert found
        return found[1]

    def fragment(self, *lines: str) -> str:
        """An ICE fragment of the peer that made the offer."""
        (user, *_), (password, *_) = (re.findall(f"a=ice-{name}:(.+?)\r", self.offer) for name in ("ufrag", "pwd"))
        head = (f"a=ice-ufrag:{user}", f"a=ice-pwd:{password}", "m=video 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0")
        return "\r\n".join((*head, *lines, ""))


async def made(one: Client, client: aiohttp.ClientSession, path: str) -> Made:
    """Sends the peer's offer there and takes the answer."""
    offer = await one.offer()
    async with client.post(path, data=offer, headers=SDP) as response:
        assert response.status == 201, await response.text()
        assert response.content_type == "application/sdp"
        await one.take(await response.text())
        headers = response.headers
        return Made(headers["Location"], headers["ETag"], tuple(headers.getall("Link", [])), offer)


@asynccontextmanager
async def publishing(client: aiohttp.ClientSession, query: str = "") -> AsyncIterator[tuple[Client, Made]]:
    """A WHIP client that sends the rendered clip, connected."""
    one, clip = Client(), Clip(demo())
    one.connection.addTransceiver(clip, direction="sendonly")
    try:
        told = await made(one, client, f"/whip{query}")
        await one.connected()
        yield one, told
    finally:
        clip.stop()
        await one.close()


@asynccontextmanager
async def watching(client: aiohttp.ClientSession, path: str) -> AsyncIterator[tuple[Client, Made]]:
    """A WHEP client, connected."""
    one = Client()
    one.connection.addTransceiver("video", direction="recvonly")
    try:
        told = await made(one, client, path)
        await one.connected()
        yield one, told
    finally:
        await one.close()


async def gone(one: Client) -> None:
    """Waits until the other side has closed the connection."""
    async with asyncio.timeout(PATIENCE):
        while one.connection.connectionState not in ("closed", "failed"):
            await asyncio.sleep(0.05)


async def test_a_camera_comes_in_and_others_watch_it_swapped(
    client: aiohttp.ClientSession, studio: Studio, looks: Looks
) -> None:
    async with publishing(client, "?identity=cedar&no_face=blur&label=top-left") as (_, camera):
        (session,) = studio.sessions
        assert (session.wish.identity, session.wish.no_face, session.wish.label) == ("cedar", "blur", "top-left")
        async with watching(client, camera.watching) as (one, first), watching(client, camera.watching) as (other, _):
            await asyncio.gather(shows(one.video, looks, "cedar"), shows(other.video, looks, "cedar"))
            assert session.numbers["viewers"] == 2
            async with client.delete(first.location) as response:
                assert response.status == 200
            await gone(one)
            count = len(other.video.frames)
            await other.video.until(count + 10)
            async with client.delete(camera.location) as response:
                assert response.status == 200
            await gone(other)
    assert not studio.sessions
    for path in (camera.location, first.location):
        async with client.delete(path) as response:
            assert response.status == 404
            await error_of(response)


async def test_the_answer_says_where_the_session_is_and_which_ice_session(client: aiohttp.ClientSession) -> None:
    async with publishing(client) as (_, one), publishing(client) as (_, other):
        assert re.fullmatch(r"/whip/[\w-]{20,}", one.location)
        assert re.fullmatch(r"/whep/[\w-]{20,}", one.watching)
        assert re.fullmatch(r'"[\w-]{8,}"', one.etag)  # strong
        assert one.location.partition("/whip/")[2] not in one.watching
        assert len({one.location, one.watching, one.etag, other.location, other.watching, other.etag}) == 6


async def test_a_session_may_have_a_name_to_watch_it_by(client: aiohttp.ClientSession) -> None:
    async with publishing(client, "?name=studio-1") as (_, camera):
        assert camera.watching == "/whep/studio-1"
        async with client.post("/whip?name=studio-1", data="v=0", headers=SDP) as response:
            assert response.status == 409
            await error_of(response)
        async with client.delete("/whip/studio-1") as response:
            assert response.status == 404  # the name is no key
        async with watching(client, "/whep/studio-1") as (one, _):
            await one.video.until(3)
        key = camera.location.rpartition("/")[2]
        async with watching(client, f"/whep/{key}") as (one, _):
            await one.video.until(3)


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("?identity=nobody", 422, "nobody"),
        ("?identity=%2Fetc%2Fpasswd", 422, "aster"),
        ("?identity=", 422, "identity"),
        ("?no_face=show", 400, "no_face"),
        ("?label=middle", 400, "label"),
        ("?identety=aster", 400, "identity"),
        ("?identity=aster&identity=cedar", 400, "once"),
        ("?name=", 400, "name"),
        ("?name=a/b", 400, "name"),
        (f"?name={'x' * 41}", 400, "name"),
    ],
)
async def test_a_choice_that_there_is_not_is_refused(
    client: aiohttp.ClientSession, studio: Studio, query: str, status: int, said: str
) -> None:
    async with client.post(f"/whip{query}", data="v=0", headers=SDP) as response:
        assert response.status == status
        assert said in await error_of(response)
    assert not studio.sessions


async def test_options_say_what_may_be_posted_and_patched(client: aiohttp.ClientSession) -> None:
    for path, allowed, header, kind in (
        ("/whip", {"POST"}, "Accept-Post", "application/sdp"),
        ("/whep/x", {"POST"}, "Accept-Post", "application/sdp"),
        ("/whip/x", {"PATCH", "DELETE"}, "Accept-Patch", FRAGMENT),
        ("/whep/x/y", {"PATCH", "DELETE"}, "Accept-Patch", FRAGMENT),
    ):
        async with client.options(path) as response:
            assert response.status == 204
            assert set(response.headers["Allow"].split(", ")) == {*allowed, "OPTIONS"}
            assert response.headers[header] == kind


@pytest.mark.parametrize("path", ["/whip", "/whip/x", "/whep/x", "/whep/x/y"])
async def test_methods_that_are_reserved_are_not_taken(client: aiohttp.ClientSession, path: str) -> None:
    for method in ("GET", "HEAD", "PUT"):
        async with client.request(method, path) as response:
            assert response.status == 405
            assert "OPTIONS" in response.headers["Allow"]


async def test_an_offer_of_another_type_is_told_which_is_taken(client: aiohttp.ClientSession) -> None:
    for kind in ("text/plain", "application/json", "application/sdpx"):
        async with client.post("/whip", data="v=0", headers={"Content-Type": kind}) as response:
            assert response.status == 415
            assert response.headers["Accept-Post"] == "application/sdp"
    async with client.post(
        "/whip", data="hello", headers={"Content-Type": "Application/SDP; charset=utf-8"}
    ) as response:
        assert response.status == 400


async def test_candidates_that_are_found_later_make_the_connection(client: aiohttp.ClientSession) -> None:
    """The offer goes out without any; the one that works comes by PATCH."""
    one, clip = Client(), Clip(demo())
    one.connection.addTransceiver(clip, direction="sendonly")
    offer = await one.offer()
    candidates = re.findall(r"a=(candidate:.+?)\r\n", offer)
    assert candidates
    bare = re.sub(r"a=(?:candidate:.+?|end-of-candidates)\r\n", "", offer)
    async with client.post("/whip", data=bare, headers=SDP) as response:
        assert response.status == 201
        camera = Made(response.headers["Location"], response.headers["ETag"], (), offer)
        await one.take(await response.text())
    for lines in ([f"a={candidate}" for candidate in candidates], ["a=end-of-candidates"]):
        headers = {"Content-Type": FRAGMENT, "If-Match": camera.etag}
        async with client.patch(camera.location, data=camera.fragment(*lines), headers=headers) as response:
            assert response.status == 204
            assert "ETag" not in response.headers
            assert await response.read() == b""
    await one.connected()
    clip.stop()
    await one.close()


async def test_a_viewers_candidates_are_taken_as_well(client: aiohttp.ClientSession) -> None:
    async with publishing(client) as (_, camera), watching(client, camera.watching) as (_, viewer):
        headers = {"Content-Type": FRAGMENT, "If-Match": viewer.etag}
        async with client.patch(viewer.location, data=viewer.fragment(f"a={CANDIDATE}"), headers=headers) as response:
            assert response.status == 204
        headers["If-Match"] = camera.etag
        async with client.patch(viewer.location, data=viewer.fragment(), headers=headers) as response:
            assert response.status == 412
        async with client.patch(f"{viewer.location}x", data="", headers=headers) as response:
            assert response.status == 404


async def test_a_patch_is_for_the_ice_session_that_it_names(client: aiohttp.ClientSession) -> None:
    async with publishing(client) as (one, camera):
        good = camera.fragment(f"a={CANDIDATE}")
        restart = good.replace("a=ice-ufrag:", "a=ice-ufrag:new")
        for tag, fragment, status in (
            (None, good, 428),
            ('"another"', good, 412),
            (f"W/{camera.etag}", good, 412),
            ("*", restart, 422),
            ("*", good, 422),
            (camera.etag, restart, 422),
            (camera.etag, "a=candidate:what is this", 400),
            (camera.etag, "no fragment at all", 400),
            (camera.etag, good, 204),
            (f'"another", {camera.etag}', good, 204),
            (camera.etag, "", 204),
        ):
            headers = {"Content-Type": FRAGMENT} | ({} if tag is None else {"If-Match": tag})
            async with client.patch(camera.location, data=fragment, headers=headers) as response:
                assert response.status == status, (tag, fragment, await response.text())
        headers = {"Content-Type": "application/sdp", "If-Match": camera.etag}
        async with client.patch(camera.location, data=good, headers=headers) as response:
            assert response.status == 415
            assert response.headers["Accept-Patch"] == FRAGMENT
        headers["Content-Type"] = FRAGMENT
        async with client.patch(camera.location, data="a=x\r\n" * 20_000, headers=headers) as response:
            assert response.status == 413
        assert one.connection.connectionState == "connected"


async def test_a_session_that_there_is_not_cannot_be_watched_changed_or_ended(client: aiohttp.ClientSession) -> None:
    for method, path in (("POST", "/whep/x"), ("PATCH", "/whip/x"), ("DELETE", "/whip/x"), ("DELETE", "/whep/x/y")):
        async with client.request(method, path, headers=SDP) as response:
            assert response.status == 404
            await error_of(response)


async def test_a_camera_is_no_viewer_and_a_viewer_no_camera(client: aiohttp.ClientSession, studio: Studio) -> None:
    async with publishing(client) as (_, camera):
        one = Client()
        one.connection.addTransceiver("video", direction="recvonly")
        async with client.post("/whip", data=await one.offer(), headers=SDP) as response:
            assert response.status == 422
            assert "sendonly" in await error_of(response)
        await one.close()
        async with client.post(camera.watching, data=camera.offer, headers=SDP) as response:
            assert response.status == 422
            assert "recvonly" in await error_of(response)
        (session,) = studio.sessions
        assert session.numbers["viewers"] == 0


async def test_a_viewer_that_left_by_itself_is_not_there_any_more(
    client: aiohttp.ClientSession, studio: Studio
) -> None:
    async with publishing(client) as (_, camera):
        async with watching(client, camera.watching) as (one, viewer):
            await one.video.until(1)
        (session,) = studio.sessions
        async with asyncio.timeout(PATIENCE):
            while session.numbers["viewers"]:
                await asyncio.sleep(0.05)
        headers = {"Content-Type": FRAGMENT, "If-Match": viewer.etag}
        async with client.patch(viewer.location, data=viewer.fragment(), headers=headers) as response:
            assert response.status == 404
        async with client.delete(viewer.location) as response:
            assert response.status == 404


async def test_only_so_many_may_watch(studio_with: OtherStudio) -> None:
    async with (
        opened(studio_with(most_viewers=1)) as client,
        publishing(client) as (_, camera),
        watching(client, camera.watching),
    ):
        one = Client()
        one.connection.addTransceiver("video", direction="recvonly")
        async with client.post(camera.watching, data=await one.offer(), headers=SDP) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
        await one.close()


@pytest.mark.parametrize(
    ("server", "link"),
    [
        (IceServer("stun:stun.example:3478"), '<stun:stun.example:3478>; rel="ice-server"'),
        (
            IceServer("turn:turn.example:3478?transport=udp", "ann", 'p"w\\d'),
            '<turn:turn.example:3478?transport=udp>; rel="ice-server"; username="ann"; '
            'credential="p\\"w\\\\d"; credential-type="password"',
        ),
    ],
)
def test_ice_servers_are_told_as_links(server: IceServer, link: str) -> None:
    assert ice_link(server) == link
