"""How a request is refused: a status, one sentence as JSON, and what the log may know of it."""

import logging
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from aiohttp import web

from realtime.errors import LiveswapError, SettingsError, UnknownIdentity
from realtime.webrtc.refused import OfferRefused

logger = logging.getLogger(__name__)

RETRY_S: Final = "10"  # seconds after which a client that found no room may try again


class Refusal(LiveswapError):
    """A request that is answered with an error: its status, one sentence, and headers that belong to it."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = dict(headers or {})


class Escaping(logging.LoggerAdapter[logging.Logger]):
    """A logger for aiohttp that says each fault in one line of plain letters, as requests are written by others."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Puts the fault into the message, in place of a traceback that would quote it."""
        fault = kwargs.pop("exc_info", None)
        said = told(fault).replace("%", "%%") if isinstance(fault, BaseException) else ""
        return f"{msg}: {said}" if said else msg, kwargs


def refused(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error as JSON, in one line."""
    return web.json_response({"error": " ".join(sentence.split())}, status=status, headers=headers)


def refusal_of(error: Exception) -> web.Response:
    """The error as an answer; what nobody expected is logged and told as 500."""
    if isinstance(error, Refusal):
        return refused(error.status, str(error), error.headers)
    if isinstance(error, OfferRefused):
        later = {"Retry-After": RETRY_S} if error.status == 503 else None
        return refused(error.status, str(error), later)
    if isinstance(error, UnknownIdentity):
        return refused(422, str(error))
    if isinstance(error, SettingsError):
        return refused(400, str(error))
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return refused(405, f"this address does not take that method, wanted {allowed}", {"Allow": allowed})
    if isinstance(error, web.HTTPNotFound):
        return refused(404, "there is nothing at this address")
    if isinstance(error, web.HTTPException):
        return refused(error.status, error.reason)
    logger.error("a request failed: %s", told(error))
    return refused(500, "the server failed on this request; its log says why")


def escaped(text: str) -> str:
    """One line of printable ASCII, whatever the text holds; at most 300 characters of it."""
    return ascii(text[:300])[1:-1]


def told(error: BaseException) -> str:
    """An unexpected fault in one line: its kind, its words escaped, and where in the code it was."""
    places = (f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-4:])
    return f"{type(error).__name__}: {escaped(str(error))} (in {' > '.join(places)})"
