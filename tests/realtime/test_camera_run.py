"""`liveswap run` with a camera on the network that goes away and comes back: labelled all along, and never the face."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.flow.letterbox import Image
from tests.realtime.clips import pictures_in
from tests.realtime.conftest import Say
from tests.realtime.sources.mjpeg import Cast, jpegs, served

FACE = np.s_[55:115, 270:328]  # rows and columns of the astronaut's face


@pytest.fixture
def faces(clip: Path) -> list[bytes]:
    """Half a second of a face, as JPEG."""
    return jpegs([image for _, image in pictures_in(clip)])


def is_dark(image: Image) -> bool:
    """Whether most of it is a card's ground."""
    return float(np.median(image)) < 50


def labelled(image: Image) -> bool:
    """Whether white words stand in the corner where nothing else is white: they cover a twentieth of it."""
    corner = image[-40:, :160].max(axis=2)
    return bool(0.03 < (corner > 200).mean() < 0.08)


def likeness(image: Image, other: Image) -> float:
    """The correlation of detail where the face is, at most 1."""
    detail = [one[FACE].astype(np.float64) - cv2.GaussianBlur(one, (0, 0), 6)[FACE] for one in (image, other)]
    return float(np.corrcoef(detail[0].ravel(), detail[1].ravel())[0, 1])


@pytest.mark.parametrize("how", ["card", "hold"])
def test_while_the_camera_is_away_what_is_shown_is_labelled_and_shows_nobody(
    how: str, say: Say, tmp_path: Path, models: Path, faces: list[bytes]
) -> None:
    """The camera is away for half a second or longer; a swapped face is like the camera's by 0.4 of 1."""
    cast, out = Cast(faces, period=0.04, lasts=[30]), tmp_path / "out.mp4"
    words = ("--sink", out, "--models", models, "--provider", "cpu", "--threads", 1, "--fps", 25, "--duration", 6)
    with served(cast) as address:
        said = say("run", "--source", address, "--on-camera-lost", how, *words)
    assert said.code == 0, said.err
    assert cast.connections == 2
    assert "cam.mjpeg stopped after" in said.err
    assert "is back after" in said.err
    shown = [image for _, image in pictures_in(out)]
    dark = [is_dark(image) for image in shown]
    assert any(dark) == (how == "card")
    assert not dark[-1]
    assert all(labelled(image) for image in shown)
    seen = np.asarray(cv2.imdecode(np.frombuffer(faces[0], np.uint8), cv2.IMREAD_COLOR), np.uint8)
    assert likeness(seen, seen) > 0.99
    assert max(likeness(image, seen) for image in shown if not is_dark(image)) < 0.6
