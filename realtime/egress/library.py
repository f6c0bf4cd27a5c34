"""The library's door: a picture in, the swapped and labelled picture out."""

import time
from pathlib import Path
from typing import Self

import numpy as np

from realtime.egress.marks import Marks
from realtime.errors import SourceError
from realtime.face.geometry import Image
from realtime.face.track import Tracker, TrackingSettings
from realtime.frame import Frame
from realtime.swap import swapper
from realtime.swap.compose import Composer
from realtime.swap.consent import Consent
from realtime.swap.fallback import Fallback
from realtime.swap.identity import MODELS, Shelf, place_of_size
from realtime.swap.session import SessionSettings


class Swapper(swapper.Swapper):
    """The pipeline's swapper, built in one call, that also takes single pictures."""

    def __init__(
        self,
        tracker: Tracker,
        shelf: Shelf,
        identity: str,
        fallback: Fallback | None = None,
        meters: swapper.Gauges | None = None,
        faces: int | None = None,
    ) -> None:
        """Raises UnknownIdentity."""
        super().__init__(tracker, shelf, identity, fallback, meters, faces)
        self._forget = tracker.reset
        self._compose = Composer(fallback)
        self._marks = Marks()

    @classmethod
    def load(
        cls,
        identity: str = "aster",
        models: Path | None = None,
        faces: int = 8,
        session: SessionSettings | None = None,
        fallback: Fallback | None = None,
        size: str = "live",
        revoked: Path | None = None,
    ) -> Self:
        """A swapper with the embedded models, or those of another folder; size is live, or small for slow machines.

        At most so many faces of a picture are swapped, the largest first; the others are blurred unless fallback says
        otherwise. identity may name people by place, as in "left=aster,right=cedar". Errors are raised unless fallback
        says otherwise. revoked is a list of identities that must not be used (None: the user's own, if there is one).
        Raises ModelError, UnknownIdentity, ConsentError and SettingsError.
        """
        folder = models or MODELS
        tracking = TrackingSettings(landmarks=folder / "landmarks.onnx", max_faces=faces)
        shelf = Shelf.load(place_of_size(folder, size), session, (), Consent.load(revoked))
        how = fallback or Fallback(unsure="raise")
        return cls(Tracker.load(tracking, session), shelf, identity, how, faces=faces)

    def picture(self, image: Image | None) -> Image:
        """The picture (h, w, 3) BGR of 8 bits with its faces swapped and the notice on it; image stays as it is.

        A picture without a face comes back as the fallback says, with the notice as well. Each picture stands alone:
        faces are not followed from one to the next. Raises SourceError for no such picture, SinkError for one that
        is too small for the notice, ConsentError where the consent to who is shown has ended since loading.
        """
        if image is None:  # what cv2.imread gives for a file that it cannot read
            raise SourceError("there is no picture: the file that it came from is missing or is no picture")
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise SourceError(f"a picture is BGR of 8 bits, (h, w, 3), seen {image.dtype} of shape {image.shape}")
        self.check_consent()
        self._forget()
        composed = self._compose(self(Frame(image, 0, time.perf_counter())))
        return self._marks(composed, alone=True)
