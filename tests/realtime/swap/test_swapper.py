"""Frames go in, redrawn faces come out; identities switch between frames; faults are covered or raised."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.egress.marks import Marks
from realtime.errors import MOST_FAILURES, ConsentError, KeepsFailing, ModelError, UnknownIdentity
from realtime.face.face import Face, Glimpse
from realtime.face.geometry import Image, align, template, to_pixels, transform
from realtime.flow.meters import Meters
from realtime.frame import Frame
from realtime.swap.compose import Composer
from realtime.swap.consent import Consent
from realtime.swap.fallback import Fallback, Unsure, hidden, place_of
from realtime.swap.identity import Codes, Encoder, Shelf
from realtime.swap.session import SessionSettings
from realtime.swap.swapper import Swapper
from realtime.swap.views import crop_of
from tests.models import person, write_decoder, write_shelf
from tests.realtime.swap.helpers import PlacedFaces, face_at, frame_of, scene

ASTER, CEDAR = (90, 120, 200), (200, 140, 100)  # the colours that write_shelf gives them, BGR


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf.load(write_shelf(tmp_path_factory.mktemp("models")), SessionSettings(provider="cpu", threads=1))


def test_a_face_is_redrawn_as_the_identity_in_the_decoders_crop(shelf: Shelf) -> None:
    face = face_at(160, 120, 120)
    (swapped,) = Swapper(PlacedFaces([face]), shelf, "aster")(frame_of(scene())).faces
    assert swapped.identity == "aster"
    assert swapped.image.shape == (160, 160, 3)
    assert swapped.image[90, 80] == pytest.approx(ASTER, abs=1)
    assert transform(swapped.to_crop, face.landmarks) == pytest.approx(to_pixels(template(), 160), abs=0.01)


def test_the_encoder_sees_the_aligned_face(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    face, image = face_at(150, 110, 100, degrees=20), scene()
    seen: list[Image] = []
    real = shelf.encoder
    monkeypatch.setattr(shelf, "encoder", _Watching(real, seen))
    Swapper(PlacedFaces([face]), shelf, "aster")(frame_of(image))
    assert np.array_equal(seen[0], align(image, crop_of(face, 128), 128))


def test_two_faces_in_view_are_two_identities_in_one_batch(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = [face_at(80, 120, 90, track=1), face_at(240, 120, 90, track=2), face_at(160, 60, 60, track=3)]
    batches: list[Image] = []
    monkeypatch.setattr(shelf, "encoder", _Watching(shelf.encoder, batches))
    swapper = Swapper(PlacedFaces(faces), shelf, "aster")
    swapper.assign(2, "cedar")
    swapped = swapper(frame_of(scene())).faces
    assert [face.identity for face in swapped] == ["aster", "cedar", "aster"]
    assert [face.face.track for face in swapped] == [1, 2, 3]
    assert swapped[1].image[90, 80] == pytest.approx(CEDAR, abs=1)
    assert swapped[2].image[90, 80] == pytest.approx(ASTER, abs=1)
    assert len(batches) == 3  # crops that came in one call


class Holding(PlacedFaces):
    """A finder whose faces hold for every picture like the one before."""

    def holds(self, frame: Frame) -> bool:
        return True


def counted(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the encoder and each identity run from now on."""
    runs: Counter[str] = Counter()
    monkeypatch.setattr(shelf.encoder, "_session", _Counting(shelf.encoder._session, "encoder", runs))
    for name in shelf.names:
        monkeypatch.setattr(shelf[name], "_session", _Counting(shelf[name]._session, name, runs))
    return runs


def test_a_picture_like_the_one_before_is_not_computed_again(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, meters, finder = counted(shelf, monkeypatch), Meters(), Holding([face_at(160, 120, 120)])
    swapper, image = Swapper(finder, shelf, "aster", meters=meters), scene()
    first = swapper(frame_of(image, 0))
    for index in range(1, 4):
        again = swapper(frame_of(image.copy(), index))
        assert again.faces is first.faces
        assert again.frame.index == index
    assert (runs, finder.detector_runs) == ({"encoder": 1, "aster": 1}, 1)
    assert meters.report()["unchanged"] == 3
    assert meters.report()["frames_with_face"] == 4
    swapper.identity = "cedar"
    assert swapper(frame_of(image, 4)).faces[0].identity == "cedar"
    assert (runs, finder.detector_runs) == ({"encoder": 2, "aster": 1, "cedar": 1}, 1)
    other = image.copy()
    other[0, 0, 0] ^= 1
    swapper(frame_of(other, 5))
    assert (runs, finder.detector_runs) == ({"encoder": 3, "aster": 1, "cedar": 2}, 2)


def test_the_same_faces_in_another_picture_are_drawn_anew(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, finder = counted(shelf, monkeypatch), Holding([face_at(160, 120, 120)])
    swapper = Swapper(finder, shelf, "aster")
    for index, image in enumerate((scene(), scene(seed=1), scene())):
        swapper(frame_of(image, index))
    assert runs == {"encoder": 3, "aster": 3}


def test_the_next_frames_faces_may_be_found_before_those_of_this_one_are_drawn(shelf: Shelf) -> None:
    images = [scene(seed=index // 2) for index in range(6)]
    in_turn = Swapper(Holding([face_at(160, 120, 120)]), shelf, "aster", fade=0.2)
    wanted = [in_turn(frame_of(image, index)) for index, image in enumerate(images)]
    ahead = Swapper(Holding([face_at(160, 120, 120)]), shelf, "aster", fade=0.2)
    found = [ahead.find(frame_of(image, index)) for index, image in enumerate(images)]
    for one, same in zip(wanted, map(ahead.draw, found), strict=True):
        assert np.array_equal(one.faces[0].image, same.faces[0].image)
    swapped = ahead.draw(found[0])
    assert ahead.draw(swapped) is swapped


def test_a_fade_goes_on_over_a_still_picture(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, finder, image = counted(shelf, monkeypatch), Holding([face_at(160, 120, 120)]), scene()
    swapper = Swapper(finder, shelf, "aster", fade=1.0)
    swapper(Frame(image, 0, 0.0))
    swapper.identity = "cedar"
    shown = [swapper(Frame(image, index, index / 10)).faces[0].image[90, 80, 0] for index in range(1, 16)]
    assert all(np.diff(shown)[:9] > 0)  # from aster's colour to cedar's
    assert shown[-1] == pytest.approx(CEDAR[0], abs=1)
    before = Counter(runs)
    swapper(Frame(image, 16, 1.6))
    assert runs == before


def test_after_a_failure_the_same_picture_is_read_again(shelf: Shelf) -> None:
    finder, image = Holding([face_at(160, 120, 120)]), scene()
    swapper = Swapper(finder, shelf, "aster")
    swapper(frame_of(image, 0))
    finder.error = ModelError("not this time")
    assert swapper(frame_of(scene(seed=1), 1)).faces == ()
    finder.error = None
    (again,) = swapper(frame_of(scene(seed=1), 2)).faces
    assert again.identity == "aster"
    assert finder.detector_runs == 3


def test_marks_and_grain_of_a_still_picture_change_as_those_of_any_other(shelf: Shelf) -> None:
    swapper, composer, marks = Swapper(Holding([face_at(160, 120, 120)]), shelf, "aster"), Composer(), Marks()
    image = scene()
    image = np.clip(image + np.random.default_rng(0).normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    composed = [composer(swapper(Frame(image, index, index / 30))) for index in range(12)]
    face = composed[-1].drawn[0].box
    left, top, right, bottom = (int(side) for side in face)
    one, other = (frame.image for frame in composed[-2:])
    assert not np.array_equal(one[top:bottom, left:right], other[top:bottom, left:right])
    assert np.array_equal(one[:top], other[:top])
    marked = [marks(frame).copy() for frame in composed[-2:]]
    assert not np.array_equal(marked[0][:top], marked[1][:top])


def test_four_faces_are_one_run_of_the_encoder_and_one_of_each_decoder(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions are counted, not calls: also in a fade, which draws each face twice."""
    faces = [face_at(60 + 70 * track, 120, 60, track=track) for track in range(4)]
    runs = counted(shelf, monkeypatch)
    Swapper(PlacedFaces(faces), shelf, "aster")(frame_of(scene()))
    assert runs == {"encoder": 1, "aster": 1}
    swapper = Swapper(PlacedFaces(faces), shelf, "1st=aster,2nd=cedar,3rd=aster,4th=cedar", fade=1.0)
    assert len(swapper(frame_of(scene(), 1)).faces) == 4
    assert runs == {"encoder": 2, "aster": 2, "cedar": 1}
    swapper.identity = "1st=cedar,2nd=aster,3rd=cedar,4th=aster"
    assert len(swapper(frame_of(scene(), 2)).faces) == 4
    assert runs == {"encoder": 3, "aster": 3, "cedar": 2}


def test_people_become_who_is_named_for_their_place_and_the_others_nobody(shelf: Shelf) -> None:
    faces = [face_at(40, 120, 50, 1), face_at(160, 120, 50, 2), face_at(280, 120, 50, 3)]
    swapper = Swapper(PlacedFaces(faces), shelf, "left=cedar,right=aster")
    swapped = swapper(frame_of(scene()))
    assert [(face.face.track, face.identity) for face in swapped.faces] == [(1, "cedar"), (3, "aster")]
    (other,) = swapped.others
    assert np.array_equal(other, place_of(faces[1]))
    assert swapper.identity == "left=cedar,right=aster"


def test_a_crowd_is_nobody_and_an_entering_face_is_unsure(shelf: Shelf) -> None:
    finder = PlacedFaces([face_at(160, 120, 80)])
    finder.glimpses = (
        Glimpse(np.array([10, 10, 40, 50], np.float32), entering=False),
        Glimpse(np.array([270, 150, 310, 200], np.float32), entering=True),
    )
    swapped = Swapper(finder, shelf, "aster")(frame_of(scene()))
    (other,), unsure = swapped.others, swapped.unsure
    assert unsure is not None
    assert (other[0] < 10, unsure.places[0][0] < 270, len(unsure.places)) == (True, True, 1)
    shown = Composer()(swapped).image
    for region in (np.s_[10:50, 10:40], np.s_[150:200, 270:310]):
        assert np.abs(np.diff(shown[region].astype(int), axis=1)).max() < 20  # the picture's blocks differ by up to 140


def test_a_face_that_is_lost_stays_hidden_while_another_one_is_swapped(shelf: Shelf) -> None:
    both = [face_at(80, 120, 60, 1), face_at(240, 120, 60, 2)]
    finder = PlacedFaces(both)
    swapper, compose = Swapper(finder, shelf, "aster"), Composer()
    compose(swapper(Frame(scene(), 0, 10.0)))
    finder.faces = tuple(both[:1])
    for index in range(1, 30):
        swapped = swapper(Frame(scene(), index, 10 + index / 30))
        assert len(swapped.faces) == 1
        shown = compose(swapped).image
        assert np.abs(np.diff(shown[100:140, 220:260].astype(int), axis=1)).max() < 20
    swapped = swapper(Frame(scene(), 40, 10 + 40 / 30))
    assert swapped.unsure is None


def test_a_fault_hides_who_was_to_be_swapped_and_who_is_nobody(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever passes unsure faces has not said that others may be shown."""
    finder = PlacedFaces([face_at(60, 120, 60, 1), face_at(260, 120, 60, 2)])
    for how, plain in (("blur", (True, True)), ("pass", (False, True))):
        fallback = Fallback(unsure=how)
        swapper = Swapper(finder, shelf, "1st=aster", fallback)
        with monkeypatch.context() as broken:
            broken.setattr(shelf, "encoder", _Failing(shelf.encoder))
            shown = Composer(fallback)(swapper(frame_of(scene()))).image
        steps = [np.abs(np.diff(shown[100:140, x - 20 : x + 20].astype(int), axis=1)).max() for x in (60, 260)]
        assert tuple(step < 20 for step in steps) == plain


def test_a_cut_makes_the_finder_look_anew(shelf: Shelf) -> None:
    finder = _Told([face_at(160, 120, 60)])
    swapper = Swapper(finder, shelf, "aster")
    for index, seed in enumerate((0, 0, 1, 1, 0)):
        swapper(frame_of(scene(seed=seed), index))
    assert finder.cuts == [2, 4]


@pytest.mark.parametrize(("gap", "cut"), [(0.39, False), (0.41, True), (30.0, True)])
@pytest.mark.parametrize("recorded", [False, True])
def test_a_frame_that_comes_late_counts_as_after_a_cut(shelf: Shelf, gap: float, cut: bool, recorded: bool) -> None:
    """Between two such frames somebody may have come or gone; the same picture again says nothing about that."""
    finder = _Told([face_at(160, 120, 60)])
    swapper = Swapper(finder, shelf, "aster")
    for index, at in enumerate((10.0, 10.03, 10.03 + gap, 10.06 + gap)):
        swapper(Frame(scene(), index, 0.0 if recorded else at, at if recorded else None))
    assert finder.cuts == [2] * cut


def test_switching_to_a_file_that_is_no_model_keeps_the_old_identity(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "notes.onnx").write_text("these are notes")
    truncated = write_decoder(tmp_path / "truncated.onnx", "somebody")
    truncated.write_bytes(truncated.read_bytes()[:1000])
    foreign = write_decoder(tmp_path / "foreign.onnx", "stranger", digest="feedfeed" * 2)
    swapper = Swapper(PlacedFaces([face_at(160, 120, 120)]), shelf, "aster")
    for path, said in ((tmp_path / "notes.onnx", "no ONNX"), (truncated, "truncated.onnx"), (foreign, "'stranger'")):
        with pytest.raises(ModelError, match=said):
            swapper.identity = str(path)
        with pytest.raises(ModelError, match=said):
            swapper.identity = f"left=cedar,right={path}"
        assert swapper.identity == "aster"
        assert swapper(frame_of(scene())).faces[0].identity == "aster"
    swapper.identity = str(write_decoder(tmp_path / "dahlia.onnx", "dahlia"))
    assert swapper.identity == "dahlia"


def test_no_face_is_a_value(shelf: Shelf) -> None:
    swapped = Swapper(PlacedFaces(), shelf, "aster")(frame_of(scene()))
    assert swapped.faces == ()
    assert swapped.unsure is None


def test_the_next_frame_shows_the_new_identity(shelf: Shelf) -> None:
    swapper = Swapper(PlacedFaces([face_at(160, 120, 120)]), shelf, "aster")
    swapper.identity = "cedar"
    assert swapper.identity == "cedar"
    assert swapper(frame_of(scene())).faces[0].identity == "cedar"


def test_a_switch_to_nobody_keeps_the_old_identity(shelf: Shelf) -> None:
    swapper = Swapper(PlacedFaces([face_at(160, 120, 120)]), shelf, "aster")
    with pytest.raises(UnknownIdentity, match="aster, cedar"):
        swapper.identity = "nobody"
    assert swapper(frame_of(scene())).faces[0].identity == "aster"


def test_a_frame_sees_one_cast_from_beginning_to_end(shelf: Shelf) -> None:
    """The finder switches the identity while a frame is under way: that frame still shows the old one."""
    finder = _Switching([face_at(80, 120, 90, track=1), face_at(240, 120, 90, track=2)])
    swapper = Swapper(finder, shelf, "aster")
    finder.swapper = swapper
    assert [face.identity for face in swapper(frame_of(scene())).faces] == ["aster", "aster"]
    assert [face.identity for face in swapper(frame_of(scene())).faces] == ["cedar", "cedar"]


def test_who_may_not_be_shown_any_more_is_nowhere_to_be_seen(tmp_path: Path) -> None:
    """Not in a face, not in a picture that is held, not in a fade to somebody else; and comes back with the consent."""
    write_shelf(tmp_path, ["aster"])
    write_decoder(tmp_path / "ann.onnx", "ann", card=person())
    days = [date(2120, 1, 31)]
    shelf = Shelf.load(tmp_path, SessionSettings(provider="cpu", threads=1), None, Consent(today=lambda: days[-1]))
    swapper = Swapper(PlacedFaces([face_at(160, 120, 120)]), shelf, "ann", fade=10.0)
    composer = Composer(Fallback(unsure="hold", no_face="hold"))
    composer(swapper(frame_of(scene())))
    assert swapper.look_at_consent() is None
    days.append(date(2120, 2, 1))
    assert "has expired" in (swapper.look_at_consent() or "")
    assert swapper.look_at_consent() is None, "it is said once"
    with pytest.raises(ConsentError, match="has expired"):
        swapper.check_consent()
    shown = composer(swapper(frame_of(scene(), 1)))
    np.testing.assert_array_equal(shown.image, hidden(scene(), "blur", None))
    assert shown.drawn == ()
    assert not composer(
        replace(swapper(frame_of(scene(), 2)), withheld=False, unsure=Unsure(anywhere=True))
    ).image.any()
    swapper.identity = "aster"
    assert [face.identity for face in swapper(frame_of(scene(), 3)).faces] == ["aster"]
    assert swapper._fades({1: shelf["aster"]}, 1.1) == {}
    with pytest.raises(ConsentError):
        swapper.identity = "ann"
    assert swapper.identity == "aster"
    days.append(date(2120, 1, 31))
    swapper.identity = "ann"
    days.append(date(2120, 2, 1))
    assert swapper.look_at_consent()
    days.append(date(2120, 1, 31))
    assert swapper.look_at_consent() is None
    assert [face.identity for face in swapper(frame_of(scene(), 4)).faces] == ["ann"]


def test_each_step_and_the_faces_are_metered(shelf: Shelf) -> None:
    meters = Meters()
    finder = PlacedFaces([face_at(80, 120, 90), face_at(240, 120, 90, track=2)])
    swapper = Swapper(finder, shelf, "aster", meters=meters)
    swapper(frame_of(scene()))
    finder.faces = ()
    swapper(frame_of(scene()))
    report = meters.report()
    assert set(report["stages"]) == {"track", "align", "encode", "decode"}
    assert (report["faces_per_frame"], report["frames_with_face"], report["detector_runs"]) == (1.0, 1, 2)


def test_a_model_that_fails_covers_the_face_and_says_so_once(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    swapper = Swapper(PlacedFaces([face_at(160, 120, 120)]), shelf, "aster")
    compose = Composer()
    with monkeypatch.context() as broken:
        broken.setattr(shelf, "encoder", _Failing(shelf.encoder))
        for index in range(3):
            swapped = swapper(frame_of(scene(), index))
            assert swapped.unsure is not None
            assert not np.array_equal(compose(swapped).image[90:150, 130:190], scene()[90:150, 130:190])
    assert swapper(frame_of(scene(), 3)).unsure is None
    said = Counter(record.levelname for record in caplog.records if record.name == "realtime.swap.swapper")
    assert said == {"ERROR": 1, "INFO": 1}
    assert "frame 0 could not be swapped" in caplog.text
    assert "swapping works again from frame 3 on" in caplog.text


def test_a_model_that_fails_can_end_the_run(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    swapper = Swapper(PlacedFaces([face_at(160, 120, 120)]), shelf, "aster", Fallback(unsure="raise"))
    monkeypatch.setattr(shelf, "encoder", _Failing(shelf.encoder))
    with pytest.raises(ModelError, match="out of memory"):
        swapper(frame_of(scene()))


def test_a_model_that_fails_on_one_frame_after_another_is_not_borne_for_ever(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapper = Swapper(PlacedFaces([face_at(160, 120, 120)]), shelf, "aster")
    monkeypatch.setattr(shelf, "encoder", _Failing(shelf.encoder))
    for index in range(MOST_FAILURES - 1):
        assert swapper(frame_of(scene(), index)).unsure is not None
    with pytest.raises(KeepsFailing, match="30 frames in a row could not be swapped: the encoder model failed"):
        swapper(frame_of(scene(), MOST_FAILURES))


def test_when_the_finder_fails_the_whole_frame_is_covered(shelf: Shelf) -> None:
    finder = PlacedFaces(error=ModelError("the landmarks model failed"))
    composed = Composer()(Swapper(finder, shelf, "aster")(frame_of(scene())))
    assert np.abs(np.diff(composed.image.astype(int), axis=1)).max() < 20  # the picture's blocks differ by up to 140


def test_other_errors_are_nobodys_to_cover(shelf: Shelf) -> None:
    with pytest.raises(ZeroDivisionError):
        Swapper(PlacedFaces(error=ZeroDivisionError()), shelf, "aster")(frame_of(scene()))


class _Watching:
    """The encoder, and a list of the crops it was given in its one batch."""

    def __init__(self, encoder: Encoder, seen: list[Image]) -> None:
        self.contract = encoder.contract
        self._encoder, self._seen = encoder, seen

    def __call__(self, crops: Sequence[Image]) -> Codes:
        assert not self._seen, "a second batch"
        self._seen.extend(crops)
        return self._encoder(crops)


class _Failing(_Watching):
    """An encoder whose device has run out of memory."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder, [])

    def __call__(self, crops: Sequence[Image]) -> Codes:
        raise ModelError("the encoder model failed: out of memory")


class _Counting:
    """A session, and how often it ran; what it takes and gives, the session itself says."""

    def __init__(self, session: Any, name: str, runs: Counter[str]) -> None:
        self._session, self._name, self._runs = session, name, runs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run_with_iobinding(self, *args: Any) -> Any:
        self._runs[self._name] += 1
        return self._session.run_with_iobinding(*args)


class _Told(PlacedFaces):
    """A finder that notes when it is told of a cut."""

    def __init__(self, faces: Sequence[Face]) -> None:
        super().__init__(faces)
        self.cuts: list[int] = []

    def cut(self) -> None:
        self.cuts.append(self.detector_runs)  # one for each frame


class _Switching(PlacedFaces):
    """A finder during whose work somebody switches the identity."""

    swapper: Swapper

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        self.swapper.identity = "cedar"
        return super().__call__(frame)
