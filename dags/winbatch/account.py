"""What a stage took: its ledger and the job's parameters, for reports."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from winbatch.ledger import Ledger


@dataclasses.dataclass(frozen=True)
class Account:
    """A stage that has ended.

    Attributes:
        params: the job's.
        items: of the stage.
        shards: that they were packed into.
        ledger: as the engine left it; None where none drove the stage.
    """

    params: Mapping[str, Any]
    items: int
    shards: int
    ledger: Ledger | None = None
