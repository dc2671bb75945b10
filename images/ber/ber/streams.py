"""Random streams: one a block of bits, made from the job's seed, the item and the block's number alone.

A block's errors are therefore the same numbers wherever, whenever and next to whatever else it is counted: a retry
writes the same bytes, and totals do not depend on threads or on their order.

A block draws from `LANES` generators of the xoshiro128++ kind (Blackman and Vigna), each with 128 bits of state of its
own from numpy's SeedSequence. Lanes side by side are what a processor's vector registers want. With the lanes of all
blocks of 1e5 jobs in use, two of them overlap with a probability below 1e-9.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

LANES = 256
BLOCK_BITS = 1 << 24
"""Bits a block. Seeding a block costs as much as simulating about 2e5 bits, so it is about 1 % of the time."""

BATCH_BLOCKS = 128
"""Most blocks handed to a kernel at once: width for numpy, and still seconds at most between two batches."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Consecutive blocks of one length.

    Attributes:
        state: the generators' state, uint32, shape (blocks, 4, LANES). A kernel uses it up.
        keys: one more random word a block, uint64, shape (blocks,), for what is drawn by position.
        bits: bits in each of the blocks.
    """

    state: NDArray[np.uint32]
    keys: NDArray[np.uint64]
    bits: int


def batches(
    *, seed: int, item: int, bits: int, block_bits: int | None = None, growing: bool = False
) -> Iterator[Batch]:
    """Cut an item's bits into blocks, each with its stream; the last block holds the rest.

    Args:
        seed: the job's.
        item: its number.
        bits: in all.
        block_bits: of a block; None: `BLOCK_BITS`.
        growing: begin with batches of 1, 1, 2, 4, … blocks, for who may not need all of them.
    """
    size = block_bits or BLOCK_BITS
    whole, rest = divmod(bits, size)
    first = 0
    while first < whole:
        most = min(max(1, first), BATCH_BLOCKS) if growing else BATCH_BLOCKS
        last = min(first + most, whole)
        yield _batch(seed, item, range(first, last), size)
        first = last
    if rest:
        yield _batch(seed, item, range(whole, whole + 1), rest)


def _batch(seed: int, item: int, blocks: range, bits: int) -> Batch:
    words = np.stack([_words(seed, item, block) for block in blocks])
    state = words[:, : 4 * LANES].reshape(len(blocks), 4, LANES).copy()
    high, low = words[:, -2].astype(np.uint64), words[:, -1].astype(np.uint64)
    return Batch(state, (high << np.uint64(32)) | low, bits)


def _words(seed: int, item: int, block: int) -> NDArray[np.uint32]:
    """A block's own random words: the lanes' state, and two for the key."""
    words = np.random.SeedSequence(seed, spawn_key=(item, block)).generate_state(4 * LANES + 2, np.uint32)
    return words.astype(np.uint32, copy=False)
