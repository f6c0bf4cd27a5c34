"""What TensorBoard reads back of a training: curves without what was lost, and previews."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from realtime.errors import SettingsError
from tests.training.test_watching import moment
from training.board import FOLDER, Board, boarded


def read(out: Path) -> EventAccumulator:
    found = EventAccumulator(str(out / FOLDER))
    found.Reload()
    return found


def test_scalars_and_previews_are_read_back_without_what_was_lost(tmp_path: Path) -> None:
    picture = np.zeros((8, 12, 3), np.uint8)
    with boarded(tmp_path, 2, None) as board:
        assert board is not None
        board.picture(0, picture)
        board.step(moment(0, tested=True, first=True))
        for step in range(1, 9):
            board.step(moment(step, tested=step == 5))
        board.picture(8, picture)
    with boarded(tmp_path, 2, True) as board:
        assert board is not None
        board.step(moment(5, tested=True, first=True))  # from the checkpoint of step 5
        for step in range(6, 11):
            board.step(moment(step, speed=2.0))
        board.step(moment(6))  # gone back
        board.step(moment(7, tested=True, last=True))
    found = read(tmp_path)
    speeds = [(one.step, one.value) for one in found.Scalars("training/steps a second")]
    assert speeds == [(0, 0.5), (2, 0.5), (4, 0.5), (5, 0.5), (6, 2.0), (7, 0.5)]
    assert [one.step for one in found.Scalars("held out/ann_ssim")] == [0, 5, 7]
    assert found.Scalars("losses")[1].value == pytest.approx(2 / 3 + 0.25)
    assert [one.step for one in found.Images("preview")] == [0]
    assert (found.Images("preview")[0].width, found.Images("preview")[0].height) == (12, 8)


def test_a_board_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FOLDER).write_text("no folder")
    board = Board(tmp_path, 1)
    for step in range(3):
        board.step(moment(step))
    board.close()
    assert len(caplog.records) == 1
    assert "cannot be written" in caplog.text


def test_tensorboard_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with boarded(tmp_path, 1, False) as board:
        assert board is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with boarded(tmp_path, 1, None) as board:
        assert board is None
    with pytest.raises(SettingsError, match="wants the package tensorboard"), boarded(tmp_path, 1, True):
        pass
    assert not list(tmp_path.iterdir())
