"""What must hold over time: the cluster is at what is needed, all goes on, what is told of cost is what is billed."""

from collections.abc import Sequence

from simulation.airflow import DagRun
from simulation.cloud import Cloud
from simulation.s3 import Bucket
from winbatch import shares
from winbatch.ledger import Ledger

# Seconds. More instances than the runs may have go within the first, from the last host on that was lost, since Auto
# Scaling replaces it, and the new one is to come up and be drained; within the second something is written of a job
# that is at work, once faults stop: the longest shard, a host's start and the longest pause are in it.
SURPLUS = 1800.0
STILL = 3600.0
# Between two looks at a cluster, so long passes; of what a stage pays, the last look before its end may be as old.
# One of a process that stands still now and then takes longer.
LOOK, HELD_UP = 60.0, 180.0
_LEDGER = "/ledger.json"
_RUNNING = b'"state": "running"'


class OverTime:
    """Looks after each step of a world.

    Attributes:
        problems: what did not hold.
    """

    def __init__(self, runs: Sequence[DagRun], bucket: Bucket, cloud: Cloud, problems: list[str]) -> None:
        """Begin with the world."""
        self._runs, self._bucket, self._cloud, self.problems = runs, bucket, cloud, problems
        self._looked = self._wrote_at = 0.0
        self._surplus_at: float | None = None
        self._lost = 0
        self._begun = 0
        self._at_work: set[str] = set()
        self._due = 0.0
        self._rounds = 0
        self._unseen = 0.0
        bucket.watchers.append(self._wrote)

    def _wrote(self, key: str, _before: bytes | None, after: bytes) -> None:
        if not key.endswith(_LEDGER):
            # What engines say of themselves is written while nothing happens, too.
            if key != shares.KEY and "/ticks/" not in key:
                self._wrote_at = self._cloud.clock.seconds
        elif _RUNNING not in after:
            self._at_work.discard(key)
        elif key not in self._at_work:
            self._rounds += 1
            self._at_work.add(key)

    def step(self) -> None:
        """Look."""
        now, cloud = self._cloud.clock.seconds, self._cloud
        running = [run for run in self._runs if run.state == "running"]
        if self._at_work:
            # EC2 bills no instance that is being terminated, though it is listed for a while.
            self._due += (now - self._looked) * sum(not host.leaving for host in cloud.hosts.values())
        self._looked = now
        # ECS tasks stay on the instances that they are on, also where fewer would do.
        used = sum(bool(host.tasks) for host in cloud.hosts.values())
        wanted = max(used, sum(int(run.params["max_instances"]) for run in running))
        # Without its scale-out a run has no teardown: its instances stay until another job's.
        if cloud.goal <= wanted or any(run.never_set_up for run in self._runs):
            self._surplus_at = None
        elif cloud.lost != self._lost:
            self._lost, self._surplus_at = cloud.lost, now
        elif now - (self._surplus_at or now) > SURPLUS:
            self.problems.append(f"{cloud.goal} instances, though {len(running)} runs need fewer")
        else:
            self._surplus_at = self._surplus_at or now
        begun = sum(run.round for run in self._runs)
        if not running or not cloud.quiet or begun != self._begun:
            self._begun, self._wrote_at = begun, now
        elif now - self._wrote_at > STILL:
            self.problems.append("runs are at work, and nothing is written any more")

    def away(self, seconds: float) -> None:
        """Note that no engine looks for so long: its next look stands for all of that, whatever there was."""
        self._unseen += seconds * self._cloud.most
        self._surplus_at = self._cloud.clock.seconds + seconds

    def end(self) -> None:
        """Compare what the ledgers say of instances' time with the bill of the time when stages were at work."""
        told = sum(
            Ledger.from_json(found.body, where=entry.key).instance_seconds
            for entry in self._bucket.listing("")
            if entry.key.endswith(_LEDGER) and (found := self._bucket.get(entry.key))
        )
        look = HELD_UP if self._cloud.faults.held_up else LOOK
        slack = 0.1 * self._due + self._rounds * look * self._cloud.most + self._unseen
        # What a tick sees stands for the time since the one before: beside others' ECS tasks, and with engines that are
        # killed or stand still for minutes, it may stand for too little. An instance that was asked for counts before
        # EC2 has it.
        sampled = (self._cloud.faults.crash or self._cloud.faults.held_up) and len(self._runs) > 1
        if (told < self._due - slack and not sampled) or (
            told > self._due + slack and not self._cloud.faults.no_capacity
        ):
            self.problems.append(f"{told:.0f} instance-seconds are told of {self._due:.0f}")
