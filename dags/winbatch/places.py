"""What jobs say on the board in S3: which instances they could use, and whose place is kept."""

from collections.abc import Callable, Iterable

from winbatch import engine, shares
from winbatch.keys import ledger_key_of
from winbatch.ledger import Ledger
from winbatch.ports import Ports, Reader
from winbatch.shares import Board
from winbatch.stage import Stage
from winbatch.storage import Conflict

_TRIES = 10


def others(ports: Ports, stages: Iterable[Stage]) -> list[str]:
    """Stages that are at work on the cluster beside these ones' jobs, and jobs that are about to be.

    What the board says of a stage may be said by an engine that was overtaken, or not be taken back by one that was
    killed; its ledger is right about whether it has ended.

    Raises:
        JobError: the board or the ledger of one of them does not parse.
    """
    jobs = {(stage.dag, stage.job) for stage in stages}
    looked = ports.now()
    told = read(ports)[0].others("", looked)
    names = [name for name in told if not any(shares.is_of(name, *job) for job in jobs)]
    return [name for name in names if not _ended(ports, name)]


def reserve(ports: Ports, dag: str, job: str, instances: float) -> None:
    """Keep a place on the board for a job whose next stage has not begun: another job's teardown leaves its instances.

    Raises:
        JobError: the board does not parse.
    """
    _change(ports, lambda board: board.reserved(dag, job, instances, ports.now()))


def renew(ports: Ports, dag: str, job: str, instances: float) -> None:
    """Keep a place that a job has; where it has none any more, nobody waits for it.

    Raises:
        JobError: the board does not parse.
    """
    _change(
        ports,
        lambda board: (
            board.reserved(dag, job, instances, ports.now()) if shares.reservation(dag, job) in board.demands else board
        ),
    )


def withdraw(ports: Ports, dag: str, job: str) -> None:
    """Take all that is a job's off the board: it has ended.

    Raises:
        JobError: the board does not parse.
    """
    _change(ports, lambda board: board.without(dag, job))


def read(ports: Reader) -> tuple[Board, str | None]:
    """Read the board, and what must still be its ETag when it is written.

    Raises:
        JobError: it does not parse.
    """
    stored = ports.get(shares.KEY)
    if stored is None:
        return Board(), None
    return Board.from_json(stored.body, where=shares.KEY), stored.etag


def tell(ports: Ports, stage: Stage, demand: float, board: Board, etag: str | None, *, after: float = 0.0) -> None:
    """Say on the board what the stage could use; whoever loses too many races says it again at the next tick."""
    me = engine.name_of(stage)

    def told(board: Board) -> Board:
        now = ports.now()
        return board.told(me, demand, now, after=after) if board.stale(me, demand, now) else board

    def told_again(board: Board) -> Board:
        # The board has changed since this tick looked. It may be the stage's teardown that has taken it off, and this a
        # process that is not killed yet.
        return told(board) if demand == 0 or not _ended(ports, me) else board

    _change(ports, told, board, etag, again=told_again)


def _change(
    ports: Ports,
    change: Callable[[Board], Board],
    board: Board | None = None,
    etag: str | None = None,
    again: Callable[[Board], Board] | None = None,
) -> None:
    """Change the board, which others change at the same time: where they did, by `again` if that is given."""
    if board is None:
        board, etag = read(ports)
    for _ in range(_TRIES):
        changed = change(board)
        if changed == board:
            return
        try:
            ports.put(shares.KEY, changed.to_json().encode(), etag=etag, new=etag is None)
        except Conflict:
            board, etag = read(ports)
            change = again or change
        else:
            return


def _ended(ports: Ports, name: str) -> bool:
    key = ledger_key_of(*name.split("/"))
    stored = ports.get(key)
    return stored is not None and Ledger.from_json(stored.body, where=key).finished
