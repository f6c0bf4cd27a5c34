"""The notice is there, can be read, and touches nothing but its plate."""

import cv2
import numpy as np
import pytest

from realtime.egress.label import CORNERS, STYLES, Label, Plate
from realtime.errors import SettingsError, SinkError
from realtime.face.geometry import Image
from tests.realtime.swap.helpers import scene

SIZES = [(1920, 1080), (1280, 720), (640, 360), (360, 640), (160, 120), (64, 48)]


def words_in(image: Image, corner: str = CORNERS[0], style: str = STYLES[0]) -> float:
    """How well the plate's region in a corner agrees with the notice alone, as a correlation."""
    plate = Plate.made(image.shape[1], image.shape[0], corner, style)
    seen = _cut(image, plate).astype(np.float32).mean(2)
    return float(np.corrcoef(seen.ravel(), plate.colour.mean(2).ravel())[0, 1])


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_words_are_in_the_picture(width: int, height: int) -> None:
    image = scene(width, height)
    assert words_in(Label()(image)) > 0.9
    assert abs(words_in(image)) < 0.5


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (640, 360)])
@pytest.mark.parametrize("background", [0, 128, 255])
def test_the_words_survive_a_jpeg_of_low_quality(width: int, height: int, background: int) -> None:
    image = np.full((height, width, 3), background, np.uint8)
    _, packed = cv2.imencode(".jpg", Label()(image), [cv2.IMWRITE_JPEG_QUALITY, 30])
    assert words_in(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)) > 0.9


@pytest.mark.parametrize("background", [0, 128, 255])
def test_the_words_stand_out_against_any_background(background: int) -> None:
    """Between ink and plate lie at least 100 of 255 steps, at 360 lines as well."""
    part = _cut(Label()(np.full((360, 640, 3), background, np.uint8)), Plate.made(640, 360))
    assert int(part.max()) - int(np.median(part)) > 100


def test_the_letters_are_tall_enough_to_read_at_360_lines() -> None:
    ink = Plate.made(640, 360).colour.max(2) > 200 * 256
    rows = np.flatnonzero(ink.any(1))
    assert rows.max() - rows.min() + 1 >= 8


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_outside_the_plate_nothing_changes(width: int, height: int) -> None:
    image = scene(width, height)
    before = image.copy()
    out = Label()(image)
    plate = Plate.made(width, height)
    rest = np.ones(image.shape[:2], bool)
    rest[plate.y : plate.y + plate.colour.shape[0], plate.x : plate.x + plate.colour.shape[1]] = False
    assert np.array_equal(out[rest], image[rest])
    assert np.array_equal(image, before)


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_words_stand_in_the_corner_that_was_chosen(width: int, height: int, corner: str) -> None:
    out = Label(corner)(scene(width, height))
    assert words_in(out, corner) > 0.9
    down, right = np.argwhere((out != scene(width, height)).any(2)).mean(0) / (height, width)
    assert ("bottom" if down > 0.5 else "top", "right" if right > 0.5 else "left") == tuple(corner.split("-")) or (
        width < 200
    )


def test_the_corner_may_change_and_must_be_one() -> None:
    label = Label()
    assert words_in(label(scene(640, 360)), "bottom-left") > 0.9
    label.corner = "top-right"
    assert words_in(label(scene(640, 360)), "top-right") > 0.9
    with pytest.raises(SettingsError, match="the label's corner 'off' is unknown, wanted bottom-left"):
        label.corner = "off"
    assert words_in(label(scene(640, 360)), "top-right") > 0.9


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_style_is_seen_and_touches_only_its_plate(width: int, height: int, style: str) -> None:
    image = scene(width, height)
    out = Label(CORNERS[0], style)(image)
    assert words_in(out, CORNERS[0], style) > 0.9
    plate = Plate.made(width, height, CORNERS[0], style)
    out[plate.y : plate.y + plate.colour.shape[0], plate.x : plate.x + plate.colour.shape[1]] = 0
    image[plate.y : plate.y + plate.colour.shape[0], plate.x : plate.x + plate.colour.shape[1]] = 0
    assert np.array_equal(out, image)


def test_styles_differ_and_there_is_none_without_a_notice() -> None:
    label = Label()
    pictures = []
    for style in STYLES:
        label.style = style
        pictures.append(label(scene(1280, 720)))
    assert all(np.any(pictures[k] != pictures[k - 1]) for k in range(3))
    for nothing in ("", "none", "off"):
        with pytest.raises(SettingsError, match="wanted text, icon, badge"):
            label.style = nothing
    assert words_in(label(scene(640, 360)), CORNERS[0], "badge") > 0.9


def test_one_label_follows_a_change_of_size() -> None:
    label = Label()
    for width, height in ((640, 360), (1280, 720), (640, 360)):
        assert words_in(label(scene(width, height))) > 0.9


@pytest.mark.parametrize(("width", "height"), [(32, 200), (200, 8), (1, 1)])
def test_a_picture_too_small_for_the_words_is_refused(width: int, height: int) -> None:
    with pytest.raises(SinkError, match=f"{width} x {height} px is too small to carry the label"):
        Label()(np.zeros((height, width, 3), np.uint8))


@pytest.mark.parametrize(
    "image", [np.zeros((360, 640), np.uint8), np.zeros((360, 640, 4), np.uint8), np.zeros((360, 640, 3), np.float32)]
)
def test_only_8_bit_colour_pictures_are_labelled(image: Image) -> None:
    with pytest.raises(SinkError, match="BGR pictures of 8 bits"):
        Label()(image)


def _cut(image: Image, plate: Plate) -> Image:
    return image[plate.y : plate.y + plate.colour.shape[0], plate.x : plate.x + plate.colour.shape[1]]
