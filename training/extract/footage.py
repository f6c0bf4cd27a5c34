"""What a user films with: videos, pictures and folders of both, cut into parts that are looked at side by side."""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from realtime.errors import EndOfStream, LiveswapError, SourceError, SourceMissing
from realtime.frame import Frame
from realtime.sources.folder import pictures_of
from realtime.sources.still import PICTURES, load_picture
from realtime.sources.video_file import Film

PART: Final = 15.0  # seconds of video that one part covers
PICTURES_IN_PART: Final = 64
VIDEOS: Final = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mts", ".ts", ".webm", ".wmv"})


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of one video, or some pictures."""

    paths: tuple[Path, ...]  # one video, or pictures in their order
    begins: float  # seconds of the video, or the number of the first picture
    ends: float  # excluded; inf for the last part of a video
    weight: int  # frames, about
    moving: bool  # a video

    @property
    def source(self) -> str:
        """The file's name, or that of the pictures' folder."""
        return self.paths[0].name if self.moving else self.paths[0].parent.name or "pictures"


def parts_of(places: Sequence[Path]) -> tuple[Part, ...]:
    """The parts of videos, pictures and folders. Raises SourceError for what is none of these."""
    videos, pictures = _sorted_out(places)
    found = [part for video in videos for part in _of_video(video)]
    for first in range(0, len(pictures), PICTURES_IN_PART):
        some = tuple(pictures[first : first + PICTURES_IN_PART])
        found.append(Part(some, first, first + len(some), len(some), moving=False))
    return tuple(found)


def frames_of(part: Part) -> Iterator[Frame]:
    """The frames of a part in their order; `at` is the time in the video in seconds, or the picture's number."""
    if not part.moving:
        for number, path in enumerate(part.paths, int(part.begins)):
            yield Frame(load_picture(path), number, float(number), float(number))
        return
    with closing(Film(part.paths[0])) as film:
        if part.begins > 0:
            film.seek(part.begins)
        while True:
            try:
                shot = film.next()
            except EndOfStream:
                return
            if shot.at >= part.ends - 1e-6:
                return
            if shot.at >= part.begins - 1e-6:
                yield Frame(film.picture(shot, None, None), shot.index, shot.at, shot.at)


def _sorted_out(places: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Videos and pictures."""
    videos: list[Path] = []
    pictures: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = sorted(path for path in place.iterdir() if path.suffix.lower() in VIDEOS)
            videos += inside
            try:
                pictures += pictures_of(place)
            except SourceMissing:
                if not inside:
                    raise SourceMissing(f"{place} holds neither videos nor pictures") from None
        elif place.suffix.lower() in PICTURES:
            pictures.append(place)
        else:
            videos.append(place)
    names = [path.name for path in videos]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LiveswapError(f"two videos are called {twice[0]}, wanted names that differ")
    return videos, pictures


def _of_video(path: Path) -> list[Part]:
    """Raises SourceError for a file that is no video."""
    with closing(Film(path)) as film:
        seconds, rate = film.seconds, film.rate
        can_wind = seconds > 1.5 * PART and _winds(film, path)
    count = max(1, math.floor(seconds / PART)) if can_wind else 1
    weight = max(1, round((seconds or PART) * rate / count))
    ends = [PART * number for number in range(1, count)]
    return [
        Part((path,), begins, end, weight, moving=True)
        for begins, end in zip([0.0, *ends], [*ends, math.inf], strict=True)
    ]


def _winds(film: Film, path: Path) -> bool:
    """Whether the film can be begun in its middle."""
    try:
        film.seek(PART)
        return film.next().at <= PART + 1e-6
    except (SourceError, EndOfStream):
        return False
