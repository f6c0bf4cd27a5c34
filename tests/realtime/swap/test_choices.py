"""The faster arithmetic is found once, within a budget, and remembered for this machine and model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.swap import session
from realtime.swap.choices import FP32, INT8, LEAST, Choices
from realtime.swap.session import SessionSettings, open_session

ENCODER = Path(session.__file__).parent.parent / "models" / "landmarks.onnx"


class Clock:
    """A clock that only runs move."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Model:
    """Takes so long for each run."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.runs, self._clock, self._seconds = 0, clock, seconds

    def run(self, outputs: Any, feed: Any) -> Any:
        self.runs += 1
        self._clock.now += self._seconds


@pytest.mark.parametrize(
    ("narrow", "wide", "agree", "chosen"),
    [(0.01, 0.02, True, INT8), (0.02, 0.01, True, FP32), (0.01, 0.0095, True, INT8), (0.01, 0.09, False, FP32)],
)
def test_what_is_clearly_faster_is_chosen_unless_its_answers_are_wrong(
    narrow: float, wide: float, agree: bool, chosen: str
) -> None:
    clock = Clock()
    choices = Choices(None, "here", clock=clock)
    assert choices.decide("d", Model(clock, narrow), Model(clock, wide), {}, agree) == chosen
    assert choices.of("d") == chosen
    assert choices.measured == {chosen: 1}


def test_a_start_affords_what_its_budget_allows() -> None:
    clock = Clock()
    choices = Choices(None, "here", budget=0.5, clock=clock)
    assert choices.affords(0.4)
    assert not choices.affords(0.5)
    slow = Model(clock, 0.1), Model(clock, 0.1)
    choices.decide("d", *slow, {}, agree=True)
    assert [model.runs for model in slow] == [LEAST, LEAST]
    assert not choices.affords(0.0)
    fresh = Choices(None, "here")
    fresh.keep()  # the start is over
    assert not fresh.affords(0.0)


def test_what_was_found_is_remembered_for_this_machine_alone(tmp_path: Path) -> None:
    file, clock = tmp_path / "liveswap" / "precision.json", Clock()
    first = Choices(file, "here", clock=clock)
    first.decide("d", Model(clock, 0.02), Model(clock, 0.01), {}, agree=True)
    first.keep()
    assert Choices(file, "here").of("d") == FP32
    assert Choices(file, "here").measured == {}
    assert Choices(file, "elsewhere").of("d") is None
    assert [path.name for path in file.parent.iterdir()] == ["precision.json"]


def test_what_a_start_had_no_time_for_is_not_measured_by_the_next(tmp_path: Path) -> None:
    file = tmp_path / "precision.json"
    first = Choices(file, "here")
    first.leave("d")
    first.keep()
    first.leave("e")  # the start is over: e was never to be measured
    assert [Choices(file, "here").of(name) for name in "de"] == [INT8, None]
    assert first.measured == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machine": "here", "models": 3}', "null"])
def test_a_damaged_memory_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "precision.json").write_text(text)
    assert Choices(tmp_path / "precision.json", "here").of("d") is None


def test_a_choice_that_is_none_is_forgotten_and_a_memory_that_cannot_be_kept_ends_nothing(tmp_path: Path) -> None:
    file = tmp_path / "precision.json"
    file.write_text(json.dumps({"machine": "here", "models": {"d": "bf16", "e": "int8"}}))
    assert [Choices(file, "here").of(name) for name in "de"] == [None, INT8]
    (tmp_path / "file").write_text("")
    clock = Clock()
    nowhere = Choices(tmp_path / "file" / "precision.json", "here", clock=clock)
    nowhere.decide("d", Model(clock, 0.02), Model(clock, 0.01), {}, agree=True)
    nowhere.keep()


def test_an_8_bit_model_is_measured_once_and_both_ways_give_the_same_answers() -> None:
    cpu = SessionSettings(provider="cpu", threads=1)
    choices = Choices(None, "here", budget=1e9)
    chosen = open_session(ENCODER, SessionSettings(provider="cpu", threads=1, choices=choices))
    assert sum(choices.measured.values()) == 1
    open_session(ENCODER, SessionSettings(provider="cpu", threads=1, choices=choices))
    assert sum(choices.measured.values()) == 1
    feed = session.probe(chosen, ())
    answers = [
        open_session(ENCODER, SessionSettings(provider="cpu", threads=1, precision=name)).run(None, feed)
        for name in ("int8", "fp32")
    ]
    assert session.deviation(*answers) < session.TOLERANCE
    assert session.deviation(open_session(ENCODER, cpu).run(None, feed), answers[0]) == 0


def test_without_a_budget_a_model_is_as_its_file_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    create = session._create

    def noted(source: Any, name: str, settings: SessionSettings, *more: Any) -> Any:
        asked.append(settings.precision)
        return create(source, name, settings, *more)

    monkeypatch.setattr(session, "_create", noted)
    choices = Choices(None, "here", budget=0.0)
    open_session(ENCODER, SessionSettings(provider="cpu", threads=1, choices=choices))
    assert asked == ["auto"]
    assert choices.measured == {}
    assert np.isfinite(choices._left)
