"""The kernels where numba is missing: what `ber.kernel_numba` counts, to the last error, some 15 times slower.

All blocks of a batch are worked on side by side. Arrays are made once and written over, since at this size a new one
costs as much as the arithmetic.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ber.gaussian import (
    ANGLE_STEP,
    COS,
    GAIN,
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

NAME = "numpy"

type Words = NDArray[np.uint32]
type Keys = NDArray[np.uint64]
type Singles = NDArray[np.float32]

_SIGN = np.uint32(0x80000000)
_ALL = np.uint32(0xFFFFFFFF)
_ONE = np.int32(0x3F800000)  # the bits of 1.0 as a single


def waveform(state: Words, keys: Keys, bits: int, deviation: np.float32) -> int:
    """Bit errors of all blocks. See `ber.kernels.Waveform`."""
    lanes = Lanes(state)
    noise = Noise(keys, deviation)
    radius, word, opposed = (lanes.words() for _ in range(3))
    errors = np.empty((2, *word.shape), np.uint8)
    pairs = (bits + 1) // 2
    total = 0
    for start in range(0, pairs, LANES):
        lanes.draw(radius)
        lanes.draw(word)
        magnitudes = noise.pair(radius, word, start)
        # Noise against the bit is an error beyond 1; at 1 exactly the sum is +0, which the receiver takes for a 0.
        np.right_shift(word, np.uint32(2), out=opposed)
        opposed ^= word
        for sample in range(2):
            size = magnitudes[sample].view(np.int32)
            size += ((word >> np.uint32(sample)) & np.uint32(1)).view(np.int32)
            np.greater(size, _ONE, out=errors[sample].view(np.bool_))
            errors[sample] &= (opposed >> np.uint32(sample)).astype(np.uint8)
        last = pairs - start
        if last <= LANES:
            errors.reshape(2, -1, LANES)[:, :, last:] = 0
            if bits % 2:  # the last pair's second sample is one too many
                errors.reshape(2, -1, LANES)[1, :, last - 1] = 0
        total += int(np.count_nonzero(errors.view(np.bool_)))
    return total


def symbols(  # noqa: PLR0917 - see `ber.kernels.Symbols`
    state: Words, keys: Keys, bits: int, axis_i: int, axis_q: int, deviation: np.float32, fading: bool
) -> tuple[int, int]:
    """Bit errors of all blocks, and the sum of their squares by symbol. See `ber.kernels.Symbols`."""
    lanes = Lanes(state)
    noise = Noise(keys, deviation)
    gain = Noise(keys, GAIN, far=False)
    radius, word, data = (lanes.words() for _ in range(3))
    per_symbol = axis_i + axis_q
    count = -(-bits // per_symbol)
    axes = ((0, axis_i), (axis_i, axis_q))
    total = squares = 0
    for start in range(0, count, LANES):
        for words in (radius, word, data):
            lanes.draw(words)
        noises = noise.samples(radius, word, start)
        labels = [(data >> np.uint32(shift)) & np.uint32((1 << size) - 1) for shift, size in axes]
        sent = [_amplitude(label, size) for label, (_shift, size) in zip(labels, axes, strict=True)]
        received: Sequence[Any]
        if fading:
            lanes.draw(radius)
            lanes.draw(word)
            h_i, h_q = gain.samples(radius, word, start)
            got_i = (h_i * sent[0] - h_q * sent[1]) + noises[0]
            got_q = (h_i * sent[1] + h_q * sent[0]) + noises[1]
            power: Singles = (h_i * h_i + h_q * h_q) + np.float32(1e-30)
            received = [(got_i * h_i + got_q * h_q) / power, (got_q * h_i - got_i * h_q) / power]
        else:
            received = [sent[axis] + noises[axis] for axis in range(2)]
        wrong = np.zeros_like(data)
        for axis, (shift, size) in enumerate(axes):
            wrong |= (labels[axis] ^ _label(received[axis], size)) << np.uint32(shift)
        by_block = wrong.reshape(-1, LANES)
        last = count - start
        if last <= LANES:
            by_block[:, last:] = 0
            by_block[:, last - 1] &= np.uint32((1 << (bits - (count - 1) * per_symbol)) - 1)
        ones = np.bitwise_count(wrong).astype(np.int64)
        total += int(ones.sum())
        squares += int((ones * ones).sum())
    return total, squares


def decision(state: Words, bits: int, threshold: np.uint64) -> int:
    """Bit errors of all blocks. See `ber.kernels.Decision`."""
    lanes = Lanes(state)
    errors, undecided = _compared(lanes, bits, int(threshold) >> 60)
    total = int(errors.sum())
    # Then the blocks differ in how many comparisons are left, and so in how many words they draw.
    for block, left in enumerate(undecided):
        own = lanes.of(block)
        trials, shift = int(left), 60
        while trials and shift:
            shift -= 4
            found, rest = _compared(own, trials, int(threshold) >> shift)
            total += int(found[0])
            trials = int(rest[0])
    return total


def _compared(lanes: "Lanes", count: int, planes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of `count` comparisons a block of four random bits with four of the threshold: how many are below, and equal."""
    masks = [_ALL if planes >> plane & 1 else np.uint32(0) for plane in (3, 2, 1, 0)]
    words = [lanes.words() for _ in masks]
    below, equals, other = (lanes.words() for _ in range(3))
    totals = np.zeros((2, lanes.blocks), np.int64)
    length = -(-count // 32)
    for start in range(0, length, LANES):
        for word in words:
            lanes.draw(word)
        below.fill(0)
        equals.fill(_ALL)
        for mask, word in zip(reversed(masks), reversed(words), strict=True):
            np.bitwise_xor(word, ~mask, out=other)  # ones where the plane's bits are equal
            below &= other
            equals &= other
            np.invert(word, out=other)
            other &= mask
            below |= other
        for number, found in enumerate((below.reshape(-1, LANES), equals.reshape(-1, LANES))):
            last = length - start
            if last <= LANES:
                found[:, last:] = 0
                if count % 32:
                    found[:, last - 1] &= np.uint32((1 << (count % 32)) - 1)
            totals[number] += np.bitwise_count(found).sum(axis=1, dtype=np.int64)
    return totals[0], totals[1]


class Lanes:
    """xoshiro128++ in every lane of every block, one block behind the other."""

    def __init__(self, state: Words) -> None:
        self.blocks = len(state)
        self._state = [np.ascontiguousarray(state[:, i]).reshape(-1) for i in range(4)]
        self._other = self.words()

    def words(self) -> Words:
        """An array with room for a word of each lane, shape (blocks * LANES,)."""
        return np.empty(self.blocks * LANES, np.uint32)

    def of(self, block: int) -> "Lanes":
        """One block's lanes, as they stand."""
        return Lanes(np.stack([part.reshape(-1, LANES)[block] for part in self._state])[np.newaxis])

    def draw(self, out: Words) -> None:
        """Write the next word of each lane."""
        a, b, c, d = self._state
        t = self._other
        np.add(a, d, out=t)
        np.left_shift(t, np.uint32(7), out=out)
        np.right_shift(t, np.uint32(25), out=t)
        out |= t
        out += a
        np.left_shift(b, np.uint32(9), out=t)
        c ^= a
        d ^= b
        b ^= c
        a ^= d
        c ^= t
        np.left_shift(d, np.uint32(11), out=t)
        np.right_shift(d, np.uint32(21), out=d)
        d |= t


class Noise:
    """Pairs of normal samples; what it hands out is written over by the next call."""

    def __init__(self, keys: Keys, deviation: np.float32, *, far: bool = True) -> None:
        """Args are as of `ber.kernels.Waveform`; without `far`, pairs far out are as coarse as their radius word."""
        self._keys = keys
        self._deviation = deviation
        self._far = far
        shape = len(keys) * LANES
        self._singles = [np.empty(shape, np.float32) for _ in range(6)]
        self._whole = np.empty((2, shape), np.int32)

    def pair(self, radius: Words, word: Words, start: int) -> tuple[Singles, Singles]:
        """The pair's magnitudes; `start` is the position of the first lane in its block."""
        r, q, z, zz, sine, cosine = self._singles
        exponent, whole = self._whole
        q[...] = radius
        q += np.float32(0.5)
        raw = q.view(np.int32)
        np.subtract(raw, SQRT_HALF, out=exponent)
        exponent >>= np.int32(23)
        np.left_shift(exponent, np.int32(23), out=whole)
        raw -= whole
        q -= np.float32(1.0)
        _polynomial(LOG, q, out=zz)
        zz *= q
        np.subtract(np.int32(32), exponent, out=exponent)
        r[...] = exponent
        r *= LN2
        r -= zz
        np.sqrt(r, out=r)
        r *= self._deviation
        np.right_shift(word, np.uint32(4), out=whole.view(np.uint32))
        whole -= np.int32(1 << 27)
        z[...] = whole
        z *= ANGLE_STEP
        np.multiply(z, z, out=zz)
        _polynomial(SIN, zz, out=sine)
        sine *= z
        _polynomial(COS, zz, out=cosine)
        np.subtract(cosine, sine, out=z)
        cosine += sine
        z *= r
        cosine *= r
        if self._far and radius.min() < TAIL_WORD:
            where = np.flatnonzero(radius < TAIL_WORD)
            block, lane = np.divmod(where, LANES)
            more = _mix(self._keys[block], start + lane.astype(np.uint64))
            z[where], cosine[where] = _tail(radius[where], word[where], more, self._deviation)
        return z, cosine

    def samples(self, radius: Words, word: Words, start: int) -> tuple[Singles, Singles]:
        """The pair, with its signs."""
        magnitudes = self.pair(radius, word, start)
        for magnitude, shift in zip(magnitudes, (29, 28), strict=True):
            bits = magnitude.view(np.uint32)
            bits ^= (word << np.uint32(shift)) & _SIGN
        return magnitudes


def _mix(keys: Keys, positions: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = keys + (positions + np.uint64(1)) * GOLDEN
    z = (z ^ (z >> np.uint64(30))) * MIX_1
    z = (z ^ (z >> np.uint64(27))) * MIX_2
    mixed: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed


def _tail(radius: Words, word: Words, more: NDArray[np.uint64], deviation: np.float32) -> tuple[Singles, Singles]:
    u = (radius + ((more >> np.uint64(11)) + 0.5) * 2.0**-53) * 2.0**-32
    r = np.sqrt(-np.log(u)) * np.float64(deviation)
    angle = ((word >> np.uint32(4)).astype(np.int32) - np.int32(1 << 27) + 0.5) * (np.pi / 4 * 2.0**-27)
    sine, cosine = np.sin(angle), np.cos(angle)
    return (r * (cosine - sine)).astype(np.float32), (r * (cosine + sine)).astype(np.float32)


def _amplitude(label: Words, bits: int) -> Singles:
    """What is sent on an axis for a Gray label."""
    level = label ^ (label >> np.uint32(1)) ^ (label >> np.uint32(2))
    amplitude: Singles = (level << np.uint32(1)).astype(np.float32) - np.float32((1 << bits) - 1)
    return amplitude


def _label(received: Singles, bits: int) -> Words:
    """The Gray label of the level that is nearest to what was received."""
    levels = np.float32(1 << bits)
    place = np.clip((received + levels) * np.float32(0.5), np.float32(0.0), levels - np.float32(0.5))
    level = place.astype(np.int32).view(np.uint32)
    found: Words = level ^ (level >> np.uint32(1))
    return found


def _polynomial(coefficients: tuple[np.float32, ...], x: Singles, *, out: Singles) -> None:
    np.multiply(coefficients[-1], x, out=out)
    out += coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        out *= x
        out += coefficient
