"""Reads what a client offers, before any of it reaches aiortc, and finishes the answer."""

from dataclasses import dataclass
from typing import Final

from aiortc import RTCIceCandidate
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.sdp import DIRECTIONS, MediaDescription, SessionDescription, candidate_from_sdp

from realtime.webrtc.media import MediaSettings
from realtime.webrtc.refused import OfferRefused

MOST_BYTES: Final = 64 * 1024
# Parsing takes time by the square of these, on the event loop; browsers stay far below.
MOST_LINES: Final = 1000
MOST_FORMATS: Final = 120
MOST_CANDIDATES: Final = 100
CODECS: Final = ("VP8", "H264")  # of pictures, that we have
MALFORMED: Final = 400
USELESS: Final = 422


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that can be answered."""

    text: str
    video: str  # sendrecv, sendonly or recvonly, as the client sees it
    audio: str  # likewise, or inactive


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment of an offer (RFC 8840): candidates that were found after it."""

    user: str  # the ICE user fragment, or nothing
    candidates: tuple[RTCIceCandidate, ...]
    complete: bool


def camera_offer(text: str) -> Offer:
    """An offer of somebody who sends a picture. Raises OfferRefused."""
    offer = _examined(text)
    if not offer.video.startswith("send"):
        raise OfferRefused(USELESS, f"the offer's video is {offer.video}, wanted sendrecv or sendonly")
    return offer


def viewer_offer(text: str) -> Offer:
    """An offer of somebody who watches. Raises OfferRefused."""
    offer = _examined(text)
    if offer.video not in ("recvonly", "sendrecv"):
        raise OfferRefused(USELESS, f"the offer's video is {offer.video}, wanted recvonly")
    return offer


def fragment_of(text: str) -> Fragment:
    """The candidates of a trickle-ice-sdpfrag. Raises OfferRefused."""
    _check_size(text)
    user, mid, line_index, complete = "", None, -1, False
    found: list[RTCIceCandidate] = []
    for line in text.splitlines():
        name, _, value = line.strip().partition(":")
        if line.startswith("m="):
            mid, line_index = None, line_index + 1
        elif name == "a=ice-ufrag":
            user = value
        elif name == "a=mid":
            mid = value
        elif name == "a=end-of-candidates":
            complete = True
        elif name == "a=candidate":
            found.append(_candidate(value, mid, max(line_index, 0)))
        elif line.strip() and line[1:2] != "=":
            raise OfferRefused(MALFORMED, "the fragment has a line that is no SDP, wanted KEY=VALUE")
    return Fragment(user, tuple(found), complete)


def codec_of(answer: str, kind: str) -> RTCRtpCodecParameters | None:
    """The codec in which this answer, our own, says that we send; None where the kind is not sent."""
    for media in SessionDescription.parse(answer).media:
        if media.kind == kind and media.direction in ("sendrecv", "sendonly"):
            return media.rtp.codecs[0]
    return None


def with_rates(answer: str, media: MediaSettings) -> str:
    """Our answer with the bitrates that Chromium is to send its pictures at, which it else finds out in 20 s."""
    rates = (
        f"x-google-start-bitrate={media.start_kbps};x-google-min-bitrate={media.least_kbps};"
        f"x-google-max-bitrate={media.most_kbps}"
    )
    formats = {
        str(codec.payloadType)
        for section in SessionDescription.parse(answer).media
        for codec in section.rtp.codecs
        if section.kind == "video" and codec.name.upper() in CODECS
    }
    lines: list[str] = []
    known = {line.split()[0][len("a=fmtp:") :] for line in answer.splitlines() if line.startswith("a=fmtp:")}
    for line in answer.splitlines():
        name, _, value = line.partition(":")
        number = value.split(" ")[0]
        lines.append(f"{line};{rates}" if name == "a=fmtp" and number in formats else line)
        if name == "a=rtpmap" and number in formats - known:
            lines.append(f"a=fmtp:{number} {rates}")
    return "\r\n".join(lines) + "\r\n"


def _examined(text: str) -> Offer:
    """Raises OfferRefused where aiortc would stumble, or would take what we have no use for."""
    description = _parsed(text)
    sections = {kind: [media for media in description.media if media.kind == kind] for kind in ("video", "audio")}
    for media in description.media:
        _check_section(media)
    _check_places(description)
    if not sections["video"]:
        raise OfferRefused(USELESS, "the offer has no video, wanted one video track")
    for kind, found in sections.items():
        if len(found) > 1:
            raise OfferRefused(USELESS, f"the offer has {len(found)} {kind} tracks, wanted one")
    video = sections["video"][0]
    if not {codec.name.upper() for codec in video.rtp.codecs} & set(CODECS):
        raise OfferRefused(USELESS, f"the offer has none of our video codecs, wanted {' or '.join(CODECS)}")
    audio = sections["audio"][0].direction if sections["audio"] else "inactive"
    return Offer(_with_directions(text), video.direction or "sendrecv", audio or "sendrecv")


def _parsed(text: str) -> SessionDescription:
    _check_size(text)
    if not text.startswith("v=0"):
        raise OfferRefused(MALFORMED, "the offer is no SDP, wanted a text that begins with v=0")
    try:
        return SessionDescription.parse(text)
    except Exception as error:  # aiortc's parser raises whatever its line of code raises
        raise OfferRefused(MALFORMED, f"the offer is no SDP that can be read: {type(error).__name__}") from error


def _check_size(text: str) -> None:
    if len(text) > MOST_BYTES:
        raise OfferRefused(413, f"the offer has {len(text)} characters, wanted at most {MOST_BYTES}")
    for what, most, seen in (
        ("lines", MOST_LINES, text.count("\n")),
        ("formats", MOST_FORMATS, text.count("a=rtpmap:")),
        ("candidates", MOST_CANDIDATES, text.count("a=candidate:")),
    ):
        if seen > most:
            raise OfferRefused(MALFORMED, f"the offer has {seen} {what}, wanted at most {most}")


def _check_section(media: MediaDescription) -> None:
    if media.kind not in ("video", "audio", "application"):
        raise OfferRefused(USELESS, "the offer has a section that is neither video, audio nor a data channel")
    if media.ice is None or not media.ice.usernameFragment or not media.ice.password:
        raise OfferRefused(MALFORMED, f"the offer's {media.kind} has no ICE user and password")
    if media.dtls is None or not media.dtls.fingerprints:
        raise OfferRefused(MALFORMED, f"the offer's {media.kind} has no DTLS fingerprint and setup")
    if media.kind == "application":
        if media.profile != "DTLS/SCTP" and not 0 < (media.sctp_port or 0) < 65536:
            raise OfferRefused(MALFORMED, "the offer's data channel has no SCTP port")
        return
    if not media.rtcp_mux:
        raise OfferRefused(MALFORMED, f"the offer's {media.kind} has no rtcp-mux")
    if media.direction not in (None, *DIRECTIONS):
        raise OfferRefused(MALFORMED, f"the offer's {media.kind} has no direction that is one")


def _check_places(description: SessionDescription) -> None:
    """Raises OfferRefused unless each section can be told from the others, and bundles hold only those."""
    names = [media.rtp.muxId for media in description.media]
    if len(names) > 1 and (len(set(names)) < len(names) or not all(names)):
        raise OfferRefused(MALFORMED, "the offer's sections have no mid of their own each")
    if sum(media.kind == "application" for media in description.media) > 1:
        raise OfferRefused(USELESS, "the offer has several data channel sections, wanted one")
    for group in description.group:
        if group.semantic == "BUNDLE" and not set(group.items) <= set(names):
            raise OfferRefused(MALFORMED, "the offer bundles sections that it does not have")


def _with_directions(text: str) -> str:
    """The offer with the direction that SDP implies where a section names none; aiortc wants it said."""
    sections: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    said = {f"a={direction}" for direction in DIRECTIONS}
    for section in sections[1:]:
        if section[0].startswith(("m=video", "m=audio")) and not said & {line.strip() for line in section}:
            section.append("a=sendrecv")
    return "\r\n".join(line for section in sections for line in section) + "\r\n"


def _candidate(value: str, mid: str | None, line_index: int) -> RTCIceCandidate:
    try:
        candidate = candidate_from_sdp(value)
    except (AssertionError, ValueError) as error:
        raise OfferRefused(MALFORMED, "the fragment has a candidate that cannot be read") from error
    candidate.sdpMid, candidate.sdpMLineIndex = mid, line_index
    return candidate
