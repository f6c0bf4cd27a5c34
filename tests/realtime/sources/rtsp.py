"""A camera that speaks RTSP over TCP, from a thread of the test: the four calls that a player makes, then H.264."""

import re
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
)
ANSWERS = {
    "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n",
    "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n",
    "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 7\r\n",
    "PLAY": "Session: 7\r\n",
}
WAITS_S = 30.0  # for the player


def encoded(images: Sequence[NDArray[np.uint8]]) -> list[list[bytes]]:
    """Each picture (h, w, 3) BGR as the units of its H.264; the first can be decoded without any before."""
    coder = av.CodecContext.create("libx264", "w")
    assert isinstance(coder, av.VideoCodecContext)
    coder.height, coder.width = images[0].shape[:2]
    coder.pix_fmt, coder.framerate = "yuv420p", Fraction(25)
    coder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint=10:bframes=0"}
    packets = [p for image in images for p in coder.encode(av.VideoFrame.from_ndarray(image, format="bgr24"))]
    packets += coder.encode(None)
    return [[unit for unit in re.split(b"\x00\x00\x00?\x01", bytes(packet)) if unit] for packet in packets]


@contextmanager
def served(pictures: Sequence[Sequence[bytes]], lasts: int = 1_000_000, period: float = 0.02) -> Iterator[str]:
    """The address at which the pictures are to be had, over and over, so many in all; for one player."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAITS_S)

        def serve() -> None:
            with suppress(OSError):
                player, _ = server.accept()
                with player:
                    player.settimeout(WAITS_S)
                    _answer_until_played(player)
                    _play(player, pictures, lasts, period, over)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"rtsp://127.0.0.1:{server.getsockname()[1]}/live"
        finally:
            over.set()
            thread.join(5)


def _answer_until_played(player: socket.socket) -> None:
    with player.makefile("rb") as lines:
        while True:
            call = lines.readline().decode().partition(" ")[0]
            head = dict(iter(lambda: _header(lines.readline()), None))
            said = f"RTSP/1.0 200 OK\r\nCSeq: {head['cseq']}\r\n{ANSWERS[call]}\r\n"
            player.sendall((said + (SDP if call == "DESCRIBE" else "")).encode())
            if call == "PLAY":
                return


def _header(line: bytes) -> tuple[str, str] | None:
    """A header's name and value; None at the empty line after the last."""
    name, _, value = line.decode().strip().partition(": ")
    return (name.lower(), value) if name else None


def _play(
    player: socket.socket, pictures: Sequence[Sequence[bytes]], lasts: int, period: float, over: threading.Event
) -> None:
    number = 0
    for index in range(lasts):
        units = pictures[index % len(pictures)]
        for place, unit in enumerate(units):
            last = place == len(units) - 1
            rtp = struct.pack(">BBHII", 0x80, 96 | 0x80 * last, number & 0xFFFF, index * 3600, 1) + unit
            player.sendall(b"$\0" + struct.pack(">H", len(rtp)) + rtp)
            number += 1
        if over.wait(period):
            return
