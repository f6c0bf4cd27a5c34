"""Bitrates follow the settings and the far end, and there are fewer pixels before there are fewer frames."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest
from aiortc.mediastreams import VIDEO_TIME_BASE
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from realtime.flow.pipeline import Stage
from realtime.frame import Frame
from realtime.webrtc.bitrate import (
    CALM,
    PATIENCE,
    SCALES,
    STARVED_S,
    UP_S,
    Effort,
    Gauge,
    Limits,
    Load,
    Rate,
    encoder_for,
    scale_for,
)
from realtime.webrtc.media import MediaSettings, Wish
from tests.realtime.webrtc.conftest import OtherStudio
from tests.realtime.webrtc.people import PATIENCE as WAIT
from tests.realtime.webrtc.people import Clip, client, demo

LIMITS = Limits.of(MediaSettings(start_kbps=1800, least_kbps=300, most_kbps=4000))
FINE, HARD = Load(0.3, 0.0), Load(0.97, 0.3)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def noise(count: int, width: int, height: int) -> list[av.VideoFrame]:
    """Pictures that take as many bits as they are given."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, height, width, 3), np.uint8)
    return [av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p") for image in images]


@pytest.mark.parametrize("mime", ["video/VP8", "video/H264"])
def test_an_encoder_makes_as_many_bits_as_the_settings_allow_beyond_what_aiortc_does(mime: str) -> None:
    codec = RTCRtpCodecParameters(mimeType=mime, clockRate=90_000, payloadType=97)
    clock, gauge = Clock(), Gauge()
    rate = Rate(Limits(3_800_000, 300_000, 4_000_000), clock)
    encoder = encoder_for(codec, rate, gauge)
    sizes = []
    for number, picture in enumerate(noise(30, 640, 360) * 2):
        picture.pts, picture.time_base = number * 3000, VIDEO_TIME_BASE
        payloads, _ = encoder.encode(picture, number == 40)
        sizes.append(sum(map(len, payloads)))
    assert sum(sizes[30:]) * 8 > 3_200_000 * (0.8 if mime == "video/VP8" else 0.5)
    assert gauge.keyframes_asked == 1
    assert gauge.kbps > 0
    assert gauge.busy > 0


def test_a_small_picture_is_given_no_more_bits_than_are_enough_for_it() -> None:
    clock = Clock()
    rate = Rate(LIMITS, clock)
    rate.sized(640, 480)
    rate.estimated(90_000_000)
    assert rate.applied == 1_800_000  # 1,843,200 are enough, too few more for a picture that stands alone
    clock.now = UP_S
    rate.sized(1280, 720)
    rate.estimated(90_000_000)
    assert rate.applied == 4_000_000
    clock.now = 2 * UP_S
    rate.sized(320, 240)
    rate.estimated(90_000_000)
    assert rate.applied == round(0.2 * 320 * 240 * 30)


def test_the_far_ends_estimate_counts_within_the_limits() -> None:
    clock = Clock()
    rate = Rate(LIMITS, clock)
    assert rate.applied == 1_800_000
    clock.now = 2
    rate.estimated(100_000)
    assert (rate.applied, rate.estimate) == (300_000, 300_000)
    clock.now = 2 + UP_S
    rate.estimated(90_000_000)
    assert rate.applied == 4_000_000


def test_small_or_quick_changes_of_the_estimate_cost_no_whole_picture() -> None:
    clock = Clock()
    rate = Rate(LIMITS, clock)
    clock.now = 10
    rate.estimated(1_700_000)
    rate.estimated(2_000_000)
    assert rate.applied == 1_800_000
    rate.estimated(1_000_000)
    assert rate.applied == 1_000_000
    clock.now = 11
    rate.estimated(3_000_000)
    assert rate.applied == 1_000_000
    clock.now = 10 + UP_S
    rate.estimated(3_000_000)
    assert rate.applied == 3_000_000


def test_under_load_a_share_of_the_estimate_is_used() -> None:
    clock = Clock()
    rate = Rate(LIMITS, clock)
    clock.now = 10
    rate.shared(0.25)
    assert rate.applied == 450_000
    clock.now = 20
    rate.shared(1.0)
    assert rate.applied == 1_800_000


def test_few_bits_make_a_smaller_picture() -> None:
    assert scale_for(1_800_000, 1280, 720, 30) == 1.0
    assert scale_for(500_000, 1280, 720, 30) == 0.75
    assert scale_for(300_000, 1280, 720, 30) == 0.5
    assert scale_for(300_000, 640, 360, 30) == 1.0


def test_no_picture_becomes_so_small_that_its_label_cannot_be_read() -> None:
    assert scale_for(1000, 1280, 720, 30) == 0.5
    assert scale_for(1000, 640, 480, 30) == 0.75
    assert scale_for(1000, 480, 640, 30) == 0.75
    assert scale_for(1000, 640, 360, 30) == 1.0


def test_a_few_bad_seconds_make_it_smaller_and_many_good_ones_larger() -> None:
    effort = Effort()
    assert [effort(HARD) for _ in range(PATIENCE)] == [*[1.0] * (PATIENCE - 1), 0.75]
    assert [effort(HARD) for _ in range(PATIENCE)][-1] == 0.5
    assert [effort(HARD) for _ in range(20)][-1] == 0.5
    seconds = 0
    while effort(FINE) < 0.75 and seconds < 500:
        seconds += 1
    assert seconds >= CALM


def test_what_proved_too_large_is_tried_again_later_and_later() -> None:
    effort, waits = Effort(), []
    for _ in range(3):
        for _ in range(PATIENCE):
            effort(HARD)
        seconds = 0
        while effort(FINE) < 1.0 and seconds < 500:
            seconds += 1
        waits.append(seconds)
    assert waits == sorted(set(waits))


def test_single_bad_seconds_change_nothing() -> None:
    effort = Effort()
    for _ in range(20):
        effort(HARD)
        effort(FINE)
    assert effort.scale == 1.0


def test_no_larger_picture_is_tried_where_it_would_not_fit() -> None:
    effort = Effort()
    for _ in range(PATIENCE):
        effort(HARD)
    for _ in range(60):
        effort(Load(0.8, 0.0))
    assert effort.scale == 0.75


async def test_a_session_sends_more_than_aiortc_would(studio_with: OtherStudio) -> None:
    session = studio_with(start_kbps=3500, fps=60).session("one", Wish())
    async with client(session, Clip(noise(15, 560, 320), 15)) as one:
        await one.told(lambda message: message["type"] == "stats" and message["bitrate_kbps"] > 1700)


async def test_a_far_end_that_can_take_little_gets_smaller_pictures(studio_with: OtherStudio) -> None:
    session = studio_with(width=1280, height=720, least_kbps=100).session("one", Wish())
    async with client(session, Clip([p.reformat(1280, 720) for p in demo(2)], 5)) as one:
        await one.video.until(2)
        assert session._picture is not None
        async with asyncio.timeout(WAIT):
            while one.video.frames[-1][1].width > 640 or session._picture.rate.applied > 300_000:
                session._picture.rate.estimated(120_000)  # as a REMB of the far end does
                await asyncio.sleep(0.1)


async def test_where_swapping_is_too_slow_pictures_become_smaller(
    studio_with: OtherStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow machine is played by a slow stage."""
    session = studio_with().session("one", Wish())
    stages = session._engine.stages

    def wait(item: Any) -> Any:
        time.sleep(0.15)
        return item

    def slow(develop: Callable[[Frame], Frame]) -> list[Stage[Any, Any]]:
        first, *others = stages(develop)
        return [first.then(Stage("wait", wait)), *others]

    monkeypatch.setattr(session._engine, "stages", slow)
    async with client(session, Clip(demo(), 20)) as one:
        await one.told(lambda message: message["type"] == "stats" and message["width"] == 480)


def test_a_session_that_loses_two_of_three_frames_at_the_smallest_size_is_starved() -> None:
    effort = Effort()
    seen = []
    for _ in range(2 * PATIENCE + STARVED_S):
        effort(Load(busy=0.5, dropped=0.8))
        seen.append(effort.starved)
    assert effort.scale == SCALES[-1]
    assert seen == [False] * (len(seen) - 1) + [True]
    effort(Load(busy=0.5, dropped=0.5))
    assert not effort.starved
