"""`liveswap doctor`: the command."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from realtime.doctor import checkup, screen
from realtime.status import speak

SICK = 1  # exit code where the default run would not work


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    picture: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Write the screen as a picture too.")] = None,
) -> None:
    """Say what this machine can do, what is wrong with it, and what helps; exit code 1 where `run` would not work."""
    speak(0)
    found = tuple(checkup.checkup())
    if as_json:
        typer.echo(json.dumps(checkup.as_dict(found), indent=2))
    else:
        screen.show(found, Console())
    if picture is not None:
        screen.picture(found, picture)
    if not checkup.works(found):
        raise typer.Exit(SICK)
