"""The kernels where numba is missing: what `ber.kernel_numba` counts, to the last error, some 25 times slower."""

import numpy as np
from numpy.typing import NDArray

from ber.gaussian import (
    ANGLE_STEP,
    COS,
    GOLDEN,
    LN2,
    LOG,
    MIX_1,
    MIX_2,
    SIN,
    SQRT_HALF,
    TAIL_WORD,
)
from ber.streams import LANES

VERSION = "numpy/1"

type Words = NDArray[np.uint32]
type Keys = NDArray[np.uint64]
type Singles = NDArray[np.float32]

_SIGN = np.uint32(0x80000000)
_ONE = np.uint32(0x3F800000)  # the bits of 1.0 as a single


def waveform(state: Words, keys: Keys, bits: int, deviation: np.float32) -> int:
    """Bit errors of all blocks. See `ber.kernels.Waveform`."""
    lanes = _Lanes(state)
    pairs = (bits + 1) // 2
    total = 0
    for start in range(0, pairs, LANES):
        count = min(LANES, pairs - start)
        radius, word = lanes.draw()[:, :count], lanes.draw()[:, :count]
        first, second = _decide(word, *_bulk(radius, word, deviation))
        block, lane = np.nonzero(radius < TAIL_WORD)
        if block.size:
            far, angle = radius[block, lane], word[block, lane]
            more = _mix(keys[block], start + lane.astype(np.uint64))
            first[block, lane], second[block, lane] = _decide(angle, *_tail(far, angle, more, deviation))
        total += int(np.count_nonzero(first)) + int(np.count_nonzero(second))
        if bits % 2 and start + count == pairs:  # the last pair's second sample is one too many
            total -= int(np.count_nonzero(second[:, -1]))
    return total


def decision(state: Words, keys: Keys, bits: int, threshold: np.uint64) -> int:
    """Bit errors of all blocks. See `ber.kernels.Decision`."""
    lanes = _Lanes(state)
    high, low = divmod(int(threshold), 1 << 32)
    total = 0
    for start in range(0, bits, LANES):
        word = lanes.draw()[:, : min(LANES, bits - start)]
        total += int(np.count_nonzero(word < np.uint32(high)))
        block, lane = np.nonzero(word == np.uint32(high))
        if block.size:
            more = _mix(keys[block], start + lane.astype(np.uint64)) >> np.uint64(32)
            total += int(np.count_nonzero(more < np.uint64(low)))
    return total


class _Lanes:
    """xoshiro128++ in every lane of every block."""

    def __init__(self, state: Words) -> None:
        self._a, self._b, self._c, self._d = (state[:, i].copy() for i in range(4))

    def draw(self) -> Words:
        """The next word of each lane, shape (blocks, LANES)."""
        a, b, c, d = self._a, self._b, self._c, self._d
        word = _rotate(a + d, 7) + a
        t = b << np.uint32(9)
        c ^= a
        d ^= b
        b ^= c
        a ^= d
        c ^= t
        self._d = _rotate(d, 11)
        return word


def _rotate(x: Words, k: int) -> Words:
    return (x << np.uint32(k)) | (x >> np.uint32(32 - k))


def _mix(keys: Keys, positions: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = keys + (positions + np.uint64(1)) * GOLDEN
    z = (z ^ (z >> np.uint64(30))) * MIX_1
    z = (z ^ (z >> np.uint64(27))) * MIX_2
    mixed: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed


def _bulk(radius: Words, word: Words, deviation: np.float32) -> tuple[Singles, Singles]:
    u = radius.astype(np.float32) + np.float32(0.5)
    raw = u.view(np.int32)
    exponent = (raw - SQRT_HALF) >> np.int32(23)
    q = (raw - (exponent << np.int32(23))).view(np.float32) - np.float32(1.0)
    r = np.sqrt((np.int32(32) - exponent).astype(np.float32) * LN2 - q * _polynomial(LOG, q)) * deviation
    z = _angle(word).astype(np.float32) * ANGLE_STEP
    zz = z * z
    sine, cosine = z * _polynomial(SIN, zz), _polynomial(COS, zz)
    return r * (cosine - sine), r * (cosine + sine)


def _tail(radius: Words, word: Words, more: NDArray[np.uint64], deviation: np.float32) -> tuple[Singles, Singles]:
    u = (radius + ((more >> np.uint64(11)) + 0.5) * 2.0**-53) * 2.0**-32
    r = np.sqrt(-np.log(u)) * np.float64(deviation)
    angle = (_angle(word) + 0.5) * (np.pi / 4 * 2.0**-27)
    sine, cosine = np.sin(angle), np.cos(angle)
    return (r * (cosine - sine)).astype(np.float32), (r * (cosine + sine)).astype(np.float32)


def _decide(word: Words, noise_0: Singles, noise_1: Singles) -> tuple[Words, Words]:
    errors = []
    for noise, bit_shift, sign_shift in ((noise_0, 31, 29), (noise_1, 30, 28)):
        bit = (word << np.uint32(bit_shift)) & _SIGN
        sign = (word << np.uint32(sign_shift)) & _SIGN
        received = (bit | _ONE).view(np.float32) + (noise.view(np.uint32) ^ sign).view(np.float32)
        errors.append((received.view(np.uint32) ^ bit) >> np.uint32(31))
    return errors[0], errors[1]


def _angle(word: Words) -> NDArray[np.int32]:
    return (word >> np.uint32(4)).astype(np.int32) - np.int32(1 << 27)


def _polynomial(coefficients: tuple[np.float32, ...], x: Singles) -> Singles:
    value = coefficients[-1] * x + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        value = value * x + coefficient
    return value
