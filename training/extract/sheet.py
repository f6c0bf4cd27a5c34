"""Pictures for people who look at footage: where faces look, what was kept, and who is in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.face.geometry import Image

TILE: Final = 96  # px of a face on a sheet
YAWS: Final = tuple(range(-60, 61, 15))  # degrees, the middles of the columns
PITCHES: Final = tuple(range(30, -31, -10))  # of the rows, up is up
ROWS: Final = 8  # of the contact sheet
ACROSS: Final = 12  # faces in each row of a list of people
_WHITE: Final = (240, 240, 240)
_RED: Final = (60, 60, 230)


@dataclass(frozen=True, slots=True)
class Shown:
    """A face on a sheet."""

    crop: Image
    pose: NDArray[np.float32]  # (3,) degrees
    marked: bool = False  # with a red frame


def overview(faces: Sequence[Shown]) -> Image:
    """The pose map (a face and a count for each pose) over a contact sheet; covered faces have a red frame."""
    columns = len(YAWS) + 1
    head = _caption(f"{len(faces)} faces by yaw and pitch; red: covered", columns * TILE)
    count = min(len(faces), ROWS * columns)
    some = [faces[k] for k in np.linspace(0, len(faces) - 1, count).round().astype(int)] if count else []
    title = _caption("evenly from all", columns * TILE)
    return np.concatenate([head, pose_map(faces), title, _grid([_tile(one) for one in some], columns)])


def pose_map(faces: Sequence[Shown]) -> Image:
    """A face and a count for each pose, the poses that are missing dark."""
    cells: dict[tuple[int, int], list[Shown]] = {}
    for face in faces:
        column = int(np.abs(np.array(YAWS) - face.pose[0]).argmin())
        cells.setdefault((int(np.abs(np.array(PITCHES) - face.pose[1]).argmin()), column), []).append(face)
    rows = []
    for y, pitch in enumerate(PITCHES):
        tiles = [_labelled(_blank(), f"pitch {pitch:+d}")]
        for x in range(len(YAWS)):
            inside = cells.get((y, x), [])
            tile = _tile(inside[len(inside) // 2]) if inside else _blank()
            tiles.append(_labelled(tile, str(len(inside)) if inside else "-"))
        rows.append(np.concatenate(tiles, 1))
    foot = [_blank(20), *(_labelled(_blank(20), f"yaw {yaw:+d}") for yaw in YAWS)]
    return np.concatenate([*rows, np.concatenate(foot, 1)])


def people_sheet(people: Sequence[tuple[int, Sequence[Shown]]]) -> Image:
    """A row of faces for each person, with the number by which --person means them."""
    rows: list[Image] = []
    for number, faces in people:
        rows += [_caption(f"--person {number}", ACROSS * TILE), _grid([_tile(face) for face in faces][:ACROSS], ACROSS)]
    return np.concatenate(rows)


def _grid(tiles: Sequence[Image], columns: int) -> Image:
    padded = [*tiles, *(_blank() for _ in range(-len(tiles) % columns or (columns if not tiles else 0)))]
    return np.concatenate([np.concatenate(padded[k : k + columns], 1) for k in range(0, len(padded), columns)])


def _tile(face: Shown) -> Image:
    tile = np.asarray(cv2.resize(face.crop, (TILE, TILE), interpolation=cv2.INTER_AREA), np.uint8)
    if face.marked:
        cv2.rectangle(tile, (1, 1), (TILE - 2, TILE - 2), _RED, 3)
    return tile


def _blank(height: int = TILE) -> Image:
    return np.full((height, TILE, 3), 32, np.uint8)


def _labelled(tile: Image, text: str) -> Image:
    cv2.putText(tile, text, (4, tile.shape[0] - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(tile, text, (4, tile.shape[0] - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.38, _WHITE, 1, cv2.LINE_AA)
    return tile


def _caption(text: str, width: int) -> Image:
    bar = np.full((28, width, 3), 16, np.uint8)
    cv2.putText(bar, text, (8, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _WHITE, 1, cv2.LINE_AA)
    return bar
