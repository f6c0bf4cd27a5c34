"""The flags that a command has."""

import typer
from typer.main import get_command


def flags_of(app: typer.Typer, name: str) -> set[str]:
    """All spellings of the flags of one of the app's commands."""
    command = get_command(app)
    found = getattr(command, "commands")[name]  # noqa: B009  (click's type is private to typer)
    return {flag for one in found.params for flag in (*one.opts, *one.secondary_opts)}
