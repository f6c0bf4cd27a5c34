"""Who is in: the sessions by their secret key and public name, at most so many, each with its viewers."""

import asyncio
import logging
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from realtime.errors import UnknownIdentity
from realtime.settings import Settings
from realtime.webrtc.answers import RETRY_S, Refusal
from realtime.webrtc.media import Wish
from realtime.webrtc.serving import ServeSettings
from realtime.webrtc.session import Session
from realtime.webrtc.studio import Studio

logger = logging.getLogger(__name__)

ANSWER_S: Final = 20.0  # seconds to answer an offer; gathering candidates from a STUN server that is silent takes five
REMEMBERED: Final = 200  # viewers of one session, those who left included; sessions that ended by themselves
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")  # of a session, for those who watch
_UFRAG: Final = re.compile(r"^a=ice-ufrag:(\S+)", re.MULTILINE)
TOTALS: Final = ("frames_in", "frames_out", "dropped")

Numbers = Mapping[str, float | int | str]


@dataclass(frozen=True, slots=True)
class Link:
    """One connection, as HTTP knows it: an entity tag that stands for its ICE session, and whose that is."""

    ufrags: frozenset[str]  # ICE user names in the offer
    etag: str = field(default_factory=lambda: f'"{secrets.token_urlsafe(9)}"')

    @classmethod
    def of(cls, offer: str) -> "Link":
        """What an offer opens."""
        return cls(ufrags_in(offer))


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a session is known by."""

    number: int  # in the log
    key: str  # secret: who knows it may change and end the session
    name: str  # who knows this one may watch

    @classmethod
    def made(cls, number: int, name: str = "") -> "Ticket":
        """One with a key that nobody can guess, and such a name where none is given."""
        return cls(number, secrets.token_urlsafe(18), name or secrets.token_urlsafe(18))


TICKET: Final = "ticket"  # where a request holds one


@dataclass(slots=True)
class Guest:
    """One session that is in."""

    ticket: Ticket
    session: Session
    link: Link
    since: float = field(default_factory=time.monotonic)
    viewers: dict[str, Link] = field(default_factory=dict)
    waiting: asyncio.Task[None] | None = None  # for the session's end

    @property
    def key(self) -> str:
        """As the ticket has it."""
        return self.ticket.key

    @property
    def name(self) -> str:
        """As the ticket has it."""
        return self.ticket.name


class Lobby:
    """All sessions of one server."""

    def __init__(
        self, studio: Studio, settings: ServeSettings, ended: Callable[[str], None] = lambda key: None
    ) -> None:
        """ended hears the key of each session that is over."""
        self._ended = ended
        self._studio = studio
        self._settings = settings
        self._guests: dict[str, Guest] = {}
        self._past = dict.fromkeys(TOTALS, 0.0)  # of the sessions that have ended
        self._gone = deque[str](maxlen=REMEMBERED)  # keys of sessions that ended by themselves
        self._number = 0
        self._closing = False
        self.usual = usual_wish(studio)  # where a client leaves the choice to us

    def __len__(self) -> int:
        """How many sessions there are, those included that are being made."""
        return len(self._guests)

    @property
    def numbers(self) -> list[Numbers]:
        """The figures of each session."""
        return [guest.session.numbers for guest in self._guests.values()]

    @property
    def totals(self) -> dict[str, float]:
        """Frames in, out and dropped since the server began."""
        return {key: self._past[key] + sum(_number(each, key) for each in self.numbers) for key in TOTALS}

    async def enter(self, wish: Wish, offer: str, name: str = "", ticket: Ticket | None = None) -> tuple[Guest, str]:
        """A new session and the answer to its offer; name is what viewers know it by.

        A ticket was made by whoever shares sessions out, who has seen to room and names.
        Raises Refusal (503 when full or too busy, 409 for a name that is taken), OfferRefused, UnknownIdentity,
        SettingsError.
        """
        if ticket is None:
            self._check_room(name)
            self._number += 1
            ticket = Ticket.made(self._number, name)
        elif self._closing:
            raise closing_down()
        if self._settings.turn_away and any(guest.session.starved for guest in self._guests.values()):
            raise too_busy()
        session = self._studio.session(str(ticket.number), wish)
        guest = Guest(ticket, session, Link.of(offer))
        self._guests[ticket.key] = guest
        try:
            answer = await _in_time(session.answer(offer))
        except BaseException:
            await self._leave(guest)
            raise
        guest.waiting = asyncio.create_task(self._until_closed(guest))
        logger.info("session %d began as %s", ticket.number, wish.identity)
        return guest, answer

    def guest(self, key: str) -> Guest:
        """The session of that key. Raises Refusal with 404."""
        if (guest := self._guests.get(key)) is None:
            raise no_session()
        return guest

    def watched(self, name: str) -> Guest:
        """The session of that name; its key will do. Raises Refusal with 404."""
        return next((guest for guest in self._guests.values() if guest.name == name), None) or self.guest(name)

    async def leave(self, key: str) -> None:
        """Ends a session, or knows that it has just ended by itself. Raises Refusal with 404.

        A client closes its connection and says so, and either may come first.
        """
        if key in self._gone:
            self._gone.remove(key)
            return
        await self._leave(self.guest(key))

    async def watch(self, name: str, offer: str) -> tuple[Guest, str, str]:
        """A new viewer of a session: the session, the viewer's key, and the answer. Raises Refusal, OfferRefused."""
        guest = self.watched(name)
        viewer = secrets.token_urlsafe(18)
        answer = await _in_time(guest.session.watch(viewer, offer))
        guest.viewers[viewer] = Link.of(offer)
        if len(guest.viewers) > REMEMBERED:
            del guest.viewers[next(iter(guest.viewers))]  # long gone: far fewer may watch at once
        return guest, viewer, answer

    def viewer(self, name: str, viewer: str) -> tuple[Guest, Link]:
        """A viewer and whom it watches. Raises Refusal with 404."""
        guest = self.watched(name)
        if (link := guest.viewers.get(viewer)) is None:
            raise _no_viewer()
        return guest, link

    async def unwatch(self, name: str, viewer: str) -> None:
        """Ends a viewer. Raises Refusal with 404."""
        guest, _ = self.viewer(name, viewer)
        await self._of_viewer(guest, viewer, guest.session.unwatch(viewer))
        guest.viewers.pop(viewer, None)

    async def viewer_candidates(self, name: str, viewer: str, fragment: str) -> None:
        """Hands a viewer's ICE candidates on. Raises Refusal with 404, OfferRefused."""
        guest, _ = self.viewer(name, viewer)
        await self._of_viewer(guest, viewer, guest.session.watched_candidates(viewer, fragment))

    async def close(self) -> None:
        """Ends every session; nobody enters any more."""
        self._closing = True
        await asyncio.gather(*(self._leave(guest) for guest in tuple(self._guests.values())))

    async def _of_viewer(self, guest: Guest, viewer: str, doing: Coroutine[Any, Any, None]) -> None:
        """Raises Refusal with 404 where the viewer has left by itself."""
        try:
            await doing
        except KeyError as error:
            guest.viewers.pop(viewer, None)
            raise _no_viewer() from error

    def _check_room(self, name: str) -> None:
        if self._closing:
            raise closing_down()
        if len(self._guests) >= self._settings.max_sessions:
            raise no_room(self._settings.max_sessions)
        if name and any(guest.name == name for guest in self._guests.values()):
            raise name_taken()

    async def _leave(self, guest: Guest) -> None:
        if self._guests.pop(guest.key, None) is None:
            return
        self._ended(guest.key)
        if guest.waiting is not None and guest.waiting is not asyncio.current_task():
            guest.waiting.cancel()
        await guest.session.close()
        numbers = guest.session.numbers
        for key in TOTALS:
            self._past[key] += _number(numbers, key)
        seconds = time.monotonic() - guest.since
        frames = numbers.get("frames_out", 0)
        logger.info("session %d ended after %.0f s, %s frames out", guest.ticket.number, seconds, frames)

    async def _until_closed(self, guest: Guest) -> None:
        await guest.session.closed.wait()
        self._gone.append(guest.key)
        await self._leave(guest)


def ticket_of(request: web.Request) -> Ticket | None:
    """The ticket that a request brings along; those of clients bring none."""
    ticket: Ticket | None = request.get(TICKET)
    return ticket


def no_room(most: int) -> Refusal:
    """All sessions are taken."""
    sentence = f"all {most} sessions of this server are taken, wanted one that is free: try again later"
    return Refusal(503, sentence, retry())


def too_busy() -> Refusal:
    """The processor is taken: one more session would only take frames from the others."""
    sentence = "this machine is too busy: sessions lose two of three frames, wanted a quieter moment, try again later"
    return Refusal(503, sentence, retry())


def name_taken() -> Refusal:
    """Two sessions of one name would be watched by each other's viewers."""
    return Refusal(409, "a session of that name is under way, wanted another name")


def no_session() -> Refusal:
    """Nobody has that key or name."""
    return Refusal(404, "there is no such session, or it has ended")


def closing_down() -> Refusal:
    """Nobody enters any more."""
    return Refusal(503, "this server is closing down", retry())


def retry() -> dict[str, str]:
    """The header that says when to try again."""
    return {"Retry-After": RETRY_S}


def usual_wish(studio: Studio) -> Wish:
    """As the studio's settings have it. Raises UnknownIdentity unless it names one of the shelf.

    Only where nobody chose, and a folder of other models lacks the usual one, is it the first there is.
    """
    names = [card.name for card in studio.identities]
    wished = studio.settings.identity
    if wished not in names:
        if wished != Settings().identity or not names:
            raise UnknownIdentity(f"there is no identity {wished!r}, wanted one of {', '.join(names) or 'none at all'}")
        wished = names[0]
    settings = studio.settings
    return Wish(wished, settings.no_face, settings.label_corner, settings.label_style)


def ufrags_in(text: str) -> frozenset[str]:
    """The ICE user names in an SDP or a fragment of one."""
    return frozenset(_UFRAG.findall(text))


async def _in_time(answering: Coroutine[Any, Any, str]) -> str:
    """The answer to an offer. Raises Refusal with 503 when it takes too long, and what the session raises."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await answering
    except TimeoutError as error:
        raise Refusal(
            503, f"no answer was found within {ANSWER_S:g} s, wanted ICE servers that speak", retry()
        ) from error


def _no_viewer() -> Refusal:
    return Refusal(404, "there is no such viewer, or it has left")


def _number(numbers: Numbers, key: str) -> float:
    value = numbers.get(key, 0)
    return float(value) if isinstance(value, int | float) else 0.0
