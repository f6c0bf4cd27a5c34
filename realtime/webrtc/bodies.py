"""What a request brings along, read within bounds of size, time and kind."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from realtime.webrtc.answers import Refusal

MOST_BYTES: Final = 64 * 1024  # of one SDP
MOST_JSON: Final = 4 * MOST_BYTES  # of the JSON around it, which may write each line's end as four bytes and more
BODY_S: Final = 10.0  # seconds for a body to arrive


async def body_of(request: web.Request, most: int = MOST_BYTES) -> bytes:
    """The whole body. Raises Refusal: 413 beyond most bytes, 408 when it takes too long, 400 when it is broken."""
    too_large = Refusal(413, f"the body is too large, wanted at most {most} bytes")
    if (request.content_length or 0) > most:
        raise too_large
    taken = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.content.iter_any():
                taken += chunk
                if len(taken) > most:
                    raise too_large
    except TimeoutError as error:
        raise Refusal(408, f"the body did not arrive in time, wanted it within {BODY_S:g} s") from error
    except (web.RequestPayloadError, OSError) as error:
        raise Refusal(400, "the body is broken, wanted one that is as its headers say") from error
    return bytes(taken)


async def text_of(request: web.Request, kind: str, headers: Mapping[str, str] | None = None) -> str:
    """The body of one content type. Raises Refusal: 415 for another type, 413, 408, 400 when it is no text."""
    expect_type(request, kind, headers)
    return decoded(await body_of(request))


def expect_type(request: web.Request, kind: str, headers: Mapping[str, str] | None = None) -> None:
    """Raises Refusal with 415, and headers, unless the body is said to be of that kind."""
    if request.content_type.lower() != kind:
        raise Refusal(415, f"the content type is not {kind}, which is what this address takes", headers)


def decoded(body: bytes) -> str:
    """The body as text. Raises Refusal with 400."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(400, "the body is no UTF-8 text") from error


async def json_of(request: web.Request) -> dict[str, Any]:
    """The body, a JSON object. Raises Refusal: 415 for another type, 413, 408, 400."""
    expect_type(request, "application/json")
    text = decoded(await body_of(request, MOST_JSON))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the body is no JSON, wanted an object") from error
    if not isinstance(value, dict):
        raise Refusal(400, "the JSON is no object, wanted one")
    return value
