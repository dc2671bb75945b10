"""Workers: containers that claim shards by the product's own code, run their items, and leave results."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol

from simulation.clock import Clock
from simulation.faults import Faults
from simulation.ports import Killed, Process
from simulation.s3 import Bucket
from winbatch import attempts, results
from winbatch.errors import JobError, StorageError
from winbatch.results import ItemResult
from winbatch.stage import ClaimMark, Stage

SURROUNDINGS = 3
"""The exit code of a worker whose S3 refuses."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What the items of a world are like.

    Attributes:
        seconds: between which the time of an item lies, or the time of each.
        requests: seconds that a shard's requests to S3 take.
        poisoned: items whose program always fails.
        killers: items that take their worker with them.
        killed_by: the reason that ECS gives then.
        forgotten: items whose worker ends well, and leaves no result of the shard.
    """

    seconds: tuple[float, float] | Sequence[float] = (0.5, 2.5)
    requests: float = 0.0
    poisoned: frozenset[int] = frozenset()
    killers: frozenset[int] = frozenset()
    killed_by: str = ""
    forgotten: frozenset[int] = frozenset()


class ClaimTaker(Protocol):
    """What a worker needs of `winbatch.working.claims.Claims`."""

    def take(self) -> ClaimMark | None:
        """Claim a shard; None when none can be claimed any more."""

    def done(self, mark: ClaimMark) -> None:
        """Note that a shard has its result."""

    def fail(self, mark: ClaimMark, kind: Literal["failed", "memory"], failures: Sequence[Mapping[str, Any]]) -> None:
        """Leave a mark that an attempt failed, with the items that did."""

    def close(self) -> None:
        """Claim nothing any more."""


class Worker:
    """Runs one container."""

    def __init__(
        self,
        *,
        clock: Clock,
        faults: Callable[[], Faults],
        bucket: Bucket,
        process: Process,
        stage: Stage,
        claims: ClaimTaker,
        slots: int,
        work: Work,
        ended: Callable[[int, str], None],
    ) -> None:
        """Start it.

        Args:
            clock: of the world.
            faults: gives those of the world.
            bucket: the data bucket.
            process: this one.
            stage: whose shards it claims.
            claims: its claims on the stage.
            slots: shards at once.
            work: what its items are like.
            ended: is told its exit code and reason when it ends by itself.
        """
        self._clock, self._faults, self._bucket, self._process = clock, faults, bucket, process
        self._stage, self._work, self._ended = stage, work, ended
        self._claims = claims
        self._held: dict[ClaimMark, list[ItemResult]] = {}
        self._over = False
        self._idle = 0
        self._slots = slots
        manifest = bucket.get(stage.manifest)
        assert manifest is not None, f"{stage.manifest} is gone"
        self._params = _params(manifest.body)
        for _ in range(slots):
            clock.after(clock.random.uniform(0, 1), self._next)

    def stop(self) -> None:
        """Give back what is held: within Windows' seconds, if nothing hinders it."""
        if self._over:
            return
        self._over = True
        self._claims.close()
        for mark, done in sorted(self._held.items()):
            try:
                self._save(mark, done)
                released = mark._replace(kind="released")
                body = attempts.encode_reason("the worker was told to stop", self._clock.now())
                self._process.before(s3=True)
                self._bucket.put(self._stage.claim_key(released), body, new=True)
            except (Killed, StorageError):
                return

    def kill(self) -> None:
        """End it, wherever it is."""
        self._over = True
        self._process.killed = True

    def _next(self) -> None:
        if self._over:
            return
        with self._fatal():
            mark = self._claims.take()
            if self._over:
                return
            if mark is not None:
                self._held[mark] = self._partials(mark)
                self._item(mark, [], self._work.requests)
                return
            self._idle += 1
            if self._idle == self._slots:
                self._die(0, "")

    @contextlib.contextmanager
    def _fatal(self) -> Iterator[None]:
        """End the container with what is raised in here."""
        try:
            yield
        except Killed:
            self._die(139, "killed")
        except StorageError as error:
            self._die(SURROUNDINGS, str(error))

    def _item(self, mark: ClaimMark, failed: list[int], wait: float = 0.0) -> None:
        """Run the shard's next item, or finish the shard."""
        finished = {item.item for item in self._held[mark]}
        left = [line for line in self._stage.shard_lines(mark.shard) if line not in finished and line not in failed]
        if not left:
            self._finish(mark, failed)
            return
        self._clock.after(wait + self._time_of(left[0]), lambda: self._ran(mark, left[0], failed))

    def _time_of(self, item: int) -> float:
        seconds = self._work.seconds
        return self._clock.random.uniform(*seconds) if isinstance(seconds, tuple) else seconds[item]

    def _ran(self, mark: ClaimMark, item: int, failed: list[int]) -> None:
        if self._over:
            return
        if item in self._work.killers:
            self._die(139, self._work.killed_by)
        elif item in self._work.forgotten:
            self._die(0, "")
        else:
            if item in self._work.poisoned or self._clock.chance(self._faults().item_fails):
                failed.append(item)
            else:
                self._held[mark].append(ItemResult(item, self._params[item], self._values(item)))
            self._item(mark, failed)

    def _values(self, item: int) -> dict[str, int]:
        """What an item comes to: its number, or how many items there are that its stage reads."""
        read = [self._read(key) for key in self._stage.inputs.values()]
        return {"n": sum(len(finished(self._bucket, stage)) for stage in read) if read else item}

    def _read(self, key: str) -> Stage:
        found = self._bucket.get(key)
        assert found is not None, f"{key} is gone"
        return Stage.from_json(found.body, where=key)

    def _finish(self, mark: ClaimMark, failed: list[int]) -> None:
        with self._fatal():
            if failed:
                self._save(mark, self._held[mark])
                described = [{"item": item, "error": "boom", "exit_code": 1, "log": ["last words"]} for item in failed]
                self._claims.fail(mark, "failed", described)
            else:
                self._write(mark)
                self._claims.done(mark)
            self._held.pop(mark, None)
            self._next()

    def _write(self, mark: ClaimMark) -> None:
        items = sorted(self._held[mark])
        body = results.encode(self._stage, mark.shard, items)
        if self._clock.chance(self._faults().result_torn):
            body = body[: len(body) // 2]
        key = self._stage.result_key(mark.shard)
        self._process.before(s3=True)
        there = self._bucket.get(key)
        if there is not None:
            try:
                results.decode(there.body, self._stage, mark.shard)
            except JobError:
                self._bucket.put(key, body, etag=there.etag)
        else:
            self._bucket.put(key, body, new=True)
        self._process.after(s3=True)

    def _partials(self, mark: ClaimMark) -> list[ItemResult]:
        return partials(self._bucket, self._stage, mark.shard) if mark.attempt else []

    def _save(self, mark: ClaimMark, done: list[ItemResult]) -> None:
        if done and self._stage.shard_items > 1:
            key = f"{self._stage.partials_of(mark.shard)}{mark.attempt:02d}-0000.json"
            self._process.before(s3=True)
            if self._bucket.get(key) is None:
                self._bucket.put(key, results.encode(self._stage, mark.shard, sorted(done)), new=True)

    def _die(self, code: int, reason: str) -> None:
        if not self._over:
            self._over = True
            self._ended(code, reason)


def partials(bucket: Bucket, stage: Stage, shard: int) -> list[ItemResult]:
    """Read what is finished of a shard that has no result."""
    found: dict[int, ItemResult] = {}
    for entry in bucket.listing(stage.partials_of(shard)):
        body = bucket.get(entry.key)
        assert body is not None
        for item in results.decode_partial(body.body, stage, shard, where=entry.key):
            found.setdefault(item.item, item)
    return [*found.values()]


def finished(bucket: Bucket, stage: Stage) -> set[int]:
    """List the items of a stage that whoever reads it finds."""
    there: set[int] = set()
    for shard in range(stage.shards):
        found = bucket.get(stage.result_key(shard))
        try:
            items = results.decode(found.body if found else b"", stage, shard)
        except JobError:
            items = tuple(partials(bucket, stage, shard))
        there |= {item.item for item in items}
    return there


@lru_cache(maxsize=8)
def _params(manifest: bytes) -> list[Mapping[str, Any]]:
    """Read the items' parameters; all workers of a stage read the same ones."""
    return [json.loads(line)["params"] for line in manifest.splitlines()]
