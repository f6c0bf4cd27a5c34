"""One connection to somebody else, from its offer to its end."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from aiortc import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamTrack

from realtime.webrtc.bitrate import encoder_for
from realtime.webrtc.intake import make_prompt
from realtime.webrtc.media import MediaSettings
from realtime.webrtc.offer import MALFORMED, MOST_CANDIDATES, USELESS, Offer, codec_of, fragment_of, with_rates
from realtime.webrtc.refused import OfferRefused
from realtime.webrtc.sound import Heard
from realtime.webrtc.tracks import Picture

logger = logging.getLogger(__name__)

# What aiortc raises for descriptions and candidates that it does not like; examined() has sorted out most.
_DISLIKES: Final = (
    *(AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError),
    *(InternalError, InvalidAccessError, InvalidStateError),
)


class Peer:
    """A peer connection. Whoever makes one closes it; `ended` is called, once, where it ends before that."""

    def __init__(self, media: MediaSettings, ended: Callable[[str], None]) -> None:
        servers = [RTCIceServer(one.url, one.username or None, one.credential or None) for one in media.servers]
        self.connected = asyncio.Event()
        self.channel: Callable[[RTCDataChannel], None] | None = None  # is called with each that the peer opens
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._media = media
        self._ended: Callable[[str], None] | None = ended
        self._user = ""  # the peer's ICE user fragment
        self._candidates = 0
        self._closing: asyncio.Task[None] | None = None
        self._step: asyncio.Task[None] | None = None  # of making the connection
        self._patience: asyncio.TimerHandle | None = None
        self._picture: Picture | None = None
        self._connection.on("connectionstatechange", self._note_state)
        self._connection.on("datachannel", self._note_channel)

    async def receive(self, offer: Offer) -> dict[str, MediaStreamTrack]:
        """Takes the offer; the tracks that come in, by kind. Raises OfferRefused."""
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(self._media.half_made_s, self._give_up)
        try:
            await self._whole(self._connection.setRemoteDescription(RTCSessionDescription(offer.text, "offer")))
        except OperationError as error:
            raise OfferRefused(USELESS, "the offer has a track for which we share no codec") from error
        except _DISLIKES as error:
            raise OfferRefused(MALFORMED, f"the offer cannot be taken: {type(error).__name__}") from error
        self._candidates = offer.text.count("a=candidate:")
        self._user = _user_of(offer.text)
        tracks: dict[str, MediaStreamTrack] = {}
        for transceiver in self._connection.getTransceivers():
            if transceiver.receiver.track is not None:
                make_prompt(transceiver.receiver, transceiver.kind)
                tracks[transceiver.kind] = transceiver.receiver.track
        return tracks

    def send(self, track: Picture | Heard) -> None:
        """Sends a track, where the offer has room for it; before answer()."""
        self._connection.addTrack(track)
        if isinstance(track, Picture):
            self._picture = track

    def only_send(self) -> None:
        """Takes nothing that the peer may send; before answer()."""
        for transceiver in self._connection.getTransceivers():
            sends = transceiver.sender.track is not None
            transceiver.direction = "sendonly" if sends else "inactive"

    async def answer(self) -> str:
        """The answer, with all our candidates in it. Raises OfferRefused."""
        try:
            await self._whole(self._connection.setLocalDescription(await self._connection.createAnswer()))
        except _DISLIKES as error:
            raise OfferRefused(MALFORMED, f"the offer cannot be answered: {type(error).__name__}") from error
        answer: str = self._connection.localDescription.sdp
        self._use_own_encoder(answer)
        return with_rates(answer, self._media)

    async def candidates(self, text: str) -> None:
        """Takes candidates that the peer found after its offer. Raises OfferRefused."""
        fragment = fragment_of(text)
        if fragment.user and self._user and fragment.user != self._user:
            raise OfferRefused(USELESS, "the fragment is an ICE restart, wanted candidates of the offer's ICE user")
        self._candidates += len(fragment.candidates)
        if self._candidates > MOST_CANDIDATES:
            raise OfferRefused(MALFORMED, f"the peer has more than {MOST_CANDIDATES} candidates")
        try:
            for candidate in fragment.candidates:
                await self._connection.addIceCandidate(candidate)
            if fragment.complete:
                await self._connection.addIceCandidate(None)
        except _DISLIKES as error:
            raise OfferRefused(MALFORMED, "the fragment has a candidate that is of no use") from error

    async def close(self) -> None:
        """Ends the connection and frees what it holds. May be called again."""
        self._ended = None
        if self._patience is not None:
            self._patience.cancel()
        if self._closing is None:
            self._closing = asyncio.create_task(self._end_connection(), name="peer closes")
        await asyncio.shield(self._closing)

    async def _whole(self, step: Coroutine[Any, Any, None]) -> None:
        """Takes a step to its end, also where nobody waits for it any more: half a step would leave sockets open."""
        self._step = asyncio.create_task(step)
        await asyncio.shield(self._step)

    async def _end_connection(self) -> None:
        if self._step is not None:
            await asyncio.wait([self._step])
        await self._connection.close()

    def _use_own_encoder(self, answer: str) -> None:
        """aiortc makes its encoder when the first picture is sent, and has no public way to give it another."""
        codec = codec_of(answer, "video")
        if self._picture is None or codec is None:
            return
        name = "_RTCRtpSender__encoder"
        for sender in self._connection.getSenders():
            if sender.track is self._picture:
                assert hasattr(sender, name)
                setattr(sender, name, encoder_for(codec, self._picture.rate, self._picture.gauge))

    def _note_state(self) -> None:
        state = self._connection.connectionState
        if state == "connected":
            self.connected.set()
            if self._patience is not None:
                self._patience.cancel()
        elif state in ("failed", "closed"):
            self._end(f"its connection is {state}")

    def _note_channel(self, channel: RTCDataChannel) -> None:
        if self.channel is not None:
            self.channel(channel)

    def _give_up(self) -> None:
        self._end(f"it did not connect within {self._media.half_made_s:g} s")

    def _end(self, why: str) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(why)


def _user_of(offer: str) -> str:
    with suppress(StopIteration):
        return next(line[12:].strip() for line in offer.splitlines() if line.startswith("a=ice-ufrag:"))
    return ""
