"""Sizes of AWS and of ours that a world may make smaller: what takes a hundred thousand shards then takes a dozen."""

import dataclasses
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from winbatch import engine, stage
from winbatch.working import claims


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the product has as constants.

    Attributes:
        run_batch: ECS tasks of a RunTask call.
        run_burst: RunTask calls at once.
        run_rate: RunTask calls a second.
        max_pending: ECS tasks on their way.
        block: shards that are listed together.
    """

    run_batch: int = engine.workers.RUN_BATCH
    run_burst: float = engine.workers.RUN_BURST
    run_rate: float = engine.workers.RUN_RATE
    max_pending: int = engine.workers.MAX_PENDING
    block: int = stage.BLOCK

    @classmethod
    def draw(cls, chance: random.Random) -> Self:
        """Draw them: the product's own in half of all worlds."""
        if chance.choice([True, False]):
            return cls()
        return cls(
            run_batch=chance.choice([1, 2, engine.workers.RUN_BATCH]),
            run_burst=chance.choice([1.0, 2.0]),
            run_rate=chance.choice([0.02, 0.1, engine.workers.RUN_RATE]),
            max_pending=chance.choice([4, engine.workers.MAX_PENDING]),
            block=chance.choice([3, 10, stage.BLOCK]),
        )

    @contextmanager
    def there(self) -> Iterator[None]:
        """Have the product's own code be of these sizes."""
        places = (
            (engine.workers, "RUN_BATCH", self.run_batch),
            (engine.workers, "RUN_BURST", self.run_burst),
            (engine.workers, "RUN_RATE", self.run_rate),
            (engine.workers, "MAX_PENDING", self.max_pending),
            (engine.counting, "BLOCK", self.block),
            (engine.tick, "BLOCK", self.block),
            (claims, "BLOCK", self.block),
        )
        before = [(module, name, getattr(module, name)) for module, name, _ in places]
        for module, name, size in places:
            setattr(module, name, size)
        try:
            yield
        finally:
            for module, name, size in before:
                setattr(module, name, size)
