"""The notice is there, can be read, and touches nothing but its plate."""

import timeit
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from realtime.egress.about import About
from realtime.egress.label import CORNERS, LANGUAGES, SIZES, STYLES, Label, LabelSettings, Plate
from realtime.errors import SettingsError, SinkError
from realtime.face.geometry import Image
from realtime.frame import Drawn
from tests.realtime.swap.helpers import scene

FRAMES = [(1920, 1080), (1280, 720), (640, 360), (360, 640), (160, 120), (64, 48)]


def words_in(image: Image, corner: str = CORNERS[0], style: str = STYLES[0], language: str = LANGUAGES[0]) -> float:
    """How well the plate's region in a corner agrees with the notice alone, as a correlation."""
    plate = Plate.made(image.shape[1], image.shape[0], LabelSettings(corner, style, language))
    seen = _cut(image, plate).astype(np.float32).mean(2)
    return float(np.corrcoef(seen.ravel(), plate.colour.mean(2).ravel())[0, 1])


@pytest.mark.parametrize(("width", "height"), FRAMES)
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


def test_the_words_survive_vp8_of_500_kbit_s_at_360_lines() -> None:
    encoder, decoder = vp8(640, 360, 500_000), av.CodecContext.create("vp8", "r")
    noise = np.random.default_rng(0)
    images = []
    for index in range(12):
        moved = np.roll(scene(640, 360), (2 * index, 5 * index), (0, 1))
        grainy = np.clip(moved + noise.normal(0, 8, moved.shape), 0, 255).astype(np.uint8)
        picture = av.VideoFrame.from_ndarray(Label()(grainy), format="bgr24").reformat(format="yuv420p")
        picture.pts, picture.time_base = index, Fraction(1, 30)
        packets = encoder.encode(picture)
        seen = (one.to_ndarray(format="bgr24") for packet in packets for one in decoder.decode(packet))
        images += [np.asarray(one, np.uint8) for one in seen]
    assert len(images) == 12
    assert min(words_in(image) for image in images) > 0.9


def vp8(width: int, height: int, bits: int) -> VideoCodecContext:
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.bit_rate = Fraction(1, 30), bits
    rates = {name: str(bits) for name in ("minrate", "maxrate", "bufsize")}  # a constant rate, as in a call
    encoder.options = {"deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0", **rates}
    return encoder


@pytest.mark.parametrize("background", [0, 128, 255])
def test_the_words_stand_out_against_any_background(background: int) -> None:
    """Between ink and plate lie at least 100 of 255 steps, at 360 lines as well."""
    part = _cut(Label()(np.full((360, 640, 3), background, np.uint8)), Plate.made(640, 360))
    assert int(part.max()) - int(np.median(part)) > 100


def test_the_letters_are_tall_enough_to_read_at_360_lines() -> None:
    ink = Plate.made(640, 360).colour.max(2) > 200 * 256
    rows = np.flatnonzero(ink.any(1))
    assert rows.max() - rows.min() + 1 >= 8


@pytest.mark.parametrize(("width", "height"), FRAMES)
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
@pytest.mark.parametrize(("width", "height"), FRAMES)
def test_the_words_stand_in_the_corner_that_was_chosen(width: int, height: int, corner: str) -> None:
    out = Label(LabelSettings(corner))(scene(width, height))
    assert words_in(out, corner) > 0.9
    down, right = np.argwhere((out != scene(width, height)).any(2)).mean(0) / (height, width)
    assert ("bottom" if down > 0.5 else "top", "right" if right > 0.5 else "left") == tuple(corner.split("-")) or (
        width < 200
    )


def test_the_settings_may_change_between_two_pictures() -> None:
    label = Label()
    assert words_in(label(scene(640, 360))) > 0.9
    label.settings = LabelSettings("top-right", "icon", "fr")
    assert words_in(label(scene(640, 360)), "top-right", "icon", "fr") > 0.9


@pytest.mark.parametrize("name", ["corner", "style", "language", "size"])
@pytest.mark.parametrize("value", ["", "none", "off"])
def test_no_setting_takes_the_notice_away(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"the label's {name} '{value}' is unknown, wanted "):
        LabelSettings(**{name: value})


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("width", "height"), [(640, 360), (160, 120)])
def test_every_language_has_its_words(language: str, style: str, width: int, height: int) -> None:
    out = Label(LabelSettings(style=style, language=language))(scene(width, height))
    assert words_in(out, style=style, language=language) > 0.9


def test_languages_differ() -> None:
    assert len({Plate.made(640, 360, LabelSettings(language=one)).colour.tobytes() for one in LANGUAGES}) == 8


def test_the_word_face_is_left_out_where_a_picture_is_too_narrow() -> None:
    whole, short, shrunk = (Plate.made(width, 480).colour.shape for width in (160, 110, 80))
    assert whole[0] == short[0] > shrunk[0]
    assert whole[1] > 1.3 * short[1] > shrunk[1]


def test_sizes_are_three() -> None:
    small, medium, large = (
        Plate.made(1280, 720, LabelSettings(size=size)).colour.shape[0] for size in ("small", "medium", "large")
    )
    assert 20 < small < medium < large < 60
    assert set(SIZES) == {"small", "medium", "large"}


def over(*boxes: tuple[float, float, float, float], at: float | None = None) -> About:
    return About(at=at, drawn=tuple(Drawn("aster", "", box) for box in boxes))


def test_the_notice_keeps_off_a_face_in_its_corner() -> None:
    out = Label()(scene(640, 360), over((0, 200, 200, 400)))
    assert words_in(out, "bottom-right") > 0.9
    assert words_in(Label()(scene(640, 360), over((200, 50, 400, 300))), "bottom-left") > 0.9


def test_a_face_over_every_corner_leaves_the_notice_where_it_was_wanted() -> None:
    out = Label(LabelSettings("top-left"))(scene(640, 360), over((-100, -100, 800, 500)))
    assert words_in(out, "top-left") > 0.9


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("width", "height"), FRAMES)
def test_every_style_is_seen_and_touches_only_its_plate(width: int, height: int, style: str) -> None:
    image = scene(width, height)
    out = Label(LabelSettings(style=style))(image)
    assert words_in(out, CORNERS[0], style) > 0.9
    plate = Plate.made(width, height, LabelSettings(style=style))
    out[plate.y : plate.y + plate.colour.shape[0], plate.x : plate.x + plate.colour.shape[1]] = 0
    image[plate.y : plate.y + plate.colour.shape[0], plate.x : plate.x + plate.colour.shape[1]] = 0
    assert np.array_equal(out, image)


def test_styles_differ() -> None:
    pictures = [Label(LabelSettings(style=style))(scene(1280, 720)) for style in STYLES]
    assert all(np.any(pictures[k] != pictures[k - 1]) for k in range(3))


def test_it_costs_little_more_than_a_copy_of_the_picture() -> None:
    """In one run, so that a busy machine slows both: the best of many at 720 lines, and a wide margin."""
    image, label = scene(1280, 720), Label()
    label(image)
    assert min(timeit.repeat(lambda: label(image), number=1, repeat=50)) < 6 * min(
        timeit.repeat(image.copy, number=1, repeat=50)
    )


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
