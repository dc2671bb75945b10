"""The constants of the noise generator that the numba and the numpy kernel share, so that they agree to the last bit.

A pair of samples is made from two 32-bit words by Box and Muller's method: the radius √(-2·ln u) from the first word,
the angle within the first quadrant from 28 bits of the second, the signs from two more of its bits; its last two bits
are the data. Turning the angle by 45° spares the swap of sine and cosine: for θ in [-π/4, π/4),
√2·cos(θ+π/4) = cos θ - sin θ and √2·sin(θ+π/4) = cos θ + sin θ.

Everything is plain IEEE single precision in a fixed order, without fused operations, so that every processor gives the
same counts. Single precision is good for the bulk of the distribution and bad for its far tail, where the errors at
high Eb/N0 live: a 32-bit word has few values left there. Pairs whose radius word is below `TAIL_WORD` (a radius beyond
4.7 standard deviations, one pair in 65,536) are therefore made again in double precision with 53 more bits of radius.
"""

import numpy as np

TAIL_WORD = np.uint32(1 << 16)

# ln(1+q) = q·polynomial(q) for 1+q in [√½, √2), lowest power first; the error is below 3e-8.
LOG = tuple(
    np.float32(c)
    for c in (
        1.0,
        -0.49999994,
        0.3333366,
        -0.2500161,
        0.19973105,
        -0.16575047,
        0.1480646,
        -0.14257795,
        0.090042025,
    )
)
LN2 = np.float32(0.6931472)

# sin(z·π/4)/z and cos(z·π/4) for z in [-1, 1], as polynomials in z²; the errors are below 3e-8 and 1e-8.
SIN = tuple(np.float32(c) for c in (0.7853982, -0.080745436, 0.0024900069, -3.59544e-05))
COS = tuple(np.float32(c) for c in (1.0, -0.30842513, 0.015854325, -0.0003259386, 3.5298042e-06))

# The bits of √½ as a single: subtracting them makes the exponent field count from there.
SQRT_HALF = np.int32(0x3F3504F3)

# 2^27 steps of the angle make π/4.
ANGLE_STEP = np.float32(2.0**-27)

# Deviation of each component of a fading gain whose mean power is 1.
GAIN = np.float32(0.70710677)

# Odd constants of the splitmix64 generator (Steele, Lea and Flood), which mixes a block's key and a position.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
