"""TOML files into values of the wanted types, or one sentence that names the file, the key and what was wanted."""

import datetime
import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from realtime.errors import LiveswapError, SettingsError

# How a value is called in messages, by the type that is wanted.
_WORDS: Final = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "a text in quotes"),
    (datetime.date, "a date such as 2026-11-29, without quotes"),
    (tuple[str, ...], "a text, or a list of texts"),
)


def read(path: Path, what: str, fault: type[LiveswapError] = SettingsError) -> dict[str, Any]:
    """The table in a file; what says in messages which file it is, as in "the configuration". Raises fault."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise fault(f"{what} {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise fault(f"{what} {path} is no TOML: {error}") from error


def fitted(
    table: Mapping[str, object], wanted: Mapping[str, Any], where: str, fault: type[LiveswapError] = SettingsError
) -> dict[str, Any]:
    """The table's values, each as wanted has it by its key: a type of _WORDS, or one of them or None.

    Raises fault for a key that is not wanted, with the nearest one that is, and for a value of another type.
    """
    return {key: _value(key, value, wanted, where, fault) for key, value in table.items()}


def _value(key: str, value: object, wanted: Mapping[str, Any], where: str, fault: type[LiveswapError]) -> object:
    if key not in wanted:
        near = difflib.get_close_matches(key.replace("-", "_"), wanted, 1, 0.0)[0]
        raise fault(f"the key {key!r} in {where} is unknown, the nearest one there is is {near!r}")
    for kind, words in _WORDS:
        if wanted[key] in (kind, kind | None):
            fitting = _as(kind, value)
            if fitting is None:
                raise fault(f"{key} in {where} is {_said(value)}, wanted {words}")
            return fitting
    raise AssertionError(f"no words for {wanted[key]}")


def _as(kind: Any, value: object) -> object | None:
    """The value as the kind, or None where it is of another; TOML's 30 is a number for a field in seconds."""
    if kind == tuple[str, ...]:
        items = [value] if isinstance(value, str) else value
        return tuple(items) if isinstance(items, list) and all(isinstance(item, str) for item in items) else None
    if kind is float:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    return value if type(value) is kind else None


def _said(value: object) -> str:
    """A value in a message: dates as TOML writes them, long ones cut."""
    text = value.isoformat() if isinstance(value, datetime.date | datetime.time) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
