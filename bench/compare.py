"""`liveswap-bench compare`: the numbers of two runs beside each other, what changed most first."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from realtime.errors import LiveswapError

ORIGIN: Final = ("command", "machine", "versions")  # what is no measurement


@dataclass(frozen=True, slots=True)
class Change:
    """One number, before and after."""

    name: str  # where it stands in the files, as a.b.c
    before: float
    after: float

    @property
    def ratio(self) -> float | None:
        """After to before; None where that says nothing."""
        return self.after / self.before if self.before * self.after > 0 else None

    @property
    def size(self) -> float:
        """How large the change is, whichever way: 0 for none."""
        if self.before == self.after:
            return 0.0
        return abs(math.log(self.ratio)) if self.ratio else math.inf


def compare(
    before: Annotated[Path, typer.Argument(metavar="A.json")],
    after: Annotated[Path, typer.Argument(metavar="B.json")],
    least: Annotated[
        float, typer.Option(min=0.0, max=1000.0, metavar="PERCENT", help="Show changes from here on.")
    ] = 5.0,
) -> None:
    """Two files of --out (of one command, or of `all`) beside each other."""
    one, other = opened(before), opened(after)
    found = changes(one, other)
    if not found:
        raise LiveswapError(f"{before} and {after} have no number in common, wanted two files of one command")
    shown = [change for change in found if change.size >= math.log1p(least / 100) and change.size > 0]
    console = Console()
    console.print(table(shown, before.name, after.name))
    console.print(f"{len(found)} numbers in common, {len(shown)} of them changed by {least:g} % or more")
    for what, many in (("machine", "machines"), ("versions", "versions")):
        if one.get(what) != other.get(what):
            console.print(f"the {many} differ, so the times say little: {differing(one, other, what)}")


def opened(path: Path) -> dict[str, Any]:
    """The file's numbers. Raises LiveswapError."""
    try:
        numbers = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise LiveswapError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise LiveswapError(f"{path} is no JSON: {error}") from error
    if not isinstance(numbers, dict):
        raise LiveswapError(f"{path} holds a {type(numbers).__name__}, wanted the object that --out writes")
    return numbers


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """The numbers that both have, what changed most first."""
    one, other = dict(leaves(before)), dict(leaves(after))
    found = [Change(name, value, other[name]) for name, value in one.items() if name in other]
    return sorted(found, key=lambda change: -change.size)


def leaves(numbers: object, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number under its name, but for those that say where they come from."""
    if isinstance(numbers, Mapping):
        for key, value in numbers.items():
            if key not in ORIGIN:
                yield from leaves(value, f"{name}.{key}" if name else str(key))
    elif isinstance(numbers, list):
        for place, value in enumerate(numbers):
            yield from leaves(value, f"{name}[{place}]")
    elif isinstance(numbers, int | float) and not isinstance(numbers, bool) and math.isfinite(numbers):
        yield name, float(numbers)


def differing(one: Mapping[str, Any], other: Mapping[str, Any], what: str) -> str:
    """What differs between the two, in words."""
    mine, its = one.get(what) or {}, other.get(what) or {}
    keys = [key for key in dict.fromkeys([*mine, *its]) if mine.get(key) != its.get(key)]
    return ", ".join(f"{key} {mine.get(key)} and {its.get(key)}" for key in keys)


def table(shown: list[Change], before: str, after: str) -> Table:
    """A row for each change."""
    made = Table("number")
    for title in (before, after, "ratio"):
        made.add_column(title, justify="right")
    for change in shown:
        ratio = "" if change.ratio is None else f"{change.ratio:.2f}"
        made.add_row(change.name, f"{change.before:g}", f"{change.after:g}", ratio)
    return made
