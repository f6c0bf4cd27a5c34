"""Looks aside happen one at a time on a thread that ends, and what they raise is raised where it is asked for."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from realtime.errors import ModelError
from realtime.face.face import Detection
from realtime.face.geometry import Image
from realtime.face.look import Aside, Seen
from tests.realtime.face.helpers import GatedDetector, detection_of, picture


def answer_of(aside: Aside) -> Seen | None:
    """The answer, waited for; None where there is none once the look has ended."""
    end = time.perf_counter() + 10
    while aside.busy and time.perf_counter() < end:
        if seen := aside.answer():
            return seen
        time.sleep(0.001)
    return None


@pytest.fixture
def detector() -> Iterator[GatedDetector]:
    gated = GatedDetector()
    yield gated
    gated.gate.set()


def test_a_look_happens_beside_and_its_answer_comes_once(detector: GatedDetector) -> None:
    landmarks = {3: np.zeros((68, 2), np.float32)}
    with Aside(detector) as aside:
        aside.ask(picture((300, 150, 30)), True, landmarks)
        assert aside.answer() is None  # still under way
        detector.gate.set()
        seen = answer_of(aside)
        assert seen is not None
        assert seen.followed is landmarks
        assert len(seen.found) == 1
        assert not aside.busy
        assert aside.answer() is None
    assert detector.calls == [True]
    assert detector.threads == {"look_0"}


def test_there_is_one_look_at_a_time(detector: GatedDetector) -> None:
    with Aside(detector) as aside:
        aside.ask(picture(), False, {})
        with pytest.raises(RuntimeError, match="another is under way"):
            aside.ask(picture(), False, {})
        detector.gate.set()


def test_outside_its_block_nothing_is_asked(detector: GatedDetector) -> None:
    with pytest.raises(RuntimeError, match="outside `with`"):
        Aside(detector).ask(picture(), False, {})


def test_a_forgotten_look_has_no_answer_and_another_may_follow(detector: GatedDetector) -> None:
    with Aside(detector) as aside:
        aside.ask(picture((300, 150, 30)), False, {})
        aside.forget()
        detector.gate.set()
        assert answer_of(aside) is None
        assert not aside.busy
        aside.ask(picture((300, 150, 30)), False, {})
        assert answer_of(aside) is not None


def test_the_thread_ends_with_its_block_also_in_the_middle_of_a_look(detector: GatedDetector) -> None:
    with Aside(detector) as aside:
        aside.ask(picture(), False, {})
        threading.Timer(0.05, detector.gate.set).start()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("look")]
    assert aside.answer() is None


def test_what_the_detector_raises_is_raised_with_the_answer() -> None:
    class Broken:
        def detect(self, image: Image, thorough: bool = False) -> tuple[Detection, ...]:
            if image.shape[0] == 360:
                raise ModelError("the detector broke")
            return (detection_of(0, 0, 1),)

    with Aside(Broken()) as aside:
        aside.ask(picture(), False, {})
        with pytest.raises(ModelError, match="broke"):
            answer_of(aside)
        aside.ask(picture(height=100), False, {})  # and the next look is another one
        assert answer_of(aside) is not None
