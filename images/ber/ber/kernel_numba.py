"""The kernels, compiled: loops over lanes that LLVM turns into vector instructions. They hold no GIL.

Widths are spelled out at every step, because numba widens mixed integers to 64 bits, which would halve the lanes
a register holds. `Any` is such a word or single; the signatures at the end fix them. Both functions count what
`ber.kernel_numpy` counts, to the last error.
"""

import logging
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

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

VERSION = "numba/1"

_log = logging.getLogger(__name__)

_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8 = LOG
_S0, _S1, _S2, _S3 = SIN
_C0, _C1, _C2, _C3, _C4 = COS
_SIGN = np.uint32(0x80000000)
_ONE = np.uint32(0x3F800000)  # the bits of 1.0 as a single

u32, i32, u64, f32 = np.uint32, np.int32, np.uint64, np.float32


def _inline(function: Callable[..., Any]) -> Any:
    return numba.njit(inline="always")(function)


def _compile(function: Callable[..., int], signature: str) -> Any:
    """Compile now, from the cache when it can be had: a container's folders may all be read-only."""
    try:
        return numba.njit(signature, nogil=True, cache=True)(function)
    except RuntimeError as error:
        _log.info("compiling %s without a cache (%s); NUMBA_CACHE_DIR names a folder for one", function, error)
        return numba.njit(signature, nogil=True)(function)


@_inline
def _rotate(x: Any, k: Any) -> Any:
    return u32(u32(x << u32(k)) | u32(x >> u32(32 - k)))


@_inline
def _draw(a: Any, b: Any, c: Any, d: Any) -> Any:
    """One step of xoshiro128++: a word and the next state."""
    word = u32(_rotate(u32(a + d), 7) + a)
    t = u32(b << u32(9))
    c = u32(c ^ a)
    d = u32(d ^ b)
    b = u32(b ^ c)
    a = u32(a ^ d)
    return word, a, b, u32(c ^ t), _rotate(d, 11)


@_inline
def _mix(key: Any, position: Any) -> Any:
    """64 random bits that belong to a position of a block."""
    z = u64(key + u64(position + u64(1)) * GOLDEN)
    z = u64((z ^ (z >> u64(30))) * MIX_1)
    z = u64((z ^ (z >> u64(27))) * MIX_2)
    return z ^ (z >> u64(31))


@_inline
def _decide(word: Any, noise_0: Any, noise_1: Any) -> Any:
    """Send two bits as ±1, add noise of either sign, decide by the sign, compare: two errors, each 0 or 1."""
    bit_0 = u32(word << u32(31))
    bit_1 = u32(u32(word << u32(30)) & _SIGN)
    sign_0 = u32(u32(word << u32(29)) & _SIGN)
    sign_1 = u32(u32(word << u32(28)) & _SIGN)
    received_0 = f32(u32(bit_0 | _ONE).view(f32) + u32(f32(noise_0).view(u32) ^ sign_0).view(f32))
    received_1 = f32(u32(bit_1 | _ONE).view(f32) + u32(f32(noise_1).view(u32) ^ sign_1).view(f32))
    return (
        u32(u32(received_0.view(u32) ^ bit_0) >> u32(31)),
        u32(u32(received_1.view(u32) ^ bit_1) >> u32(31)),
    )


@_inline
def _bulk(radius: Any, word: Any, deviation: Any) -> Any:
    """The two errors of a pair whose radius word is no tail word."""
    u = f32(f32(radius) + f32(0.5))
    raw = u.view(i32)
    exponent = i32(i32(raw - SQRT_HALF) >> i32(23))
    q = f32(i32(raw - i32(exponent << i32(23))).view(f32) - f32(1.0))
    p = _L0 + q * (_L1 + q * (_L2 + q * (_L3 + q * (_L4 + q * (_L5 + q * (_L6 + q * (_L7 + q * _L8)))))))
    r = f32(np.sqrt(f32(f32(i32(i32(32) - exponent)) * LN2 - q * p)) * deviation)
    z = f32(f32(i32(i32(u32(word >> u32(4))) - i32(1 << 27))) * ANGLE_STEP)
    zz = f32(z * z)
    sine = f32(z * (_S0 + zz * (_S1 + zz * (_S2 + zz * _S3))))
    cosine = f32(_C0 + zz * (_C1 + zz * (_C2 + zz * (_C3 + zz * _C4))))
    return _decide(word, f32(r * f32(cosine - sine)), f32(r * f32(cosine + sine)))


@_inline
def _tail(radius: Any, word: Any, deviation: Any, key: Any, position: Any) -> Any:
    """The two errors of a pair far out: the same pair with 53 more bits of radius, in double precision."""
    more = (np.float64(_mix(key, position) >> u64(11)) + 0.5) * 2.0**-53
    r = math.sqrt(-math.log((np.float64(radius) + more) * 2.0**-32)) * deviation
    angle = (np.float64(i32(u32(word >> u32(4))) - i32(1 << 27)) + 0.5) * (math.pi / 4 * 2.0**-27)
    sine, cosine = math.sin(angle), math.cos(angle)
    return _decide(word, f32(r * (cosine - sine)), f32(r * (cosine + sine)))


def _waveform(state: Any, keys: Any, bits: Any, deviation: Any) -> int:
    radius = np.empty(LANES, u32)
    word = np.empty(LANES, u32)
    pairs = (bits + 1) // 2
    total = 0
    for block in range(state.shape[0]):
        s0, s1, s2, s3 = state[block, 0], state[block, 1], state[block, 2], state[block, 3]
        for start in range(0, pairs, LANES):
            for j in range(LANES):
                radius[j], a, b, c, d = _draw(s0[j], s1[j], s2[j], s3[j])
                word[j], a, b, c, d = _draw(a, b, c, d)
                s0[j], s1[j], s2[j], s3[j] = a, b, c, d
            lanes = min(LANES, pairs - start)
            errors = u32(0)
            tails = u32(0)
            for j in range(lanes):
                first, second = _bulk(radius[j], word[j], deviation)
                is_tail = u32(radius[j] < TAIL_WORD)
                tails = u32(tails + is_tail)
                errors = u32(errors + u32(u32(first + second) * u32(u32(1) - is_tail)))
            total += int(errors)
            if tails:
                for j in range(lanes):
                    if radius[j] < TAIL_WORD:
                        first, second = _tail(radius[j], word[j], deviation, keys[block], u64(start + j))
                        total += int(first + second)
        if bits % 2:  # the last pair's second sample is one too many
            j = (pairs - 1) % LANES
            if radius[j] < TAIL_WORD:
                _, surplus = _tail(radius[j], word[j], deviation, keys[block], u64(pairs - 1))
            else:
                _, surplus = _bulk(radius[j], word[j], deviation)
            total -= int(surplus)
    return total


def _decision(state: Any, keys: Any, bits: Any, threshold: Any) -> int:
    high = u32(threshold >> u64(32))
    low = threshold & u64(0xFFFFFFFF)
    word = np.empty(LANES, u32)
    total = 0
    for block in range(state.shape[0]):
        s0, s1, s2, s3 = state[block, 0], state[block, 1], state[block, 2], state[block, 3]
        for start in range(0, bits, LANES):
            for j in range(LANES):
                word[j], s0[j], s1[j], s2[j], s3[j] = _draw(s0[j], s1[j], s2[j], s3[j])
            lanes = min(LANES, bits - start)
            errors = u32(0)
            ties = u32(0)
            for j in range(lanes):
                errors = u32(errors + u32(word[j] < high))
                ties = u32(ties + u32(word[j] == high))
            total += int(errors)
            if ties:
                for j in range(lanes):
                    if word[j] == high and (_mix(keys[block], u64(start + j)) >> u64(32)) < low:
                        total += 1
    return total


waveform = _compile(_waveform, "int64(uint32[:, :, ::1], uint64[::1], int64, float32)")
decision = _compile(_decision, "int64(uint32[:, :, ::1], uint64[::1], int64, uint64)")
