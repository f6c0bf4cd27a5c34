"""The loops that live face swappers have, rebuilt small, on the same camera, models and composing as ours."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.glass_numbers import Arrival
from bench.tracking import RATE, path_of, shifted, speed_of
from realtime.carrying import Models, stages
from realtime.errors import EndOfStream, SourceMissing
from realtime.face.detect import open_detector
from realtime.face.face import Face, Glimpse
from realtime.face.geometry import Image
from realtime.face.landmarks import Landmarker
from realtime.face.match import place_of
from realtime.face.track import Tracker
from realtime.flow.owner import Owner
from realtime.flow.pipeline import Pipeline
from realtime.frame import Frame
from realtime.settings import Settings
from realtime.sinks.null import Null
from realtime.swap.compose import Composer, Swapped
from realtime.swap.swapper import Found, Swapper

POOL: Final = 4  # threads, as programs with a pool for the webcam set it
ROUND: Final = 30  # frames until the head is back where it began: half a second there, half a second back
STEADY: Final = 5  # frames without a turn before one whose lag counts
LEAVE_S: Final = 60.0  # what a loop gets at the end for the frames that it is at


@dataclass(frozen=True, slots=True)
class Head:
    """A camera's pictures of a head that moves to and fro by a face-width a second, and where it is in each."""

    pictures: tuple[Image, ...]  # ROUND of them, (h, w, 3) BGR
    offsets: NDArray[np.float64]  # (ROUND,) px to the right of its middle place
    fps: float

    @classmethod
    def of(cls, picture: Image, tracker: Tracker, fps: float) -> "Head":
        """The head in a picture, filmed at so many frames a second. Raises SourceMissing where there is none."""
        found = [tracker(Frame(picture, index, index / RATE)) for index in range(10)]
        tracker.reset()
        if not found[-1]:
            raise SourceMissing("the picture shows no face to move")
        step = speed_of([faces[0] for faces in found if faces]) / RATE
        return cls(tuple(shifted(picture, [faces[0] for faces in found if faces], ROUND)), path_of(ROUND) * step, fps)

    def index_at(self, number: int) -> int:
        """Which of the pictures frame `number` shows: at higher rates several frames show one place."""
        return round(number * RATE / self.fps) % ROUND

    def lag(self, drawn: Mapping[int, float]) -> float:
        """How many px the drawn face is behind the head, by the numbers of frames and the px where it was drawn.

        Half of the difference between both ways, so that what pulls it always to one side does not count; NaN where
        one way is missing. Frames shortly after a turn are left out.
        """
        direction = np.sign(np.diff(path_of(2 * ROUND + 1)))[:ROUND]
        behind: dict[float, list[float]] = {1.0: [], -1.0: []}
        for number, x in drawn.items():
            place = self.index_at(number)
            way = float(direction[place - 1])
            if all(direction[place - 1 - back] == way for back in range(STEADY)):
                behind[way].append(self.offsets[place] - x)
        if not all(behind.values()):
            return float("nan")
        return (float(np.mean(behind[1.0])) - float(np.mean(behind[-1.0]))) / 2


class Camera:
    """The head at the camera's speed: frame n is captured n / fps seconds after the start."""

    def __init__(self, head: Head, seconds: float) -> None:
        self._head = head
        self._begin = time.perf_counter()
        self._end = round(seconds * head.fps)
        self._next = 0

    def frame(self, number: int) -> Frame:
        """The frame of that number, captured when its time came."""
        picture = self._head.pictures[self._head.index_at(number)]
        return Frame(picture, number, self._begin + number / self._head.fps)

    def read(self, newest: bool = True) -> Frame | None:
        """Waits for the next frame (the newest, as from a driver that keeps one, or each); None at the end."""
        behind = int((time.perf_counter() - self._begin) * self._head.fps) if newest else 0
        number = max(self._next, behind)
        if number >= self._end:
            return None
        self._next = number + 1
        frame = self.frame(number)
        time.sleep(max(0.0, frame.captured_at - time.perf_counter()))
        return frame


class Live(Owner):
    """The camera as a source of the pipeline."""

    live = True

    def __init__(self, camera: Camera) -> None:
        super().__init__("camera")
        self._camera = camera

    async def _acquire(self, opening: AsyncExitStack) -> None:
        """It is there."""

    async def read(self) -> Frame:
        """The next frame. Raises EndOfStream."""
        frame = await self._worker.run(self._camera.read)
        if frame is None:
            raise EndOfStream("the camera's time is over")
        return frame


class Watched(Null):
    """Where faces were drawn and when frames came out."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.drawn: dict[int, float] = {}  # px, by number of the frame

    def note(self, frame: Frame) -> None:
        """This frame is out."""
        self.arrivals.append(Arrival(frame.index, frame.captured_at, time.perf_counter()))

    async def write(self, frame: Frame) -> None:
        """Notes it, as the sink of a pipeline."""
        self.note(frame)


class Often:
    """A tracker made to do as others do: the detector in every so many frames, the same landmarks in between."""

    def __init__(self, tracker: Tracker, every: int) -> None:
        self._tracker = tracker
        self._every = every
        self._count = 0
        self._faces: tuple[Face, ...] = ()

    @property
    def detector_runs(self) -> int:
        """Of the tracker."""
        return self._tracker.detector_runs

    @property
    def glimpses(self) -> tuple[Glimpse, ...]:
        """Of the tracker."""
        return self._tracker.glimpses

    def cut(self) -> None:
        """Nothing is remembered but the last faces, which stay."""

    def holds(self, frame: Frame) -> bool:
        """They read every frame."""
        return False

    @contextmanager
    def looking_aside(self) -> Iterator[None]:
        """They have no such thing."""
        yield

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        if self._count % self._every == 0:
            self._tracker.reset()
            self._faces = self._tracker(frame)
        self._count += 1
        return self._faces


Work = Callable[[Frame], Frame]


class Bench:
    """The same models for every loop, and what a frame's work is in each."""

    def __init__(self, settings: Settings, head: Head, seconds: float) -> None:
        self._settings = settings
        self._models = Models.load(settings)
        self._detector = open_detector(settings.detector, settings.threads)
        self._landmarker = Landmarker.load(settings.tracking.landmarks, settings.session)
        self.head = head
        self.seconds = seconds

    def work(self, watched: Watched, every: int = 1) -> Work:
        """Detect (in every so many frames), swap, compose: all of it in the thread that calls."""
        tracker = Often(Tracker(self._detector, self._landmarker, self._settings.tracking), every)
        swapper = Swapper(tracker, self._models.shelf, self._models.identity, self._settings.fallback)
        composer = Composer(self._settings.fallback, self._settings.composing)

        def once(frame: Frame) -> Frame:
            swapped = swapper(frame)
            for one in swapped.faces[:1]:
                watched.drawn[frame.index] = place_of(one.face.to_template).x
            return composer(swapped)

        return once

    def sequential(self, watched: Watched, every: int = 1) -> None:
        """One loop: read, detect, swap, show; the detector in every frame."""
        work, camera = self.work(watched, every), Camera(self.head, self.seconds)
        while (frame := camera.read()) is not None:
            watched.note(work(frame))

    def stale(self, watched: Watched) -> None:
        """One loop; the detector in every other frame, and the last landmarks in the one between."""
        self.sequential(watched, every=2)

    def pool(self, watched: Watched) -> None:
        """A pool takes every frame, however many wait; frames leave as they are done."""
        own, ended = threading.local(), threading.Event()

        def once(frame: Frame) -> None:
            if ended.is_set():
                return
            if not hasattr(own, "work"):
                own.work = self.work(watched)
            watched.note(own.work(frame))

        camera = Camera(self.head, self.seconds)
        with ThreadPoolExecutor(POOL) as workers:
            while (frame := camera.read(newest=False)) is not None:
                workers.submit(once, frame)
            ended.set()
            workers.shutdown(cancel_futures=True)

    def thread_each(self, watched: Watched) -> None:
        """A thread for every frame; frames leave as they are done."""
        spare: queue.SimpleQueue[Work] = queue.SimpleQueue()  # of threads that have ended
        ended, threads = threading.Event(), []

        def once(frame: Frame) -> None:
            if ended.is_set():
                return
            try:
                work = spare.get_nowait()
            except queue.Empty:
                work = self.work(watched)
            watched.note(work(frame))
            spare.put(work)

        camera = Camera(self.head, self.seconds)
        while (frame := camera.read(newest=False)) is not None:
            threads.append(threading.Thread(target=once, args=(frame,), daemon=True))
            threads[-1].start()
        ended.set()
        until = time.perf_counter() + LEAVE_S
        for thread in threads:
            thread.join(max(0.0, until - time.perf_counter()))

    def in_recv(self, watched: Watched) -> None:
        """A queue without an end takes every frame; the work happens where each is fetched, one after the other."""
        waiting: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        ended = threading.Event()

        def fetch() -> None:
            work = self.work(watched)
            while (frame := waiting.get()) is not None and not ended.is_set():
                watched.note(work(frame))

        fetching = threading.Thread(target=fetch, daemon=True)
        fetching.start()
        camera = Camera(self.head, self.seconds)
        while (frame := camera.read(newest=False)) is not None:
            waiting.put(frame)
        ended.set()
        waiting.put(None)
        fetching.join(LEAVE_S)

    def ours(self, watched: Watched) -> None:
        """The pipeline as `liveswap run` builds it: followed faces, a loop for each resource, the newest frame only."""
        models = self._models
        swapper = Swapper(models.tracker, models.shelf, models.identity, self._settings.fallback)
        composer = Composer(self._settings.fallback, self._settings.composing)

        def swap(found: Found) -> Swapped:
            swapped = swapper.draw(found)
            for one in swapped.faces[:1]:
                watched.drawn[found.frame.index] = place_of(one.face.to_template).x
            return swapped

        async def carry() -> None:
            async with Live(Camera(self.head, self.seconds)) as source, watched:
                with models.tracker.looking_aside():
                    await Pipeline(source, stages(swapper.find, swap, composer), watched).run()

        asyncio.run(carry())
