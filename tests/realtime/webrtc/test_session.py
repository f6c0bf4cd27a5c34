"""A session over loopback: two aiortc peers, one of which is ours."""

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pytest
from aiortc import RTCPeerConnection
from numpy.typing import NDArray

from realtime.egress.credentials import read
from realtime.errors import MOST_FAILURES, SettingsError, UnknownIdentity
from realtime.flow.worker import Worker
from realtime.frame import Frame
from realtime.swap.compose import Composer, Swapped
from realtime.swap.consent import Consent
from realtime.swap.identity import Shelf
from realtime.webrtc.engine import Engine
from realtime.webrtc.media import MediaSettings, Wish
from realtime.webrtc.refused import OfferRefused
from realtime.webrtc.session import Session
from realtime.webrtc.studio import Studio
from tests.models import person, write_decoder, write_shelf
from tests.realtime.egress.test_label import words_in
from tests.realtime.webrtc.conftest import OtherStudio
from tests.realtime.webrtc.people import FACE, PATIENCE, Client, Clip, Looks, client, demo, watcher


async def ended(session: Session, patience: float = PATIENCE) -> None:
    async with asyncio.timeout(patience):
        await session.closed.wait()


def threads_of_ours() -> list[str]:
    """Those that a session starts; the loop's own for encoding stay."""
    ours = ("swap", "compose", "gate", "look", "screens", "wishes", "video-decoder", "audio-decoder")
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(ours)]


async def test_a_swapped_picture_comes_back_with_the_label_on_it(studio: Studio, looks: Looks) -> None:
    session = studio.session("one", Wish(identity="aster"))
    async with client(session, Clip(demo())) as one:
        await one.video.until(30)
        image = one.video.images[-1]
        numbers = await one.told_of("stats")
    assert image.shape == (360, 640, 3)
    assert looks.who(image) == "aster"
    assert words_in(image) > 0.8
    assert numbers["faces"] == 1
    assert numbers["frames_out"] > 0
    assert (numbers["width"], numbers["height"]) == (640, 360)
    await ended(session)


async def test_a_snapshot_is_a_signed_file_made_while_pictures_go_on(studio: Studio, tmp_path: Path) -> None:
    session = studio.session("one", Wish(identity="aster"))
    with pytest.raises(OfferRefused, match="the session does not run"):
        await session.snapshot("snapshot.png")
    async with client(session, Clip(demo())) as one:
        await one.video.until(10)
        first, second = await asyncio.gather(
            session.snapshot("snapshot.jpg"), session.snapshot("snapshot.jpg"), return_exceptions=True
        )
        assert isinstance(second, OfferRefused)
        assert isinstance(first, bytes)
        await one.video.until(len(one.video.frames) + 5)
    (tmp_path / "snapshot.jpg").write_bytes(first)
    said = read(tmp_path / "snapshot.jpg")
    assert said is not None
    assert (said.faults, said.session) == ((), session.mark.hex())
    assert words_in(np.asarray(cv2.imread(str(tmp_path / "snapshot.jpg")), np.uint8)) > 0.8


async def test_h264_works_as_well(studio: Studio, looks: Looks) -> None:
    session = studio.session("one", Wish(identity="cedar"))
    async with client(session, Clip(demo(), 20), codec="H264") as one:
        await one.video.until(20)
        assert "H264/90000" in one.connection.remoteDescription.sdp
        assert looks.who(one.video.images[-1]) == "cedar"


async def test_timestamps_rise_by_the_time_between_captures(studio: Studio) -> None:
    session = studio.session("one", Wish())
    async with client(session, Clip(demo())) as one:
        await one.video.until(60)
        times = [frame.pts / 90_000 for _, frame in one.video.frames]
        passed = one.video.frames[-1][0] - one.video.frames[0][0]
    steps = np.diff(times)
    assert steps.min() > 0
    assert times[-1] - times[0] == pytest.approx(passed, abs=0.5)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody chooses cores")
async def test_sessions_compute_on_the_cores_of_the_settings_and_as_many_at_once(loaded: Studio) -> None:
    core = min(os.sched_getaffinity(0))
    settings = replace(loaded.settings, cores=str(core))
    studio = Studio(settings, loaded.media, loaded.shelf, loaded.networks)
    engine = studio.session("one", Wish())._engine
    (first, _) = engine.stages(lambda frame: frame)
    async with Worker("stage") as worker, first.turn():
        await worker.run(engine.prepare)
        assert await worker.run(os.sched_getaffinity, 0) == {core}
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(first.turn().__aenter__(), 0.01)
    await studio.close()


async def test_an_identity_whose_consent_ends_is_not_given_any_more(loaded: Studio, tmp_path: Path) -> None:
    """Neither to who comes then nor to who is there already; and visitors learn neither who agreed nor why it ended."""
    write_shelf(tmp_path, ["aster"])
    write_decoder(tmp_path / "ann.onnx", "ann", card=person())
    days = [date(2120, 1, 31)]
    shelf = Shelf.load(tmp_path, loaded.settings.session, None, Consent(today=lambda: days[-1]))
    studio = Studio(loaded.settings, loaded.media, shelf, loaded.networks)
    session = studio.session("one", Wish(identity="aster"))
    engine = Engine(studio.settings, shelf, studio.networks.tracker(studio.settings), Wish(identity="aster"))
    engine.become(Wish(identity="ann"))
    engine.become(Wish(identity="aster"))
    days.append(date(2120, 2, 1))
    sentence = "^the identity 'ann' may not be used any more$"
    with pytest.raises(UnknownIdentity, match=sentence):
        studio.session("two", Wish(identity="ann"))
    with pytest.raises(UnknownIdentity, match=sentence):
        engine.become(Wish(identity="ann"))
    assert studio.sessions == (session,)
    await studio.close()


async def test_a_session_whose_identity_is_revoked_is_blurred_and_told_until_somebody_else_is_chosen(
    loaded: Studio, tmp_path: Path, looks: Looks
) -> None:
    """Within a second or two of the list's change."""
    place = tmp_path / "list.toml"
    place.write_text("")
    settings = replace(loaded.settings, revoked=str(place))
    studio = Studio.load(settings, loaded.media)
    session = studio.session("one", Wish(identity="aster"))
    async with client(session, Clip(demo())) as one:
        await one.video.until(20)
        assert looks.who(one.video.images[-1]) == "aster"
        place.write_text('[[revoked]]\nname = "aster"\nreason = "by letter from A. N."\n')
        told = await one.told_of("error")
        assert told["error"] == "'aster' may not be used any more: choose somebody else, until then all is blurred"
        seen = len(one.video.frames)
        await one.video.until(seen + 20)
        faces = [cv2.resize(image, (640, 360))[FACE] for image in one.video.images]
        before, after = (cv2.Laplacian(face, cv2.CV_32F).std() for face in (faces[19], faces[-1]))
        assert after < before / 2, "no eyes, no mouth"
        one.say({"type": "set", "identity": "cedar"})
        await one.told(lambda message: message["type"] == "state" and message["identity"] == "cedar")
        await one.video.until(len(one.video.frames) + 30)
        assert looks.who(one.video.images[-1]) == "cedar"
    await studio.close()


async def test_the_identity_changes_over_the_data_channel(studio: Studio, looks: Looks) -> None:
    session = studio.session("one", Wish(identity="aster"))
    async with client(session, Clip(demo())) as one:
        await one.video.until(30)
        assert looks.who(one.video.images[-1]) == "aster"
        asked_at, seen = time.perf_counter(), len(one.video.frames)
        one.say({"type": "set", "identity": "cedar"})
        await one.told(lambda message: message["type"] == "state" and message["identity"] == "cedar")
        await one.video.until(seen + 15)
        became = [(at, looks.who(image)) for (at, _), image in zip(one.video.frames, one.video.images, strict=True)]
    assert became[-1][1] == "cedar"
    assert next(at for at, who in became if who == "cedar") - asked_at < 1.0  # 0.1 s on an idle machine
    assert {who for _, who in became[5:]} <= {"aster", "cedar"}


async def test_two_sessions_at_once_show_two_identities(studio: Studio, looks: Looks) -> None:
    first, second = studio.session("one", Wish(identity="aster")), studio.session("two", Wish(identity="cedar"))
    async with client(first, Clip(demo(), 15)) as one, client(second, Clip(demo(), 15)) as two:
        await asyncio.gather(one.video.until(30), two.video.until(30))
        assert looks.who(one.video.images[-1]) == "aster"
        assert looks.who(two.video.images[-1]) == "cedar"
        one.say({"type": "set", "identity": "cedar"})
        two.say({"type": "set", "identity": "aster"})
        await asyncio.gather(one.video.until(60), two.video.until(60))
        assert looks.who(one.video.images[-1]) == "cedar"
        assert looks.who(two.video.images[-1]) == "aster"


async def test_a_viewer_who_comes_late_sees_the_same_and_can_ask_for_a_whole_picture(
    studio: Studio, looks: Looks
) -> None:
    session = studio.session("one", Wish(identity="cedar"))
    async with client(session, Clip(demo())) as one:
        await one.video.until(20)
        async with watcher(session) as viewer:
            await viewer.video.until(10)
            assert looks.who(viewer.video.images[-1]) == "cedar"
            assert words_in(viewer.video.images[-1]) > 0.8
            assert session.numbers["viewers"] == 1
            (receiver,) = viewer.connection.getReceivers()
            (source,) = receiver.getSynchronizationSources()
            await receiver._send_rtcp_pli(source.source)
            async with asyncio.timeout(PATIENCE):
                while not session._viewers["viewer"].picture.gauge.keyframes_asked:
                    await asyncio.sleep(0.02)
        async with asyncio.timeout(PATIENCE):
            while session.numbers["viewers"]:
                await asyncio.sleep(0.02)
        await one.video.until(len(one.video.frames) + 5)


async def test_a_camera_that_wants_nothing_back_can_be_watched(studio: Studio, looks: Looks) -> None:
    session = studio.session("one", Wish(identity="aster"))
    async with client(session, Clip(demo()), control=False, back=False) as one, watcher(session) as viewer:
        await viewer.video.until(20)
        assert looks.who(viewer.video.images[-1]) == "aster"
        assert one.video.frames == []
        assert float(session.numbers["age_ms"]) > 0


async def test_sizes_change_midway(studio: Studio) -> None:
    session = studio.session("one", Wish())
    clip = Clip(demo(10), 15)
    sizes = [(320, 180), (360, 640), (322, 242), (48, 32), (1280, 720)]
    expected = [(320, 180), (360, 640), (322, 242), (64, 64), (640, 360)]
    async with client(session, clip) as one:
        await one.video.until(5)
        for size, wanted in zip(sizes, expected, strict=True):
            clip.pictures = [picture.reformat(*size) for picture in demo(3)]
            async with asyncio.timeout(PATIENCE):
                while (one.video.frames[-1][1].width, one.video.frames[-1][1].height) != wanted:
                    await asyncio.sleep(0.05)
        assert not session.closed.is_set()


async def test_4k_is_scaled_down(studio: Studio) -> None:
    session = studio.session("one", Wish())
    async with client(session, Clip([picture.reformat(3840, 2160) for picture in demo(2)], 4)) as one:
        await one.video.until(3)
        assert one.video.images[-1].shape == (360, 640, 3)


async def test_one_frame_a_second_comes_back_before_the_next_one_is_sent(studio: Studio) -> None:
    session = studio.session("one", Wish())
    async with client(session, Clip(demo(), 1)) as one:
        await one.video.until(4)
        numbers = await one.told_of("stats")
    assert numbers["age_p95_ms"] < 700
    assert numbers["dropped"] == 0


async def test_a_peer_that_leaves_ends_the_session(studio: Studio) -> None:
    session = studio.session("one", Wish())
    async with client(session, Clip(demo())) as one, watcher(session) as viewer:
        await viewer.video.until(3)
        await one.close()
        await ended(session, 10)
    assert studio.sessions == ()
    assert threads_of_ours() == []


async def test_a_peer_that_vanishes_is_noticed_when_no_picture_comes(studio_with: OtherStudio) -> None:
    session = studio_with(idle_s=1.0).session("one", Wish())
    async with client(session, Clip(demo())) as one:
        await one.video.until(3)
        await one.connection.getTransceivers()[0].receiver.transport.transport._connection.close()
        await ended(session, 10)
    assert threads_of_ours() == []


async def test_a_peer_that_never_connects_is_closed(studio_with: OtherStudio) -> None:
    studio = studio_with(half_made_s=0.3)
    session, one = studio.session("one", Wish()), Client()
    one.connection.addTrack(Clip(demo(1)))
    await session.answer(await one.offer())
    await ended(session, 5)
    assert studio.sessions == ()
    await one.close()


async def test_a_viewer_that_never_connects_is_closed_and_the_session_goes_on(studio_with: OtherStudio) -> None:
    session, idle = studio_with(half_made_s=2.0).session("one", Wish()), Client()
    idle.connection.addTransceiver("video", direction="recvonly")
    async with client(session, Clip(demo())) as one:
        await session.watch("idle", await idle.offer())
        assert session.numbers["viewers"] == 1
        async with asyncio.timeout(10):
            while session.numbers["viewers"]:
                await asyncio.sleep(0.05)
        await one.video.until(len(one.video.frames) + 3)
    await idle.close()


async def test_a_frame_on_which_a_stage_fails_is_hidden_and_thirty_in_a_row_end_that_session_alone(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, other = studio.session("one", Wish(identity="aster")), studio.session("two", Wish(identity="cedar"))
    broken, failed = threading.Event(), list[int]()
    works = Composer.__call__

    def compose(composer: Composer, swapped: Swapped) -> Frame:
        if broken.is_set() and composer is session._engine._compose:
            failed.append(swapped.frame.index)
            raise ZeroDivisionError("seven by nothing")
        return works(composer, swapped)

    monkeypatch.setattr(Composer, "__call__", compose)
    async with client(session, Clip(demo())) as one, client(other, Clip(demo())) as two:
        await one.video.until(20)
        broken.set()
        said = await one.told_of("error")
        assert said["error"] == "the session has failed: unexpectedly, with ZeroDivisionError"
        assert len(failed) == MOST_FAILURES
        await ended(session)
        assert not other.closed.is_set()
        assert contrast(one.video.images[-1]) < contrast(one.video.images[15]) / 5  # it is blurred
        await two.video.until(len(two.video.frames) + 5)


def contrast(image: NDArray[np.uint8]) -> float:
    """How much detail there is where the clip's face is, without the finest: marks and the codec make some of that."""
    coarse = cv2.resize(image[FACE], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(coarse, cv2.CV_64F).std())


async def test_no_session_lasts_longer_than_allowed(studio_with: OtherStudio) -> None:
    session = studio_with(longest_s=1.5).session("one", Wish())
    async with client(session, Clip(demo())):
        await ended(session, 10)


async def test_there_is_room_for_so_many_viewers(studio_with: OtherStudio) -> None:
    session = studio_with(most_viewers=1).session("one", Wish())
    async with client(session, Clip(demo(), 10)), watcher(session, "first"):
        with pytest.raises(OfferRefused, match="no room for more") as refused:
            await session.watch("second", "v=0")
        assert refused.value.status == 503
        with pytest.raises(OfferRefused, match="a viewer of that name"):
            await session.watch("first", "v=0")
        with pytest.raises(KeyError):
            await session.watched_candidates("nobody", "")
        with pytest.raises(KeyError):
            await session.unwatch("nobody")


async def test_a_session_answers_once_and_closes_as_often_as_one_likes(studio: Studio) -> None:
    session, one = studio.session("one", Wish()), Client()
    one.connection.addTrack(Clip(demo(1)))
    offer = await one.offer()
    await session.answer(offer)
    with pytest.raises(OfferRefused, match="answered an offer already"):
        await session.answer(offer)
    assert not session.closed.is_set()
    await asyncio.gather(session.close(), session.close())
    await session.close()
    for late in (session.answer(offer), session.watch("late", offer), session.candidates("")):
        with pytest.raises(OfferRefused, match="has ended") as refused:
            await late
        assert refused.value.status == 404
    await one.close()


async def test_a_session_that_is_closed_while_it_answers_leaves_nothing(studio: Studio) -> None:
    for turns in range(12):
        session, one = studio.session("one", Wish()), Client()
        one.connection.addTrack(Clip(demo(1)))
        answering = asyncio.create_task(session.answer(await one.offer()))
        for _ in range(turns):
            await asyncio.sleep(0)
        await session.close()
        with suppress(OfferRefused):
            await answering
        await one.close()
    assert studio.sessions == ()
    assert threads_of_ours() == []


async def test_an_offer_whose_track_shares_no_codec_is_refused_and_leaves_nothing(studio: Studio) -> None:
    session, one = studio.session("one", Wish()), Client()
    one.connection.addTrack(Clip(demo(1)))
    offer = (
        (await one.offer()).replace(" VP8/90000", " VP9/90000").replace("42001f", "640c1f").replace("42e01f", "640c1f")
    )
    with pytest.raises(OfferRefused, match="share no codec") as refused:
        await session.answer(offer)
    assert refused.value.status == 422
    assert session.closed.is_set()
    assert studio.sessions == ()
    await one.close()


@pytest.mark.parametrize("name", ["nobody", "../../etc/passwd", "/tmp/face.onnx", "left=aster", "aster,cedar", ""])
async def test_only_names_on_the_shelf_are_identities(studio: Studio, name: str) -> None:
    with pytest.raises(UnknownIdentity, match="wanted one of aster, "):
        studio.session("one", Wish(identity=name))


def test_wishes_and_settings_are_checked() -> None:
    with pytest.raises(SettingsError, match="no_face"):
        Wish(no_face="dance")
    with pytest.raises(SettingsError, match="label is 'off'"):
        Wish(label="off")
    with pytest.raises(SettingsError, match="start_kbps is 9000"):
        MediaSettings(start_kbps=9000)
    with pytest.raises(SettingsError, match="ICE server 'http://x'"):
        MediaSettings(ice_servers=("http://x",))
    with pytest.raises(SettingsError, match="has no user"):
        MediaSettings(ice_servers=("turn:example.org:3478",))
    turn = MediaSettings(ice_servers=("turn:me:secret@example.org:3478?transport=udp",)).servers[0]
    assert turn.as_dict() == {
        "urls": ["turn:example.org:3478?transport=udp"],
        "username": "me",
        "credential": "secret",
    }


# Turns of the tests' own peers, and of aiortc while it looks at this machine's network interfaces, once for each peer.
NOT_OURS: Final = ("tests", "RTCIceGatherer.gather()")


@contextmanager
def long_turns(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What asyncio's debug mode warns of, where the loop's thread really worked for so long.

    Where others have the processor, everything takes long; the thread's own time says whose fault it is. Python's
    collector, which comes in anybody's turn and looks at all that other tests have loaded, has to wait.
    """
    found: list[str] = []
    loop, run = asyncio.get_running_loop(), asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        if time.thread_time() - began > loop.slow_callback_duration:
            whose = getattr(getattr(handle, "_callback", None), "__self__", None)
            found.append(repr(whose if isinstance(whose, asyncio.Task) else handle))

    loop.set_debug(True)
    loop.slow_callback_duration = 0.02
    gc.disable()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(asyncio.Handle, "_run", timed)
            yield found
    finally:
        gc.enable()
        loop.set_debug(False)


async def test_nothing_works_on_the_event_loop(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    session = studio.session("one", Wish(identity="aster"))
    clip = Clip(demo(), 15)
    with long_turns(monkeypatch) as found:
        async with client(session, clip) as one, watcher(session) as viewer:
            await one.video.until(20)
            one.say({"type": "set", "identity": "cedar", "no_face": "blur", "label": "top-right"})
            clip.pictures = [picture.reformat(1280, 720) for picture in demo(1)]
            await viewer.video.until(40)
    ours = [turn for turn in found if not any(name in turn.split(" wait_for=")[0] for name in NOT_OURS)]
    assert ours == []


@pytest.mark.slow
async def test_many_sessions_leave_nothing_behind(studio: Studio) -> None:
    def held() -> int:
        gc.collect()
        # By type: asking some of torch's objects for their class warns, and this process may have loaded torch.
        return sum(issubclass(type(thing), RTCPeerConnection | Session) for thing in gc.get_objects())

    for number in range(8):
        session = studio.session(f"session {number}", Wish())
        async with client(session, Clip(demo(), 15)) as one, watcher(session) as viewer:
            await one.video.until(2)
            await viewer.video.until(2)
        await ended(session)
        del session, one, viewer
        if number == 2:
            before = held(), threading.active_count(), len(asyncio.all_tasks())
    await asyncio.sleep(0.1)
    assert threads_of_ours() == []
    after = held(), threading.active_count(), len(asyncio.all_tasks())
    assert after[0] <= before[0]
    assert after[1] <= before[1] + 2  # the loop's own pool for encoding may still grow to its limit
    assert after[2] <= before[2]
