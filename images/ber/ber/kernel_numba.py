"""The kernels, compiled: loops over lanes that LLVM turns into vector instructions. They hold no GIL.

Widths are spelled out at every step, because numba widens mixed integers to 64 bits, which would halve the lanes
a register holds. `Any` is such a word or single; the signatures at the end fix them. All functions count what
`ber.kernel_numpy` counts, to the last error. They stand in one file, since numba's cache looks at no other.
"""

import logging
import math
import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic

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

NAME = "numba"

# What a person names by NUMBA_CACHE_DIR or NUMBA_CACHE_LOCATOR_CLASSES comes first.
_config: Any = numba.config  # whose attributes come from the environment
_config.CACHE_LOCATOR_CLASSES = _config.CACHE_LOCATOR_CLASSES or (
    "UserProvidedCacheLocator,ber.caching.ByContent,InTreeCacheLocator,UserWideCacheLocator"
)

_log = logging.getLogger(__name__)

_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8 = LOG
_S0, _S1, _S2, _S3 = SIN
_C0, _C1, _C2, _C3, _C4 = COS
_SIGN = np.uint32(0x80000000)
_ALL = np.uint32(0xFFFFFFFF)
_ONE = np.uint32(0x3F800000)  # the bits of 1.0 as a single

u32, i32, u64, f32 = np.uint32, np.int32, np.uint64, np.float32


def _inline(function: Callable[..., Any]) -> Any:
    return numba.njit(inline="always")(function)


def _compile(function: Callable[..., Any], signature: str) -> Any:
    """Compile now, from the cache when it can be had: a container's folders may all be read-only."""
    # numpy's error model: Python's looks for a division by zero each time.
    try:
        return numba.njit(signature, nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError as error:
        _log.info("compiling %s without a cache (%s); NUMBA_CACHE_DIR names a folder for one", function, error)
        return numba.njit(signature, nogil=True, error_model="numpy")(function)


class _Later:
    """A function that is compiled when it is first called, once, in whichever thread that is."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self._function = function
        self._signature = signature
        self._lock = threading.Lock()
        self._compiled: Any = None

    def __call__(self, *args: Any) -> Any:
        with self._lock:
            if self._compiled is None:
                self._compiled = _compile(self._function, self._signature)
        return self._compiled(*args)


def _count_ones(_context: Any, x: Any) -> Any:
    """The number of ones in a word, by the processor's instruction."""
    return x(x), lambda _target, builder, _signature, words: builder.ctpop(words[0])


_ones: Any = intrinsic(_count_ones)


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
def _pair(radius: Any, word: Any, deviation: Any) -> Any:
    """The magnitudes of a pair of samples whose radius word is no tail word."""
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
    return f32(r * f32(cosine - sine)), f32(r * f32(cosine + sine))


@_inline
def _far_pair(radius: Any, word: Any, deviation: Any, key: Any, position: Any) -> Any:
    """The magnitudes of a pair far out: the same pair with 53 more bits of radius, in double precision."""
    more = (np.float64(_mix(key, position) >> u64(11)) + 0.5) * 2.0**-53
    r = math.sqrt(-math.log((np.float64(radius) + more) * 2.0**-32)) * deviation
    angle = (np.float64(i32(u32(word >> u32(4))) - i32(1 << 27)) + 0.5) * (math.pi / 4 * 2.0**-27)
    sine, cosine = math.sin(angle), math.cos(angle)
    return f32(r * (cosine - sine)), f32(r * (cosine + sine))


@_inline
def _bulk(radius: Any, word: Any, deviation: Any) -> Any:
    """The two errors of a pair whose radius word is no tail word."""
    first, second = _pair(radius, word, deviation)
    return _decide(word, first, second)


@_inline
def _tail(radius: Any, word: Any, deviation: Any, key: Any, position: Any) -> Any:
    """The two errors of a pair far out."""
    first, second = _far_pair(radius, word, deviation, key, position)
    return _decide(word, first, second)


@_inline
def _signed(word: Any, first: Any, second: Any) -> Any:
    """A pair of samples from its magnitudes."""
    return (
        u32(f32(first).view(u32) ^ u32(u32(word << u32(29)) & _SIGN)).view(f32),
        u32(f32(second).view(u32) ^ u32(u32(word << u32(28)) & _SIGN)).view(f32),
    )


@_inline
def _level(label: Any) -> Any:
    """The level of a Gray label of up to three bits."""
    return u32(u32(label ^ u32(label >> u32(1))) ^ u32(label >> u32(2)))


@_inline
def _label(received: Any, levels: Any) -> Any:
    """The Gray label of the level that is nearest to what was received."""
    place = f32(f32(received + levels) * f32(0.5))
    place = f32(max(place, f32(0.0)))
    place = f32(min(place, f32(levels - f32(0.5))))
    level = u32(i32(place))
    return u32(level ^ u32(level >> u32(1)))


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


def _symbols(  # noqa: C901, PLR0912, PLR0915, PLR0917 - one pass over arrays that stay in the cache
    state: Any, keys: Any, bits: Any, axis_i: Any, axis_q: Any, deviation: Any, fading: Any
) -> Any:
    radius = np.empty(LANES, u32)
    word = np.empty(LANES, u32)
    data = np.empty(LANES, u32)
    gain_radius = np.empty(LANES, u32)
    gain_word = np.empty(LANES, u32)
    noise_i = np.empty(LANES, f32)
    noise_q = np.empty(LANES, f32)
    gain_i = np.empty(LANES, f32)
    gain_q = np.empty(LANES, f32)
    wrong = np.empty(LANES, u32)
    per_symbol = axis_i + axis_q
    symbols = (bits + per_symbol - 1) // per_symbol
    shift = u32(axis_i)
    mask_i, mask_q = u32((1 << axis_i) - 1), u32((1 << axis_q) - 1)
    levels_i, levels_q = f32(1 << axis_i), f32(1 << axis_q)
    total = 0
    squares = 0
    for block in range(state.shape[0]):
        s0, s1, s2, s3 = state[block, 0], state[block, 1], state[block, 2], state[block, 3]
        for start in range(0, symbols, LANES):
            for j in range(LANES):
                radius[j], a, b, c, d = _draw(s0[j], s1[j], s2[j], s3[j])
                word[j], a, b, c, d = _draw(a, b, c, d)
                data[j], a, b, c, d = _draw(a, b, c, d)
                s0[j], s1[j], s2[j], s3[j] = a, b, c, d
            tails = u32(0)
            for j in range(LANES):
                first, second = _pair(radius[j], word[j], deviation)
                noise_i[j], noise_q[j] = _signed(word[j], first, second)
                tails = u32(tails + u32(radius[j] < TAIL_WORD))
            if tails:
                for j in range(LANES):
                    if radius[j] < TAIL_WORD:
                        first, second = _far_pair(radius[j], word[j], deviation, keys[block], u64(start + j))
                        noise_i[j], noise_q[j] = _signed(word[j], first, second)
            if fading:
                for j in range(LANES):
                    gain_radius[j], a, b, c, d = _draw(s0[j], s1[j], s2[j], s3[j])
                    gain_word[j], a, b, c, d = _draw(a, b, c, d)
                    s0[j], s1[j], s2[j], s3[j] = a, b, c, d
                for j in range(LANES):
                    first, second = _pair(gain_radius[j], gain_word[j], GAIN)
                    gain_i[j], gain_q[j] = _signed(gain_word[j], first, second)
                for j in range(LANES):
                    h_i, h_q = gain_i[j], gain_q[j]
                    bits_i, bits_q = u32(data[j] & mask_i), u32(u32(data[j] >> shift) & mask_q)
                    sent_i = f32(f32(i32(_level(bits_i) << u32(1))) - f32(levels_i - f32(1.0)))
                    sent_q = f32(f32(i32(_level(bits_q) << u32(1))) - f32(levels_q - f32(1.0)))
                    got_i = f32(f32(f32(h_i * sent_i) - f32(h_q * sent_q)) + noise_i[j])
                    got_q = f32(f32(f32(h_i * sent_q) + f32(h_q * sent_i)) + noise_q[j])
                    power = f32(f32(f32(h_i * h_i) + f32(h_q * h_q)) + f32(1e-30))
                    equal_i = f32(f32(f32(got_i * h_i) + f32(got_q * h_q)) / power)
                    equal_q = f32(f32(f32(got_q * h_i) - f32(got_i * h_q)) / power)
                    wrong[j] = u32(bits_i ^ _label(equal_i, levels_i)) | u32(
                        u32(bits_q ^ _label(equal_q, levels_q)) << shift
                    )
            else:
                for j in range(LANES):
                    bits_i, bits_q = u32(data[j] & mask_i), u32(u32(data[j] >> shift) & mask_q)
                    sent_i = f32(f32(i32(_level(bits_i) << u32(1))) - f32(levels_i - f32(1.0)))
                    sent_q = f32(f32(i32(_level(bits_q) << u32(1))) - f32(levels_q - f32(1.0)))
                    wrong[j] = u32(bits_i ^ _label(f32(sent_i + noise_i[j]), levels_i)) | u32(
                        u32(bits_q ^ _label(f32(sent_q + noise_q[j]), levels_q)) << shift
                    )
            lanes = min(LANES, symbols - start)
            rest = bits - (start + lanes) * per_symbol
            if rest < 0:  # the last symbol carries fewer bits
                wrong[lanes - 1] = u32(wrong[lanes - 1] & u32((1 << (per_symbol + rest)) - 1))
            errors = u32(0)
            squared = u32(0)
            for j in range(lanes):
                count = _ones(wrong[j])
                errors = u32(errors + count)
                squared = u32(squared + u32(count * count))
            total += int(errors)
            squares += int(squared)
    return total, squares


def _decision(state: Any, bits: Any, threshold: Any) -> int:
    use = np.empty(LANES, u32)
    total = 0
    for block in range(state.shape[0]):
        s0, s1, s2, s3 = state[block, 0], state[block, 1], state[block, 2], state[block, 3]
        left = bits
        planes = threshold
        for _ in range(16):
            m3 = u32(0) - u32(planes >> u64(63) & u64(1))
            m2 = u32(0) - u32(planes >> u64(62) & u64(1))
            m1 = u32(0) - u32(planes >> u64(61) & u64(1))
            m0 = u32(0) - u32(planes >> u64(60) & u64(1))
            planes = u64(planes << u64(4))
            words = (left + 31) // 32
            for j in range(LANES):
                use[j] = _ALL
            undecided = 0
            for start in range(0, words, LANES):
                if start + LANES >= words:  # the last words, of which the very last may be short
                    for j in range(words - start, LANES):
                        use[j] = u32(0)
                    if left % 32:
                        use[words - start - 1] = u32((1 << (left % 32)) - 1)
                errors = u32(0)
                equals = u32(0)
                for j in range(LANES):
                    w3, a, b, c, d = _draw(s0[j], s1[j], s2[j], s3[j])
                    w2, a, b, c, d = _draw(a, b, c, d)
                    w1, a, b, c, d = _draw(a, b, c, d)
                    w0, s0[j], s1[j], s2[j], s3[j] = _draw(a, b, c, d)
                    # From the last plane to the first: below if this plane says so, or if it is equal and the rest is.
                    below = u32(m0 & ~w0)
                    below = u32(u32(m1 & ~w1) | u32(u32(~u32(m1 ^ w1)) & below))
                    below = u32(u32(m2 & ~w2) | u32(u32(~u32(m2 ^ w2)) & below))
                    below = u32(u32(m3 & ~w3) | u32(u32(~u32(m3 ^ w3)) & below))
                    differ = u32(u32(u32(m3 ^ w3) | u32(m2 ^ w2)) | u32(u32(m1 ^ w1) | u32(m0 ^ w0)))
                    errors = u32(errors + _ones(u32(below & use[j])))
                    equals = u32(equals + _ones(u32(~differ & use[j])))
                total += int(errors)
                undecided += int(equals)
            left = undecided
            if left == 0:
                break
    return total


# Each compiles in one to three seconds: the default at once, so that a machine that cannot says so early.
waveform = _compile(_waveform, "int64(uint32[:, :, ::1], uint64[::1], int64, float32)")
symbols = _Later(_symbols, "UniTuple(int64, 2)(uint32[:, :, ::1], uint64[::1], int64, int64, int64, float32, boolean)")
decision = _Later(_decision, "int64(uint32[:, :, ::1], int64, uint64)")
