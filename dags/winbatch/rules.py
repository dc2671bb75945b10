"""What becomes of each kind of failure: how often it is tried again, and after how long.

Some kinds belong to a shard and count for it; the others belong to ECS tasks that came to nothing, and count in a row:
with no result in between they mean that something is wrong for all items, and the stage ends early.
"""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Literal

from winbatch.stage import ClaimKind

ShardKind = Literal["program", "memory", "crash", "result", "host"]
# Of ECS tasks "host" says that one ended with its host, as it seems, before it had claimed anything.
TaskKind = Literal["image", "start", "unstarted", "worker", "throttled", "host"]
Kind = ShardKind | TaskKind

LONGEST_BACKOFF = dt.timedelta(minutes=5)


@dataclasses.dataclass(frozen=True)
class Rule:
    """How a kind of failure is met.

    Attributes:
        attempts: as many end the shard, or, of ECS tasks in a row, the stage.
        backoff: seconds until the next attempt; they double with each failure, up to five minutes.
    """

    attempts: int
    backoff: float

    def pause(self, failures: int) -> dt.timedelta:
        """The pause after so many failures of this kind."""
        doublings = min(max(0, failures - 1), 30)
        return min(LONGEST_BACKOFF, dt.timedelta(seconds=self.backoff * 2**doublings))


RULES: Mapping[Kind, Rule] = {
    # Of a shard. Its program failed or returned what cannot be kept; it ran out of memory; it took its worker with it;
    # its result is missing or does not parse; its host or worker went away, which is no fault of its own, but ten times
    # mean that something about the shard ends its workers.
    "program": Rule(3, 5),
    "memory": Rule(2, 30),
    "crash": Rule(3, 5),
    "result": Rule(3, 5),
    "host": Rule(10, 0),
    # Of ECS tasks. The image cannot be pulled; the start timed out; it never started for another reason; the worker
    # says that its surroundings are wrong (rights, configuration, an image without the stage's code); ECS asks for a
    # pause.
    "image": Rule(3, 20),
    "start": Rule(3, 20),
    "unstarted": Rule(4, 10),
    "worker": Rule(3, 5),
    "throttled": Rule(100, 2),
}

# What the marks of an attempt that ended say of it. One with none of them, but released, was given back by its worker,
# which was told to stop: that is the host's kind, too.
OF_MARK: Mapping[ClaimKind, ShardKind] = {
    "failed": "program",
    "memory": "memory",
    "crash": "crash",
    "invalid": "result",
    "lost": "host",
}


def rules(overrides: Mapping[str, Mapping[str, float]], *, max_attempts: int) -> dict[Kind, Rule]:
    """The rules of a job.

    Args:
        overrides: by kind, `attempts` and `backoff` as the job specification has them; what it leaves out stays.
        max_attempts: of a shard whose program fails: what people are asked for when they start a job.
    """
    defaults = {**RULES, "program": dataclasses.replace(RULES["program"], attempts=max_attempts)}
    return {kind: _changed(rule, overrides.get(kind, {})) for kind, rule in defaults.items()}


def _changed(rule: Rule, override: Mapping[str, float]) -> Rule:
    return Rule(int(override.get("attempts", rule.attempts)), float(override.get("backoff", rule.backoff)))
