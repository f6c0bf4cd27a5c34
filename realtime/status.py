"""What an operator sees while frames flow: one living line on a terminal, plain lines elsewhere."""

import asyncio
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from realtime.flow.meters import Meters, Snapshot

TERMINAL_S: Final = 0.25  # seconds between two updates
PLAIN_S: Final = 5.0


async def show(meters: Meters, title: str, console: Console, every: float | None = None) -> None:
    """Shows the meters until it is cancelled; every is the seconds between two lines, by default what suits."""
    if not console.is_terminal:
        while True:
            await asyncio.sleep(every or PLAIN_S)
            console.print(line(meters.snapshot(), title), soft_wrap=True)
    with Live(console=console, auto_refresh=False, transient=True) as living:
        while True:
            living.update(line(meters.snapshot(), title), refresh=True)
            await asyncio.sleep(every or TERMINAL_S)


def line(now: Snapshot, title: str) -> Text:
    """`aster · 0:12 · 30 fps · 24 ms old · 1 face · 0 dropped`, what needs attention in colour."""
    minutes, seconds = divmod(int(now.duration_s), 60)
    age = Text("nothing delivered yet") if now.age_ms is None else Text(f"{now.age_ms:.0f} ms old")
    faces = Text(f"{now.faces} face{'' if now.faces == 1 else 's'}", style="" if now.faces else "yellow")
    drops = Text(f"{now.dropped} dropped", style="yellow" if now.dropped > 0.01 * now.frames_in else "")
    parts = (Text(title, style="bold"), Text(f"{minutes}:{seconds:02}"), Text(f"{now.fps:.0f} fps"), age, faces, drops)
    return Text(" · ").join(parts)
