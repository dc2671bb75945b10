"""What can go wrong for the operator, and the one place that turns it into a line.

::

    OperatorError             base; `str(error)` is what a person sees, wrong thing first, then what to do
    ├── SettingsError         an option, an environment's name, a variable of the process environment
    ├── ToolError             a tool is missing, too old, or cannot be fetched
    ├── PreflightError        the machine is not ready: disk space, a used port, another run at work
    ├── PlanRefused           a saved plan does not hold here, or no longer
    ├── TerraformError        a Terraform command failed; carries command, exit code and last lines
    │   └── StateLockedError  somebody else holds the state's lock, or did when it was killed
    ├── EmulatorError         the local environment's emulator is not there, died or did not start
    ├── ImageError            an image cannot be built or pushed
    ├── ReleaseError          the DAGs cannot be released, or a release cannot be served again
    ├── AirflowError          Airflow refused a call, or does not serve what was released
    ├── JobFailed             the job ended, and not well
    ├── PipelineError         GitHub does not take what the pipeline has to say
    ├── CheckFailed           a check of `make test` found something
    └── BenchError            a figure of `make bench` cannot be measured, or is out of its bound
"""

import errno
import re
from collections.abc import Sequence

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from winbatch import denials
from winbatch.errors import SpecError, WinbatchError

# A path or a URL may be this long, in characters.
_LONGEST_WORD = 300


class OperatorError(Exception):
    """Base of all; `str(error)` is the line that a person sees."""


class SettingsError(OperatorError):
    """An option, an environment's name or a variable of the process environment is wrong."""


class ToolError(OperatorError):
    """A tool is missing, too old, or cannot be fetched."""


class PreflightError(OperatorError):
    """The machine is not ready for what was asked."""


class PlanRefused(OperatorError):  # noqa: N818 - it names an outcome
    """A saved plan does not hold here, or no longer."""


class EmulatorError(OperatorError):
    """The emulator is not there, died or did not start."""


class ImageError(OperatorError):
    """An image cannot be built or pushed."""


class ReleaseError(OperatorError):
    """The DAGs cannot be released, or a release cannot be served again."""


class AirflowError(OperatorError):
    """Airflow refused a call, or does not serve what was released.

    Attributes:
        status: the HTTP status of the answer; None where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class PipelineError(OperatorError):
    """GitHub does not take what the pipeline has to say."""


class JobFailed(OperatorError):  # noqa: N818 - it names an outcome
    """The job ended, and not well."""


class CheckFailed(OperatorError):  # noqa: N818 - it names an outcome
    """A check found something; its own output says what."""


class BenchError(OperatorError):
    """A figure cannot be measured, or is out of its bound."""


class TerraformError(OperatorError):
    """A Terraform command failed.

    Attributes:
        command: as it was run.
        exit_code: Terraform's; negative for a signal.
        problems: Terraform's own errors, a line each.
        tail: the last lines of its output.
    """

    def __init__(
        self,
        message: str,
        *,
        command: Sequence[str],
        exit_code: int,
        problems: Sequence[str] = (),
        tail: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.command = tuple(command)
        self.exit_code = exit_code
        self.problems = tuple(problems)
        self.tail = tuple(tail)


class StateLockedError(TerraformError):
    """Somebody else holds the state's lock, or did when it was killed.

    Attributes:
        lock_id: what `terraform force-unlock` wants.
    """

    lock_id: str = ""


def line(error: BaseException, *, environment: str, verb: str = "") -> str | None:
    """The one line that a person sees for an error; None for a defect of ours, which deserves its traceback.

    Args:
        error: what was raised.
        environment: the environment's name, for the advice.
        verb: which was called: none advises itself.
    """
    again = "" if environment == "local" else f" --env {environment}"
    said = _line(error, environment)
    if said is None or verb not in {"up", "deploy"}:
        return said
    # `up` has just applied all that there is.
    return re.sub(
        r"(?<=[;:] )invoke up( --env \S+)?$",
        f"call again, and if it says the same: invoke plan{again} shows what is amiss",
        said,
    )


def _line(error: BaseException, environment: str) -> str | None:
    again = "" if environment == "local" else f" --env {environment}"
    if isinstance(error, OperatorError | WinbatchError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; what is done stays done: call again to go on"
    if isinstance(error, EndpointConnectionError | BotoConnectionError):
        if environment == "local":
            return (
                "the local environment does not answer, its emulator is not running or died"
                " (.state/local/emulator.log): invoke down, then invoke up"
            )
        return f"AWS cannot be reached ({error}); check the network and call again"
    if isinstance(error, NoCredentialsError | SSOError | TokenRetrievalError):
        return f"no AWS credentials for environment {environment}: log in (aws sso login) and call again"
    if isinstance(error, ClientError):
        return _client_line(error, again)
    if isinstance(error, BotoCoreError):
        return f"AWS: {error}"
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"the disk is full ({error.filename or 'while writing'}): free some space and call again"
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return (
            f"{error.filename or 'the project folder'} is on a read-only file system: name folders that can be"
            " written by WINBATCH_STATE and WINBATCH_CACHE, or by --out"
        )
    if isinstance(error, PermissionError):
        return f"{error.filename}: permission denied; call as the user that owns the project's folder"
    return None


def lines(error: BaseException, said: str) -> Sequence[str]:
    """Give the lines that a person sees of an error: all that is wrong with a job file is said at once.

    Args:
        error: what was raised.
        said: its one line, for all others.
    """
    return error.lines if isinstance(error, SpecError) and len(error.lines) > 1 else [said]


def printable(text: str) -> str:
    """Write what would move a terminal's cursor, colour the rest or break the line as its code."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text.expandtabs())


def one_line(text: str) -> str:
    """Write a text of several lines in one, as a terminal can show it."""
    return printable(" ".join(text.split()))


def shown(text: str) -> str:
    """A message as a terminal shows it in a line, whatever words of a person it repeats.

    Words without end are cut.
    """
    return re.sub(rf"\S{{{_LONGEST_WORD},}}", lambda word: word[0][: _LONGEST_WORD // 2] + "…", printable(text))


def _client_line(error: ClientError, again: str) -> str:
    code = error.response.get("Error", {}).get("Code", "?")
    message = error.response.get("Error", {}).get("Message", "")
    if code in {"NoSuchBucket", "ResourceNotFoundException", "ClusterNotFoundException"}:
        return f"the environment is not (wholly) there: {message or code}; invoke up{again}"
    if code in {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"}:
        return f"the AWS credentials are expired or wrong ({code}): log in again and call again"
    return f"AWS refused {error.operation_name}: {denials.explained(message) or f'{code}: {message}'}"
