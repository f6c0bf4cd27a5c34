"""Procedural pictures that dress a head: skin with brows, lips and beard, irises, whites of the eyes, lashes."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Texture = NDArray[np.uint8]  # (n, n, 3 or 4) RGB(A), first row = top
Colour = tuple[float, float, float]  # RGB 0..255


def colour_of(values: NDArray[np.float64]) -> Colour:
    """A colour from any three numbers: red, green, blue, within 0..255."""
    r, g, b = (float(v) for v in np.clip(values, 0, 255))
    return r, g, b


@dataclass(frozen=True, slots=True)
class SkinLook:
    """What a face's skin looks like; strengths are 0 (none) to about 1 (strong)."""

    skin: Colour = (208.0, 160.0, 132.0)
    lip: Colour = (174.0, 94.0, 90.0)
    lip_strength: float = 0.8
    brow: Colour = (48.0, 33.0, 24.0)
    brow_density: float = 1.0
    brow_thickness: float = 1.0
    brow_rise: float = 0.0  # texture px of 1024, + = lower
    brow_arch: float = 0.0
    blotches: float = 0.035
    pores: float = 0.1
    blush: float = 0.8  # warmer cheeks and nose
    lids: float = 0.8  # darker, redder lids
    bags: float = 0.6
    folds: float = 0.3  # from nose to mouth
    brow_lines: float = 0.0
    stubble: float = 0.0
    beard: float = 0.0
    moustache: bool = True
    freckles: int = 40
    shadow: float = 0.0  # eye shadow
    shadow_colour: Colour = (0.6, 0.5, 0.6)  # factors
    liner: float = 0.0
    wild: float = 0.0  # low-frequency paint that no skin has, for robustness
    depth: float = 0.5  # of the creases that expressions draw


def noise(rng: np.random.Generator, size: int, octaves: tuple[tuple[int, float], ...]) -> Floats:
    """A sum of smooth random pictures: octaves are (cells across, weight)."""
    total = np.zeros((size, size), np.float32)
    for cells, weight in octaves:
        grid = rng.normal(0, 1, (min(cells, size), min(cells, size))).astype(np.float32)
        total += weight * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return total


def face_texture(rng: np.random.Generator, look: SkinLook, marks: Floats, size: int) -> Texture:
    """The skin of the face, (size, size, 3) RGB.

    marks (68, 2) are the UV coordinates of the landmarks. Distances below are in pixels of a 1024 px texture.
    """
    painter = _Painter(rng, look, marks, size)
    painter.ground()
    painter.warmth()
    painter.lines()
    painter.lips()
    painter.hair_of_beard()
    painter.freckles()
    painter.brows()
    painter.paint()
    return np.clip(painter.a, 0, 255).astype(np.uint8)


def crease_texture(rng: np.random.Generator, look: SkinLook, marks: Floats, size: int) -> Texture:
    """Where skin creases when it moves, (size, size, 4): forehead, between the brows, round the eyes, nose to mouth.

    Each channel is the depth of one group, 0..255; expression.creases says how much of each shows.
    """
    painter = _Painter(rng, look, marks, size)
    groups = [painter.forehead(), painter.frown(), painter.crows_feet(), painter.smile()]
    deep = [painter.soft(ink) for ink in groups]
    return np.asarray(np.clip(np.stack(deep, -1) * 255, 0, 255), np.uint8)


class _Painter:
    """One face on its canvas `a` (n, n, 3), RGB float; `p` are the landmarks in its pixels."""

    def __init__(self, rng: np.random.Generator, look: SkinLook, marks: Floats, size: int) -> None:
        self.rng, self.look, self.n, self.k = rng, look, size, size / 1024
        self.p = np.stack([marks[:, 0] * size, (1 - marks[:, 1]) * size], -1)
        self.y, self.x = np.mgrid[0:size, 0:size].astype(np.float32)
        self.a = np.zeros((size, size, 3), np.float32) + np.array(look.skin, np.float32)
        self.lip_mask = np.zeros((size, size), np.float32)
        self.low = noise(rng, size, ((4, 1), (8, 0.6), (16, 0.4), (64, 0.25), (200, 0.2)))

    def _blob(self, centre: Any, radii: tuple[float, float], factors: Colour, weight: float) -> None:
        cx, cy = float(centre[0]), float(centre[1])
        rx, ry = radii[0] * self.k, radii[1] * self.k
        x0, x1 = max(0, int(cx - 3 * rx)), min(self.n, int(cx + 3 * rx) + 1)
        y0, y1 = max(0, int(cy - 3 * ry)), min(self.n, int(cy + 3 * ry) + 1)
        if x0 >= x1 or y0 >= y1 or weight <= 0:
            return
        u, v = (self.x[y0:y1, x0:x1] - cx) / rx, (self.y[y0:y1, x0:x1] - cy) / ry
        amount = (np.exp(-(u * u + v * v)) * weight)[..., None]
        self.a[y0:y1, x0:x1] *= 1 + amount * (np.array(factors, np.float32) - 1)

    def _blur(self, picture: Floats, sigma: float) -> Floats:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), max(0.3, sigma)), np.float32)

    def ground(self) -> None:
        look, rng, n = self.look, self.rng, self.n
        self.a *= 1 + look.blotches * self.low[..., None]
        self.a[..., 0] *= 1 + 0.02 * noise(rng, n, ((6, 1), (24, 0.6)))
        grain = rng.normal(0, 1, (n, n)).astype(np.float32)
        self.a *= 1 + look.pores * (self._blur(grain, 1.2 * self.k) - self._blur(grain, 3.2 * self.k))[..., None]

    def warmth(self) -> None:
        look, p, k = self.look, self.p, self.k
        dark = 1 - 0.25 * look.bags
        for side, eye in ((-1, p[36:42].mean(0)), (1, p[42:48].mean(0))):
            self._blob(
                (eye[0] + side * 30 * k, eye[1] + 150 * k),
                (90, 70),
                (1.06, 0.83, 0.81),
                0.55 * look.blush,
            )
            self._blob(eye, (78, 40), (0.87, 0.75, 0.77), 0.6 * look.lids)
            self._blob(
                (eye[0], eye[1] + 32 * k),
                (60, 22),
                (0.92 * dark, 0.84 * dark, 0.87 * dark),
                look.bags,
            )
            self._blob((eye[0], eye[1] - 16 * k), (52, 22), look.shadow_colour, look.shadow)
        self._blob(p[33], (45, 30), (1.03, 0.83, 0.81), 0.6 * look.blush)
        self._blob(p[30], (45, 45), (1.04, 0.86, 0.83), 0.5 * look.blush)

    def lines(self) -> None:
        """Folds from nose to mouth, lines on the forehead, a line along the lids."""
        rng, p, k, look = self.rng, self.p, self.k, self.look
        ink = np.zeros((self.n, self.n), np.float32)
        for nose, mouth, side in ((31, 48, -1), (35, 54, 1)):
            self._stroke(ink, _arc(*self._fold(nose, mouth, side)), look.folds, 5)
        for row in range(3 if look.brow_lines > 0 else 0):
            y = min(p[19][1], p[24][1]) - (52 + 36 * row) * k
            xs = np.linspace(p[18][0], p[25][0], 12)
            wave = np.stack([xs, y + rng.normal(0, 2.5, 12).cumsum() * k], 1)
            self._stroke(ink, wave, look.brow_lines * float(rng.uniform(0.4, 1)), 2)
        self.a *= 1 - (0.4 * self._blur(ink, 4 * k))[..., None] * np.array([0.9, 1, 1.02], np.float32)
        if look.liner > 0:
            ink[:] = 0
            for lid in (p[36:40], p[42:46]):
                self._stroke(ink, lid, look.liner, 6)
            self.a *= 1 - (0.85 * self._blur(ink, 1.5 * k))[..., None]

    def soft(self, ink: Floats) -> Floats:
        """A crease is sharp in the middle and shallow beside it; strength as the look's depth says."""
        both = 0.55 * self._blur(ink, 1.6 * self.k) + 0.6 * self._blur(ink, 6 * self.k)
        return np.asarray(self.look.depth * both, np.float32)

    def _ink(self) -> Floats:
        return np.zeros((self.n, self.n), np.float32)

    def forehead(self) -> Floats:
        """Three or four lines across, that the raised brows push up."""
        ink, p, k, rng = self._ink(), self.p, self.k, self.rng
        for row in range(int(rng.integers(3, 5))):
            xs = np.linspace(p[17][0] + 22 * k, p[26][0] - 22 * k, 14)
            arch = 26 * (1 - ((xs - xs.mean()) / (np.ptp(xs) / 2)) ** 2)
            y = min(p[19][1], p[24][1]) - (38 + 30 * row) * k - arch * k + rng.normal(0, 1.6, 14).cumsum() * k
            self._stroke(ink, np.stack([xs, y], 1), float(rng.uniform(0.7, 1.0)), 5)
        return ink

    def frown(self) -> Floats:
        """Two upright lines between the brows, and one across the root of the nose."""
        ink, p, k, rng = self._ink(), self.p, self.k, self.rng
        for x in (p[21][0] + 4 * k, p[22][0] - 4 * k):
            ys = np.linspace(p[21][1] - 34 * k, p[27][1] - 6 * k, 6)
            self._stroke(ink, np.stack([x + rng.normal(0, 1.5, 6).cumsum() * k, ys], 1), 1.0, 6)
        xs = np.linspace(p[39][0] + 14 * k, p[42][0] - 14 * k, 7)
        self._stroke(ink, np.stack([xs, p[27][1] + 6 * k + rng.normal(0, 1, 7) * k], 1), 0.6, 5)
        return ink

    def crows_feet(self) -> Floats:
        """A fan outside each eye, and a line below it."""
        ink, p, k, rng = self._ink(), self.p, self.k, self.rng
        for corner, lid, side in ((p[36], p[40:42], -1), (p[45], p[46:48], 1)):
            for angle in np.radians([-34, -12, 12, 34]):
                way = np.array([side * np.cos(angle), np.sin(angle)])
                reach = np.linspace(18, float(rng.uniform(48, 66)), 5)[:, None]
                self._stroke(
                    ink, corner + way * reach * k + rng.normal(0, 1, (5, 2)) * k, float(rng.uniform(0.6, 1)), 4
                )
            middle = lid.mean(0)
            xs = np.linspace(-48, 48, 9)
            bag = np.stack([middle[0] + xs * k, middle[1] + (26 - 10 * (xs / 48) ** 2) * k], 1)
            self._stroke(ink, bag, 0.6, 5)
        return ink

    def smile(self) -> Floats:
        """The fold from nose to mouth, and a bracket beside the mouth."""
        ink, p, k = self._ink(), self.p, self.k
        for nose, mouth, side in ((31, 48, -1), (35, 54, 1)):
            self._stroke(ink, _arc(*self._fold(nose, mouth, side)), 1.0, 9)
            out = p[mouth] + [side * 52 * k, -20 * k]
            bend, end = ([side * 14 * k, 40 * k], [side * -4 * k, 84 * k])
            self._stroke(ink, _arc(out, out + bend, out + end), 0.6, 7)
        return ink

    def _fold(self, nose: int, mouth: int, side: int) -> tuple[Any, Any, Any]:
        """Beginning, bend and end of the fold from nose to mouth."""
        p, k = self.p, self.k
        start = p[nose] + [side * 22 * k, -12 * k]
        return start, (p[nose] + p[mouth]) / 2 + [side * 38 * k, 0], p[mouth] + [side * 26 * k, 18 * k]

    def _stroke(self, ink: Floats, points: Any, strength: float, width: float) -> None:
        line = [np.round(np.asarray(points) * 8).astype(np.int32)]
        cv2.polylines(
            ink,
            line,
            False,
            float(strength),
            max(1, round(width * self.k)),
            cv2.LINE_AA,
            3,
        )

    def lips(self) -> None:
        look, k = self.look, self.k
        cv2.fillPoly(
            self.lip_mask,
            [np.round(self.p[48:60] * 8).astype(np.int32)],
            1.0,
            cv2.LINE_AA,
            3,
        )
        self.lip_mask = self._blur(self.lip_mask, 4 * k)
        streaks = self.rng.normal(0, 1, (self.n, self.n)).astype(np.float32)
        streaks = np.asarray(
            cv2.GaussianBlur(streaks, (0, 0), sigmaX=max(0.4, 1.2 * k), sigmaY=7 * k),
            np.float32,
        )
        tone = np.array(look.lip, np.float32) * (1 + 0.08 * self.low + 0.2 * streaks)[..., None]
        amount = (self.lip_mask * look.lip_strength)[..., None]
        self.a = self.a * (1 - amount) + tone * amount

    def hair_of_beard(self) -> None:
        look, p, k, rng, n = self.look, self.p, self.k, self.rng, self.n
        if look.stubble > 0:
            near = np.exp(-(((self.x - p[8][0]) / (270 * k)) ** 2 + ((self.y - p[57][1] - 50 * k) / (150 * k)) ** 2))
            dots = self._blur((rng.random((n, n)) < 0.14).astype(np.float32), 0.9 * k)
            amount = (look.stubble * near * (dots * 1.2 + 0.25) * (1 - self.lip_mask))[..., None]
            self.a *= 1 - amount * np.array([1.0, 0.92, 0.85], np.float32)
        if look.beard > 0:
            jaw = p[2:15].copy()
            jaw[:, 1] += 20 * k
            if look.moustache:
                inner = [
                    p[54] + [30 * k, -5 * k],
                    p[35] + [25 * k, 25 * k],
                    p[33] + [0, 12 * k],
                ]
                inner += [p[31] + [-25 * k, 25 * k], p[48] + [-30 * k, -5 * k]]
            else:
                inner = [
                    p[54] + [25 * k, 30 * k],
                    p[57] + [0, 14 * k],
                    p[48] + [-25 * k, 30 * k],
                ]
            outline = np.round(np.vstack([jaw, inner])).astype(np.int32)
            cover = np.zeros((n, n), np.float32)
            cv2.fillPoly(cover, [outline], 1.0)
            cover = self._blur(cover, float(rng.uniform(6, 18)) * k) * (1 - self.lip_mask)
            strands = rng.normal(0, 1, (n, n)).astype(np.float32)
            strands = np.asarray(
                cv2.GaussianBlur(strands, (0, 0), sigmaX=max(0.4, k), sigmaY=4 * k),
                np.float32,
            )
            amount = np.clip(cover * look.beard * (0.8 + 0.9 * strands), 0, 1)[..., None]
            self.a = self.a * (1 - amount) + np.array(look.brow, np.float32) * (1 + 0.5 * strands[..., None]) * amount

    def freckles(self) -> None:
        ink = np.zeros((self.n, self.n), np.float32)
        for _ in range(self.look.freckles):
            at = (int(self.rng.integers(self.n) * 8), int(self.rng.integers(self.n) * 8))
            radius = max(4, round(float(self.rng.gamma(2.0, 0.7)) * self.k * 8))
            cv2.circle(ink, at, radius, float(self.rng.uniform(0.3, 1)), -1, cv2.LINE_AA, 3)
        self.a *= 1 - self._blur(ink, 0.8 * self.k)[..., None] * np.array([0.28, 0.4, 0.45], np.float32)

    def brows(self) -> None:
        """Hairs that start upright at the nose and lie down outwards, over a soft shade."""
        look, k, rng = self.look, self.k, self.rng
        hairs = np.zeros((self.n, self.n), np.float32)
        for brow, out in (
            (self.p[17:22][::-1], -1.0),
            (self.p[22:27], 1.0),
        ):  # from the nose outwards
            count = int(700 * look.brow_density)
            t = rng.random(count)
            knots = np.linspace(0, 1, 5)
            root = np.stack([np.interp(t, knots, brow[:, 0]), np.interp(t, knots, brow[:, 1])], 1)
            taper = np.minimum(1, np.minimum(0.55 + t * 2.5, (1.08 - t) * 2.2))
            half = 15 * look.brow_thickness * taper
            root[:, 1] += (rng.uniform(-1, 1, count) * half + 6 + look.brow_rise - look.brow_arch * 4 * t * (1 - t)) * k
            angle = np.radians(rng.normal(62, 10, count) * (1 - t) ** 1.5 + rng.normal(8, 8, count) * t)
            length = rng.uniform(14, 30, count) * (1 - 0.35 * t) * k
            tip = root + np.stack([out * np.cos(angle), -np.sin(angle)], 1) * length[:, None]
            for a, b, tone in zip(
                np.round(root * 8),
                np.round(tip * 8),
                rng.uniform(0.3, 0.75, count),
                strict=True,
            ):
                start, end = (int(a[0]), int(a[1])), (int(b[0]), int(b[1]))
                cv2.line(hairs, start, end, float(tone), 1, cv2.LINE_AA, 3)
        soft = 0.75 * self._blur(hairs, 1.1 * k) + 0.55 * self._blur(hairs, 6 * k)
        cover = np.clip(soft, 0, 1) * 0.92 * min(1.0, 0.3 + 0.7 * look.brow_density)
        amount = cover.astype(np.float32)[..., None]
        self.a = self.a * (1 - amount) + np.array(look.brow, np.float32) * amount

    def paint(self) -> None:
        if self.look.wild > 0:
            octaves = ((3, 1.0), (7, 0.8), (20, 0.5), (60, 0.3))
            colours = np.stack([noise(self.rng, self.n, octaves) for _ in range(3)], -1)
            grey = noise(self.rng, self.n, ((3, 1), (9, 0.8)))[..., None]
            self.a *= np.clip(1 + self.look.wild * (0.7 * grey + 0.35 * colours), 0.25, 2.0)


def _arc(start: Any, bend: Any, end: Any) -> Any:
    """A quadratic Bezier curve as nine points (9, 2)."""
    t = np.linspace(0, 1, 9)[:, None]
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t * t * end


def plain_skin(rng: np.random.Generator, skin: Colour, size: int = 128) -> Texture:
    """Skin for the back of the head and the neck."""
    low = noise(rng, size, ((4, 1), (16, 0.5), (64, 0.3)))
    return np.clip(np.array(skin, np.float32) * (1 + 0.04 * low[..., None]), 0, 255).astype(np.uint8)


def iris_texture(rng: np.random.Generator, colour: Colour, pupil: float = 0.34, size: int = 256) -> Texture:
    """Pupil (radius as a share of the disc), fibres and limbus."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    radius = np.hypot(x - size / 2, y - size / 2) / (size / 2)
    angle = np.arctan2(y - size / 2, x - size / 2)
    knots = np.linspace(-np.pi, np.pi + 0.31, 400)
    fine = np.interp(angle.ravel(), knots, rng.normal(0, 1, 400)).reshape(size, size)
    swirl = np.interp((angle + radius * 0.3).ravel(), knots[::2], rng.normal(0, 1, 200)).reshape(size, size)
    picture: Floats = (
        np.array(colour, np.float32)[None, None] * (1 + 0.22 * fine + 0.18 * swirl).astype(np.float32)[..., None]
    )
    picture *= (0.75 + 0.5 * (1 - np.abs(radius - 0.6)))[..., None]
    picture *= np.clip((0.92 - radius) / 0.14, 0.12, 1)[..., None]
    picture *= np.clip((radius - pupil) / 0.05, 0, 1)[..., None]
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def sclera_texture(rng: np.random.Generator, tint: Colour = (228.0, 220.0, 214.0), size: int = 256) -> Texture:
    """White of the eye, reddish at the rim, with a hole (alpha 0) where the iris shows; RGBA."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    radius = np.hypot(x - size / 2, y - size / 2) / (size / 2)
    picture = np.zeros((size, size, 3), np.float32) + np.array(tint, np.float32)
    picture -= np.clip(radius - 0.35, 0, 1)[..., None] * np.array([40, 90, 90], np.float32)
    picture *= 1 + 0.03 * noise(rng, size, ((8, 1), (32, 0.6)))[..., None]
    picture *= np.clip((radius - 0.24) / 0.05, 0.55, 1)[..., None]
    alpha = np.where(radius < 0.262, 0, 255)
    return np.dstack([np.clip(picture, 0, 255), alpha]).astype(np.uint8)


def lash_texture(rng: np.random.Generator, strength: float = 1.0, size: int = 256) -> Texture:
    """Lashes as strokes along v: the upper half of the texture's rows are the upper lid's; RGBA."""
    ink = np.zeros((size, size), np.float32)
    for _ in range(int(80 + 80 * strength)):
        u, reach = int(rng.integers(size)), float(rng.uniform(0.5, 1))
        for low, high, weight in ((size // 2, size - 1, 0.75), (0, size // 2, 0.22)):
            start = (u, size - 1 - low)
            end = (
                int(u + rng.normal(0, size / 64)),
                size - 1 - int(low + (high - low) * reach),
            )
            cv2.line(ink, start, end, float(weight), 1, cv2.LINE_AA)
    picture = np.zeros((size, size, 4), np.uint8)
    picture[..., :3] = (22, 16, 14)
    picture[..., 3] = np.clip(cv2.GaussianBlur(ink, (0, 0), size / 400) * 230 * strength, 0, 255)
    return picture


def flat(colour: Colour, size: int = 8, alpha: int | None = None) -> Texture:
    """One colour, RGB or with alpha RGBA."""
    channels = colour if alpha is None else (*colour, float(alpha))
    return np.broadcast_to(np.clip(channels, 0, 255), (size, size, len(channels))).astype(np.uint8)
