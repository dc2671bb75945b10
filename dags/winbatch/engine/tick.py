"""Decides one tick: from what was seen to what is to be done."""

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from winbatch.engine import counting, ending, instances, workers
from winbatch.engine.model import Action, Explain, Limits, Point, Put, Seen, Settle, Shards, Step, Stop
from winbatch.ledger import Ledger
from winbatch.stage import BLOCK, Stage, count_done

# Workers of a large stage are kept together in so many blocks of it, more when there are many of them.
BLOCKS_AT_ONCE = 4
SLOTS_A_BLOCK = 100
POLL_SOON = 2.0
POLL_LATEST = 30.0
# While instances boot and images are pulled, minutes pass: after this long the engine looks less often.
PATIENCE = dt.timedelta(seconds=20)
# Shards whose items' failures are read at one tick: of about so many items. A stage that ends for what failed ends
# then, so that not all of a million items that cannot be done are in its ledger.
EXPLAINED_ITEMS = 10_000


def step(stage: Stage, limits: Limits, ledger: Ledger, seen: Seen) -> Step:
    """Decide one tick.

    Args:
        stage: the stage.
        limits: its bounds.
        ledger: as the last tick left it.
        seen: what there is now.
    """
    shards = counting.sort_shards(stage, limits, ledger, seen)
    ledger = counting.count(stage, limits, ledger, seen, shards)
    ledger = instances.shortage(ledger, seen)
    verdict = ending.verdict(limits, ledger, seen, shards)
    live = [arn for arn, task in ledger.known.items() if task.status == "live"]
    if verdict is not None:
        state, reason = verdict
        # When all is done, workers end by themselves; they are told to only when the stage ends before its work.
        stop = (Stop(tuple(live), f"winbatch: the stage {state}"),) if live and state != "succeeded" else ()
        ended = dataclasses.replace(ledger, state=state, reason=reason, waves=(), due_at=seen.now)
        return Step(ended, stop, demand=0.0, wait=0.0, shards=shards)

    need = instances.need(limits, seen, shards)
    ledger, stops = workers.stops(limits, ledger, seen)
    actions: list[Action] = [*_marks(ledger, seen, shards, live), *stops]
    ledger, pointers = _point(stage, limits, ledger, shards)
    ledger, asks = instances.ask(ledger, seen, need)
    actions += [*pointers, *asks]
    ledger, retire = workers.retire(ledger, need, live)
    ledger, let_go = instances.let_go(limits, ledger, seen, need, missing=need.workers - len(live))
    ledger = dataclasses.replace(ledger, asked_at=None if seen.instances else ledger.asked_at or seen.now)
    missing = min(need.workers - len(live), seen.room, workers.MAX_PENDING - ledger.tasks_pending)
    ledger, runs = workers.runs(limits, ledger, seen, missing)
    actions += [*retire, *let_go, *runs]
    wait = _wait(limits, ledger, seen, shards, actions)
    ledger = dataclasses.replace(ledger, due_at=seen.now + dt.timedelta(seconds=wait))
    return Step(ledger, tuple(actions), need.demand, wait, shards, need)


def _marks(ledger: Ledger, seen: Seen, shards: Shards, live: Sequence[str]) -> Iterable[Action]:
    for mark, reason in shards.broken:
        yield Put(mark, reason)
    for mark, due in shards.retry:
        if due <= seen.now:
            yield Put(mark, "it may be tried again")
    unexplained = ((mark, kind) for mark, kind in shards.failed if mark.shard not in ledger.explained)
    if explain := tuple(islice(unexplained, max(1, EXPLAINED_ITEMS // ledger.shard_items))):
        yield Explain(explain)
    # Reading who holds what costs a request a claim: only when somebody has ended, or a lost ledger knows nobody.
    gone = {arn for arn, task in ledger.known.items() if task.status == "ending"}
    if shards.open and (gone or not live):
        verdicts = {worker.arn: worker.verdict for worker in seen.workers if worker.arn in gone}
        yield Settle(shards.open, frozenset(live), verdicts)


def _point(stage: Stage, limits: Limits, ledger: Ledger, shards: Shards) -> tuple[Ledger, tuple[Point, ...]]:
    """Keep workers together, from the front: only then are blocks done as a whole, and need not be listed any more."""
    if stage.shards <= BLOCK:
        return ledger, ()
    taken = Counter(mark.shard // BLOCK for mark in shards.open)
    taken.update(mark.shard // BLOCK for kind in (shards.retry, shards.broken, shards.failed) for mark, _ in kind)
    with_work = (
        number
        for number, first in enumerate(range(0, stage.shards, BLOCK))
        if len(block := range(first, min(first + BLOCK, stage.shards))) > count_done(shards.done, block) + taken[number]
    )
    slots = limits.max_workers * limits.slots
    blocks = tuple(islice(with_work, max(BLOCKS_AT_ONCE, -(-slots // SLOTS_A_BLOCK))))
    if blocks == ledger.blocks:
        return ledger, ()
    return dataclasses.replace(ledger, blocks=blocks), (Point(blocks),)


def _wait(limits: Limits, ledger: Ledger, seen: Seen, shards: Shards, actions: Sequence[Action]) -> float:
    """Say in how many seconds there is something to see: soon after an act or a start, else by the rate of work."""
    if any(isinstance(action, Explain) for action in actions):
        return 0.0
    if any(not isinstance(action, Put | Point) for action in actions):
        return POLL_SOON
    due = [since + instances.IDLE_GRACE for since in ledger.idle.values()]
    due += [at] if (at := workers.not_before(limits, ledger)) else []
    # While there is other work to claim, a retry can wait for the usual look.
    due += [] if shards.free else [at for _, at in shards.retry]
    timers = [(at - seen.now).total_seconds() for at in due if at > seen.now]
    if ledger.tasks_running == 0:
        waiting = seen.now - (ledger.asked_at or ledger.progress_at)
        usual = POLL_SOON if waiting < PATIENCE else POLL_LATEST / 2
    elif ledger.remaining_seconds is not None:
        usual = ledger.remaining_seconds / 2
    else:
        # Nothing is finished yet, so nobody knows how long a shard takes: what is quick is to be seen soon, and what
        # takes long costs few looks.
        still = (seen.now - ledger.progress_at).total_seconds()
        usual = max(1.25 * still, 0.1 * (seen.now - ledger.samples[0][0]).total_seconds())
    return min(POLL_LATEST, max(POLL_SOON, min([usual, *timers])))
