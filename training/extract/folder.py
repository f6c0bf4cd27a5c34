"""Writes a faceset: a folder of crops and masks that a person can open, a table of them, and a description."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from realtime.errors import LiveswapError
from realtime.face.geometry import TEMPLATE_NAME
from realtime.swap.card import ModelCard
from training.extract import table
from training.extract.choose import Rows
from training.extract.cover import Cover
from training.extract.sheet import Shown, overview
from training.extract.watch import Seen, WatchSettings

VERSION: Final = 1
COVERED: Final = 0.08  # of the face, from which on it is marked as covered
TABLE: Final = "faces.parquet"
DESCRIPTION: Final = "faceset.toml"


def write_faceset(
    out: Path,
    seen: Seen,
    rows: Rows,
    card: ModelCard,
    settings: WatchSettings,
    cover: Cover,
    tell: Callable[[int], None],
) -> dict[str, Any]:
    """Writes these rows of what was seen into out; faceset.toml comes last. What it says, without the consent.

    tell is called with how many faces are done. Raises LiveswapError when out cannot be written.
    """
    try:
        for folder in (out / "faces", out / "masks"):
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.iterdir():
                old.unlink()
        (out / DESCRIPTION).unlink(missing_ok=True)
        digest, covered, shown = hashlib.sha256(), [], []
        for number, row in enumerate(rows.tolist()):
            data = seen.crop[row]
            crop = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)
            mask, share = cover(crop, seen.landmarks[row], settings.coverage)
            name = f"{number:06d}"
            (out / "faces" / f"{name}.jpg").write_bytes(data)
            _, written = cv2.imencode(".png", mask)
            (out / "masks" / f"{name}.png").write_bytes(written.tobytes())
            digest.update(hashlib.sha256(data).digest())
            covered.append(share)
            shown.append(Shown(crop, seen.pose[row], share >= COVERED))
            tell(number + 1)
        _write_table(out / TABLE, seen, rows, np.array(covered, np.float32))
        cv2.imwrite(str(out / "overview.jpg"), overview(shown), [cv2.IMWRITE_JPEG_QUALITY, 90])
        said: dict[str, Any] = {
            "version": VERSION,
            "name": card.name,
            "size": settings.size,
            "coverage": settings.coverage,
            "template": TEMPLATE_NAME,
            "faces": len(rows),
            "covered": sum(share >= COVERED for share in covered),
            "digest": digest.hexdigest(),
        }
        beside = out / (DESCRIPTION + ".part")
        beside.write_text(_toml(said) + "\n[consent]\n" + _toml(card.record()), "utf-8")
        beside.replace(out / DESCRIPTION)
    except OSError as error:
        raise LiveswapError(f"the faceset {out} cannot be written: {error.strerror}") from error
    return said


def _write_table(path: Path, seen: Seen, rows: Rows, covered: np.ndarray[Any, Any]) -> None:
    columns: dict[str, Any] = {
        "face": [f"faces/{number:06d}.jpg" for number in range(len(rows))],
        "source": [seen.source[row] for row in rows.tolist()],
        "time": seen.time[rows],
        "side": seen.side[rows],
        "sharpness": seen.sharpness[rows],
        "yaw": seen.pose[rows, 0],
        "pitch": seen.pose[rows, 1],
        "roll": seen.pose[rows, 2],
        "covered": covered,
        "landmarks": seen.landmarks[rows],
        "blend": seen.blend[rows],
        "light": seen.light[rows],
    }
    table.write(path, columns)


def _toml(values: dict[str, Any]) -> str:
    """Texts and numbers as TOML lines; JSON's strings are TOML's."""
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
