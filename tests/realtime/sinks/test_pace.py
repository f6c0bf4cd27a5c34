"""A steady pace: by a clock of its own for the times, with a real thread for what must not hang."""

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from realtime.errors import SinkError
from realtime.flow.letterbox import Image
from realtime.sinks import pace as paces
from realtime.sinks.pace import Beat, Pace

Sent = list[tuple[float, int]]  # when, and which arrival


def played(arrivals: Sequence[float], fps: float, until: float) -> Sent:
    """What goes out when pictures arrive at these seconds, by a clock that jumps from one event to the next."""
    beat, sent = Beat(fps), Sent()
    now, waiting, last, coming = 0.0, -1, -1, 0
    while now < until:
        while coming < len(arrivals) and arrivals[coming] <= now:
            waiting, coming = coming, coming + 1
        if waiting >= 0 and now >= beat.earliest:
            beat.fresh(now)
            sent.append((now, waiting))
            last, waiting = waiting, -1
        elif waiting < 0 <= last and now >= beat.latest:
            beat.again(now)
            sent.append((now, last))
        due = beat.earliest if waiting >= 0 else beat.latest if last >= 0 else until
        now = min(max(due, now + 1e-9), arrivals[coming] if coming < len(arrivals) else until, until)
    return sent


def test_pictures_at_the_pace_go_at_once_and_none_goes_twice() -> None:
    arrivals = [index / 30 for index in range(90)]
    assert played(arrivals, 30, 3.0) == [(at, index) for index, at in enumerate(arrivals)]


def test_pictures_a_little_early_or_late_go_at_once_too() -> None:
    random = np.random.default_rng(0)
    arrivals = [index / 30 + float(random.uniform(0, 0.004)) for index in range(300)]
    sent = played(arrivals, 30, 10.0)
    assert [which for _, which in sent] == list(range(300))
    assert max(at - arrivals[which] for at, which in sent) < 0.002


def test_a_stall_is_filled_with_the_last_picture_at_the_full_rate() -> None:
    sent = played([0.0, 1 / 30], 30, 10.0)
    assert len(sent) == pytest.approx(300, abs=1)
    assert {which for _, which in sent[1:]} == {1}
    gaps = np.diff([at for at, _ in sent])
    assert gaps[0] == pytest.approx(1 / 30, abs=1e-6)
    assert gaps.max() <= 1.2500001 / 30


def test_a_slow_source_is_filled_up_to_the_rate() -> None:
    sent = played([index / 10 for index in range(50)], 30, 5.0)
    assert len(sent) == pytest.approx(150, abs=3)
    assert sorted({which for _, which in sent}) == list(range(50))


def test_a_quick_source_is_thinned_to_the_rate_and_stays_fresh() -> None:
    arrivals = [index / 60 for index in range(600)]
    sent = played(arrivals, 30, 10.0)
    assert 300 <= len(sent) <= 311
    assert all(at - arrivals[which] < 1 / 60 + 1e-6 for at, which in sent)


def test_the_delay_of_a_hiccup_wears_off_within_a_second() -> None:
    """Three pictures come at once, 100 ms late; from then on they come in time again."""
    arrivals = [max(index / 30, 1.1) if 30 <= index < 34 else index / 30 for index in range(120)]
    delays = [at - arrivals[which] for at, which in played(arrivals, 30, 4.0)]
    assert max(delays[28:40]) > 0.01
    assert max(delays[70:]) < 1e-6


def test_what_a_machine_that_slept_has_missed_is_not_made_up_for() -> None:
    beat = Beat(30)
    beat.fresh(0)
    beat.again(3600)
    assert beat.latest > 3600


def picture(value: int) -> Image:
    return np.full((2, 2, 3), value, np.uint8)


class Receiver:
    """Keeps what it is sent, and lets a test wait for it."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self._changed = threading.Condition()

    def __call__(self, image: Image) -> None:
        with self._changed:
            self.values.append(int(image[0, 0, 0]))
            self._changed.notify_all()

    def wait_until(self, so: Callable[[list[int]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: so(self.values), 20), self.values


def test_the_last_picture_goes_again_until_the_next_one_comes() -> None:
    receiver = Receiver()
    pace = Pace(receiver, 200, "the camera")
    pace.show(picture(1))
    receiver.wait_until(lambda values: values.count(1) >= 5)
    pace.show(picture(2))
    receiver.wait_until(lambda values: values.count(2) >= 5)
    assert pace.close()
    assert receiver.values == sorted(receiver.values)
    assert (pace.sent, pace.repeated) == (len(receiver.values), len(receiver.values) - 2)


def test_nothing_goes_before_the_first_picture() -> None:
    receiver = Receiver()
    assert Pace(receiver, 1000, "the camera").close()
    assert receiver.values == []


def test_the_picture_that_waits_at_the_end_still_goes() -> None:
    receiver = Receiver()
    pace = Pace(receiver, 0.01, "the camera")  # one in 100 seconds
    pace.show(picture(1))
    receiver.wait_until(lambda values: values == [1])
    pace.show(picture(2))
    assert pace.close()
    assert receiver.values == [1, 2]


def test_whoever_waits_loses_no_picture() -> None:
    receiver = Receiver()
    pace = Pace(receiver, 500, "the camera")
    for value in range(1, 40):
        pace.show(picture(value), wait=True)
    assert pace.close()
    assert sorted(set(receiver.values)) == list(range(1, 40))


def test_what_the_receiver_raises_is_one_sentence_for_the_next_picture() -> None:
    failed = threading.Event()

    def fail(_: Image) -> None:
        failed.set()
        raise RuntimeError("no such device")

    pace = Pace(fail, 100, "the virtual camera /dev/video9")
    pace.show(picture(1))
    assert failed.wait(20)
    pace._thread.join(20)
    with pytest.raises(SinkError, match=r"the virtual camera /dev/video9 stopped: no such device"):
        pace.show(picture(2))
    assert pace.close()


def test_a_receiver_that_never_comes_back_is_noticed_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(paces, "STUCK_S", 0.2)
    began, release = threading.Event(), threading.Event()

    def hang(_: Image) -> None:
        began.set()
        release.wait(60)

    pace = Pace(hang, 100, "the camera")
    pace.show(picture(1))
    assert began.wait(20)
    time.sleep(0.3)
    with pytest.raises(SinkError, match=r"the camera has taken no picture for 0\.2 seconds"):
        pace.show(picture(2))
    assert not pace.close()
    assert "the camera does not come back" in caplog.text
    release.set()
    pace._thread.join(20)
    assert not pace._thread.is_alive()
