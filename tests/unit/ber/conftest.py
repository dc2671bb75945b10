import numpy as np
import pytest

from ber import streams
from ber.gaussian import TAIL_WORD


@pytest.fixture
def tail_batch():
    return _tail_batch


def _tail_batch(blocks, seed):
    """Generators whose first word is a tail word, at random: every pair of samples is one of the rare ones.

    The first word of xoshiro128++ is rotl(a+d, 7) + a, which is solved for d; the second one depends on b.
    """
    rng = np.random.default_rng(seed)
    a, b, c = rng.integers(0, 1 << 32, (3, blocks, streams.LANES), np.uint32)
    turned = rng.integers(0, TAIL_WORD, (blocks, streams.LANES), np.uint32) - a
    d = ((turned >> np.uint32(7)) | (turned << np.uint32(25))) - a
    state = np.stack([a, b, c, d], axis=1)
    return streams.Batch(state, rng.integers(0, 1 << 64, blocks, np.uint64), 2 * streams.LANES)
