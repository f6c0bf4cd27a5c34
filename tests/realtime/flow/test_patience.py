"""A stage that fails: on one frame the frame is replaced or left out, on one after another the run ends."""

import itertools
import logging
from collections.abc import Collection

import pytest

from realtime.errors import MOST_FAILURES, KeepsFailing
from realtime.flow.pipeline import Pipeline, Stage
from realtime.frame import Frame
from tests.realtime.flow.things import Collector, FakeCamera, frame


class Unlucky(Exception):
    """What no caller expects."""


def failing_on(numbers: Collection[int], name: str = "swap") -> Stage[Frame, Frame]:
    def work(item: Frame) -> Frame:
        if item.index in numbers:
            raise Unlucky(f"frame {item.index}")
        return item

    return Stage(name, work)


def covered(item: Frame) -> Frame:
    return frame(item.index + 1000)


def camera(count: int = 100) -> FakeCamera:
    return FakeCamera(map(frame, range(count)), live=False)


async def test_a_frame_on_which_a_stage_fails_is_left_out_and_the_others_arrive(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    sink = Collector()
    pipeline = Pipeline(camera(10), [failing_on({3, 4, 7})], sink)
    await pipeline.run()
    report = pipeline.meters.report()
    assert sink.numbers == [0, 1, 2, 5, 6, 8, 9]
    assert (report["frames_in"], report["frames_out"], report["dropped"], report["failed"]) == (10, 7, 3, 3)
    said = [record for record in caplog.records if record.name == "realtime.flow.patience"]
    assert [record.levelname for record in said] == ["ERROR", "INFO", "ERROR", "INFO"]  # once for each series
    assert "swap failed on a frame" in said[0].getMessage()
    assert said[0].exc_info is not None
    assert "after 2 failures in a row" in said[1].getMessage()


async def test_what_is_shown_instead_takes_the_place_of_the_frame() -> None:
    sink = Collector()
    stage = failing_on({2}).covered({"swap": covered})
    await Pipeline(camera(5), [stage, Stage("compose", lambda item: item)], sink).run()
    assert sink.numbers == [0, 1, 1002, 3, 4]


async def test_of_joined_stages_each_has_its_own_stand_in_and_those_behind_it_get_that() -> None:
    seen: list[int] = []

    def note(item: Frame) -> Frame:
        seen.append(item.index)
        return item

    joined = failing_on({1}).then(Stage("compose", note)).then(failing_on({3}, "last"))
    sink = Collector()
    await Pipeline(camera(5), [joined.covered({"swap": covered, "last": covered})], sink).run()
    assert seen == [0, 1001, 2, 3, 4]
    assert sink.numbers == [0, 1001, 2, 1003, 4]


async def test_a_frame_that_cannot_even_be_replaced_is_left_out() -> None:
    def broken(_: Frame) -> Frame:
        raise Unlucky("nothing to show")

    sink = Collector()
    await Pipeline(camera(5), [failing_on({2}).covered({"swap": broken})], sink).run()
    assert sink.numbers == [0, 1, 3, 4]


@pytest.mark.parametrize("live", [True, False])
async def test_thirty_failures_in_a_row_end_the_run_with_their_error(live: bool) -> None:
    sink = Collector()
    stage = failing_on(range(5, 1000)).covered({"swap": covered})
    pipeline = Pipeline(FakeCamera(map(frame, itertools.count()), live, 0.001), [stage], sink)
    with pytest.raises(Unlucky, match="frame"):
        await pipeline.run()
    assert pipeline.meters.report()["failed"] == MOST_FAILURES - 1  # the last one was not borne


async def test_twenty_nine_failures_do_not_and_are_forgotten_after_one_success() -> None:
    sink = Collector()
    lucky = {MOST_FAILURES - 1, 2 * MOST_FAILURES - 1}
    await Pipeline(camera(3 * MOST_FAILURES - 1), [failing_on({*range(1000)} - lucky)], sink).run()
    assert set(sink.numbers) == lucky


async def test_two_stages_do_not_share_their_failures() -> None:
    sink = Collector()
    first, second = failing_on(range(20)), failing_on(range(20, 40), "compose")
    await Pipeline(camera(41), [first.then(second)], sink).run()
    assert sink.numbers == [40]


async def test_who_has_counted_by_himself_ends_the_run_at_once() -> None:
    def give_up(_: Frame) -> Frame:
        raise KeepsFailing("30 frames in a row could not be swapped")

    with pytest.raises(KeepsFailing):
        await Pipeline(camera(), [Stage("swap", give_up)], Collector()).run()
