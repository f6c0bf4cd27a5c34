"""What happens to marked films on their way: codecs, sizes, cuts, light."""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.egress.evidence import Grey
from realtime.face.geometry import Image

Pictures = Sequence[Image]
Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]
FPS: Final = 30
CLOCK: Final = 90_000  # Hz, of RTP


@dataclass(frozen=True, slots=True)
class Way:
    """One way, by its name in the table."""

    name: str
    go: Callable[[Pictures], Sequence[Grey]]
    fps: float = FPS  # of what comes out
    target: bool = False  # one of those that the mark is made for


def ways() -> tuple[Way, ...]:
    """All rows of the table, in order."""
    crf23 = h264(23)
    return (
        Way("as it leaves", greys),
        *(Way(f"VP8 {kbps / 1000:g} Mbit/s", vp8(kbps), target=kbps == 500) for kbps in (300, 500, 1000, 2000)),
        *(Way(f"H.264 CRF {crf}", h264(crf), target=crf == 30) for crf in (18, 23, 28, 30, 35)),
        *(Way(f"AV1 CRF {crf}", encoded("libsvtav1", {"crf": str(crf), "preset": "10"})) for crf in (30, 45)),
        *(Way(f"MJPEG quality {quality}", mjpeg(quality)) for quality in (30, 60, 90)),
        Way("H.264 CRF 23 twice", lambda pictures: crf23(coloured(crf23(pictures)))),
        Way("VP8 0.5 Mbit/s, then H.264 CRF 28", lambda pictures: h264(28)(coloured(vp8(500)(pictures)))),
        Way("half size, CRF 23", lambda pictures: crf23(sized(pictures, 0.5)), target=True),
        Way("half size, CRF 28", lambda pictures: h264(28)(sized(pictures, 0.5))),
        Way("360 lines, CRF 23", lambda pictures: crf23(sized(pictures, 0.75))),
        Way("360 lines and back, CRF 23", lambda pictures: crf23(sized(sized(pictures, 0.75), 4 / 3))),
        Way(
            "cropped to 80 %, CRF 23",
            lambda pictures: crf23([cropped(picture, 0.8) for picture in pictures]),
            target=True,
        ),
        Way("letterbox 16:9, CRF 23", lambda pictures: crf23([letterboxed(picture) for picture in pictures])),
        Way("picture in picture 50 %, CRF 23", lambda pictures: crf23([inset(picture) for picture in pictures])),
        Way("mirrored, CRF 23", lambda pictures: crf23([flipped(picture) for picture in pictures]), target=True),
        Way(
            "25 of 30 fps, CRF 23",
            lambda pictures: crf23([pictures[n * 6 // 5] for n in range(len(pictures) * 5 // 6)]),
            25,
        ),
        *(Way(f"gamma {gamma:g}, CRF 23", toned(power(gamma))) for gamma in (0.8, 1.2)),
        Way("brightness +15 %, CRF 23", toned(lambda x: x + 0.15)),
        Way("brightness -15 %, CRF 23", toned(lambda x: x - 0.15)),
        Way("contrast 70 %, CRF 23", toned(lambda x: 0.5 + 0.7 * (x - 0.5))),
        Way("contrast 130 %, CRF 23", toned(lambda x: 0.5 + 1.3 * (x - 0.5))),
        Way("screen filmed, CRF 23", lambda pictures: crf23(filmed(pictures))),
    )


def greys(pictures: Pictures) -> Sequence[Grey]:
    """Nothing happens."""
    return [np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8) for picture in pictures]


def coloured(pictures: Sequence[Grey]) -> Pictures:
    """Grey pictures as others are given on."""
    return [np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8) for picture in pictures]


def vp8(kbps: int) -> Callable[[Pictures], Sequence[Grey]]:
    """aiortc's own encoder at this rate, as in a call."""

    def go(pictures: Pictures) -> Sequence[Grey]:
        from aiortc.codecs.vpx import Vp8Encoder, VpxPayloadDescriptor

        encoder, decoder, out = Vp8Encoder(), av.CodecContext.create("libvpx", "r"), []
        encoder.target_bitrate = kbps * 1000
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = number * CLOCK // FPS, Fraction(1, CLOCK)
            payloads, _ = encoder.encode(frame, force_keyframe=number == 0)
            data = b"".join(VpxPayloadDescriptor.parse(payload)[1] for payload in payloads)
            out += [luma(shown) for shown in decoder.decode(av.Packet(data))]
        return out

    return go


def h264(crf: int) -> Callable[[Pictures], Sequence[Grey]]:
    """x264 at its usual preset."""
    return encoded("libx264", {"crf": str(crf), "preset": "medium"})


def encoded(codec: str, options: dict[str, str]) -> Callable[[Pictures], Sequence[Grey]]:
    """Through an encoder of FFmpeg and back."""

    def go(pictures: Pictures) -> Sequence[Grey]:
        # For root, SVT-AV1 gives the thread that calls it a real-time priority, which everything started later would
        # inherit until a browser that spins stops the whole machine: so that thread is one that ends here.
        with ThreadPoolExecutor(1) as aside:
            return aside.submit(through, pictures).result()

    def through(pictures: Pictures) -> Sequence[Grey]:
        file = io.BytesIO()
        with av.open(file, "w", format="matroska") as container:
            stream = container.add_stream(codec, rate=FPS, options=options)
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.thread_count = 1
            for picture in pictures:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            container.mux(stream.encode(None))
        file.seek(0)
        with av.open(file, "r") as container:
            return [luma(frame) for frame in container.decode(video=0)]

    return go


def mjpeg(quality: int) -> Callable[[Pictures], Sequence[Grey]]:
    """Each picture a JPEG of its own."""

    def go(pictures: Pictures) -> Sequence[Grey]:
        packed = (cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for picture in pictures)
        return [np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8) for data in packed]

    return go


def luma(frame: av.VideoFrame) -> Grey:
    """A decoded frame's brightness."""
    return np.asarray(frame.to_ndarray(format="gray"), np.uint8)


def sized(pictures: Pictures, factor: float) -> Pictures:
    """So many times as large."""
    height, width = pictures[0].shape[:2]
    size = round(width * factor / 2) * 2, round(height * factor / 2) * 2
    return [np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8) for picture in pictures]


def cropped(picture: Image, part: float) -> Image:
    """What remains of a cut off centre that keeps this part of each side."""
    height, width = picture.shape[:2]
    high, wide = round(height * part / 2) * 2, round(width * part / 2) * 2
    top, left = (height - high) // 3, (width - wide) * 2 // 3
    return np.ascontiguousarray(picture[top : top + high, left : left + wide])


def letterboxed(picture: Image) -> Image:
    """Fitted into 640 x 360 with black bars."""
    small = cv2.resize(picture, (480, 360), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.copyMakeBorder(small, 0, 0, 80, 80, cv2.BORDER_CONSTANT), np.uint8)


def inset(picture: Image) -> Image:
    """At half its size in a corner of another picture."""
    height, width = picture.shape[:2]
    out = np.repeat(np.linspace(40, 160, width, dtype=np.uint8)[None, :, None], height, 0).repeat(3, 2)
    out[height // 2 - 20 : height - 20, 30 : 30 + width // 2] = cv2.resize(
        picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA
    )
    return np.ascontiguousarray(out)


def power(gamma: float) -> Curve:
    """The curve of a gamma."""
    return lambda brightness: np.asarray(brightness**gamma)


def flipped(picture: Image) -> Image:
    """As in a mirror."""
    return np.ascontiguousarray(picture[:, ::-1])


def toned(curve: Curve) -> Callable[[Pictures], Sequence[Grey]]:
    """With other light: the curve takes and gives 0 to 1. Then H.264 at CRF 23."""
    table = np.round(255 * np.clip(curve(np.arange(256) / 255), 0, 1)).astype(np.uint8)
    return lambda pictures: h264(23)([np.asarray(cv2.LUT(picture, table), np.uint8) for picture in pictures])


def filmed(pictures: Pictures) -> Pictures:
    """A screen seen by a camera that stands 3 degrees to its side: perspective, blur, noise, its gamma."""
    height, width = pictures[0].shape[:2]
    lean, far = np.tan(np.radians(3.0)) / 4, 0.02  # of a screen that is looked at from twice its width
    near_edge, far_edge = height * (far - lean / 2), height * (far + lean / 2)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen = np.array(
        [[9, near_edge], [width - 14, far_edge], [width - 14, height - far_edge], [9, height - near_edge]], np.float32
    )
    matrix = cv2.getPerspectiveTransform(corners, seen)
    drawn = np.random.default_rng(1)
    table = np.round(255 * (np.arange(256) / 255) ** 1.1).astype(np.uint8)
    grain = [drawn.normal(0, 3, (height, width, 1)).astype(np.float32) for _ in range(8)]
    out = []
    for number, picture in enumerate(pictures):
        moved = cv2.LUT(cv2.GaussianBlur(cv2.warpPerspective(picture, matrix, (width, height)), (0, 0), 1.0), table)
        out.append(np.clip(moved + grain[number % 8], 0, 255).astype(np.uint8))
    return out
