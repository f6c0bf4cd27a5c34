"""The sound of a recording's source, carried over into the recording."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

from realtime.sources.video_file import open_media, timeline_origin

logger = logging.getLogger(__name__)

COPIED = frozenset({"aac", "ac3", "alac", "eac3", "mp3"})  # codecs that players expect in an MP4; others become AAC
AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000})  # Hz
TAIL_S = 0.1  # a picture that ends this close to the source's own end counts as complete

Timed = tuple[float, "Packet[AudioStream]"]  # its place on the timeline in seconds, and the packet


class Sound:
    """Moves sound from one file to another, up to the place on the timeline that the picture has reached.

    It blocks, so it belongs on a worker.
    """

    def __init__(self, path: Path, container: OutputContainer) -> None:
        """Adds a stream to the container where the file has sound. Raises SourceError where it is no media."""
        self._path = path
        self._source = open_media(path)
        self._origin = timeline_origin(self._source)
        self._container = container
        self._waiting: Timed | None = None
        heard = next(iter(self._source.streams.audio), None)
        self._packets: Iterator[Timed] = iter(()) if heard is None else self._from(heard)

    def carry(self, until: float) -> None:
        """Writes what is heard before second `until` of the source's timeline and was not yet written."""
        while (timed := self._waiting or self._next()) is not None:
            self._waiting = timed if timed[0] >= until else None
            if self._waiting is not None:
                return
            self._container.mux(timed[1])

    def finish(self, end: float) -> None:
        """Writes what is heard up to the picture's end; all that is left where the picture is complete."""
        self.carry(math.inf if end >= self._picture_end() - TAIL_S else end)

    def close(self) -> None:
        """Gives the source back."""
        self._source.close()

    def _next(self) -> Timed | None:
        try:
            return next(self._packets, None)
        except av.FFmpegError as error:
            logger.warning("the sound of %s breaks off: %s", self._path, error.strerror)
            return None

    def _picture_end(self) -> float:
        """Where the source's picture ends, seconds on its timeline; infinitely far where nobody knows."""
        for stream in self._source.streams.video:
            if stream.duration is not None and stream.time_base is not None:
                return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - self._origin
        return self._source.duration / av.time_base if self._source.duration else math.inf

    def _from(self, heard: AudioStream) -> Iterator[Timed]:
        codec = heard.codec_context
        name = codec.codec.canonical_name
        if name in COPIED and (codec.extradata or name != "aac"):  # AAC without it is not made for MP4
            return self._copied(heard, self._container.add_stream_from_template(heard))
        rate = codec.sample_rate if codec.sample_rate in AAC_RATES else 48000
        written = self._container.add_stream("aac", rate=rate)
        written.codec_context.layout = "mono" if codec.layout.nb_channels == 1 else "stereo"
        written.codec_context.bit_rate = 160_000
        return self._encoded(heard, written)

    def _copied(self, heard: AudioStream, written: AudioStream) -> Iterator[Timed]:
        for packet in self._source.demux(heard):
            if packet.pts is not None and packet.dts is not None:
                shift = round(self._origin / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = written
                yield float(packet.pts * packet.time_base), packet

    def _encoded(self, heard: AudioStream, written: AudioStream) -> Iterator[Timed]:
        for frame in self._source.decode(heard):
            if frame.pts is not None and frame.time_base is not None:
                frame.pts -= round(self._origin / frame.time_base)
            yield from _timed(written.encode(frame))
        yield from _timed(written.encode(None))


def _timed(packets: "list[Packet[AudioStream]]") -> Iterator[Timed]:
    for packet in packets:
        yield float((packet.pts or 0) * packet.time_base), packet
