"""A stage of a job: where its objects lie in S3 and which lines make which shard.

The layout is the contract of docs/architecture.md, "A job in S3". Everything that names a key of a stage asks here.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self, cast, get_args

from winbatch.errors import JobError
from winbatch.parsing import MALFORMED

SCHEMA = 1

DAY = 86_400.0
"""Seconds that an item may take unless its job says otherwise."""

# Workers list shards, and the engine forgets those that are done, by blocks of so many: one page of a listing.
BLOCK = 1000

ClaimKind = Literal["claim", "failed", "memory", "crash", "invalid", "lost", "released"]

_KINDS = frozenset(get_args(ClaimKind))


def count_done(done: int, shards: range) -> int:
    """How many of these shards have their bit in `done`."""
    return (done >> shards.start & ((1 << len(shards)) - 1)).bit_count()


class ClaimMark(NamedTuple):
    """One object below a stage's claims prefix.

    Attributes:
        shard: the shard's number.
        attempt: 0 for the first.
        kind: `claim` when a worker took it; how the attempt ended, if it counts: `failed` (its program) or `memory`
            (it ran out of it), which a worker says, `crash` (it took its worker with it), `invalid` (its result
            is missing or does not parse) or `lost` (its worker or host went away), which the engine says; `released`
            when the next attempt may be taken.
    """

    shard: int
    attempt: int
    kind: ClaimKind


@dataclasses.dataclass(frozen=True)
class Group:
    """Items that belong together for people, such as a point of a sweep: `items` of them from item `first` on."""

    name: str
    first: int
    items: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """What stage.json holds. Keys and prefixes are without bucket; prefixes end with a slash.

    Attributes:
        dag: DAG id.
        job: job id.
        stage: the stage's name, unique in its job.
        workload: whose task definition runs it.
        run: `module:function` of the workload's code; empty where the stage has a command.
        manifest: key of the manifest, one line an item.
        claims: prefix of the claims.
        partials: prefix of what unfinished shards have come to so far.
        results: prefix of the results.
        outputs: prefix of the files that items leave.
        items: number of items.
        shard_items: items a shard; the last shard may hold fewer.
        inputs: name of an earlier stage to the key of its stage.json.
        groups: of its items, in order and without gaps; none when there is nothing to group by.
        item_seconds: what an item is thought to take; None when nobody knows.
        command: the program that an item runs, and its arguments: templates.
        timeout: seconds that an item may take; None, which an earlier release wrote: a day.
        limits: what else the job says of `winbatch.working.limits.Limits`, by name.
        fetch: objects of the data bucket that an item needs: path in its inputs folder to template of the key.
        source: the earlier stage whose items' files this stage's items of the same numbers work on; empty for none.
        item_folders: each item's files lie below its own number, and not beside those of the others.
        digest: of the manifest, and so of the items of each shard; empty where release 0.1 planned the job.
    """

    dag: str
    job: str
    stage: str
    workload: str
    run: str
    manifest: str
    claims: str
    partials: str
    results: str
    outputs: str
    items: int
    shard_items: int
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    groups: Sequence[Group] = ()
    item_seconds: float | None = None
    command: Sequence[str] = ()
    timeout: float | None = None
    limits: Mapping[str, float] = dataclasses.field(default_factory=dict)
    fetch: Mapping[str, str] = dataclasses.field(default_factory=dict)
    source: str = ""
    item_folders: bool = False
    digest: str = ""

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.items // self.shard_items)

    @property
    def shard_seconds(self) -> float | None:
        """What a shard is thought to take; None when nobody knows."""
        return None if self.item_seconds is None else self.item_seconds * self.shard_items

    def shard_lines(self, shard: int) -> range:
        """The manifest's lines, from 0, that make this shard."""
        return range(shard * self.shard_items, min((shard + 1) * self.shard_items, self.items))

    def shard_of(self, item: int) -> int:
        """The shard that holds an item."""
        return item // self.shard_items

    def group_shards(self, group: Group) -> range:
        """The shards that hold a group's items; one at its border may hold another group's, too."""
        return range(group.first // self.shard_items, -(-(group.first + group.items) // self.shard_items))

    def claims_of(self, shard: int) -> str:
        """Prefix of a shard's marks."""
        return f"{self.claims}{shard:06d}/"

    def claim_key(self, mark: ClaimMark) -> str:
        """Give the key of a mark: a claim, or what became of one."""
        return f"{self.claims_of(mark.shard)}{mark.attempt:02d}.{mark.kind}"

    def parse_claim_key(self, key: str) -> ClaimMark | None:
        """The mark that a key below `claims` stands for; None for a key that is none of ours."""
        # By position, and not by an expression: the engine reads a hundred thousand of them.
        name = key[len(self.claims) :]
        shard, attempt, kind = name[:6], name[7:9], name[10:]
        if name[6:7] != "/" or name[9:10] != "." or kind not in _KINDS or not (shard + attempt).isdecimal():
            return None
        return ClaimMark(int(shard), int(attempt), cast("ClaimKind", kind))

    def result_key(self, shard: int) -> str:
        """Give the key of a shard's result."""
        return f"{self.results}{shard:06d}.json"

    def parse_result_key(self, key: str) -> int | None:
        """The shard whose result lies at a key below `results`; None for any other key."""
        name = key[len(self.results) :]
        return int(name[:6]) if name[6:] == ".json" and name[:6].isdecimal() else None

    def partials_of(self, shard: int) -> str:
        """Prefix of what a shard's attempts have left unfinished."""
        return f"{self.partials}{shard:06d}/"

    @property
    def blocks_key(self) -> str:
        """Where the engine says in which blocks of a large stage workers find something to claim."""
        return f"{self.claims.removesuffix('claims/')}blocks.json"

    def retired_key(self, task_arn: str) -> str:
        """Where the engine asks an ECS task to leave after the shard at hand: others have a right to its place."""
        return f"{self.claims.removesuffix('claims/')}retired/{task_arn.rpartition('/')[2]}"

    def outputs_of(self, item: int) -> str:
        """Prefix of the files that an item leaves."""
        return f"{self.outputs}{item:06d}/" if self.item_folders else self.outputs

    def to_json(self) -> str:
        """Write it as stage.json has it."""
        return json.dumps(
            {"schema": SCHEMA, **dataclasses.asdict(self), "shards": self.shards}, indent=2, sort_keys=True
        )

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> Self:
        """Read a stage.json.

        Args:
            text: its content.
            where: its address, for the error's line.

        Raises:
            JobError: it does not parse, is of another schema, or lacks a field.
        """
        data = load_object(text, where=where)
        known = {field.name for field in dataclasses.fields(cls)}
        try:
            groups = tuple(Group(**group) for group in data.pop("groups", ()))
            command = tuple(data.pop("command", ()))
            values = {name: value for name, value in data.items() if name in known}
            return cls(**values, groups=groups, command=command)
        except MALFORMED as error:
            raise JobError(f"{where}: not a stage.json of this release ({error}); plan the job again") from error


def load_object(text: str | bytes, *, where: str) -> dict[str, Any]:
    """Parse a JSON object that carries our schema number.

    Raises:
        JobError: it does not parse, is no object, or is of another schema.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise JobError(f"{where}: not JSON ({error}); it was cut off or written by something else") from error
    if not isinstance(data, dict):
        raise JobError(f"{where}: a JSON object is expected, found {type(data).__name__}")
    if data.get("schema") != SCHEMA:
        raise JobError(
            f"{where}: schema {data.get('schema')!r}, this release reads schema {SCHEMA};"
            " run the job with the release that planned it, or plan it again"
        )
    return data


def canonical(data: Mapping[str, Any]) -> bytes:
    """The one way to write an object that must be the same bytes when written again: sorted, no spaces, newline."""
    return (json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n").encode()
