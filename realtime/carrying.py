"""One run: settings become objects, and frames go from the source to the sinks. The only place that builds those."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console

from realtime import album
from realtime.cores import held_to, keep_to, placement
from realtime.egress.door import Door
from realtime.errors import SinkError, SourceMissing
from realtime.face.track import Tracker
from realtime.flow.every import every
from realtime.flow.fitter import Fitter
from realtime.flow.meters import Meters
from realtime.flow.pipeline import Pipeline, Source, Stage
from realtime.flow.standing import Standing
from realtime.frame import Frame
from realtime.keys import Controls, Keyboard
from realtime.settings import Settings
from realtime.signals import Ending
from realtime.sinks.fan_out import FanOut
from realtime.sinks.open import is_virtual_camera, open_sink
from realtime.sources.open import open_source
from realtime.sources.reopening import Reopening
from realtime.sources.still import Still
from realtime.sources.video_file import VideoFile
from realtime.status import shown
from realtime.swap.casting import Casting
from realtime.swap.choices import Choices
from realtime.swap.compose import Composer
from realtime.swap.fused.fit import FusedFit
from realtime.swap.fused.identity import Fusing
from realtime.swap.identity import Shelf
from realtime.swap.session import SessionSettings
from realtime.swap.swapper import Finder, Swapper, unswapped

logger = logging.getLogger(__name__)

CONSENT_S: Final = 1.0  # between two looks at whether those who are shown may still be
# What goes from one stage to the next is Any: a Found or Swapped, or what stands in for one while the camera is away.
Group = Callable[[Callable[[Frame], Any], Callable[[Any], Any], Callable[[Any], Frame]], list[Stage[Any, Any]]]


@dataclass(frozen=True, slots=True)
class Models:
    """What is loaded and warm before the first frame."""

    shelf: Shelf
    tracker: Finder
    identity: str  # who the faces become: names on the shelf, in the words of the settings

    @classmethod
    def load(cls, settings: Settings, choices: Choices | None = None) -> "Models":
        """The models that the settings name, their threads on the cores of the settings.

        choices knows, or measures now, in which arithmetic each runs faster; None leaves them as their files are.
        Raises ModelError, MissingExtra and SettingsError.
        """
        with held_to(placement(settings.cores, settings.threads).cores):
            return cls._loaded(settings, replace(settings.session, choices=choices))

    @classmethod
    def _loaded(cls, settings: Settings, session: SessionSettings) -> "Models":
        names = [name for name in settings.casting.names if not name.endswith(".onnx")]
        opening = Fusing(settings.session, settings.cuda_graphs) if settings.fused else None
        shelf = Shelf.load(settings.folder, session, names, settings.consent, opening)
        casting = settings.casting.renamed(shelf.name_of)
        return cls(shelf, Tracker.load(settings.tracking, session), str(casting))

    @property
    def precision(self) -> str:
        """Of the identities' weights: fp32, int8, or both."""
        names = Casting.parse(self.identity).names
        return ", ".join(sorted({card.precision for card in self.shelf.cards() if card.name in names}))


def stages(
    find: Callable[[Frame], Any], swap: Callable[[Any], Any], compose: Callable[[Any], Frame]
) -> list[Stage[Any, Any]]:
    """Which work shares a loop; `liveswap-bench stages` decides."""
    return [Stage("find", find), Stage("swap", swap), Stage("compose", compose)]


def no_keys(_: Callable[[str], None]) -> AbstractContextManager[bool]:
    """A keyboard that nobody types on."""
    return nullcontext(False)


async def carry(
    settings: Settings,
    models: Models,
    meters: Meters,
    console: Console | None = None,
    pictures: album.Album | None = None,
    group: Group = stages,
    keyboard: Keyboard = no_keys,
) -> int:
    """Carries the frames of one run from its source to its sinks; the signal that ended it, or 0.

    console gets the status line; pictures, where given, stands behind the gate beside the sinks; keyboard is where
    keys come from, besides a preview.
    """
    how = settings.fallback
    swapper = Swapper(models.tracker, models.shelf, models.identity, how, meters, settings.faces, settings.fade)
    controls = Controls(swapper, models.shelf)
    whole = FusedFit(settings.composing, meters.time) if settings.fused else None
    composer = Composer(settings.fallback, settings.composing, whole)
    size = settings.width, settings.height
    source = open_source(settings.source, settings.live, *size, settings.fps, settings.fit, settings.on_camera_lost)
    swap = swapper.draw if pictures is None else lambda found: pictures.note(swapper.draw(found))
    standing: Standing[Any] = Standing(swapper.find, composer, composer.instead)
    sound = source.path if isinstance(source, VideoFile) else None
    names = sinks_for(source, settings)
    fit = fitting(names, settings)
    sink = open_sink(names, source.live, sound, settings.fps or 30.0, controls.press)
    aside = models.tracker.looking_aside() if source.live else nullcontext()
    door = Door.of(settings, models.shelf.cards)
    prepare = partial(keep_to, placement(settings.cores, settings.threads).cores)
    ending = Ending()

    def look_at_consent() -> None:
        if why := swapper.look_at_consent():
            standing.forget()
            logger.warning("%s; the picture is blurred from now on, until somebody else is chosen", why)

    async def carried() -> None:
        async with found(source), door.gate(sink if pictures is None else album.Kept(sink, pictures), names) as gate:
            loops = group(standing.first, standing.between(swap), lambda item: fit(standing.last(item)))
            covers: Mapping[str, Callable[[Any], Any]] = {
                "find": unswapped,
                "swap": lambda found: unswapped(found.frame),
                "compose": lambda item: fit(standing.covered(item)),
            }
            pipeline = Pipeline(
                source, [stage.covered(covers) for stage in loops], gate, meters, settings.patience, prepare
            )
            with aside, ending.stopping(pipeline.stop), keyboard(controls.press) as heard:
                if heard and console is not None:
                    console.print(controls.hint)
                async with (
                    controls.obeyed(pipeline.stop),
                    every(CONSENT_S, "consent", look_at_consent),
                    shown(meters, lambda: swapper.identity, console),
                ):
                    await pipeline.run(settings.duration)

    ended_by = await ending.of(carried())
    if isinstance(sink, FanOut):
        meters.missed(dict(zip(names, sink.dropped, strict=True)))
    return ended_by


def fitting(sinks: Sequence[str], settings: Settings) -> Callable[[Frame], Frame]:
    """Brings every frame into one size where a sink or the settings want that; otherwise leaves it as it is."""
    cropped = settings.fit != "letterbox" and settings.width and settings.height
    if not cropped and not any(map(is_virtual_camera, sinks)):
        return lambda frame: frame
    return Fitter(settings.fit, settings.width, settings.height)


@asynccontextmanager
async def found(source: Source) -> AsyncIterator[Source]:
    """The source, open; where there is no camera, the error names what works without one."""
    async with AsyncExitStack() as opening:
        try:
            await opening.enter_async_context(source)
        except SourceMissing as error:
            if isinstance(source, Reopening):
                raise SourceMissing(f"{error}; without a camera, try `liveswap demo`") from error
            raise
        yield source


def sinks_for(source: Source, settings: Settings) -> tuple[str, ...]:
    """The sinks that were named; otherwise the window, the virtual camera for a camera, or a file under out/."""
    named = (*settings.sink, *(("preview",) if settings.preview and "preview" not in settings.sink else ()))
    if named:
        return named
    if isinstance(source, Reopening):
        return ("virtualcam",)
    identity = "-".join(Path(name).stem for name in settings.casting.names)
    path = Path("out") / f"{Path(settings.source).stem}-{identity}{'.png' if isinstance(source, Still) else '.mp4'}"
    make_folder(path.parent)
    typer.echo(f"no --sink was given: writing {path}", err=True)
    return (str(path),)


def make_folder(folder: Path) -> None:
    """Makes the folder where it is missing. Raises SinkError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"the folder {folder} cannot be made: {(error.strerror or str(error)).lower()}") from error
