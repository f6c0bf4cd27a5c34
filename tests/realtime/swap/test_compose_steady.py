"""Over many frames the composed face follows the light, and neither pumps nor wobbles."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.face.face import Face
from realtime.face.geometry import Image
from realtime.frame import Frame
from realtime.swap.compose import Composer, ComposeSettings, Swapped, SwappedFace
from tests.realtime.swap.helpers import face_at
from tests.realtime.swap.test_compose import swapped_face

RATE = 30  # frames in a second
SKIN = np.array([90.0, 110.0, 160.0])  # BGR
FACE = face_at(160, 120, 180)
CHEEK = slice(130, 140), slice(120, 130)


def lit(light: float, noise: float = 0.0, seed: int = 0) -> Image:
    """A scene of skin in some light, with the camera's noise."""
    image = np.full((240, 320, 3), SKIN * light + 0.5, np.float32)
    if noise:
        image += noise * np.random.default_rng(seed).standard_normal(image.shape, np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


class Camera:
    """Hands frame after frame to one composer and gives back the mean brightness of a cheek in each."""

    def __init__(self, settings: ComposeSettings | None = None, timeline: bool = True) -> None:
        self.composer = Composer(None, settings)
        self.frames = 0
        self.timeline = timeline
        self.face = swapped_face(FACE)

    def shows(self, image: Image, *faces: SwappedFace, pause: float = 0.0) -> Image:
        self.frames += 1
        at = self.frames / RATE + pause
        frame = Frame(image, self.frames, 1000.0 if self.timeline else at, at if self.timeline else None)
        return self.composer(Swapped(frame, faces or (self.face,))).image


def cheek(image: Image) -> float:
    return float(image[CHEEK].mean())


@pytest.mark.parametrize("timeline", [True, False])  # of a file, or of the clock
@pytest.mark.parametrize(("before", "after"), [(1.0, 0.5), (0.5, 1.2), (1.0, 0.9)])
def test_a_step_in_the_light_is_followed_to_nine_tenths_within_half_a_second(
    before: float, after: float, timeline: bool
) -> None:
    camera = Camera(timeline=timeline)
    start = [cheek(camera.shows(lit(before))) for _ in range(10)][-1]
    shown = [cheek(camera.shows(lit(after))) for _ in range(RATE)]
    assert start == pytest.approx((SKIN * before).mean(), abs=2)
    assert shown[-1] == pytest.approx((SKIN * after).mean(), abs=2)
    reached = (shown[RATE // 2 - 1] - start) / (shown[-1] - start)
    assert 0.9 <= reached <= 1.1


def test_the_first_frame_is_right_at_once() -> None:
    assert cheek(Camera().shows(lit(0.6))) == pytest.approx((SKIN * 0.6).mean(), abs=2)


def test_noise_in_steady_out() -> None:
    """Exposure that trembles by 2 %, with sensor noise: the face trembles less than half as much."""
    camera, random = Camera(ComposeSettings(grain=False)), np.random.default_rng(1)
    scenes = [lit(1 + 0.02 * random.standard_normal(), 4, seed) for seed in range(60)]
    shown = np.array([cheek(camera.shows(scene)) for scene in scenes])
    assert shown[15:].std() < 0.5 * np.array([cheek(scene) for scene in scenes])[15:].std()


def test_a_lamp_that_flickers_does_not_make_the_face_flicker() -> None:
    camera = Camera(ComposeSettings(grain=False))
    shown = np.array([cheek(camera.shows(lit(1 + 0.04 * (-1) ** index))) for index in range(60)])
    assert np.ptp(shown[20:]) < 0.35 * 0.08 * SKIN.mean()


def test_a_hand_before_half_of_the_face_does_not_change_its_colour() -> None:
    camera = Camera(ComposeSettings(grain=False))
    before = [cheek(camera.shows(lit(1.0))) for _ in range(15)][-1]
    covered = lit(1.0)
    covered[:, 160:] = (40, 200, 40)
    face = swapped_face(FACE)
    face.mask[:, 80:] = 0
    during = [cheek(camera.shows(covered, face)) for _ in range(15)]
    assert during == pytest.approx([before] * 15, abs=2)


def test_two_faces_in_different_light_do_not_mix() -> None:
    left, right = face_at(80, 120, 120, track=1), face_at(240, 120, 120, track=2)
    image = lit(1.0)
    image[:, 160:] = lit(0.5)[:, 160:]
    camera = Camera()
    for faces in ((left, right), (right, left)) * 5:
        out = camera.shows(image, *(swapped_face(face) for face in faces))
    assert out[126:132, 58:64].mean() == pytest.approx(SKIN.mean(), abs=3)
    assert out[126:132, 218:224].mean() == pytest.approx(0.5 * SKIN.mean(), abs=3)


def test_another_identity_is_right_in_its_first_frame() -> None:
    camera = Camera()
    for _ in range(10):
        camera.shows(lit(1.0))
    image, mask = swapped_face(FACE, (110, 100, 90)).image, swapped_face(FACE).mask
    other = SwappedFace(FACE, "cedar", image, mask, swapped_face(FACE).to_crop)
    assert cheek(camera.shows(lit(1.0), other)) == pytest.approx(SKIN.mean(), abs=2)


def test_a_face_that_was_away_for_more_than_a_second_is_met_anew() -> None:
    camera = Camera()
    camera.shows(lit(1.0))
    assert cheek(camera.shows(lit(0.4), pause=1.5)) == pytest.approx(0.4 * SKIN.mean(), abs=2)


def test_a_recording_that_starts_over_is_met_anew() -> None:
    camera = Camera()
    for _ in range(10):
        camera.shows(lit(1.0))
    assert cheek(camera.shows(lit(0.4), pause=-0.3)) == pytest.approx(0.4 * SKIN.mean(), abs=2)


def test_landmarks_that_tremble_hardly_move_the_outline() -> None:
    """A wide mask is cut at the jaw; the cut moves less than half as much as the landmarks."""
    plain = ComposeSettings(colour=False, grain=False)
    camera, strange, random = Camera(plain), Camera(plain), np.random.default_rng(2)
    areas, twitching = [], []
    for track in range(45):
        wide = random.normal(0, 0.02)  # of the face's width
        marks = FACE.landmarks + (FACE.landmarks - FACE.landmarks.mean(0)) * np.float32(wide)
        face = Face(FACE.box, marks, 0.99, 1, FACE.to_template)
        drawn = swapped_face(face, (250, 250, 250), features=False)
        drawn.mask[:] = 1
        image = np.zeros((240, 320, 3), np.uint8)
        areas.append(_width(camera.shows(image, drawn)))
        twitching.append(_width(strange.shows(image, replace(drawn, face=replace(face, track=track)))))
    assert np.std(areas[10:]) < 0.5 * np.std(twitching[10:])


def test_a_recording_composed_twice_is_the_same_twice() -> None:
    first, second = Camera(), Camera()
    for index in range(6):
        scene = lit(1.0, 5, index)
        assert np.array_equal(first.shows(scene), second.shows(scene))


def test_the_cameras_grain_is_on_the_face_and_can_be_left_out() -> None:
    scene = lit(1.0, 5)
    grained, smooth = Camera().shows(scene), Camera(ComposeSettings(grain=False)).shows(scene)
    assert _grain(smooth) < 1
    assert _grain(grained) == pytest.approx(_grain(scene), rel=0.35)


def test_in_a_soft_frame_the_face_is_as_soft() -> None:
    """The scene's eyes and mouth are blurred, the drawn ones sharp: they come out blurred."""
    sharp = Camera(ComposeSettings(colour=False, grain=False)).shows(lit(1.0))
    soft_scene = np.asarray(_blurred(sharp), np.uint8)
    with_it, without = (Camera(ComposeSettings(colour=False, grain=grain)).shows(soft_scene) for grain in (True, False))
    eye = slice(85, 118), slice(110, 165)
    steep = [float(np.abs(np.diff(out[eye].astype(int), axis=1)).max()) for out in (without, with_it, soft_scene)]
    assert steep[0] > 2 * steep[2]
    assert steep[1] < 1.4 * steep[2]


def _width(image: Image) -> float:
    """Of what is bright at the height of the jaw, in px and parts of them."""
    return float(image[160].mean(1).sum() / 250)


def _grain(image: Image) -> float:
    """Deviation of the noise of the brightness, below the eyes."""
    patch = image[125:145, 115:145] @ np.array([0.114, 0.587, 0.299])
    return float(np.diff(patch, axis=1).std() / np.sqrt(2))


def _blurred(image: Image) -> NDArray[np.float64]:
    line = np.exp(-0.5 * (np.arange(-9, 10) / 3.0) ** 2)
    line /= line.sum()
    out = np.apply_along_axis(np.convolve, 0, image.astype(float), line, "same")
    return np.asarray(np.apply_along_axis(np.convolve, 1, out, line, "same"))
