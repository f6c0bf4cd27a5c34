"""What is shown instead of a picture that could not be marked: a dark card that says so."""

from typing import Final

from realtime.face.geometry import Image
from realtime.flow import card as cards

WORDS: Final = ("This picture is not shown:", "it could not be marked as AI-generated.")


def card(width: int, height: int) -> Image:
    """The card (height, width, 3) BGR; without words where they could not be read."""
    return cards.card(width, height, WORDS)
