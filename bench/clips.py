"""Clips to measure with, made from another one: of any size, rate and length, with one face or four."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from bench.counts import frames_of
from realtime.errors import SourceMissing
from realtime.face.geometry import Image, Matrix
from realtime.face.track import Tracker

MOST: Final = 150  # frames of the clip that are used: five seconds, which go forwards and backwards
LOOKED_AT: Final = 15  # of them, to know how large the face is and where


@dataclass(frozen=True, slots=True)
class Scene:
    """What a clip is to show."""

    width: int = 1280
    height: int = 720
    fps: int = 30
    face_px: float = 300.0  # between the ears
    tiles: int = 1  # on a side: with two, four people beside and above each other


@dataclass(frozen=True, slots=True)
class Footage:
    """Pictures of one face, and how large it is and where."""

    pictures: Sequence[Image]
    face_px: float  # between the ears
    centre: tuple[float, float]  # px

    @classmethod
    def read(cls, source: Path, tracker: Tracker) -> "Footage":
        """The first pictures of a clip. Raises SourceMissing where there is none, or no face in it."""
        frames = list(frames_of(source, MOST))
        found = [faces[0] for frame in frames[:LOOKED_AT] if (faces := tracker(frame))]
        if not found:
            raise SourceMissing(f"{source} shows no face, wanted one to measure with")
        widths = [float(np.ptp(face.landmarks[:17, 0])) for face in found]
        x, y = np.median([face.landmarks.mean(0) for face in found], axis=0).tolist()
        return cls([frame.image for frame in frames], float(np.median(widths)), (x, y))

    def pictures_of(self, scene: Scene) -> Iterator[Image]:
        """What the scene shows, forwards and then backwards, so that it can go round without a cut."""
        count = len(self.pictures)
        way = [*range(count), *range(count - 2, 0, -1)]
        size = scene.width // scene.tiles, scene.height // scene.tiles
        matrix = self._matrix(scene.face_px, *size)
        places = range(scene.tiles**2)
        for now in range(len(way)):
            shown = (self.pictures[way[(now + place * len(way) // len(places)) % len(way)]] for place in places)
            tiles = [cv2.warpAffine(each, matrix, size, borderMode=cv2.BORDER_REPLICATE) for each in shown]
            rows = [np.hstack(tiles[row : row + scene.tiles]) for row in range(0, len(tiles), scene.tiles)]
            yield np.asarray(np.vstack(rows), np.uint8)

    def _matrix(self, face_px: float, width: int, height: int) -> Matrix:
        """Pixels of the pictures to those of a tile: the face so large, in its middle."""
        scale = face_px / self.face_px
        x, y = self.centre
        return np.array([[scale, 0, width / 2 - scale * x], [0, scale, height / 2 - scale * y]], np.float32)


def write_clip(path: Path, footage: Footage, scene: Scene, seconds: float) -> Path:
    """A file of so many seconds of the scene, or a little more: one round is encoded, and written again and again."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=scene.fps, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = scene.width, scene.height, "yuv420p"
        wanted = math.ceil(seconds * scene.fps)
        rounds = [
            packet
            for picture in itertools.islice(footage.pictures_of(scene), wanted)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24"))
        ]
        rounds += stream.encode(None)
        for number, packet in zip(range(wanted), itertools.cycle([bytes(one) for one in rounds]), strict=False):
            container.mux(_packet(packet, number, number % len(rounds) == 0, stream, scene.fps))
    return path


def _packet(data: bytes, number: int, key: bool, stream: VideoStream, fps: int) -> "av.Packet[VideoStream]":
    packet = cast("av.Packet[VideoStream]", av.Packet(data))
    packet.stream, packet.time_base = stream, Fraction(1, fps)
    packet.pts = packet.dts = number
    packet.duration = 1
    packet.is_keyframe = key
    return packet
