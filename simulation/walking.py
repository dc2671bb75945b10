"""What may be claimed of a large stage, kept up to date: a hundred thousand shards are not listed for each claim.

Workers walk over the blocks as those of `winbatch.working.claims` do, and claim by the same keys. That two of them
reach for one claim, and one comes too late, is left out.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from simulation.s3 import Bucket
from winbatch import attempts
from winbatch.stage import BLOCK, ClaimMark, Stage


class Free:
    """The claims of a stage that may be written, by block."""

    def __init__(self, stage: Stage, bucket: Bucket, chance: random.Random) -> None:
        """Begin with a stage that nobody has claimed anything of."""
        self.stage, self.bucket, self.chance = stage, bucket, chance
        self.blocks: list[dict[int, int]] = []
        for first in range(0, stage.shards, BLOCK):
            # Within a block workers begin at different places.
            block = list(range(first, min(first + BLOCK, stage.shards)))
            chance.shuffle(block)
            self.blocks.append(dict.fromkeys(block, 0))
        bucket.watchers.append(self._wrote)

    def _wrote(self, key: str, _before: bytes | None, _after: bytes) -> None:
        released = key.endswith(".released") and key.startswith(self.stage.claims)
        if released and (mark := self.stage.parse_claim_key(key)) is not None:
            self.blocks[mark.shard // BLOCK][mark.shard] = mark.attempt + 1

    def marks(self) -> list[ClaimMark]:
        """List them by shard."""
        return sorted(ClaimMark(shard, attempt, "claim") for block in self.blocks for shard, attempt in block.items())

    def pointed(self) -> list[int]:
        """Read the blocks that the engine points to."""
        found = self.bucket.get(self.stage.blocks_key)
        return [int(block) for block in json.loads(found.body)["blocks"]] if found else []


class WalkingClaims:
    """The claims of one worker, as `winbatch.working.claims.Claims` has them."""

    def __init__(self, free: Free, owner: str, now: Callable[[], Any]) -> None:
        self._free, self._owner, self._now = free, owner, now
        self._block: int | None = None

    def take(self) -> ClaimMark | None:
        """Claim a shard, of the block where it worked last while there is one; None when no block has any."""
        blocks = self._free.blocks
        if self._block is None or not blocks[self._block]:
            self._block = next((block for block in self._walk() if blocks[block]), None)
        if self._block is None:
            return None
        shard = next(iter(blocks[self._block]))
        mark = ClaimMark(shard, blocks[self._block].pop(shard), "claim")
        self._write(mark)
        return mark

    def _walk(self) -> Iterator[int]:
        pointed, count = self._free.pointed(), len(self._free.blocks)
        self._free.chance.shuffle(pointed)
        yield from pointed
        start = max(pointed) + 1 if pointed else self._free.chance.randrange(count)
        yield from ((start + step) % count for step in range(count))

    def done(self, mark: ClaimMark) -> None:
        """The shard has its result."""

    def close(self) -> None:
        """Claim nothing any more."""

    def fail(self, mark: ClaimMark, kind: Literal["failed", "memory"], failures: Sequence[Mapping[str, Any]]) -> None:
        """Say that this attempt failed."""
        self._write(mark._replace(kind=kind), failures)

    def _write(self, mark: ClaimMark, failures: Sequence[Mapping[str, Any]] | None = None) -> None:
        body = attempts.encode_worker(self._owner, self._now(), failures)
        self._free.bucket.put(self._free.stage.claim_key(mark), body, new=True)
