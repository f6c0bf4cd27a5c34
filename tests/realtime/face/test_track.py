"""Faces keep their numbers, are detected seldom, and are found again in the frame that lost them."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from realtime.errors import SettingsError
from realtime.face.detect import Detector
from realtime.face.face import Detection, Face
from realtime.face.geometry import Image, template, to_template, transform
from realtime.face.landmarks import Landmarker
from realtime.face.look import Aside
from realtime.face.match import SAME, apart, place_of
from realtime.face.track import Tracker, TrackingSettings
from realtime.frame import Frame
from realtime.swap.session import SessionSettings
from tests.models import write_landmarker
from tests.realtime.face.helpers import (
    Disc,
    DiscDetector,
    GatedDetector,
    centre_of,
    frame_of,
    numbers,
    picture,
    write_seeing_landmarker,
)

CPU = SessionSettings(provider="cpu", threads=1)


@pytest.fixture(scope="module")
def landmarker(tmp_path_factory: pytest.TempPathFactory) -> Landmarker:
    return Landmarker.load(write_seeing_landmarker(tmp_path_factory.mktemp("models") / "landmarks.onnx"), CPU)


def follow(tracker: Tracker, scenes: Sequence[Sequence[Disc]], first: int = 0) -> list[tuple[Face, ...]]:
    """What the tracker sees in a recording of 30 frames a second."""
    return [tracker(frame_of(picture(*discs), first + index)) for index, discs in enumerate(scenes)]


def test_a_moving_face_is_followed_with_one_number_and_few_detections(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker)
    scenes = [[(150 + 4 * index, 150 + 20 * np.sin(index / 5), 25)] for index in range(75)]
    seen = follow(tracker, scenes)
    assert [numbers(faces) for faces in seen] == [[1]] * 75
    for (face,), ((x, y, _),) in zip(seen, scenes, strict=True):
        assert face.landmarks[[*range(27, 36)]].mean(0)[0] == pytest.approx(x, abs=2)
        assert centre_of(face.to_template) == pytest.approx([x, y], abs=4)
        assert face.box[0] < x < face.box[2]
    assert tracker.detector_runs == 5  # at 0, 0.5, 1, 1.5 and 2 seconds


def test_a_still_face_is_aligned_on_the_template(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker)
    (face,) = follow(tracker, [[(300, 150, 30)]] * 10)[-1]
    assert transform(face.to_template, face.landmarks) == pytest.approx(template(), abs=0.004)
    assert face.score == pytest.approx(1.0, abs=0.01)


def test_a_cut_is_noticed_and_the_new_face_found_in_the_same_frame(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker)
    seen = follow(tracker, [[(150, 120, 25)]] * 5 + [[(500, 250, 30)]] * 3)
    assert [numbers(faces) for faces in seen] == [[1]] * 5 + [[2]] * 3
    (after,) = seen[5]
    assert centre_of(after.to_template) == pytest.approx([500, 250], abs=1)
    assert tracker.detector_runs == 2


def test_without_a_face_every_frame_is_looked_at_and_the_first_one_is_not_missed(landmarker: Landmarker) -> None:
    detector = DiscDetector()
    tracker = Tracker(detector, landmarker)
    seen = follow(tracker, [[]] * 7 + [[(300, 150, 30)]])
    assert [len(faces) for faces in seen] == [0] * 7 + [1]
    assert detector.calls.count(False) == 8


def test_the_thorough_look_happens_every_so_often_and_only_while_nobody_is_there(landmarker: Landmarker) -> None:
    detector = DiscDetector()
    follow(Tracker(detector, landmarker), [[]] * 61 + [[(300, 150, 30)]] * 90)
    assert detector.calls.count(True) == 5  # every half second, until somebody came at 2.03
    assert not any(detector.calls[-3:])


def test_a_small_face_is_found_by_the_thorough_look_and_then_followed(landmarker: Landmarker) -> None:
    detector = DiscDetector(smallest=20)
    tracker = Tracker(detector, landmarker)
    seen = follow(tracker, [[(300, 150, 10)]] * 100)
    assert [numbers(faces) for faces in seen] == [[1]] * 100
    assert detector.calls.count(False) == 1  # from then on, only a thorough look would confirm it
    assert detector.calls.count(True) == 7


def test_a_face_that_is_covered_for_a_moment_keeps_its_number(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker)
    seen = follow(tracker, [[(300, 150, 30)]] * 5 + [[]] * 10 + [[(306, 152, 30)]] * 5)
    assert [numbers(faces) for faces in seen] == [[1]] * 5 + [[]] * 10 + [[1]] * 5


def test_a_face_that_is_gone_for_long_is_forgotten(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker)
    seen = follow(tracker, [[(300, 150, 30)]] * 5 + [[]] * 60 + [[(300, 150, 30)]] * 2)
    assert numbers(seen[-1]) == [2]


def test_numbers_follow_place_and_size_and_not_the_detectors_order(landmarker: Landmarker) -> None:
    settings = TrackingSettings(max_faces=3, detect_every=0)  # detects in every frame, in a random order of scores
    tracker = Tracker(DiscDetector(seed=4), landmarker, settings)
    scenes = [[(80 + index, 100, 21), (300, 250 - index, 24), (540, 150, 27)] for index in range(40)]
    seen = follow(tracker, scenes)
    assert tracker.detector_runs == 40
    for faces, discs in zip(seen, scenes, strict=True):
        places = {face.track: centre_of(face.to_template) for face in faces}
        assert sorted(places) == [1, 2, 3]  # 1 is the largest, found first
        for number, (x, y, _) in zip((3, 2, 1), discs, strict=True):
            assert places[number] == pytest.approx([x, y], abs=3)


def test_a_newcomer_gets_a_new_number_and_the_others_keep_theirs(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker, TrackingSettings(max_faces=2))
    seen = follow(tracker, [[(150, 150, 20)]] * 20 + [[(150, 150, 20), (450, 150, 30)]] * 20)
    assert numbers(seen[19]) == [1]
    assert numbers(seen[-1]) == [1, 2]
    assert centre_of(seen[-1][0].to_template) == pytest.approx([150, 150], abs=1)


def test_one_of_two_that_leaves_does_not_take_the_others_number(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker, TrackingSettings(max_faces=2))
    seen = follow(tracker, [[(150, 150, 30), (450, 150, 20)]] * 5 + [[(450, 150, 20)]] * 5)
    assert numbers(seen[4]) == [1, 2]
    assert numbers(seen[-1]) == [2]


def test_the_largest_faces_are_followed_when_there_is_no_room_for_all(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker)
    (face,) = follow(tracker, [[(100, 150, 15), (300, 150, 30), (520, 150, 20)]])[0]
    assert centre_of(face.to_template) == pytest.approx([300, 150], abs=1)


def test_two_who_swap_places_in_the_detectors_list_keep_their_numbers(landmarker: Landmarker) -> None:
    class Turning(DiscDetector):
        def detect(self, image: Image, thorough: bool = False) -> tuple[Detection, ...]:
            found = sorted(super().detect(image, thorough), key=lambda detection: float(detection.box[0]))
            return tuple(found if len(self.calls) % 2 else reversed(found))

    tracker = Tracker(Turning(), landmarker, TrackingSettings(max_faces=2, detect_every=0))
    seen = follow(tracker, [[(200 + index, 150, 26), (420 - index, 170, 25)] for index in range(30)])
    assert tracker.detector_runs >= 30
    for index, (left, right) in enumerate(seen):
        assert (left.track, right.track) == (1, 2)  # 1 is the larger
        assert centre_of(left.to_template) == pytest.approx([200 + index, 150], abs=2)
        assert centre_of(right.to_template) == pytest.approx([420 - index, 170], abs=2)


def test_one_who_is_hidden_for_most_of_a_second_keeps_the_number_while_the_other_moves(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker, TrackingSettings(max_faces=2))
    both = [[(150, 150, 30), (430, 150, 24)]] * 10
    alone = [[(430 + 3 * index, 150 + index, 24)] for index in range(27)]  # 0.9 s
    again = [[(165, 155, 30), (510, 177, 24)]] * 10
    seen = follow(tracker, [*both, *alone, *again])
    assert [numbers(faces) for faces in seen] == [[1, 2]] * 10 + [[2]] * 27 + [[1, 2]] * 10  # back in the first frame
    assert centre_of(seen[-1][0].to_template) == pytest.approx([165, 155], abs=1)
    assert centre_of(seen[-1][1].to_template) == pytest.approx([510, 177], abs=1)


def test_a_face_in_front_belongs_to_the_one_who_came_along_and_not_to_the_one_whom_it_covers(
    landmarker: Landmarker,
) -> None:
    tracker = Tracker(DiscDetector(), landmarker, TrackingSettings(max_faces=2))
    seen, covered = [], []
    for index in range(46):
        x = 120.0 + 8 * index
        hidden = abs(x - 300) < 88  # from here on the one behind reads the one in front
        scene: list[Disc] = [(x, 150, 24)] if hidden else [(300, 150, 26), (x, 150, 24)]
        covered.append(hidden)
        seen.append(tracker(frame_of(picture(*scene), index)))
    assert [numbers(faces) for faces in seen] == [[2] if hidden else [1, 2] for hidden in covered]
    for index, faces in enumerate(seen):
        assert centre_of(faces[-1].to_template) == pytest.approx([120 + 8 * index, 150], abs=8)


def test_both_who_were_hidden_get_their_own_numbers_back(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(seed=2), landmarker, TrackingSettings(max_faces=2))
    seen = follow(tracker, [[(150, 150, 30), (430, 150, 24)]] * 5 + [[]] * 27 + [[(190, 150, 30), (400, 150, 24)]] * 2)
    one, two = seen[-1]
    assert (one.track, two.track) == (1, 2)
    assert centre_of(one.to_template) == pytest.approx([190, 150], abs=1)


def test_a_neighbour_does_not_inherit_the_number_of_one_who_leaves(landmarker: Landmarker) -> None:
    side_by_side: list[Disc] = [(250, 150, 30), (380, 150, 24)]
    seen = follow(Tracker(DiscDetector(), landmarker), [side_by_side] * 5 + [side_by_side[1:]] * 5)
    assert [numbers(faces) for faces in seen] == [[1]] * 5 + [[2]] * 5


def test_faces_side_by_side_stay_apart(landmarker: Landmarker) -> None:
    discs: list[Disc] = [(120 + 130 * place, 150, 26 - place) for place in range(4)]
    tracker = Tracker(DiscDetector(seed=3), landmarker, TrackingSettings(max_faces=4, detect_every=0.1))
    for faces in follow(tracker, [discs] * 20):
        assert numbers(faces) == [1, 2, 3, 4]
        for face, (x, y, _) in zip(faces, discs, strict=True):
            assert centre_of(face.to_template) == pytest.approx([x, y], abs=1)


def test_of_forty_faces_as_many_as_were_asked_for_keep_their_numbers(landmarker: Landmarker) -> None:
    discs: list[Disc] = [(90 + 120 * column, 90 + 120 * row, 16 + row) for column in range(10) for row in range(4)]
    tracker = Tracker(DiscDetector(), landmarker, TrackingSettings(max_faces=4))
    image = picture(*discs, width=1280, height=560)
    seen = [tracker(frame_of(image, index)) for index in range(16)]
    assert [numbers(faces) for faces in seen] == [[1, 2, 3, 4]] * 16
    assert {round(float(centre_of(face.to_template)[1])) for face in seen[-1]} == {
        450
    }  # the largest are in the last row


@pytest.mark.parametrize("enters", range(1, 17))
def test_in_a_recording_a_newcomer_is_followed_within_half_a_second(landmarker: Landmarker, enters: int) -> None:
    tracker = Tracker(DiscDetector(), landmarker, TrackingSettings(max_faces=2))
    seen = follow(tracker, [[(150, 150, 30)]] * enters + [[(150, 150, 30), (450, 150, 12)]] * 31)
    delay = next(index for index, faces in enumerate(seen) if len(faces) == 2) - enters
    assert delay / 30 < 0.5
    assert tracker.detector_runs <= 2 + 2 * len(seen) / 30  # two in the first frame, then two a second


def live(tracker: Tracker, scene: Sequence[Disc], index: int) -> tuple[Face, ...]:
    """What the tracker sees in a frame of a camera with 30 frames a second."""
    return tracker(Frame(picture(*scene), index, 500 + index / 30))


@pytest.fixture
def asides(monkeypatch: pytest.MonkeyPatch) -> list[Aside]:
    """Whatever looks aside in this test."""
    made: list[Aside] = []

    class Known(Aside):
        def __init__(self, detector: Detector) -> None:
            super().__init__(detector)
            made.append(self)

    monkeypatch.setattr("realtime.face.track.Aside", Known)
    return made


def answered(asides: Sequence[Aside]) -> None:
    """Waits until the look under way, if any, has ended."""
    end = time.perf_counter() + 10
    while asides[-1].busy and not asides[-1].ready and time.perf_counter() < end:
        time.sleep(0.001)


def test_live_no_followed_frame_waits_for_a_look_and_one_look_happens_at_a_time(landmarker: Landmarker) -> None:
    detector = GatedDetector()  # its looks aside never end on their own
    tracker = Tracker(detector, landmarker, TrackingSettings(max_faces=2))
    with tracker.looking_aside():
        seen = [live(tracker, [(150 + index, 150, 30)], index) for index in range(60)]
        assert [numbers(faces) for faces in seen] == [[1]] * 60
        assert detector.calls == [False]  # the first one, in its frame; the one aside has not ended
        assert tracker.detector_runs == 2
        detector.gate.set()


def test_live_a_newcomer_is_followed_in_the_first_frame_after_the_look_has_ended(
    landmarker: Landmarker, asides: list[Aside]
) -> None:
    detector = GatedDetector()
    detector.gate.set()
    tracker = Tracker(detector, landmarker, TrackingSettings(max_faces=2))
    alone, both = [(150.0, 150.0, 30.0)], [(150.0, 150.0, 30.0), (450.0, 150.0, 24.0)]
    with tracker.looking_aside():
        live(tracker, alone, 0)  # looks, also aside
        answered(asides)
        seen = []
        for index in range(1, 19):  # the newcomer enters right after the look
            seen.append(live(tracker, both, index))
            answered(asides)  # a look is over before the next frame
        assert [len(faces) for faces in seen].index(2) == 15  # looked for at 0.5 s, in frame 15; taken up in frame 16
        assert {"MainThread", "look_0"} == detector.threads
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("look")]


def test_live_what_was_found_is_followed_to_where_it_has_moved(landmarker: Landmarker, asides: list[Aside]) -> None:
    detector = GatedDetector()
    tracker = Tracker(detector, landmarker, TrackingSettings(max_faces=2))
    with tracker.looking_aside():
        live(tracker, [(150, 150, 30), (450, 150, 24)][:1], 0)  # frame 0 shows one, and so does the look aside
        detector.gate.set()
        answered(asides)
        detector.gate.clear()
        for index in range(1, 16):
            live(tracker, [(150 + 4 * index, 150, 30), (450, 150, 24)], index)  # the look of frame 15 begins
        for index in range(16, 20):
            live(tracker, [(150 + 4 * index, 150, 30), (450 + 8 * (index - 15), 150, 24)], index)
        detector.gate.set()
        answered(asides)
        one, two = live(tracker, [(150 + 4 * 20, 150, 30), (490, 150, 24)], 20)
        assert (one.track, two.track) == (1, 2)
        assert centre_of(two.to_template) == pytest.approx([490, 150], abs=2)
        assert centre_of(one.to_template) == pytest.approx([230, 150], abs=3)


def test_live_a_cut_is_noticed_and_the_new_face_found_in_the_same_frame(landmarker: Landmarker) -> None:
    detector = GatedDetector()  # looks aside are of no help
    tracker = Tracker(detector, landmarker)
    with tracker.looking_aside():
        seen = [live(tracker, [(150, 120, 25)], index) for index in range(20)]
        seen += [live(tracker, [(500, 250, 30)], index) for index in range(20, 23)]
        assert [numbers(faces) for faces in seen] == [[1]] * 20 + [[2]] * 3
        detector.gate.set()


def test_live_one_of_two_who_was_hidden_is_back_within_three_frames(
    landmarker: Landmarker, asides: list[Aside]
) -> None:
    detector = GatedDetector()
    detector.gate.set()
    tracker = Tracker(detector, landmarker, TrackingSettings(max_faces=2))
    both: list[Disc] = [(150, 150, 30), (430, 150, 24)]
    with tracker.looking_aside():
        scenes = [both] * 5 + [both[1:]] * 20 + [both] * 4
        seen = []
        for index, scene in enumerate(scenes):
            seen.append(live(tracker, scene, index))
            answered(asides)  # a look is over before the next frame
        assert numbers(seen[24]) == [2]
        assert [1, 2] in [numbers(faces) for faces in seen[25:28]]


def test_live_a_recording_that_starts_over_forgets_the_look_under_way(
    landmarker: Landmarker, asides: list[Aside]
) -> None:
    detector = GatedDetector()
    tracker = Tracker(detector, landmarker, TrackingSettings(max_faces=2))
    with tracker.looking_aside():
        live(tracker, [(150, 150, 30)], 5)
        tracker.reset()
        detector.gate.set()
        answered(asides)
        assert live(tracker, [], 6) == ()  # the face of the look is nowhere taken up


def test_two_that_meet_are_never_one_face_twice(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker, TrackingSettings(max_faces=2, detect_every=0.1))
    scenes = [[(150 + 3 * index, 150, 20), (450 - 3 * index, 150, 20)] for index in range(60)]
    for faces in follow(tracker, scenes):
        for one in faces:
            place = place_of(to_template(one.landmarks))
            assert sum(apart(place, place_of(to_template(other.landmarks))) < SAME for other in faces) == 1


def test_low_presence_ends_a_track(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker)
    tracker(frame_of(picture((300, 150, 30)), 0))
    assert tracker(frame_of(picture((300, 150, 30), brightness=120), 1)) == ()  # still detected, hardly present


def test_a_sure_face_outlives_the_detector_and_a_doubtful_one_does_not(landmarker: Landmarker) -> None:
    for brightness, lasts in ((255, True), (150, False)):
        detector = DiscDetector()
        tracker = Tracker(detector, landmarker)
        tracker(frame_of(picture((300, 150, 30), brightness=brightness), 0))
        detector.detect = lambda image, thorough=False: ()  # type: ignore[method-assign]
        scenes = [frame_of(picture((300, 150, 30), brightness=brightness), index) for index in range(1, 120)]
        seen = [bool(tracker(frame)) for frame in scenes]
        assert seen[40]  # more than a second is forgiven
        assert seen[-1] is lasts


def test_landmarks_that_slid_off_are_put_back_by_the_next_detection(tmp_path: Path) -> None:
    blind = Landmarker.load(write_landmarker(tmp_path / "landmarks.onnx"), CPU)  # never moves by itself
    tracker = Tracker(DiscDetector(), blind)
    scenes = [[(300.0 + min(index, 25), 150.0, 25.0)] for index in range(35)]
    seen = follow(tracker, scenes)
    assert centre_of(seen[29][0].to_template) == pytest.approx([300, 150], abs=1)
    assert centre_of(seen[-1][0].to_template) == pytest.approx([325, 150], abs=1)
    assert numbers(seen[-1]) == [1]


def test_a_recording_that_starts_over_is_another_recording(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker)
    follow(tracker, [[(300, 150, 30)]] * 5)
    assert numbers(tracker(frame_of(picture((300, 150, 30)), 0))) == [2]


def test_resetting_forgets_everybody(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker)
    follow(tracker, [[(300, 150, 30)]] * 5)
    tracker.reset()
    assert numbers(tracker(frame_of(picture((300, 150, 30)), 5))) == [2]


def test_a_live_source_without_timeline_is_timed_by_its_clock(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker)
    image = picture((300, 150, 30))
    for index in range(16):
        tracker(Frame(image, index, captured_at=500 + index / 5))
    assert tracker.detector_runs == 6  # at 500, 500.6, ... 503 seconds


def test_one_recording_gives_the_same_faces_twice(landmarker: Landmarker) -> None:
    scenes = [[(150 + 4 * index, 150, 25), (500, 250, 20)] for index in range(30)]
    runs = [follow(Tracker(DiscDetector(), landmarker, TrackingSettings(max_faces=2)), scenes) for _ in range(2)]
    for one, other in zip(*runs, strict=True):
        assert numbers(one) == numbers(other)
        for face, same in zip(one, other, strict=True):
            assert np.array_equal(face.to_template, same.to_template)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_frame_of_another_size_carries_faces_over_in_place(landmarker: Landmarker, factor: float) -> None:
    tracker = Tracker(DiscDetector(), landmarker, TrackingSettings(max_faces=2))
    discs = [(150.0, 150.0, 40.0), (450.0, 150.0, 30.0)]
    follow(tracker, [discs] * 5)
    larger = [(factor * x, factor * y, factor * radius) for x, y, radius in discs]
    for index in range(5, 9):
        image = picture(*larger, width=round(640 * factor), height=round(360 * factor))
        faces = tracker(frame_of(image, index))
        assert numbers(faces) == [1, 2]
        for face, (x, y, _) in zip(faces, larger, strict=True):
            assert centre_of(face.to_template) == pytest.approx([x, y], abs=1)


def test_a_frame_turned_upright_is_another_scene_at_worst(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker)
    follow(tracker, [[(550, 150, 30)]] * 5)
    (face,) = tracker(frame_of(picture((100, 550, 30), width=360, height=640), 5))
    assert face.track == 2
    assert centre_of(face.to_template) == pytest.approx([100, 550], abs=1)
    assert tracker(frame_of(picture(width=20, height=20), 6)) == ()


def test_live_a_look_at_a_frame_of_another_size_is_forgotten(landmarker: Landmarker, asides: list[Aside]) -> None:
    detector = GatedDetector()
    tracker = Tracker(detector, landmarker, TrackingSettings(max_faces=2))
    with tracker.looking_aside():
        live(tracker, [(150, 150, 30)], 0)  # begins a look aside
        small = picture((75, 75, 15), width=320, height=180)
        assert numbers(tracker(Frame(small, 1, 500 + 1 / 30))) == [1]
        detector.gate.set()
        answered(asides)
        assert numbers(tracker(Frame(small, 2, 500 + 2 / 30))) == [1]  # nobody at (150, 150)


@pytest.mark.parametrize(
    "wrong", [{"max_faces": 0}, {"presence": 1.5}, {"detect_every": -1.0}, {"remember": float("nan")}]
)
def test_absurd_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        TrackingSettings(**wrong)  # type: ignore[arg-type]


def test_a_real_face_is_found_and_framed_from_end_to_end(tmp_path: Path) -> None:
    """CenterFace on a photograph, panned; the small landmark model keeps the crop that the five points gave."""
    settings = TrackingSettings(landmarks=write_landmarker(tmp_path / "landmarks.onnx"), detect_every=0)
    tracker = Tracker.load(settings, CPU)
    photograph: Image = data.astronaut()  # type: ignore[no-untyped-call]
    astronaut = np.ascontiguousarray(photograph[..., ::-1])
    for index in range(4):
        shift = 40 * index  # a quarter of the template: without a look at the picture the face would be lost
        image = np.ascontiguousarray(astronaut[: 512 - shift, shift:])
        (face,) = tracker(frame_of(image, index))
        assert face.track == 1
        eyes = np.array([face.landmarks[36:42].mean(0), face.landmarks[42:48].mean(0)])
        assert np.abs(eyes - (np.array([(203, 103), (245, 105)]) - (shift, 0))).max() < 8
        x1, y1, x2, y2 = face.box
        assert x1 < 190 - shift < 260 - shift < x2
        assert y1 < 100
        assert y2 > 148


def held(tracker: Tracker, image: Image, first: int, frames: int) -> list[bool]:
    """Whether the faces hold in each of so many frames that all show the picture of the one before."""
    said = []
    for index in range(first, first + frames):
        frame = frame_of(image, index)
        said.append(tracker.holds(frame))
        if not said[-1]:
            tracker(frame)
    return said


def test_faces_of_a_still_picture_hold_once_it_was_searched_and_they_rest(landmarker: Landmarker) -> None:
    detector = DiscDetector()
    tracker, still = Tracker(detector, landmarker), picture((300, 150, 30))
    tracker(frame_of(still, 0))
    said = held(tracker, still, 1, 60)
    assert said[30:] == [True] * 30
    looks = len(detector.calls)
    assert all(held(tracker, still, 61, 60))
    assert len(detector.calls) == looks  # nothing new can be found in it
    (face,) = tracker(frame_of(picture((302, 150, 30)), 121))
    assert face.track == 1  # though it was not read for three seconds
    assert centre_of(face.to_template) == pytest.approx([302, 150], abs=1.5)


def test_a_face_that_stops_is_drawn_where_it_stopped_before_it_holds(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker)
    follow(tracker, [[(150 + 8 * index, 150, 25)] for index in range(20)])
    still = picture((302, 150, 25))
    tracker(frame_of(still, 20))
    said = held(tracker, still, 21, 60)
    assert not any(said[:3])
    assert all(said[40:])
    (face,) = tracker(frame_of(picture((302, 151, 25)), 81))
    assert centre_of(face.to_template) == pytest.approx([302, 150], abs=1)


def test_a_newcomer_of_the_last_picture_before_it_stood_still_is_found(landmarker: Landmarker) -> None:
    tracker = Tracker(DiscDetector(), landmarker, TrackingSettings(max_faces=2))
    follow(tracker, [[(150, 150, 30)]] * 10)
    still = picture((150, 150, 30), (450, 150, 30))
    (only,) = tracker(frame_of(still, 10))  # no look is due yet
    said = held(tracker, still, 11, 60)
    assert said[-1]
    assert only.track == 1
    assert numbers(tracker(frame_of(still, 71))) == [1, 2]


def test_with_nobody_in_view_a_still_picture_is_searched_no_more(landmarker: Landmarker) -> None:
    detector = DiscDetector()
    tracker, still = Tracker(detector, landmarker), picture()
    tracker(frame_of(still, 0))
    assert held(tracker, still, 1, 100)[-1]
    assert len(detector.calls) < 10


def test_who_was_just_lost_is_looked_for_although_the_picture_stands_still(landmarker: Landmarker) -> None:
    tracker, still = Tracker(DiscDetector(), landmarker), picture()
    follow(tracker, [[(300, 150, 30)]] * 20)
    tracker(frame_of(still, 20))
    assert not any(held(tracker, still, 21, 20))


def test_nothing_holds_when_a_recording_starts_over(landmarker: Landmarker) -> None:
    tracker, still = Tracker(DiscDetector(), landmarker), picture((300, 150, 30))
    tracker(frame_of(still, 50))
    assert held(tracker, still, 51, 60)[-1]
    assert not tracker.holds(frame_of(still, 0))
    assert numbers(tracker(frame_of(still, 0))) == [2]


def test_a_look_aside_at_an_older_picture_does_not_settle_a_still_one(landmarker: Landmarker) -> None:
    gated = GatedDetector()
    tracker = Tracker(DiscDetector(), landmarker, TrackingSettings(max_faces=2), second=lambda: gated)
    first, still = picture((150, 150, 30)), picture((150, 150, 30), (450, 150, 30))
    with tracker.looking_aside():
        for index in range(17):  # half a second: a look aside begins
            tracker(frame_of(first, index))
        tracker(frame_of(still, 17))
        assert not any(held(tracker, still, 18, 5))
        gated.gate.set()
        index, until = 23, time.monotonic() + 10
        while not held(tracker, still, index, 1)[0] and time.monotonic() < until:
            index += 1
            time.sleep(0.002)
        assert numbers(tracker(frame_of(still, index + 1))) == [1, 2]
