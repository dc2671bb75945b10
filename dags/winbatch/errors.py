"""What can go wrong in `winbatch`, each with one line that says what is wrong, where, and what to do.

::

    WinbatchError
    ├── SpecError          a job specification or a parameter
    ├── DeploymentError    deployment.json
    ├── JobError           what a job left in S3: job.json, stage.json, manifest, result, ledger
    ├── ClusterError       the cluster cannot give what was asked for
    ├── StorageError       S3 refuses, or cannot be reached
    │   └── UnavailableError   S3 cannot be reached, or asks for a pause
    └── WorkerError        a worker's environment, or the workload's code that it is to run
"""

# Problems that are shown of many: one mistake may be made in every line.
_SHOWN = 50


class WinbatchError(Exception):
    """Base of all; `str(error)` is what a person sees: a line, of a `SpecError` perhaps several."""


class SpecError(WinbatchError):
    """A job specification, or a parameter given for one, is wrong.

    Attributes:
        problems: all that is wrong, a line each.
        lines: what a person sees: the only problem, or how many there are, and then each.
    """

    def __init__(self, *problems: str, place: str = "") -> None:
        """Make one of its problems.

        Args:
            problems: at least one.
            place: where they are, for the line that says how many.
        """
        self.problems = problems
        head = [f"{place}: {len(problems)} mistakes"] if len(problems) > 1 else []
        left = len(problems) - _SHOWN
        self.lines = (*head, *problems[:_SHOWN], *([f"{place}: and {left} more"] if left > 0 else []))
        super().__init__("\n".join(self.lines))


class DeploymentError(WinbatchError):
    """deployment.json is missing, half-written or of another schema."""


class JobError(WinbatchError):
    """An object of a job in S3 is missing, does not parse or is of another schema."""


class ClusterError(WinbatchError):
    """The cluster refused, or did not deliver in time."""


class StorageError(WinbatchError):
    """S3 refused a request or could not be reached, retries included."""


class UnavailableError(StorageError):
    """S3 could not be reached, failed, or asks for a pause, retries included: it may be otherwise later."""


class WorkerError(WinbatchError):
    """A worker cannot start as it was told to: its environment or the workload's code is wrong."""
