"""What the doctor says, as one screen, and as a picture of it."""

import io
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from realtime.doctor.checkup import verdict, works
from realtime.doctor.finding import NOTE, OK, WRONG, Finding
from realtime.errors import SinkError

SIGNS: Final = MappingProxyType({OK: ("✓", "green"), NOTE: ("•", "yellow"), WRONG: ("✗", "bold red")})
PLAIN: Final = MappingProxyType({"✓": "ok", "•": "--", "✗": "!!", "→": "->"})  # for terminals without these signs
PICTURE_WIDTH: Final = 118  # characters
# As rich's own, without a font from elsewhere.
SVG: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def table(findings: Sequence[Finding], encoding: str = "utf-8") -> Table:
    """A line for each finding, and under it what helps; in signs that the encoding has."""
    shown = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for column in ("topic", "sign", "name"):
        shown.add_column(column, no_wrap=True)
    shown.add_column("seen", overflow="fold")
    topic = ""
    for found in findings:
        sign, style = SIGNS[found.state]
        seen = Text.assemble((_in(encoding, found.seen), "" if found.state == OK else style))
        if found.remedy:
            seen.append(f"\n{_in(encoding, '→')} {_in(encoding, found.remedy)}", style="cyan")
        shown.add_row(
            Text("" if found.topic == topic else found.topic, style="bold"),
            Text(_in(encoding, sign), style),
            found.name,
            seen,
        )
        topic = found.topic
    return shown


def show(findings: Sequence[Finding], console: Console) -> None:
    """Writes the screen."""
    console.print(table(findings, console.encoding))
    style = "green" if works(findings) else "bold red"
    console.print(Text(f"\n{verdict(findings)}", style=style))


def picture(findings: Sequence[Finding], path: Path) -> None:
    """Writes the screen as an SVG file. Raises SinkError."""
    with io.StringIO() as nowhere:
        console = Console(record=True, width=PICTURE_WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        show(findings, console)
    try:
        path.write_text(console.export_svg(title="liveswap doctor", code_format=SVG, unique_id="doctor"), "utf-8")
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error


def _in(encoding: str, text: str) -> str:
    """The text as a terminal of that encoding can show it."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = PLAIN.get(text, text)
    return text.encode(encoding, "replace").decode(encoding)
