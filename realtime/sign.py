"""`liveswap sign`: content credentials for a file that did not get them, because its program was killed."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from realtime import options
from realtime.egress.credentials import KINDS, Credentials, read
from realtime.egress.door import Door
from realtime.egress.record import Record
from realtime.egress.session_log import Entry, entries, usual_place
from realtime.errors import LiveswapError, SettingsError, SourceMissing
from realtime.settings import load
from realtime.status import speak
from realtime.swap.identity import Shelf


def sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording or a picture that liveswap wrote.")],
    signing: options.Signing = None,
    models: options.ModelFolder = None,
) -> None:
    """Add content credentials to a recording that was cut short; the session log says what is in it."""
    speak(0)
    settings = load(None, {"signing": signing, "models": models})
    check_unsigned(file)
    entry = entry_of(file, entries(usual_place()))
    shelf = Shelf.load(settings.folder, settings.session, keep=())
    credentials: Credentials = Door.of(settings, shelf.cards).credentials()
    began = datetime.fromisoformat(entry.began)
    credentials.add(file, Record(entry.session, began, entry.shown, disclosure=entry.disclosure))
    typer.echo(f"{file} has content credentials: {', '.join(entry.identities) or 'nobody'}, {entry.began}")


def check_unsigned(file: Path) -> None:
    """Raises SourceMissing, SettingsError or LiveswapError unless the file can be signed and is not."""
    if not file.is_file():
        raise SourceMissing(f"there is no file {file}")
    if file.suffix.lower() not in KINDS:
        raise SettingsError(f"{file} has no room for content credentials, wanted one of {', '.join(KINDS)}")
    seen = read(file)
    if seen is not None:
        raise LiveswapError(f"{file} has content credentials already, of {seen.signer or 'somebody unknown'}")


def entry_of(file: Path, log: tuple[Entry, ...]) -> Entry:
    """The last session that wrote the file. Raises LiveswapError where none did."""
    wrote = [entry for entry in log if str(file.absolute()) in entry.sinks]
    if not wrote:
        raise LiveswapError(f"the session log has no session that wrote {file.absolute()}, so nothing is known of it")
    return wrote[-1]
