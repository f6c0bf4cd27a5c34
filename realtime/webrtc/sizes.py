"""How large an encoded picture says it is, before a decoder makes room for it."""

from dataclasses import dataclass
from typing import Final

H264_START: Final = b"\x00\x00\x00\x01"
VP8_START: Final = b"\x9d\x01\x2a"
_SEQUENCE: Final = 7  # the type of the part of H.264 that says the size
_HIGH: Final = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)  # profiles that say their colours as well


def stands_alone(data: bytes) -> bool:
    """Whether an encoded picture, VP8 or H.264 with start codes, needs no other one to be decoded."""
    if data.startswith(H264_START):
        return any(part[:1] and part[0] & 0x1F in (5, _SEQUENCE) for part in data.split(H264_START))
    return data[3:6] == VP8_START and not data[0] & 1


def size_of(data: bytes) -> tuple[int, int] | None:
    """Width and height in px that an encoded picture announces; None where it announces none.

    VP8: RFC 6386, 9.1. H.264: the sequence parameter set, ITU-T H.264, 7.3.2.1.1, whose size is counted in blocks
    of 16 px, cropping left out.
    """
    if data.startswith(H264_START):
        sizes = [_h264_size(part) for part in data.split(H264_START) if part[:1] and part[0] & 0x1F == _SEQUENCE]
        return max((size for size in sizes if size), default=None)
    if len(data) < 10 or not stands_alone(data):
        return None
    return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF


def _h264_size(part: bytes) -> tuple[int, int] | None:
    """The size in one sequence parameter set; None where it ends too soon."""
    try:
        return _read_size(_Bits(part[1:].replace(b"\x00\x00\x03", b"\x00\x00")))
    except EOFError:
        return None


def _read_size(bits: "_Bits") -> tuple[int, int]:
    profile = bits.number(8)
    bits.number(16)  # constraints, level
    bits.count()  # number of the set
    if profile in _HIGH:
        colours = bits.count()
        if colours == 3:
            bits.number(1)
        bits.skip(2)  # depth of luma and of chroma
        bits.number(1)
        if bits.number(1):
            for place in range(8 if colours != 3 else 12):
                if bits.number(1):
                    _skip_scaling(bits, 16 if place < 6 else 64)
    bits.count()  # of the frame number
    order = bits.count()
    if order == 0:
        bits.count()
    elif order == 1:
        bits.number(1)
        bits.skip(2)
        bits.skip(min(bits.count(), 255))
    bits.count()  # reference frames
    bits.number(1)  # gaps
    width, height = bits.count() + 1, bits.count() + 1
    fields = 1 if bits.number(1) else 2
    return width * 16, height * 16 * fields


def _skip_scaling(bits: "_Bits", entries: int) -> None:
    last, following = 8, 8
    for _ in range(entries):
        if following:
            code = bits.count()
            change = (code + 1) // 2 if code % 2 else -(code // 2)
            following = (last + change) % 256
        last = following or last


@dataclass(slots=True)
class _Bits:
    """Reads bits from the first to the last. Raises EOFError behind it."""

    data: bytes
    place: int = 0

    def number(self, length: int) -> int:
        """An unsigned number of that many bits."""
        value = 0
        for _ in range(length):
            if self.place >= 8 * len(self.data):
                raise EOFError
            value = value << 1 | self.data[self.place >> 3] >> (7 - (self.place & 7)) & 1
            self.place += 1
        return value

    def count(self) -> int:
        """An unsigned Exp-Golomb code."""
        zeros = 0
        while not self.number(1):
            zeros += 1
            if zeros > 32:
                raise EOFError
        return (1 << zeros) - 1 + self.number(zeros)

    def skip(self, codes: int) -> None:
        """Passes over so many Exp-Golomb codes."""
        for _ in range(codes):
            self.count()
