"""What is asked of AWS keeps to its limits, and to our own."""

from collections import defaultdict
from collections.abc import Callable

from simulation.cloud import Cloud
from winbatch import engine


class Starts:
    """A stage keeps to its part of ECS: RunTask calls in any time, and ECS tasks at once."""

    def __init__(
        self, cloud: Cloud, problems: list[str], most: Callable[[str], int], engines: int, skew: float
    ) -> None:
        """Watch a cluster.

        Args:
            cloud: the cluster.
            problems: what did not hold is added to them.
            most: ECS tasks that the stage with this key may have.
            engines: that may act for one stage at the same moment.
            skew: by how many seconds a process's clock is off, at most: the bucket is filled by clocks, once.
        """
        self._problems, self._most, self._engines, self._apart = problems, most, engines, 2 * skew
        self._calls: dict[str, list[float]] = defaultdict(list)
        cloud.watchers.append(self._ran)

    def _ran(self, stage: str, now: float, live: int) -> None:
        calls = self._calls[stage]
        calls.append(now)
        for number, began in enumerate(calls):
            allowed = (
                self._engines * engine.workers.RUN_BURST + engine.workers.RUN_RATE * (now - began + self._apart) + 1e-6
            )
            if len(calls) - number > allowed:
                self._problems.append(f"{len(calls) - number} RunTask calls of a stage in {now - began:.0f} s")
                break
        if live > self._most(stage):
            self._problems.append(f"{live} ECS tasks of a stage that may have {self._most(stage)}")


def limits_of_aws(cloud: Cloud) -> list[str]:
    """No limit of AWS was exceeded, and no rule of ours towards it broken."""
    return [*cloud.broken, *(f"exceeded {count} times: {what}" for what, count in cloud.exceeded.items())]
