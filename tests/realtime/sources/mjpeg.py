"""A camera on the network: pictures over HTTP as MJPEG, from a thread of the test."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LONGEST_S = 60.0  # of one connection


@dataclass(eq=False)
class Cast:
    """What is sent, over and over; `lasts` pictures to each who connects, then the connection ends or hangs."""

    pictures: Sequence[bytes]  # JPEG
    period: float = 0.02  # seconds
    lasts: list[int] = field(default_factory=list)  # of the first connection, the second, ...; then without end
    hangs: bool = False  # after the last picture nothing comes, and the connection stays
    connections: int = 0
    silent: threading.Event = field(default_factory=threading.Event)  # the last picture of a connection was sent
    over: threading.Event = field(default_factory=threading.Event)


class Server(ThreadingHTTPServer):
    """Its threads are daemons, so that none outlives the tests."""

    daemon_threads = True
    block_on_close = False
    cast: Cast


class Handler(BaseHTTPRequestHandler):
    """Sends the cast."""

    server: Server

    def do_GET(self) -> None:
        cast, began = self.server.cast, time.monotonic()
        count = cast.lasts[cast.connections] if cast.connections < len(cast.lasts) else 1_000_000
        cast.connections += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for number in range(count):
                self._send(cast.pictures[number % len(cast.pictures)])
                if cast.over.wait(cast.period) or time.monotonic() - began > LONGEST_S:
                    return
            cast.silent.set()
            if cast.hangs:
                cast.over.wait(LONGEST_S)
        except OSError:
            return  # who watched has gone

    def _send(self, jpeg: bytes) -> None:
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        self.wfile.write(head.encode() + jpeg + b"\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def served(cast: Cast) -> Iterator[str]:
    """The address at which the cast is to be had."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.cast = cast
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/cam.mjpeg"
        finally:
            cast.over.set()
            server.shutdown()
            thread.join(5)


def jpegs(images: Sequence[NDArray[np.uint8]]) -> list[bytes]:
    """The pictures (h, w, 3) BGR as JPEG."""
    return [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for image in images]
