"""What an operator sees while frames flow: one living line on a terminal, plain lines elsewhere."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.logging import RichHandler
from rich.text import Text

from realtime.flow.meters import Meters, Snapshot

TERMINAL_S: Final = 0.25  # seconds between two updates
PLAIN_S: Final = 5.0


def speak(verbose: int) -> Console:
    """The console on stderr, and what is logged to it: warnings, with 1 events as well, with 2 everything."""
    console = Console(stderr=True)
    handler: logging.Handler = logging.StreamHandler()
    if console.is_terminal:  # so that log lines stay above the living status line
        handler = RichHandler(console=console, show_path=False, show_time=verbose > 0)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(message)s", force=True)
    logging.getLogger("realtime").setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
    return console


@asynccontextmanager
async def shown(
    meters: Meters, title: Callable[[], str], console: Console | None, every: float | None = None
) -> AsyncIterator[None]:
    """Shows the meters inside `async with`; nothing without a console. every is the seconds between two lines.

    title is asked for each line, because who is shown may change.
    """
    if console is None:
        yield
        return
    showing = asyncio.create_task(
        _living(meters, title, console, every or TERMINAL_S)
        if console.is_terminal
        else _plain(meters, title, console, every or PLAIN_S)
    )
    try:
        yield
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing


async def _plain(meters: Meters, title: Callable[[], str], console: Console, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        console.print(line(meters.snapshot(), title()), soft_wrap=True)


async def _living(meters: Meters, title: Callable[[], str], console: Console, every: float) -> None:
    with Live(console=console, auto_refresh=False, transient=True) as living:
        while True:
            living.update(line(meters.snapshot(), title()), refresh=True)
            await asyncio.sleep(every)


def line(now: Snapshot, title: str) -> Text:
    """`aster · 0:12 · 30 fps · 24 ms old · 1 face · 0 dropped`, what needs attention in colour."""
    minutes, seconds = divmod(int(now.duration_s), 60)
    age = Text("nothing delivered yet") if now.age_ms is None else Text(f"{now.age_ms:.0f} ms old")
    faces = Text(f"{now.faces} face{'' if now.faces == 1 else 's'}", style="" if now.faces else "yellow")
    drops = Text(f"{now.dropped} dropped", style="yellow" if now.dropped > 0.01 * now.frames_in else "")
    parts = (Text(title, style="bold"), Text(f"{minutes}:{seconds:02}"), Text(f"{now.fps:.0f} fps"), age, faces, drops)
    return Text(" · ").join(parts)
