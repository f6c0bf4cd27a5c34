"""`liveswap verify`: the command."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import cv2
import typer
from rich.console import Console

from realtime.egress.session_log import entries, usual_place
from realtime.errors import SettingsError
from realtime.leaving import ended_at_once
from realtime.options import ModelFolder
from realtime.sources.limits import check_asked
from realtime.status import speak
from realtime.swap.contract import DRAWING, Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import MODELS, SIZES, model_files, place_of_size
from realtime.verify import screen
from realtime.verify.judge import STRETCH_S, Judge
from realtime.verify.pictures import Reel, is_stream, sequence, stills
from realtime.verify.report import Finding, Report
from realtime.verify.written import written

STREAM_S = 30.0  # of a stream, unless something else is asked for


def verify(
    target: Annotated[str, typer.Argument(metavar="FILE|FOLDER|URL", help="A video, a picture, pictures or a stream.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Look at so much of it; 30 of a stream, all of a file.")
    ] = None,
    stretch: Annotated[float, typer.Option(metavar="SECONDS", help="How long each stretch is.")] = STRETCH_S,
    fps: Annotated[
        float | None, typer.Option(metavar="RATE", help="The folder's pictures are those of a film of this rate.")
    ] = None,
    models: ModelFolder = None,
    session_log: Annotated[
        bool, typer.Option("--session-log", help="Look the sessions up that your own session log knows.")
    ] = False,
) -> None:
    """Say whether a recording carries our mark, and what it says; exit code 0: marked, 3: not, 2: unreadable."""
    speak(0)
    check_asked(None, None, fps)
    for name, seconds in (("duration", duration), ("stretch", stretch)):
        if seconds is not None and not 0 < seconds <= 86_400:
            raise SettingsError(f"{name} is {seconds:g} s, wanted more than 0 and at most a day")
    log = entries(usual_place()) if session_log else None
    cv2.setNumThreads(0)
    with ended_at_once():
        found = judged(target, Judge(digests(None if models is None else Path(models))), duration, stretch, fps)
    found = replace(found, findings=(*found.findings, *written(found, log)))
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        screen.show(found, Console())
    if found.code:
        raise typer.Exit(found.code)


def judged(target: str, judge: Judge, duration: float | None, stretch: float, fps: float | None) -> Report:
    """What is found in a target. Raises SourceMissing and SourceError."""
    pictures = stills(target)
    if pictures and fps is None:
        return Report(target, tuple(judge.picture(path) for path in pictures))
    if pictures and fps is not None:
        film = judge.film(sequence(pictures, fps), stretch)
        return Report(target, tuple(film), film.together)
    limit = STREAM_S if duration is None and is_stream(target) else duration
    with Reel(target, limit) as reel:
        film = judge.film(reel, stretch)
        stretches = tuple(film)
    broken = (Finding("file", f"it breaks off or is damaged: {reel.broken}"),) if reel.broken else ()
    return Report(target, stretches, film.together, broken)


def digests(models: Path | None) -> dict[str, str]:
    """The names of the identities on the shelf, in every size, by the digests of their models. Raises ModelError."""
    found = {}
    for size in SIZES:
        folder = place_of_size(models or MODELS, size)
        for path in model_files(folder) if models is None or folder.is_dir() else ():
            file = ModelFile.read(path)
            contract = Contract.from_metadata(file.metadata, path.name)
            if contract.role in DRAWING:
                found[file.digest()] = contract.identity
    return found
