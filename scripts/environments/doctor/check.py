"""What a check is: a small class with a name, that looks at one thing and gives a finding."""

import enum
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from scripts.core import errors
from scripts.core.aws import Aws
from scripts.core.settings import Settings
from scripts.terraform import state
from scripts.tools import emulator

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_NOT_IMPLEMENTED = 501


class State(enum.StrEnum):
    """How it is with what was looked at."""

    FINE = "fine"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        state: how it is.
        said: what is so, in a line.
        advice: what to do; empty where nothing is to be done, or where `said` ends with it.
    """

    state: State
    said: str
    advice: str = ""


def fine(said: str) -> Finding:
    """Give the finding that all is well."""
    return Finding(State.FINE, said)


def doubtful(said: str, advice: str = "") -> Finding:
    """Give a finding that a person should know, and that keeps nothing from working yet."""
    return Finding(State.DOUBTFUL, said, advice)


def wrong(said: str, advice: str = "") -> Finding:
    """Give a finding that keeps something from working."""
    return Finding(State.WRONG, said, advice)


class Context:
    """What checks look at; each part is read once, when the first check asks for it.

    Args:
        settings: of the environment.
        aws: its AWS; None: whichever it has.
    """

    def __init__(self, settings: Settings, aws: Aws | None = None) -> None:
        self.settings = settings
        self._aws = aws

    @cached_property
    def aws(self) -> Aws:
        """The environment's AWS.

        Raises:
            EmulatorError: it is local and its emulator does not answer.
        """
        if self._aws is not None:
            return self._aws
        local = self.settings.local
        return Aws(self.settings.region, emulator.require(self.settings).endpoint_url if local else None)

    @cached_property
    def values(self) -> dict[str, Any]:
        """What the environment's tfvars file says."""
        # Brings a parser that the preflight does not need.
        from scripts.terraform import values  # noqa: PLC0415

        return values.read(self.settings.var_file)

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """Terraform's outputs; empty before the first apply."""
        return state.outputs(self.aws.client("s3"), self.settings)

    @property
    def cluster(self) -> dict[str, Any]:
        """The cluster as deployment.json has it; only where the environment is up."""
        found: dict[str, Any] = self.outputs["deployment"]["cluster"]
        return found

    @property
    def again(self) -> str:
        """The verb that brings the environment up."""
        return "invoke up" if self.settings.local else f"invoke up --env {self.settings.environment}"


class Check:
    """A check.

    Attributes:
        name: what it looks at.
        stops_at: states after which nothing that follows can be looked at.
    """

    name: ClassVar[str]
    stops_at: ClassVar[tuple[State, ...]] = ()

    def run(self, context: Context) -> Finding:
        """Look.

        Raises:
            OperatorError: it is wrong, and that is the line that says so.
            ClientError: AWS does not say; `look` makes a finding of it.
        """
        raise NotImplementedError


def look(check: Check, context: Context) -> Finding:
    """Run a check and give its finding, also where it fails."""
    try:
        return check.run(context)
    except Exception as error:
        if isinstance(error, ClientError) and (unseen := _unseen(error)) is not None:
            return doubtful(*unseen)
        said = errors.line(error, environment=context.settings.environment)
        if said is None:
            raise
        return wrong(said)


def _unseen(error: ClientError) -> tuple[str, str] | None:
    """Why nothing could be seen, and what to do; None for an error that says something of what was looked at."""
    found = error.response.get("Error", {})
    if found.get("Code") in _DENIED:
        named = re.search(r"perform: ([\w-]+:\w+)", found.get("Message", ""))
        action = named[1] if named else error.operation_name
        return f"not allowed to look ({action})", "ask somebody who may, or have that action allowed"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if status == _NOT_IMPLEMENTED:
        return f"the local AWS does not answer {error.operation_name}", ""
    return None
