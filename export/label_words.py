"""Draws the words of the visible label once, as the small pictures that `realtime` ships: no fonts are needed later.

    python -m export.label_words realtime/assets/label

Each language gets one grey PNG of three rows: the whole notice, the shorter one for narrow pictures, and the badge's
letters. White is ink. The font is DejaVu Sans Bold, which matplotlib carries and whose licence lets pictures of it go
anywhere.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

ROW: Final = 96  # px: the height of a row, which becomes the height of the label's plate
CAPITALS: Final = 0.46  # how much of a row a capital letter fills
WORDS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "de": ("KI-generiertes Gesicht", "KI-generiert", "KI"),
        "el": ("Πρόσωπο από ΤΝ", "Από ΤΝ", "ΤΝ"),
        "en": ("AI-generated face", "AI-generated", "AI"),
        "es": ("Rostro generado por IA", "Generado por IA", "IA"),
        "fr": ("Visage généré par IA", "Généré par IA", "IA"),
        "it": ("Volto generato dall’IA", "Generato dall’IA", "IA"),
        "pl": ("Twarz wygenerowana przez AI", "Wygenerowano przez AI", "AI"),
        "uk": ("Обличчя створено ШІ", "Створено ШІ", "ШІ"),
    }
)


def main(folder: Path) -> None:
    """Writes a picture for each language into the folder."""
    for language, words in WORDS.items():
        rows = [drawn(text) for text in words]
        widest = max(row.shape[1] for row in rows)
        sheet = np.vstack([np.pad(row, ((0, 0), (0, widest - row.shape[1]))) for row in rows])
        cv2.imwrite(str(folder / f"{language}.png"), sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def drawn(text: str) -> NDArray[np.uint8]:
    """The text in white on black, (ROW, w), its capitals in the middle of the row."""
    path = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    trial = ImageFont.truetype(str(path), 1000)
    font = ImageFont.truetype(str(path), ROW * CAPITALS * 1000 / (-trial.getbbox("H", anchor="ls")[1]))
    left, _, right, _ = font.getbbox(text, anchor="ls")
    canvas = Image.new("L", (round(right - left), ROW))
    ImageDraw.Draw(canvas).text((-left, ROW * (1 + CAPITALS) / 2), text, fill=255, font=font, anchor="ls")
    return np.asarray(canvas, np.uint8)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
