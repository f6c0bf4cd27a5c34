"""Nothing reaches a sink unmarked."""

import inspect
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
import pytest
from skimage import data

from realtime.egress.about import About
from realtime.egress.evidence import Reader
from realtime.egress.gate import NOTICE, Gate
from realtime.egress.instead import card
from realtime.egress.label import Label, LabelSettings
from realtime.egress.marks import Marks
from realtime.errors import SettingsError, SinkError
from realtime.face.geometry import Image
from realtime.frame import Drawn, Frame
from realtime.sinks.fan_out import FanOut
from realtime.sinks.picture import Picture
from tests.realtime.egress.test_label import words_in
from tests.realtime.swap.helpers import frame_of, scene


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self, fails_to_open: bool = False) -> None:
        self.frames: list[Frame] = []
        self.open = False
        self._fails = fails_to_open

    async def write(self, frame: Frame) -> None:
        self.frames.append(frame)

    async def __aenter__(self) -> Self:
        if self._fails:
            raise SinkError("no room on the disk")
        self.open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.open = False


class Described(Kept):
    """A sink whose container has room for a description."""

    def __init__(self) -> None:
        super().__init__()
        self.metadata: dict[str, str] = {}

    def describe(self, metadata: Mapping[str, str]) -> None:
        self.metadata.update(metadata)


async def test_the_sinks_frame_carries_the_label() -> None:
    sink = Kept()
    frame = frame_of(scene(640, 360), 5)
    async with Gate(sink) as gate:
        await gate.write(frame)
    (seen,) = sink.frames
    assert words_in(seen.image) > 0.9
    assert (seen.index, seen.captured_at) == (5, 1.0)
    assert np.array_equal(frame.image, scene(640, 360))


async def test_several_sinks_get_the_marked_frame() -> None:
    sinks = [Kept(), Kept()]
    async with Gate(FanOut(sinks, live=False)) as gate:
        assert all(sink.open for sink in sinks)
        await gate.write(frame_of(scene()))
    assert not any(sink.open for sink in sinks)
    assert all(words_in(sink.frames[0].image) > 0.9 for sink in sinks)


class Failing:
    """A mark that fails on the frames with these numbers."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def __call__(self, image: Image, about: About) -> Image:
        if about.index in self.numbers:
            raise SinkError("no watermark")
        return image


def marked_dark(image: Image, about: About) -> Image:
    return np.zeros_like(image)


async def through(gate: Gate, *frames: Frame) -> None:
    async with gate:
        for frame in frames:
            await gate.write(frame)


def white(index: int, captured_at: float) -> Frame:
    return Frame(np.full((360, 640, 3), 255, np.uint8), index, captured_at)


async def test_when_labelling_fails_the_frame_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Label, image: Image, about: About, out: Image) -> Image:
        raise RuntimeError("no font")

    monkeypatch.setattr(Label, "__call__", broken)
    sink = Kept()
    with pytest.raises(SinkError, match="no frame could be marked, so none has left: no font"):
        await through(Gate(sink), white(0, 0.0))
    assert np.array_equal(sink.frames[0].image, card(640, 360))


async def test_a_frame_too_small_for_the_marks_does_not_leave() -> None:
    sink = Kept()
    with pytest.raises(SinkError, match="too small to carry the mark"):
        await through(Gate(sink), frame_of(np.full((10, 10, 3), 255, np.uint8)))
    assert np.array_equal(sink.frames[0].image, card(10, 10))


async def test_a_frame_that_cannot_be_marked_is_replaced_by_the_last_marked_one_then_by_a_card(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = Kept()
    frames = [frame_of(scene(640, 360), 0), *(white(index, 1.0 + index / 2) for index in (1, 2, 3, 4))]
    await through(Gate(sink, [Failing(1, 2, 3)]), *frames)
    first, held, shown, still, last = sink.frames
    assert np.array_equal(held.image, first.image)
    assert (held.index, held.captured_at) == (1, 1.5)
    assert np.array_equal(shown.image, card(640, 360))
    assert np.array_equal(still.image, card(640, 360))
    assert words_in(last.image) > 0.9
    assert [record.levelname for record in caplog.records] == ["ERROR"]  # once, not for each frame
    assert "frame 1 could not be marked" in caplog.text
    assert "no watermark" in caplog.text


async def test_a_picture_that_a_sink_keeps_is_never_written_to_again() -> None:
    class Copying(Kept):
        """A sink that keeps every third picture, and a copy of it."""

        copies: list[Image]

        async def write(self, frame: Frame) -> None:
            if frame.index % 3 == 0:
                self.frames.append(frame)
                self.copies.append(frame.image.copy())

    sink = Copying()
    sink.copies = []
    frames = [white(0, 0.0), *(frame_of(scene(640, 360, seed=index), index) for index in range(1, 60))]
    await through(Gate(sink, [Failing(7, 30)]), *frames)
    assert len(sink.frames) == 20
    assert all(np.array_equal(frame.image, copy) for frame, copy in zip(sink.frames, sink.copies, strict=True))
    assert all(np.array_equal(frame.image, scene(640, 360, seed=frame.index)) for frame in frames[1:])


async def test_every_mark_is_told_the_session_and_the_model_that_is_shown() -> None:
    seen: list[About] = []

    def noted(image: Image, about: About) -> Image:
        seen.append(about)
        return image

    aster, cedar = (Drawn(name, digest, (0, 0, 9, 9)) for name, digest in (("aster", "ab" * 32), ("cedar", "cd" * 32)))
    frame = frame_of(scene(640, 360))
    gate = Gate(Kept(), [noted])
    cast = [(), (cedar, aster), (aster,), (cedar, aster), ()]
    await through(gate, *(replace(frame, index=index, drawn=drawn) for index, drawn in enumerate(cast)))
    assert {about.session for about in seen} == {gate.session}
    assert len(gate.session) == 16
    assert gate.session != Gate(Kept()).session
    assert [about.model.hex()[:2] for about in seen] == ["", "cd", "ab", "ab", "ab"]
    assert [(about.index, about.at) for about in seen[:2]] == [(0, 1.0), (1, 1.0)]


async def test_a_further_mark_comes_on_top_of_the_label() -> None:
    def inverted(image: Image, about: About) -> Image:
        return (255 - image).astype(np.uint8)

    sink = Kept()
    async with Gate(sink, [inverted]) as gate:
        await gate.write(frame_of(scene()))
    assert words_in((255 - sink.frames[0].image).astype(np.uint8)) > 0.9


async def test_a_container_is_told_what_it_holds() -> None:
    sink = Described()
    Gate(sink)
    assert sink.metadata == {"comment": NOTICE}


async def test_a_sink_that_does_not_open_says_so_through_the_gate() -> None:
    with pytest.raises(SinkError, match="no room on the disk"):
        async with Gate(Kept(fails_to_open=True)):
            pass


async def test_the_sink_is_closed_when_the_run_fails() -> None:
    sink = Kept()
    with pytest.raises(RuntimeError, match="run"):
        async with Gate(sink):
            raise RuntimeError("the run failed")
    assert not sink.open


def test_nothing_but_a_disclosure_takes_the_label_away() -> None:
    assert list(inspect.signature(Gate).parameters) == ["sink", "marks", "label", "disclosure", "seal", "journal"]
    assert list(inspect.signature(Marks).parameters) == ["more", "label", "disclosure"]


async def test_a_disclosure_takes_the_labels_place_and_stands_in_the_file() -> None:
    sink = Described()
    await through(Gate(sink, [marked_dark], disclosure=" the host says so\nat the beginning "), white(0, 0.0))
    assert np.array_equal(sink.frames[0].image, np.zeros((360, 640, 3), np.uint8))  # other marks stay
    assert sink.metadata == {"comment": f"{NOTICE}; the audience is told: the host says so at the beginning"}


@pytest.mark.parametrize("nothing", [" ", "...", "42"])
def test_a_disclosure_says_something(nothing: str) -> None:
    with pytest.raises(SettingsError, match="says nothing, wanted how the audience is told"):
        Gate(Kept(), disclosure=nothing)


async def test_the_label_changes_between_two_frames() -> None:
    sink = Kept()
    async with Gate(sink, label=LabelSettings("top-right")) as gate:
        await gate.write(frame_of(scene(640, 360)))
        gate.label = LabelSettings("bottom-left", language="de")
        await gate.write(frame_of(scene(640, 360)))
    first, second = (frame.image for frame in sink.frames)
    assert np.abs(first[180:].astype(int) - scene(640, 360)[180:]).max() < 5  # the invisible mark
    assert np.abs(second[:180].astype(int) - scene(640, 360)[:180]).max() < 5
    assert words_in(second, language="de") > 0.9


async def test_the_label_leaves_a_face_that_stays_in_its_corner() -> None:
    sink = Kept()
    face = Drawn("aster", "", (0, 200, 200, 400))
    frames = [replace(frame_of(scene(640, 360), index), at=index / 2) for index in range(12)]
    await through(Gate(sink), *frames[:2], *(replace(frame, drawn=(face,)) for frame in frames[2:]))
    corners = ["bottom-left" if words_in(frame.image) > 0.9 else "bottom-right" for frame in sink.frames]
    assert corners == ["bottom-left"] * 6 + ["bottom-right"] * 6  # 3 s in its corner, the last 2 of them covered


async def test_marking_leaves_the_event_loop_free() -> None:
    threads: list[str] = []

    def noted(image: Image, about: About) -> Image:
        threads.append(threading.current_thread().name)
        return image

    async with Gate(Kept(), [noted]) as gate:
        await gate.write(frame_of(scene()))
    assert threads[0] != threading.current_thread().name


@pytest.mark.parametrize(("name", "least", "most"), [("out.png", 150, 1000), ("out-%d.png", 0, 60)])
async def test_a_picture_that_is_kept_alone_carries_a_mark_that_needs_no_others(
    tmp_path: Path, name: str, least: float, most: float
) -> None:
    """A photograph nearly drowns the mark of a film, which shows in its movement; 27 is found, 110 read."""
    photograph = np.ascontiguousarray(data.astronaut()[:, :, ::-1])  # type: ignore[no-untyped-call]
    await through(Gate(Picture(tmp_path / name)), frame_of(photograph, 0))
    (path,) = tmp_path.iterdir()
    grey = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
    assert least < Reader(periods=(1.0,)).read_picture(grey).strength < most


async def test_the_last_picture_can_be_kept_alone_and_is_read_alone() -> None:
    sink, picture = Kept(), np.ascontiguousarray(data.astronaut()[..., ::-1])  # type: ignore[no-untyped-call]
    async with Gate(sink) as gate:
        with pytest.raises(SinkError, match="no picture has left yet"):
            gate.still()
        for index in range(3):
            await gate.write(Frame(picture, index, index / 30, index / 30))
        shown = sink.frames[-1].image.copy()
        still = gate.still().image
    np.testing.assert_array_equal(sink.frames[-1].image, shown, "what has left stays as it is")
    jpeg = cv2.imencode(".jpg", still, (cv2.IMWRITE_JPEG_QUALITY, 75))[1]
    for grey in (cv2.cvtColor(still, cv2.COLOR_BGR2GRAY), cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)):
        reading = Reader(periods=(1.0,)).read_picture(np.asarray(grey, np.uint8))
        assert reading.strength > 150, "twice what can just be read"
        assert reading.payload is not None
        assert gate.session.hex().startswith(reading.payload.session)
    assert np.abs(still.astype(int) - shown).max() < 8
