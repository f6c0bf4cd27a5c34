"""The `liveswap` command: flags become settings, and settings a run, the demo or a server."""

if __name__ == "__main__":  # python -m realtime: signals have an answer before the heavy imports begin
    from realtime.entry import main as enter

    enter()

import asyncio
import importlib.metadata
import signal
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import cv2
import typer
from rich.console import Console

from realtime import album, cards, options, roster
from realtime import report as reports
from realtime.carrying import Models, carry, make_folder, no_keys
from realtime.cores import usable
from realtime.devices import devices
from realtime.doctor.command import doctor
from realtime.errors import LiveswapError, MissingExtra, SettingsError
from realtime.flow.meters import Meters
from realtime.keys import Keyboard, typed
from realtime.leaving import INTERRUPTED
from realtime.places import cache_folder
from realtime.settings import Settings, load
from realtime.sign import sign
from realtime.sinks.writable import check_writable
from realtime.status import speak
from realtime.swap.choices import Choices
from realtime.swap.identity import Shelf
from realtime.verify.command import verify

DEMO: Final = Path(__file__).resolve().parent / "assets" / "demo.mp4"
DEMO_MOMENT: Final = 120  # the frame that out/demo.jpg shows, or the nearest one before it with a face
SENTENCE: Final = 2  # exit code after an expected fault

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(roster.app, name="identities")
app.command("import-dfm")(cards.import_dfm)
Built = TypeVar("Built")


def main() -> None:
    """The console script. An expected fault is one sentence on stderr and exit code 2; others keep their traceback."""
    try:
        app()
    except LiveswapError as error:
        typer.echo(f"liveswap: {error}", err=True)
        sys.exit(SENTENCE)


@app.command()
def run(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="0|/dev/video0|NAME|rtsp://...|screen:|FILE|FOLDER", help="A camera, a video or pictures."
        ),
    ] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(metavar="virtualcam|FILE|null", help="Where frames go; may be given several times."),
    ] = None,
    identity: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE.onnx",
            help="Who the faces become; by place as well: left=NAME,right=NAME, 1st=NAME, or by track: #2=NAME.",
        ),
    ] = None,
    models: options.ModelFolder = None,
    revoked: options.Revoked = None,
    size: options.NetworkSize = None,
    live: Annotated[
        bool | None, typer.Option("--live/--no-live", help="Play a file at its own speed and drop what is late.")
    ] = None,
    duration: Annotated[float | None, typer.Option(metavar="SECONDS", help="End after so long.")] = None,
    width: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="Asked of a camera; a file's pictures are fitted into it.")
    ] = None,
    height: Annotated[int | None, typer.Option(metavar="PIXELS", help="Likewise.")] = None,
    fps: Annotated[
        float | None, typer.Option(metavar="RATE", help="Frames in a second, of a camera or pictures.")
    ] = None,
    fit: Annotated[
        str | None, typer.Option(metavar="letterbox|crop", help="How pictures of another shape come into a size.")
    ] = None,
    on_camera_lost: Annotated[
        str | None,
        typer.Option(metavar="card|hold|stop", help="What is shown until a lost camera is back, or the end."),
    ] = None,
    no_face: Annotated[
        str | None, typer.Option(metavar="pass|hold|blank|blur", help="What is shown while there is no face.")
    ] = None,
    unsure: options.Unsure = None,
    tail: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How long the place of a lost face is unsure.")
    ] = None,
    others: Annotated[
        str | None, typer.Option(metavar="blur|pass", help="What is shown of faces that no identity is chosen for.")
    ] = None,
    faces: Annotated[
        int | None, typer.Option(metavar="N", help="Swap at most so many, the largest first; 4, or as many as named.")
    ] = None,
    fade: Annotated[float | None, typer.Option(metavar="SECONDS", help="How long a change of identity takes.")] = None,
    colour: Annotated[
        bool | None, typer.Option("--colour/--no-colour", help="Give the face the scene's light and colours.")
    ] = None,
    grain: Annotated[
        bool | None, typer.Option("--grain/--no-grain", help="Give the face the camera's noise and softness.")
    ] = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    precision: options.Precision = None,
    fused: Annotated[
        bool | None, typer.Option("--fused/--no-fused", help="Draw whole frames with one model, for graphics cards.")
    ] = None,
    cuda_graphs: options.CudaGraphs = None,
    threads: options.Threads = None,
    cores: options.Cores = None,
    preview: Annotated[bool | None, typer.Option("--preview/--no-preview", help="Show a window as well.")] = None,
    label: options.Labelled = None,
    i_disclose: options.Disclosed = None,
    label_language: options.LabelLanguage = None,
    label_style: options.LabelStyle = None,
    label_size: options.LabelSize = None,
    label_corner: options.LabelCorner = None,
    signing: options.Signing = None,
    session_log: options.Logged = None,
    config: options.Config = None,
    report: Annotated[str | None, typer.Option(metavar="FILE.json", help="Write the numbers of the run.")] = None,
    verbose: options.Verbose = 0,
) -> None:
    """Swap the faces of a camera, a video or pictures; keys 1 to 9 switch identities, q or Ctrl-C ends it."""
    console = speak(verbose)
    names = {field.name for field in fields(Settings)}
    flags = {name: value for name, value in context.params.items() if name in names}  # flags are named as settings are
    lists = {"sink": tuple(sink) if sink else None, "identity": ",".join(identity) if identity else None}
    settings = load(config, {**flags, **lists})
    perform(settings, console, keyboard=typed)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where demo.mp4 and demo.jpg go.")] = Path("out"),
    identity: Annotated[str | None, typer.Option(metavar="NAME|FILE.onnx", help="Who the face becomes.")] = None,
    clip: Annotated[Path, typer.Option(metavar="FILE", help="Another clip than the bundled one.")] = DEMO,
    models: options.ModelFolder = None,
    verbose: options.Verbose = 0,
) -> None:
    """Swap the face in the bundled clip, at camera speed, as from a webcam."""
    console = speak(verbose)
    video, picture = out / "demo.mp4", out / "demo.jpg"
    flags = {"source": str(clip), "live": True, "sink": (str(video),), "identity": identity, "models": models}
    make_folder(out)
    pictures = album.Album(DEMO_MOMENT)
    numbers = perform(load(None, flags), console, pictures)
    if not pictures.save(picture):
        raise LiveswapError(f"no face was found in {clip}, so there is no before and after")
    plain = Console()
    plain.print(reports.table(numbers, f"{clip.name} as {numbers['identity']}"))
    plain.print(f"{video}  the swapped clip\n{picture}  before and after")


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0 for the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="0 for any free one.")] = 8080,
    token: Annotated[
        str,
        typer.Option(metavar="SECRET", envvar="LIVESWAP_TOKEN", help="What clients have to know.", show_envvar=True),
    ] = "",
    certfile: Annotated[str, typer.Option(metavar="FILE.pem", help="A certificate turns HTTPS on.")] = "",
    keyfile: Annotated[str, typer.Option(metavar="FILE.pem", help="Its key, where it has a file of its own.")] = "",
    origins: Annotated[
        list[str] | None,
        typer.Option("--origin", metavar="https://HOST", help="Another name of this server, or a page that may call."),
    ] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="Clients are who X-Forwarded-For says, for the limits.")
    ] = False,
    workers: Annotated[
        int, typer.Option(metavar="N", help="Processes that sessions are spread over; 1 for this one alone.")
    ] = 1,
    max_sessions: Annotated[int, typer.Option(metavar="N", help="At once, of all workers together.")] = 4,
    turn_away: Annotated[
        bool,
        typer.Option("--turn-away/--no-turn-away", help="Nobody else while sessions lose two of three frames."),
    ] = True,
    most_viewers: Annotated[int, typer.Option(metavar="N", help="Of each session.")] = 8,
    offers_per_minute: Annotated[int, typer.Option(metavar="N", help="Of each client.")] = 60,
    ice_servers: Annotated[
        list[str] | None,
        typer.Option("--ice-server", metavar="stun:HOST|turn:USER:PASSWORD@HOST", help="Finds ways through routers."),
    ] = None,
    width: Annotated[int, typer.Option(metavar="PIXELS", help="Of the largest picture sent back.")] = 1280,
    height: Annotated[int, typer.Option(metavar="PIXELS", help="Likewise.")] = 720,
    fps: Annotated[int, typer.Option(metavar="RATE", help="Frames in a second, at most.")] = 30,
    start_kbps: Annotated[int, typer.Option(metavar="N", help="Video bitrate at the start.")] = 1800,
    least_kbps: Annotated[int, typer.Option(metavar="N", help="It does not fall below.")] = 300,
    most_kbps: Annotated[int, typer.Option(metavar="N", help="It does not rise above.")] = 4000,
    identity: Annotated[str | None, typer.Option(metavar="NAME", help="Who is shown until a client chooses.")] = None,
    models: options.ModelFolder = None,
    revoked: options.Revoked = None,
    size: options.NetworkSize = None,
    unsure: options.Unsure = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    precision: options.Precision = None,
    fused: Annotated[
        bool | None, typer.Option("--fused/--no-fused", help="One model draws whole frames of all sessions together.")
    ] = None,
    cuda_graphs: options.CudaGraphs = None,
    threads: options.Threads = None,
    cores: options.Cores = None,
    label: options.Labelled = None,
    i_disclose: options.Disclosed = None,
    label_language: options.LabelLanguage = None,
    label_style: options.LabelStyle = None,
    label_size: options.LabelSize = None,
    label_corner: options.LabelCorner = None,
    session_log: options.Logged = None,
    config: options.Config = None,
    verbose: options.Verbose = 0,
) -> None:
    """Serve a page whose camera picture comes back swapped, and WHIP and WHEP for other programs."""
    speak(verbose)
    try:
        from realtime.webrtc import media, server, studio
    except ImportError as error:
        raise MissingExtra(f"liveswap serve needs more packages ({error}): pip install 'liveswap[webrtc]'") from error
    asked = picked(server.ServeSettings, context.params)
    pictures = picked(media.MediaSettings, context.params)
    settings = load(config, {name: context.params.get(name) for name in named(Settings)})
    if asked.workers > 1:
        serve_with_workers(settings, pictures, asked, threads, verbose)
    cv2.setNumThreads(settings.threads)
    try:
        ours = studio.Studio.load(settings, pictures)
        say_choice(settings, ours.shelf)
        ours.settle()
        ended_by = asyncio.run(server.serve(ours, asked, typer.echo))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED + signal.SIGINT) from None
    raise typer.Exit(INTERRUPTED + ended_by)


def serve_with_workers(settings: Settings, media: Any, asked: Any, threads: int | None, verbose: int) -> NoReturn:
    """Serves with several processes, which load the models; each takes its share of the cores unless told otherwise."""
    from realtime.webrtc import front, server, workers

    if threads is None:
        share = workers.threads_each(settings.threads, asked.workers, usable())
        settings = replace(settings, threads=share)
    try:
        serving = server.served(front.listening(settings, media, asked, verbose), asked, typer.echo)
        ended_by = asyncio.run(serving)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED + signal.SIGINT) from None
    raise typer.Exit(INTERRUPTED + ended_by)


def named(kind: type[Any]) -> tuple[str, ...]:
    """The fields of a dataclass of settings."""
    return tuple(field.name for field in fields(kind))


def picked(kind: type[Built], flags: Mapping[str, Any]) -> Built:
    """Settings made from the flags that are named as they are; lists as tuples. Raises SettingsError."""
    values = {name: flags[name] for name in named(kind) if flags.get(name) is not None}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


app.command()(devices)
app.command()(doctor)
app.command()(sign)
app.command()(verify)


def say_version(wanted: bool) -> None:
    """Says the version and ends, where it is wanted."""
    if wanted:
        typer.echo(f"liveswap {importlib.metadata.version('liveswap')}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=say_version, is_eager=True, help="Say the version and end.")
    ] = False,
) -> None:
    """A person on camera becomes somebody else, live."""


def perform(
    settings: Settings, console: Console, pictures: album.Album | None = None, keyboard: Keyboard = no_keys
) -> dict[str, Any]:
    """One run, from loading to its report; the numbers. Ends the program with 130 after Ctrl-C."""
    if settings.report:
        check_writable(Path(settings.report))
    cv2.setNumThreads(settings.threads)
    meters = Meters()
    try:
        choices = choices_of(settings)
        models = Models.load(settings, choices)
        choices.keep()
        say_choice(settings, models.shelf)
        say_measured(choices)
        ended_by = asyncio.run(carry(settings, models, meters, console, pictures, keyboard=keyboard))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED + signal.SIGINT) from None
    numbers = reports.report(meters, models.identity, models.shelf.encoder.provider, models.precision)
    if settings.report:
        reports.write(Path(settings.report), numbers)
    if ended_by:
        raise typer.Exit(INTERRUPTED + ended_by)
    return numbers


def say_choice(settings: Settings, shelf: Shelf) -> None:
    """Where the models run, on stderr, where that is not the processor and nobody has said so."""
    if settings.provider == "auto" and shelf.encoder.provider != "cpu":
        typer.echo(f"the models run on {shelf.encoder.provider}, chosen by --provider auto", err=True)


def choices_of(settings: Settings) -> Choices:
    """What is known of this machine's quickest arithmetic for each model."""
    own = reports.machine()
    version = importlib.metadata.version("onnxruntime") if "onnxruntime" in reports.versions() else ""
    machine = f"{own['processor']}, {own['cores']} cores, onnxruntime {version}, {settings.threads} threads"
    try:
        return Choices(cache_folder() / "precision.json", machine)
    except SettingsError:  # nobody's home is known
        return Choices(None, machine)


def say_measured(choices: Choices) -> None:
    """What was chosen just now, on stderr; a later start says nothing."""
    if choices.measured:
        each = " and ".join(f"{count} in {chosen}" for chosen, count in sorted(choices.measured.items()))
        typer.echo(f"of the 8-bit models {each}, measured on this machine once; --precision overrides", err=True)
