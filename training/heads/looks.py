"""How people who do not exist look: the embedded identities, and any number of others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from training.heads.renderer import Floats
from training.heads.skin import Colour, SkinLook, colour_of

CLEAR_HAIR: Final = ("short01", "short02", "short03", "short04", "ponytail01")  # styles that leave the face free

_HAIR_COLOURS: Final = ((30, 22, 18), (60, 40, 28), (110, 75, 45), (160, 120, 75), (120, 115, 110), (90, 45, 25))
_IRIS_COLOURS: Final = ((110, 80, 48), (86, 124, 136), (60, 38, 22), (90, 110, 70), (35, 24, 18), (120, 140, 160))


@dataclass(frozen=True)
class Look:
    """Everything that makes one person: numbers only, so that a person is repeated from its Look and seed."""

    seed: int
    modes: Floats  # (k,) weights of the first k identity modes, standard deviations
    skin: SkinLook = field(default_factory=SkinLook)
    iris: Colour = (86.0, 124.0, 136.0)
    teeth: Colour = (222.0, 212.0, 190.0)
    sclera: Colour = (228.0, 220.0, 214.0)
    eye_depth: float = 0.0  # cm the eyes lie deeper than the modes say
    lash: float = 1.0
    hair: str | None = "short04"
    hair_colour: Colour = (60.0, 40.0, 28.0)
    hair_slack: float = 1.03
    shirt: tuple[float, float, float] = (0.1, 0.1, 0.2)  # linear RGB
    collar: float = -2.2
    gloss: float = 1.0
    age: float = 0.3  # of the skin, 0 to 1: how much of each crease stays when the face is at rest
    texture: int = 512  # px of the face's texture


def random_look(rng: np.random.Generator, styles: tuple[str, ...]) -> Look:
    """Anybody: dark to light, any hair of `styles` or none, beards, make-up, odd paint at times."""
    tone = rng.random()
    colour = (np.array([238, 198, 174]) * (1 - tone) + np.array([76, 47, 33]) * tone) * (1 + rng.normal(0, 0.05, 3))
    colour = np.clip(colour, 20, 250)
    lip = colour * np.array([0.86, 0.6, 0.62]) * rng.uniform(0.7, 1.1)
    if rng.random() < 0.2:
        lip = np.array([rng.uniform(90, 200), rng.uniform(20, 110), rng.uniform(30, 120)])
    hair = _HAIR_COLOURS[rng.integers(len(_HAIR_COLOURS))]
    bearded, painted = rng.random() < 0.5, rng.random() < 0.3

    def maybe(chance: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < chance else 0.0

    look = SkinLook(
        skin=colour_of(colour),
        lip=colour_of(lip),
        lip_strength=float(rng.uniform(0.55, 0.95)),
        brow=colour_of(np.array(hair) * rng.uniform(0.5, 1.0)),
        brow_density=float(rng.uniform(0.25, 1.4)),
        brow_thickness=float(rng.uniform(0.6, 1.9)),
        brow_rise=float(rng.uniform(-14, 14)),
        brow_arch=float(rng.uniform(-6, 10)),
        blotches=float(rng.uniform(0.015, 0.07)),
        pores=float(rng.uniform(0.03, 0.2)),
        blush=float(rng.uniform(0, 1.4)),
        lids=float(rng.uniform(0, 1.4)),
        bags=float(rng.uniform(0, 1.3)),
        folds=maybe(0.6, 0.2, 0.8),
        brow_lines=maybe(0.3, 0.1, 0.5),
        stubble=maybe(0.5, 0.1, 0.9) if bearded else 0.0,
        beard=maybe(0.4, 0.4, 1.1) if bearded else 0.0,
        moustache=bool(rng.random() < 0.6),
        freckles=int(rng.integers(5, 160)),
        shadow=maybe(0.5, 0.2, 0.8) if painted else 0.0,
        shadow_colour=colour_of(rng.uniform(0.35, 1, 3)),
        liner=maybe(0.5, 0.2, 0.9) if painted else 0.0,
        wild=maybe(0.18, 0.2, 0.8),
        depth=float(rng.uniform(0.2, 1.0)),
    )
    bright = rng.uniform(165, 235)
    white = np.array([228, 220, 214]) * rng.uniform(0.72, 1.02) * rng.uniform(0.92, 1.04, 3)
    return Look(
        seed=int(rng.integers(2**31)),
        modes=rng.normal(0, rng.uniform(0.6, 1.15), int(rng.integers(15, 50))).astype(np.float32),
        skin=look,
        iris=colour_of(np.array(_IRIS_COLOURS[rng.integers(len(_IRIS_COLOURS))]) * rng.uniform(0.7, 1.2)),
        teeth=colour_of(np.array([bright, bright * rng.uniform(0.93, 0.98), bright * rng.uniform(0.76, 0.9)])),
        sclera=colour_of(white),
        eye_depth=maybe(0.5, 0.1, 0.75),
        lash=float(rng.uniform(0.2, 1.2)),
        hair=None if rng.random() < 0.12 or not styles else str(rng.choice(styles)),
        hair_colour=colour_of(np.array(hair) * rng.uniform(0.5, 1.4)),
        hair_slack=float(rng.uniform(0.99, 1.06)),
        shirt=colour_of(rng.uniform(0.02, 0.8, 3) ** 1.5),
        collar=float(rng.uniform(-2.4, -1.75)),
        gloss=float(rng.uniform(0.3, 1.6)),
        age=float(rng.uniform(0, 1)) ** 1.5,
    )


# The embedded identities: chosen by looking at a sheet of random ones, so nobody is meant.
ASTER: Final = Look(
    seed=1,
    modes=np.random.default_rng(12).normal(0, 0.8, 30).astype(np.float32),
    skin=SkinLook(
        skin=(224.0, 178.0, 150.0), lip=(178.0, 78.0, 82.0), lip_strength=0.85, brow=(84.0, 52.0, 34.0),
        brow_density=0.9, brow_thickness=0.75, brow_arch=5.0, blotches=0.025, pores=0.07, blush=0.9, lids=0.7,
        bags=0.35, folds=0.12, freckles=70, shadow=0.35, shadow_colour=(0.72, 0.6, 0.58), liner=0.45,
    ),
    iris=(92.0, 128.0, 92.0),
    hair="ponytail01",
    hair_colour=(104.0, 56.0, 32.0),
    shirt=(0.25, 0.05, 0.06),
    texture=1024,
)  # fmt: skip
CEDAR: Final = Look(
    seed=3,
    modes=np.random.default_rng(21).normal(0, 0.9, 30).astype(np.float32),
    skin=SkinLook(
        skin=(146.0, 101.0, 77.0), lip=(136.0, 78.0, 72.0), lip_strength=0.7, brow=(20.0, 14.0, 12.0),
        brow_density=1.15, brow_thickness=1.35, blotches=0.04, pores=0.12, blush=0.3, lids=0.8, bags=0.8, folds=0.4,
        brow_lines=0.15, stubble=0.5, freckles=25,
    ),
    iris=(60.0, 38.0, 22.0),
    hair="short04",
    hair_colour=(26.0, 22.0, 20.0),
    shirt=(0.04, 0.07, 0.13),
    gloss=0.5,  # on dark skin highlights stand out, and composing brightens them further
    texture=1024,
)  # fmt: skip
BIRCH: Final = Look(
    seed=5,
    modes=np.random.default_rng(35).normal(0, 0.9, 30).astype(np.float32),
    skin=SkinLook(
        skin=(206.0, 158.0, 130.0), lip=(150.0, 84.0, 78.0), lip_strength=0.6, brow=(112.0, 106.0, 102.0),
        brow_density=1.1, brow_thickness=1.25, blotches=0.06, pores=0.15, blush=1.1, lids=1.0, bags=1.2, folds=0.7,
        brow_lines=0.35, stubble=0.45, freckles=60, depth=1.0,
    ),
    iris=(96.0, 124.0, 146.0),
    teeth=(210.0, 198.0, 170.0),
    eye_depth=0.35,
    hair="short04",
    hair_colour=(190.0, 188.0, 186.0),
    shirt=(0.16, 0.18, 0.17),
    gloss=0.8,
    age=0.95,
    texture=1024,
)  # fmt: skip
DAHLIA: Final = Look(
    seed=7,
    modes=np.random.default_rng(38).normal(0, 0.85, 30).astype(np.float32),
    skin=SkinLook(
        skin=(96.0, 62.0, 46.0), lip=(118.0, 52.0, 58.0), lip_strength=0.8, brow=(18.0, 13.0, 12.0),
        brow_density=0.95, brow_thickness=0.8, brow_arch=6.0, blotches=0.03, pores=0.06, blush=0.3, lids=0.9, bags=0.3,
        folds=0.15, freckles=15, shadow=0.4, shadow_colour=(0.7, 0.55, 0.6), liner=0.5,
    ),
    iris=(48.0, 30.0, 18.0),
    hair="short01",
    hair_colour=(24.0, 19.0, 18.0),
    shirt=(0.5, 0.32, 0.06),
    gloss=0.6,
    age=0.2,
    texture=1024,
)  # fmt: skip
EMBEDDED: Final[Mapping[str, Look]] = {"aster": ASTER, "birch": BIRCH, "cedar": CEDAR, "dahlia": DAHLIA}
