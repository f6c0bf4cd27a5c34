"""A camera on the network (RTSP, HTTP MJPEG), read through PyAV as a live source."""

import time
from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

import av
from av.container import InputContainer
from av.video.frame import VideoFrame

from realtime.errors import EndOfStream, SettingsError, SourceError
from realtime.flow.letterbox import Image, letterbox
from realtime.sources.draining import Draining, Patience
from realtime.sources.limits import check_asked, check_seen, fitted_size
from realtime.sources.video_file import as_bgr
from realtime.sources.watch import Watch

SCHEMES: Final = ("rtsp", "rtsps", "http", "https")
PATIENCE: Final = Patience(opening=12.0, first=10.0, next=5.0)  # networks stall longer than cables
OPENING_S: Final = 10.0  # what FFmpeg may take; what it cannot interrupt (a name's look-up), the source's patience ends
_NEWEST: Final = MappingProxyType({"fflags": "nobuffer", "probesize": "500000", "analyzeduration": "1000000"})
_OF_RTSP: Final = MappingProxyType({"rtsp_transport": "tcp"})  # UDP loses parts of pictures, and often the way home


def is_stream(text: str) -> bool:
    """Whether a text is the address of a stream."""
    scheme, colon, _ = text.partition("://")
    return bool(colon) and scheme.lower() in SCHEMES


class Stream(Draining):
    """A stream as a source; it opens in `async with`, once. Pictures are fitted into a size where one is given.

    Opening raises SourceError where nobody answers or it is no video; reading raises SourceLost where pictures stop,
    EndOfStream where a recording on a server is over.
    """

    def __init__(
        self,
        address: str,
        width: int | None = None,
        height: int | None = None,
        patience: Patience = PATIENCE,
    ) -> None:
        """Raises SettingsError for an address without a host."""
        check_asked(width, height, None)
        name = public(address)
        options = {**_NEWEST, **(_OF_RTSP if address.lower().startswith("rtsp") else {})}
        opened = partial(Tap, address, name, options, (width, height), min(OPENING_S, patience.opening), patience.next)
        super().__init__(name, opened, patience, Watch(name))


class Tap:
    """The open connection; it blocks, and belongs to one thread."""

    def __init__(
        self,
        address: str,
        name: str,
        options: Mapping[str, str],
        asked: tuple[int | None, int | None] = (None, None),
        opening: float = OPENING_S,
        reading: float = PATIENCE.next,
    ) -> None:
        """opening and reading are seconds. Raises SourceError where nobody answers or it is no video."""
        self._name = name
        self._asked = asked
        self._container = _opened(address, name, options, (opening, reading))
        try:
            self._frames = self._decoded()
        except SourceError:
            self._container.close()
            raise

    def next(self) -> tuple[Image, float] | None:
        """The next picture, and the moment at which it was here; None where the stream breaks off."""
        frame = next(self._frames, None)
        if frame is None:
            return None
        captured_at = time.perf_counter()
        image = as_bgr(frame, frame.width)
        return letterbox(image, *fitted_size(image.shape[1], image.shape[0], *self._asked)), captured_at

    def close(self) -> None:
        """Gives the connection back."""
        self._container.close()

    def _decoded(self) -> Iterator[VideoFrame]:
        """The pictures until the connection breaks. Raises EndOfStream where a recording is over."""
        if not self._container.streams.video:
            raise SourceError(f"{self._name} has no moving picture: wanted a video stream")
        stream = self._container.streams.video[0]
        check_seen(self._name, stream.width, stream.height)
        stream.thread_type = "SLICE"  # threads for whole frames would each hold one back
        return self._pictures()

    def _pictures(self) -> Iterator[VideoFrame]:
        stream = self._container.streams.video[0]
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError):
                return
            if packet is None:
                if self._container.duration:
                    raise EndOfStream(f"{self._name} is over")
                return
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                continue  # a damaged packet: the next whole picture mends it


def public(address: str) -> str:
    """The address without user, password and query, as it may be shown. Raises SettingsError where it has no host."""
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise SettingsError(f"the address of the stream cannot be read: {error}".lower()) from error
    if not parts.hostname:
        raise SettingsError(f"the address {parts.scheme}:// has no host: wanted {parts.scheme}://host/path")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _opened(address: str, name: str, options: Mapping[str, str], timeout: tuple[float, float]) -> InputContainer:
    began = time.perf_counter()
    try:
        return av.open(address, "r", options=dict(options), timeout=timeout)
    except (av.FFmpegError, OSError) as error:
        if time.perf_counter() - began >= timeout[0]:  # what FFmpeg says when it is interrupted differs
            raise SourceError(f"{name} does not answer within {timeout[0]:g} s") from error
        seen = (error.strerror or "nobody knows why").lower()
        raise SourceError(f"{name} does not open: {seen}") from error
