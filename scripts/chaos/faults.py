"""Lists what can go wrong: a table of kinds, each a function that does it and says in a few words what it hit.

A new one is a function with `@_kind(weight)`; its name is the kind's. It raises Nobody when there is nothing to hit.
"""

import os
import random
import re
import resource
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from scripts.chaos import disk
from scripts.chaos.place import Place
from scripts.chaos.schedule import Kind
from scripts.core.errors import OperatorError
from scripts.tools import emulator

Do = Callable[[Place, random.Random], str]
KINDS: dict[str, Kind] = {}
DO: dict[str, Do] = {}

# What an emulator that was killed has started ends within this, s.
WATCHDOG_SECONDS = 60.0
# Airflow's, as docs/upgrading.md has them.
VERSIONS = ("3.0.6", "3.2.1", "3.3.1")
# boto3 gives up on an answer after 60 s, and asks again.
NEVER = 75.0


class Nobody(LookupError):  # noqa: N818 - it names a state
    """There is nothing that this could happen to now."""


def _kind(weight: float, *, last: bool = False) -> Callable[[Do], Do]:
    def note(do: Do) -> Do:
        name = do.__name__.replace("_", "-")
        KINDS[name], DO[name] = Kind(weight, last), do
        return do

    return note


# --- AWS


@_kind(2)
def throttle(place: Place, chance: random.Random) -> str:
    """A service answers some calls with its word for too many."""
    service, action = chance.choice(
        [("ecs", "RunTask"), ("ecs", "*"), ("autoscaling", "*"), ("s3", "PutObject"), ("s3", "*"), ("logs", "*")]
    )
    times, rate = chance.randint(2, 20), chance.choice([0.2, 0.5, 1.0])
    place.fault(kind="throttle", service=service, action=action, times=times, rate=rate, seed=chance.randint(1, 2**31))
    return f"{times} calls of {service} {action}, {rate:.0%} of them"


@_kind(2)
def server_error(place: Place, chance: random.Random) -> str:
    """A service answers with an error of its own."""
    service, action, code = chance.choice(
        [
            ("s3", "GetObject", "InternalError"),
            ("s3", "PutObject", "InternalError"),
            ("s3", "ListObjectsV2", "ServiceUnavailable"),
            ("ecs", "*", "ServerException"),
            ("autoscaling", "*", "InternalFailure"),
        ]
    )
    times = chance.randint(1, 8)
    message = "We encountered an internal error. Please try again."
    place.fault(kind="refuse", service=service, action=action, code=code, message=message, status=500, times=times)
    return f"{times} calls of {service} {action}: {code}"


@_kind(1)
def contention(place: Place, chance: random.Random) -> str:
    """Auto Scaling is at something else."""
    times = chance.randint(1, 4)
    message = "The Auto Scaling group is currently being updated."
    place.fault(
        kind="refuse", service="autoscaling", action="*", code="ResourceContention", message=message, times=times
    )
    return f"{times} calls"


@_kind(2)
def late_answer(place: Place, chance: random.Random) -> str:
    """An answer comes late to what is done."""
    service = chance.choice(["s3", "ecs", "autoscaling"])
    times, seconds = chance.randint(1, 6), chance.choice([1, 3, 10])
    place.fault(kind="answer-late", service=service, action="*", seconds=seconds, times=times)
    return f"{times} calls of {service}, {seconds} s each"


@_kind(1)
def no_answer(place: Place, chance: random.Random) -> str:
    """Nobody says that what was asked for is done."""
    service, action = chance.choice([("s3", "PutObject"), ("ecs", "RunTask"), ("autoscaling", "SetDesiredCapacity")])
    place.fault(kind="answer-late", service=service, action=action, seconds=NEVER, times=1)
    return f"a call of {service} {action}"


@_kind(1)
def slow_start(place: Place, chance: random.Random) -> str:
    """The next ECS tasks stay PENDING for a while."""
    times, seconds = chance.randint(1, 4), chance.choice([5, 20])
    place.fault(kind="delay-start", seconds=seconds, times=times)
    return f"{times} ECS tasks, {seconds} s each"


@_kind(1)
def failed_start(place: Place, chance: random.Random) -> str:
    """The next containers do not start."""
    times = chance.randint(1, 2)
    place.fault(kind="fail-start", reason="CannotStartContainerError: context deadline exceeded", times=times)
    return f"{times} containers"


@_kind(1)
def no_capacity(place: Place, chance: random.Random) -> str:
    """EC2 has no instance for a while."""
    times = chance.randint(1, 3)
    place.fault(kind="no-capacity", code="InsufficientInstanceCapacity", times=times)
    return f"{times} launches"


@_kind(1)
def failed_agent(place: Place, _: random.Random) -> str:
    """The next host's ECS agent does not start."""
    place.fault(kind="fail-agent", times=1)
    return "the next host"


@_kind(2)
def lose_host(place: Place, chance: random.Random) -> str:
    """An EC2 instance is gone with everything on it, without a word."""
    host = _one(place.hosts(), chance)
    place.fault(kind="lose-instance", instance=host)
    return host


@_kind(2)
def spot_notice(place: Place, chance: random.Random) -> str:
    """Spot takes an instance back, and says so before."""
    host, seconds = _one(place.hosts(), chance), chance.choice([5, 20])
    place.fault(kind="spot-notice", instance=host, seconds=seconds)
    return f"{host}, in {seconds} s"


# --- ECS tasks and Airflow's: processes


@_kind(3)
def kill_worker(place: Place, chance: random.Random) -> str:
    """A worker is killed."""
    return _signal(_one(place.workers(), chance).pid, signal.SIGKILL)


@_kind(1)
def stall_worker(place: Place, chance: random.Random) -> str:
    """A worker stands still for a while, and goes on as if nothing had been."""
    return _stall(place, _one(place.workers(), chance).pid, chance.choice([5, 20]))


@_kind(3)
def kill_tick(place: Place, chance: random.Random) -> str:
    """The process of an Airflow task is killed."""
    return _signal(_one(place.ticks(), chance), signal.SIGKILL)


@_kind(1)
def stall_tick(place: Place, chance: random.Random) -> str:
    """The process of an Airflow task stands still for a while."""
    return _stall(place, _one(place.ticks(), chance), chance.choice([5, 20, 40]))


def _kill_component(component: str) -> Do:
    def kill(place: Place, _: random.Random) -> str:
        return _component(place, component)

    return kill


# Each part of Airflow is killed; everybody speaks to the API server, Airflow's own tasks among them.
for _killed, _component_of_it in {
    "kill-scheduler": "scheduler",
    "kill-triggerer": "triggerer",
    "kill-api-server": "api-server",
    "kill-dag-processor": "dag-processor",
    "kill-database": "postgres",
}.items():
    KINDS[_killed], DO[_killed] = Kind(1), _kill_component(_component_of_it)


@_kind(0.5)
def kill_airflow(place: Place, _: random.Random) -> str:
    """All of Airflow is killed at once, but not its database, which is a service of its own."""
    found = place.components()
    return ", ".join(_component(place, name) for name in sorted(found) if name != "postgres")


@_kind(0.5)
def full_disk(place: Place, chance: random.Random) -> str:
    """Nothing that this environment runs can write to a file for a while.

    The limit of a file's size stands for it (EFBIG, not ENOSPC), which takes no rights.
    """
    seconds = chance.choice([5, 15])
    count = _limit_files(place.processes(), 0)
    # What starts meanwhile has the limit of who starts it.
    place.later(seconds, lambda: _free_disk(place))
    return f"{count} processes, for {seconds} s"


@_kind(0.5)
def filled_disk(place: Place, chance: random.Random) -> str:
    """The disk with all that this environment keeps is full for a while (ENOSPC), where it has one of its own."""
    state, seconds = place.settings.state_root, chance.choice([5, 15])
    if not disk.fill(state):
        raise Nobody
    place.later(seconds, lambda: disk.free(state))
    return f"for {seconds} s"


# --- the folder that Airflow reads, and people


@_kind(1)
def half_synced(place: Place, chance: random.Random) -> str:
    """A file of the DAG folder is there by half for a while, as while MWAA fetches it."""
    s3, bucket = place.client("s3"), place.outputs.dags_bucket
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="dags/")
    names = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    key = _one([name for name in names if re.search(r"\.(py|ya?ml|json)$", name)], chance)
    whole = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    half = s3.put_object(Bucket=bucket, Key=key, Body=whole[: len(whole) // 2])["ETag"]
    seconds = chance.choice([5, 20])

    def mend() -> None:
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=whole, IfMatch=half)
        except s3.exceptions.ClientError as error:
            # A release may have written it anew.
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise

    place.later(seconds, mend)
    return f"{key}, for {seconds} s"


@_kind(1)
def release(place: Place, chance: random.Random) -> str:
    """Somebody releases the DAGs with a change, while jobs run."""
    file = place.settings.dags / "jobs" / "naps.yaml"
    text, changed = re.subn(r"(?m)^title: .*", f"title: Naps {chance.randrange(2**32)}", file.read_text("utf-8"))
    if not changed:
        raise OperatorError(f"{file}: no title to change; give the job one")
    file.write_text(text, encoding="utf-8")
    place.verbs.append(place.call("dags.release"))
    return "another title of naps"


@_kind(1)
def roll_back(place: Place, _: random.Random) -> str:
    """Somebody goes back to the release before, while jobs run."""
    place.verbs.append(place.call("dags.rollback"))
    return "to the release before"


@_kind(0.3)
def upgrade(place: Place, _: random.Random) -> str:
    """Somebody updates Airflow to the next version in place, while jobs run."""
    now = place.settings.airflow_version
    later = [version for version in VERSIONS if VERSIONS.index(version) > VERSIONS.index(now)]
    if not later:
        raise Nobody
    choose_airflow(place.settings.root, later[0])
    place.verbs.append(place.call("up", "--no-smoke"))
    return f"from Airflow {now} to {later[0]}"


@_kind(2)
def cancel(place: Place, chance: random.Random) -> str:
    """Somebody cancels a job."""
    run = _one([run for run in place.unfinished() if run.get("state") == "running"], chance)
    place.verbs.append(place.call("cancel", run["dag_run_id"], "--dag", run["dag_id"], "--json"))
    return str(run["dag_run_id"])


@_kind(0.15, last=True)
def kill_emulator(place: Place, _: random.Random) -> str:
    """The emulator is killed: all that it keeps dies with it, so all comes up anew, by what the commands advise."""
    session = emulator.require(place.settings)
    os.kill(session.pid, signal.SIGKILL)
    began = time.monotonic()
    place.forget()
    disk.free(place.settings.state_root)
    while (left := place.processes()) and time.monotonic() - began < WATCHDOG_SECONDS:
        time.sleep(0.5)
    if left:
        raise OperatorError(f"{len(left)} processes outlive a killed emulator, such as {left[0].pid} {left[0].name()}")
    refused = place.wait("up", "--no-smoke")
    if refused.code != 1 or "invoke down, then invoke up" not in refused.line:
        raise OperatorError(f"invoke up after a killed emulator ended with {refused.code}: {refused.line}")
    for words in (("down",), ("up", "--no-smoke")):
        if (verb := place.wait(*words)).code != 0:
            raise OperatorError(f"invoke {words[0]} after a killed emulator ended with {verb.code}: {verb.line}")
    return f"process {session.pid}; up again after {time.monotonic() - began:.0f} s"


def choose_airflow(root: Path, version: str) -> None:
    """Change the version of Airflow in somebody's checkout.

    Raises:
        OperatorError: it is not written there as it was.
    """
    file = root / "terraform" / "environments" / "local.tfvars"
    text = file.read_text(encoding="utf-8")
    text, changed = re.subn(r'(\bversion\s*= )"3\.[0-9.]+"', rf'\g<1>"{version}"', text)
    if changed != 1:
        raise OperatorError(f"{file}: {changed} lines say the version of Airflow, and one must")
    file.write_text(text, encoding="utf-8")


def _one[T](some: Iterable[T], chance: random.Random) -> T:
    found: Sequence[T] = list(some)
    if not found:
        raise Nobody
    return chance.choice(found)


def _component(place: Place, name: str) -> str:
    found: Mapping[str, int] = place.components()
    if name not in found:
        raise Nobody
    return f"{name}, {_signal(found[name], signal.SIGKILL)}"


def _signal(pid: int, number: signal.Signals) -> str:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        raise Nobody from None
    return f"process {pid}"


def _stall(place: Place, pid: int, seconds: float) -> str:
    said = _signal(pid, signal.SIGSTOP)
    process = psutil.Process(pid)

    def wake() -> None:
        # psutil looks whether it still is that process.
        with suppress(psutil.NoSuchProcess):
            process.resume()

    place.later(seconds, wake)
    return f"{said}, for {seconds:g} s"


def _limit_files(processes: Iterable[psutil.Process], size: int) -> int:
    count = 0
    for process in processes:
        with suppress(psutil.Error):
            _, most = process.rlimit(resource.RLIMIT_FSIZE)
            process.rlimit(resource.RLIMIT_FSIZE, (most if size < 0 else size, most))
            count += 1
    return count


def _free_disk(place: Place) -> None:
    # Twice: some start others while they are gone through.
    for _ in range(2):
        _limit_files(place.processes(), -1)
