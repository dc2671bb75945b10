"""Steps in their order, each done once: noted when it has ended, so that whoever is cut off goes on where he was.

However it ends, well, badly, or by Ctrl-C, what costs most is stopped first.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from scripts.core.console import Step as Shown
from scripts.core.console import Steps, console
from scripts.core.errors import OperatorError, line


@dataclass(frozen=True)
class Outcome:
    """What came of a step.

    Attributes:
        ok: AWS did what was expected, or a step did its work.
        detail: in a few words.
        seconds: how long it took.
        tests: of contract tests, `passed` or `failed` by id.
    """

    ok: bool
    detail: str
    seconds: float = 0.0
    tests: dict[str, str] = field(default_factory=dict)

    def require(self) -> None:
        """Let the step that is shown end as one that did not go well, if it did not."""
        if not self.ok:
            raise _OtherwiseError


class _OtherwiseError(Exception):
    """A step has not come to what was expected."""


@dataclass(frozen=True)
class Step:
    """A step.

    Attributes:
        name: by which it is noted.
        title: shown.
        do: does it; may be called again after it was cut off anywhere.
        checks: it asks AWS something: what comes of it is noted, and the others go on whatever it is. One that checks
            nothing must end well before the next begins.
        ends: it belongs to the end, and is done also when the rest is given up.
    """

    name: str
    title: str
    do: Callable[[Shown], Outcome]
    checks: bool = False
    ends: bool = False


@dataclass
class Note:
    """What has been done, in a file.

    Attributes:
        file: where; its folder must be there.
        began: when, UTC, in ISO 8601.
        outcomes: of each step that has ended, by its name.
        facts: what later steps need of earlier ones.
    """

    file: Path
    began: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path, began: str) -> Self:
        """What was noted before, else a new note."""
        try:
            noted = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(file, began)
        outcomes = {name: Outcome(**one) for name, one in noted["outcomes"].items()}
        return cls(file, noted["began"], outcomes, noted["facts"])

    def save(self) -> None:
        """Write it; whoever is killed meanwhile leaves the one before."""
        partial = self.file.with_suffix(".new")
        content = {
            "began": self.began,
            "outcomes": {name: dataclasses.asdict(one) for name, one in self.outcomes.items()},
            "facts": self.facts,
        }
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.file)


def run(steps: Sequence[Step], note: Note, *, safe: Callable[[], None], give_up: bool = False) -> None:
    """Do what is not done.

    Args:
        steps: in order.
        note: of what is done.
        safe: stops what costs most; called before the first step of the end, and however this is left before.
        give_up: only those of the end.

    Raises:
        OperatorError: a step that must end well did not.
        KeyboardInterrupt: it was cut off.
    """
    open_steps = [step for step in steps if not _done(note, step) and (step.ends or not give_up)]
    try:
        for step in (step for step in open_steps if not step.ends):
            _do(step, note)
    finally:
        safe()
    for step in (step for step in open_steps if step.ends):
        _do(step, note)


def _done(note: Note, step: Step) -> bool:
    """What was asked of AWS is not asked twice; a step of the end that did not end well is done again."""
    outcome = note.outcomes.get(step.name)
    return outcome is not None and (outcome.ok or not step.ends)


def _do(step: Step, note: Note) -> None:
    began = time.monotonic()
    outcome = Outcome(ok=False, detail="it has not ended")
    try:
        with Steps().step(step.title) as shown:
            outcome = _outcome(step, shown)
            shown.detail = outcome.detail
            outcome.require()
    except _OtherwiseError:
        console.print(f"  {outcome.detail}", style="red", markup=False, soft_wrap=True)
    note.outcomes[step.name] = dataclasses.replace(outcome, seconds=round(time.monotonic() - began, 1))
    note.save()
    if step.ends and not outcome.ok:
        raise OperatorError(f"{step.title}: {outcome.detail}")


def _outcome(step: Step, shown: Shown) -> Outcome:
    """What a step comes to; that of a check also where it fails."""
    try:
        return step.do(shown)
    except Exception as error:
        # What AWS answered otherwise than expected is what is looked for; a defect of ours has no line.
        said = line(error, environment="")
        if not step.checks or said is None:
            raise
        return Outcome(ok=False, detail=said)
