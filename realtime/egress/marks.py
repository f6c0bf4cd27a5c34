"""Every mark that a picture gets before it leaves, in the order in which it gets them."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from realtime.egress.about import SESSION_BYTES, About, Mark
from realtime.egress.disclosure import told
from realtime.egress.label import Label, LabelSettings
from realtime.egress.record import Record, Shown
from realtime.egress.watermark import Watermark
from realtime.face.geometry import Image
from realtime.frame import Drawn, Frame
from realtime.pool import Pool


class Marks:
    """The visible label and the marks for machines, for one run, one visitor of a server, or the pictures of a library.

    The label is left out only where a disclosure says how the audience is told instead; other marks never are. The
    invisible one comes first, so that it does not take the label's letters for texture.
    """

    def __init__(self, more: Sequence[Mark] = (), label: LabelSettings | None = None, disclosure: str = "") -> None:
        """more come after ours. Raises SettingsError for a disclosure of nothing."""
        self.session = secrets.token_bytes(SESSION_BYTES)  # goes into every mark
        self.disclosure = told(disclosure) if disclosure else ""
        self.label = Label(label)
        self._watermark = Watermark()
        self._still: Watermark | None = None  # seldom wanted
        self._more = tuple(more)
        self._pictures = Pool()
        self._model = b""
        self._record = Record(self.session.hex(), datetime.now(UTC), disclosure=self.disclosure)

    @property
    def record(self) -> Record:
        """What is known of the pictures so far; any thread may ask."""
        return self._record

    def __call__(self, frame: Frame, alone: bool = False) -> Image:
        """The frame's picture with all marks; alone: no other frame has to do with it. Raises what a mark raises."""
        self._model = model_in(frame.drawn, b"" if alone else self._model)
        at = frame.captured_at if frame.at is None else frame.at
        about = About(self.session, self._model, frame.index, None if alone else at, frame.drawn)
        image = self._watermark(frame.image, about, self._pictures.take(frame.image.shape))
        if not self.disclosure:
            image = self.label(image, about, image)  # in place: nobody has seen it yet
        for mark in self._more:
            image = mark(image, about)
        self._note(frame.drawn)
        return image

    def again(self, frame: Frame) -> Image:
        """The picture of a frame that has all marks, with the invisible one of pictures that stand alone besides.

        It may be called on another thread than frames, on one at a time.
        """
        if self._still is None:
            self._still = Watermark()
        about = About(self.session, model_in(frame.drawn, b""), frame.index, None, frame.drawn)
        return self._still(frame.image, about)

    def _note(self, drawn: Sequence[Drawn]) -> None:
        known = self._record.shown
        new = dict.fromkeys(one for one in (Shown(face.identity, face.model) for face in drawn) if one not in known)
        self._record = replace(self._record, shown=(*known, *new), frames=self._record.frames + 1)


def model_in(drawn: Sequence[Drawn], before: bytes) -> bytes:
    """Whose digest the marks carry: the model's that they carried before, as long as it is shown or nobody is."""
    shown = [bytes.fromhex(face.model) for face in drawn]
    return before if before in shown or not shown else shown[0]
