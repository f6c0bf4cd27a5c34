"""`liveswap run --sink virtualcam`, with stand-ins for the driver and the kernel."""

from pathlib import Path

import numpy as np
import pytest

from realtime.sinks import virtual_camera
from tests.realtime.clips import write_clip
from tests.realtime.conftest import Say
from tests.realtime.sinks.driver import FakeDriver, installed
from tests.realtime.sinks.kernel import faked

GREY = 200


@pytest.fixture
def driver(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> type[FakeDriver]:
    fake = faked(tmp_path_factory.mktemp("linux"), monkeypatch)
    fake.add(10)
    monkeypatch.setattr(virtual_camera, "Kernel", lambda: fake.kernel)
    return installed(monkeypatch)


@pytest.mark.parametrize(("fit", "bars"), [("letterbox", True), ("crop", False)])
def test_every_fit_leaves_the_label_whole(
    say: Say, models: Path, tmp_path: Path, driver: type[FakeDriver], fit: str, bars: bool
) -> None:
    clip = write_clip(tmp_path / "grey.mp4", [np.full((240, 240, 3), GREY, np.uint8)] * 5)
    size = ("--width", 320, "--height", 180)
    said = say("run", "--source", clip, "--models", models, "--sink", "virtualcam", *size, "--fit", fit)
    assert said.code == 0, said.err
    (camera,) = driver.opened
    picture = camera.sent[-1]
    assert picture.shape == (180, 320, 3)
    assert (picture[20:60, -8:].max() < 20) == bars
    plate = picture[-21:-3, 3:80]  # bottom left, as the label has it
    assert plate.max() > 220, "no words"
    assert plate.min() < 120, "no plate"
