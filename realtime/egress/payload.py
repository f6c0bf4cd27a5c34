"""What an invisible mark says: 48 bits, which carry check bits and a code that corrects errors."""

import binascii
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FORMAT: Final = 1  # of the mark: pattern, code and the meaning of the bits
MODEL_BITS: Final = 20  # first ones of the model's digest
SESSION_BITS: Final = 24  # first ones of the session's random id
DATA_BITS: Final = 48  # with four for the format
_CHECK_BITS: Final = 16  # CRC-CCITT of the data
_MEMORY: Final = 6  # of the convolutional code; as many zeros end the message
_STATES: Final = 1 << _MEMORY
_TAPS: Final = (0o133, 0o171, 0o165)  # rate 1/3, free distance 15
_STEPS: Final = DATA_BITS + _CHECK_BITS + _MEMORY
CODED_BITS: Final = _STEPS * len(_TAPS)  # 210


@dataclass(frozen=True, slots=True)
class Payload:
    """What one mark says."""

    model: str  # first MODEL_BITS of the digest of the model that drew the face, as hex; zeros before the first face
    session: str  # first SESSION_BITS of the session's random id, as hex
    format: int = FORMAT

    @classmethod
    def of(cls, model: bytes, session: bytes) -> "Payload":
        """From a whole digest and a whole id; what is missing counts as zeros."""
        return cls(model.hex().ljust(5, "0")[:5], session.hex().ljust(6, "0")[:6])

    def coded(self) -> NDArray[np.int8]:
        """The message as signs, (CODED_BITS,) of -1 and 1; a 0 is a 1."""
        number = self.format << (MODEL_BITS + SESSION_BITS) | int(self.model, 16) << SESSION_BITS
        data = (number | int(self.session, 16)).to_bytes(DATA_BITS // 8, "big")
        data += binascii.crc_hqx(data, 0xFFFF).to_bytes(2, "big")
        bits = np.concatenate([np.unpackbits(np.frombuffer(data, np.uint8)), np.zeros(_MEMORY, np.uint8)])
        out, state = [], 0
        for bit in bits.tolist():
            out += _emitted(state, bit)
            state = (state << 1 | bit) & (_STATES - 1)
        return np.array(out, np.int8)


def decode(soft: NDArray[np.float64]) -> Payload | None:
    """The likeliest message behind (CODED_BITS,) soft signs; None where its check bits or its format do not fit."""
    previous, signs = _trellis()
    score = np.full(_STATES, -np.inf)
    score[0] = 0.0
    came = np.zeros((_STEPS, _STATES), np.int64)
    for step, received in enumerate(soft.reshape(_STEPS, len(_TAPS))):
        reached = score[previous] + signs @ received  # (states, 2)
        came[step] = reached.argmax(1)
        score = reached.max(1)
    state, bits = 0, np.zeros(_STEPS, np.uint8)
    for step in reversed(range(_STEPS)):
        bits[step] = state & 1
        state = int(previous[state, came[step, state]])
    return _understood(np.packbits(bits[: DATA_BITS + _CHECK_BITS]).tobytes())


def _understood(message: bytes) -> Payload | None:
    data, check = message[: DATA_BITS // 8], message[DATA_BITS // 8 :]
    digits = data.hex()
    if binascii.crc_hqx(data, 0xFFFF).to_bytes(2, "big") != check or int(digits[0], 16) != FORMAT:
        return None
    return Payload(digits[1:6], digits[6:], FORMAT)


def _emitted(state: int, bit: int) -> list[int]:
    window = state << 1 | bit
    return [1 - 2 * ((window & tap).bit_count() & 1) for tap in _TAPS]


def _trellis() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each state its two predecessors, (states, 2), and what the step from there emits, (states, 2, 3)."""
    states = np.arange(_STATES)
    previous = np.stack([states >> 1, states >> 1 | _STATES >> 1], 1)
    signs = [[_emitted(int(p), int(s) & 1) for p in previous[s]] for s in states]
    return previous, np.array(signs, np.float64)
