"""Every mark that a picture gets before it leaves, in the order in which it gets them."""

import secrets
from collections.abc import Sequence

from realtime.egress.about import SESSION_BYTES, About, Mark
from realtime.egress.label import Label, LabelSettings
from realtime.errors import SettingsError
from realtime.face.geometry import Image
from realtime.frame import Drawn, Frame


class Marks:
    """The visible label and the marks for machines, for one run, one visitor of a server, or the pictures of a library.

    The label is left out only where a disclosure says how the audience is told instead; other marks never are.
    """

    def __init__(self, more: Sequence[Mark] = (), label: LabelSettings | None = None, disclosure: str = "") -> None:
        """more come after ours. Raises SettingsError for a disclosure of nothing."""
        self.session = secrets.token_bytes(SESSION_BYTES)  # goes into every mark
        self.disclosure = told(disclosure) if disclosure else ""
        self.label = Label(label)
        visible: tuple[Mark, ...] = () if self.disclosure else (self.label,)
        self._marks: tuple[Mark, ...] = (*visible, *more)
        self._model = b""

    def __call__(self, frame: Frame, alone: bool = False) -> Image:
        """The frame's picture with all marks; alone: no other frame has to do with it. Raises what a mark raises."""
        self._model = model_in(frame.drawn, b"" if alone else self._model)
        at = frame.captured_at if frame.at is None else frame.at
        about = About(self.session, self._model, frame.index, None if alone else at, frame.drawn)
        image = frame.image
        for mark in self._marks:
            image = mark(image, about)
        return image


def told(disclosure: str) -> str:
    """A sentence that says how the audience is told, without the space around it. Raises SettingsError for none."""
    sentence = " ".join(disclosure.split())
    if not any(letter.isalpha() for letter in sentence):
        raise SettingsError(
            f"the disclosure {disclosure!r} says nothing, wanted how the audience is told, "
            'such as "the presenter says so at the beginning"'
        )
    return sentence


def model_in(drawn: Sequence[Drawn], before: bytes) -> bytes:
    """Whose digest the marks carry: the model's that they carried before, as long as it is shown or nobody is."""
    shown = [bytes.fromhex(face.model) for face in drawn]
    return before if before in shown or not shown else shown[0]
