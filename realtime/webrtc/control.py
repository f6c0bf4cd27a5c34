"""The data channel `control`: wishes come in, the state and the numbers go out."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import Final, Protocol

from aiortc import RTCDataChannel
from aiortc.exceptions import InvalidStateError

from realtime.errors import LiveswapError, SettingsError
from realtime.webrtc.media import Wish

CHANNEL: Final = "control"
MOST_BYTES: Final = 4096
MOST_WAITING: Final = 64 * 1024  # bytes that a client may leave unread before it is told no more
WISHES: Final = tuple(wish.name for wish in fields(Wish))


@dataclass(frozen=True, slots=True)
class Ping:
    """A client that measures the way to us and back."""

    at: float


@dataclass(frozen=True, slots=True)
class Changes:
    """What a client wants otherwise; the keys are some of WISHES."""

    wanted: Mapping[str, str]

    def onto(self, wish: Wish) -> Wish:
        """The wish with these changes. Raises SettingsError."""
        return replace(wish, **self.wanted)


class Steered(Protocol):
    """What wishes are for: a session."""

    @property
    def wish(self) -> Wish:
        """What is wished for now."""

    @property
    def names(self) -> tuple[str, ...]:
        """The identities there are."""

    @property
    def numbers(self) -> Mapping[str, float | int | str]:
        """How it goes."""

    async def change(self, wish: Wish) -> None:
        """Makes a wish come true. Raises LiveswapError where it cannot; then everything stays as it is."""


def understood(message: str | bytes) -> Ping | Changes:
    """What a client's message means. Raises SettingsError, which says what is wrong with it."""
    text = _text(message)
    try:
        content = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise SettingsError("the message is no JSON, wanted an object with a type") from error
    if not isinstance(content, dict):
        raise SettingsError("the message is no JSON object, wanted one with a type")
    kind = content.pop("type", None)
    if kind == "ping":
        return Ping(_number(content))
    if kind == "set":
        return _changes(content)
    raise SettingsError(f"the message is of type {_short(kind)}, wanted set or ping")


class Control:
    """Speaks with a client over a data channel."""

    def __init__(self, channel: RTCDataChannel, steered: Steered) -> None:
        self._channel = channel
        self._steered = steered
        self._wanted: dict[str, str] = {}
        self._changed = asyncio.Event()
        channel.on("message", self.take)
        self.say_state()

    def take(self, message: str | bytes) -> None:
        """Answers a message, or notes its wishes for obey()."""
        try:
            meant = understood(message)
            if isinstance(meant, Changes):
                self._check(meant)
        except LiveswapError as error:
            self.say_error(str(error))
            return
        if isinstance(meant, Ping):
            self._say({"type": "pong", "at": meant.at})
            return
        self._wanted.update(meant.wanted)  # the newest wishes only: whoever presses keys quickly gets the last
        self._changed.set()

    async def obey(self) -> None:
        """Makes wishes come true, one after the other, until it is cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted, self._wanted = Changes(self._wanted), {}
            try:
                await self._steered.change(wanted.onto(self._steered.wish))
            except LiveswapError as error:
                self.say_error(str(error))
            self.say_state()

    def say_state(self) -> None:
        """Says what is chosen and what can be."""
        wish = self._steered.wish
        self._say({"type": "state", **asdict(wish), "identities": list(self._steered.names)})

    def say_numbers(self) -> None:
        """Says how it goes."""
        self._say({"type": "stats", **self._steered.numbers})

    def say_error(self, sentence: str) -> None:
        """Says what has gone wrong."""
        self._say({"type": "error", "error": sentence})

    def _check(self, changes: Changes) -> None:
        """Raises SettingsError, so that nothing of a message is done where a part of it cannot be."""
        changes.onto(self._steered.wish)
        name = changes.wanted.get("identity")
        if name is not None and name not in self._steered.names:
            raise SettingsError(f"there is no identity {_short(name)}, wanted {', '.join(self._steered.names)}")

    def _say(self, message: Mapping[str, object]) -> None:
        if self._channel.readyState != "open" or self._channel.bufferedAmount > MOST_WAITING:
            return
        with suppress(InvalidStateError, ConnectionError):
            self._channel.send(json.dumps(message))


def _text(message: str | bytes) -> str:
    size = len(message if isinstance(message, bytes) else message.encode("utf-8", "replace"))
    if size > MOST_BYTES:
        raise SettingsError(f"the message has {size} bytes, wanted at most {MOST_BYTES}")
    try:
        return message.decode("utf-8") if isinstance(message, bytes) else message
    except UnicodeDecodeError as error:
        raise SettingsError("the message is no UTF-8") from error


def _number(content: Mapping[str, object]) -> float:
    at = content.get("at")
    if isinstance(at, bool) or not isinstance(at, int | float) or not abs(at) < 1e15:
        raise SettingsError("a ping has no number at, wanted a time")
    return at


def _changes(content: Mapping[str, object]) -> Changes:
    if not content or any(key not in WISHES for key in content):
        seen = ", ".join(_short(key) for key in content) or "nothing"
        raise SettingsError(f"set names {seen[:100]}, wanted {', '.join(WISHES)}")
    for key, value in content.items():
        if not isinstance(value, str):
            raise SettingsError(f"{key} is {_short(value)}, wanted a text")
    return Changes({key: value for key, value in content.items() if isinstance(value, str)})


def _short(value: object) -> str:
    """The value as a message may repeat it."""
    return repr(value)[:60]


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")
