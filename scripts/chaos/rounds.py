"""A round: jobs begin and things go wrong as its schedule says; then nothing does, and all must be as it should be."""

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil
from botocore.exceptions import BotoCoreError, ClientError

from scripts.chaos import faults
from scripts.chaos.checking import About, Found, Kept, Problem, problems
from scripts.chaos.place import Place, Verb
from scripts.chaos.schedule import Act, Schedule, Start
from scripts.core.errors import OperatorError
from scripts.jobs import control, runs
from winbatch.errors import WinbatchError

# Between two looks at jobs, s; each asks Airflow for something.
LOOK_SECONDS = 4.0
# What finds nobody to happen to waits so long for somebody; a job that was refused is begun again after so long.
NOBODY_SECONDS, AGAIN_SECONDS = 20.0, 10.0
# Once nothing goes wrong any more, all ends within this, s; nothing is left so long after. Airflow's own patience is in
# it: 5 minutes before it takes a process that is silent for lost.
BOUND_SECONDS, LEFT_SECONDS = 600.0, 90.0
# What an environment in which things go wrong may say to us.
REFUSALS = (BotoCoreError, ClientError, OperatorError, WinbatchError, OSError, psutil.Error)


@dataclass
class Lived:
    """What came of a round.

    Attributes:
        schedule: its.
        jobs: that were begun and are judged.
        done: what went wrong, by kind.
        missed: what would have and found nobody.
        gone: jobs that were there when the emulator was killed.
        resumed: jobs that people had to resume.
        problems: what did not hold.
        seconds: that it took.
    """

    schedule: Schedule
    jobs: int = 0
    done: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    gone: int = 0
    resumed: int = 0
    problems: list[Problem] = field(default_factory=list)
    seconds: float = 0.0


class Round:
    """Lives through a schedule.

    Args:
        place: where.
        schedule: what happens.
        tell: is told what happens, a line each.
        progress: is told how far it is.
    """

    def __init__(
        self, place: Place, schedule: Schedule, tell: Callable[[str], None], progress: Callable[[str], None]
    ) -> None:
        self.lived = Lived(schedule)
        self._place, self._tell, self._progress = place, tell, progress
        self._began = time.monotonic()
        self._starts: list[tuple[float, Start]] = [(job.at, job) for job in schedule.jobs]
        self._acts: list[tuple[float, Act]] = [(act.at, act) for act in schedule.acts]
        self._starting: list[tuple[Verb, Start]] = []
        self._kept = Kept()
        self._runs: dict[str, Mapping[str, Any]] = {}
        self._resumed: Counter[str] = Counter()
        self._looked = 0.0
        self._before = {str(run["dag_run_id"]) for run in place.airflow.runs(limit=100)}

    @property
    def now(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def live(self) -> Lived:
        """Live through it."""
        while self._starts or self._acts or self._starting:
            self._begin_jobs()
            self._go_wrong()
            self._look()
            if self.now > self.lived.schedule.window + BOUND_SECONDS:
                self._problem("ends", "jobs could not be started")
                break
            time.sleep(0.2)
        self._settle()
        self.lived.jobs = len(self._runs)
        self.lived.seconds = self.now
        return self.lived

    # --- what happens

    def _begin_jobs(self) -> None:
        for at, job in [entry for entry in self._starts if entry[0] <= self.now]:
            self._starts.remove((at, job))
            words = [word for name, value in job.parameters.items() for word in ("--param", f"{name}={value}")]
            self._starting.append((self._place.call("run", "--dag", job.dag, "--no-wait", "--json", *words), job))
        for verb, job in list(self._starting):
            if verb.code is None and not verb.problem:
                continue
            self._starting.remove((verb, job))
            self._ended(verb)
            if verb.code == 0:
                said = ", ".join(f"{name} {value}" for name, value in job.parameters.items())
                self._say(f"job {verb.answer.get('run_id')}: {said}")
            else:
                self._say(f"job {job.dag} was refused: {verb.line}")
                self._starts.append((self.now + AGAIN_SECONDS, job))

    def _go_wrong(self) -> None:
        with contextlib.suppress(*REFUSALS):
            self._place.undo()
        for at, act in [entry for entry in self._acts if entry[0] <= self.now]:
            # What ends a round waits for the jobs to have begun.
            if faults.KINDS[act.kind].last and (self._starts or self._starting or len(self._acts) > 1):
                continue
            try:
                said = faults.DO[act.kind](self._place, random.Random(act.chance))  # noqa: S311 - chance, not secrecy
            except (faults.Nobody, *REFUSALS) as error:
                if faults.KINDS[act.kind].last and not isinstance(error, faults.Nobody):
                    self._problem("ends", f"{act.kind}: {error}")
                elif at < act.at + NOBODY_SECONDS:
                    self._acts[self._acts.index((at, act))] = (at + 1, act)
                    continue
                self.lived.missed[act.kind] += 1
            else:
                self.lived.done[act.kind] += 1
                self._say(f"{act.kind}: {said}")
                if faults.KINDS[act.kind].last:
                    self.lived.gone += len(self._runs)
                    self._runs, self._kept = {}, Kept()
            self._acts.remove((at, act))

    def _verbs(self) -> None:
        for verb in list(self._place.verbs):
            if verb.code is not None or verb.problem:
                self._place.verbs.remove(verb)
                self._ended(verb)
                if verb.code:
                    self._say(f"invoke {' '.join(verb.words)} was refused: {verb.line}")

    def _ended(self, verb: Verb) -> None:
        if verb.problem:
            self._problem("ends", verb.problem)
            verb.end()

    # --- what is seen

    def _look(self) -> None:
        """Look at jobs now and then; what cannot be seen now is seen later."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._verbs()
        with contextlib.suppress(*REFUSALS):
            self._list()
            for run in [run for run in self._runs.values() if run["state"] == "running"]:
                self._watch(self._snapshot(run))
        self._looked = time.monotonic()
        live = sum(run["state"] in {"running", "queued"} for run in self._runs.values())
        wrong = self.lived.done.total()
        self._progress(f"{self.now:.0f} s, {len(self._runs)} jobs of which {live} run, {wrong} things went wrong")

    def _list(self) -> None:
        for run in self._place.airflow.runs(limit=100):
            if run["dag_run_id"] not in self._before:
                self._runs[run["dag_run_id"]] = run

    def _snapshot(self, run: Mapping[str, Any]) -> runs.Snapshot:
        return runs.snapshot_of(self._place.workspace, self._place.outputs, run["dag_id"], run)

    def _watch(self, snapshot: runs.Snapshot) -> None:
        """See that the results of the first stage stay; those of a later one are made anew where items were missing."""
        for stage, _ in snapshot.stages[:1]:
            for problem in self._kept.look(stage.results, dict(self._listed(stage.results))):
                self._problem(problem.about, problem.sentence)

    def _listed(self, prefix: str) -> Iterator[tuple[str, str]]:
        pages = self._place.client("s3").get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._place.outputs.data_bucket, Prefix=prefix):
            yield from ((entry["Key"], entry["ETag"]) for entry in page.get("Contents", []))

    def _found(self, snapshot: runs.Snapshot) -> list[Found]:
        found = []
        for stage, ledger in snapshot.stages:
            bodies = {
                shard: self._place.data.get(key)
                for key, _ in self._listed(stage.results)
                if (shard := stage.parse_result_key(key)) is not None
            }
            partials = {
                key: self._place.data.get(key)
                for key, _ in self._listed(stage.partials)
                if int(key.removeprefix(stage.partials).partition("/")[0]) not in bodies
            }
            found.append(Found(stage, ledger, bodies, partials))
        return found

    # --- when nothing goes wrong any more

    def _settle(self) -> None:
        self._say("nothing goes wrong any more")
        self._patiently(self._place.undo_all, "what went wrong cannot be undone")
        while True:
            if not self._patiently(self._all_ended, "not all ended"):
                return
            if not (again := self._judge()):
                break
            for run in again:
                self._resume(run)
        self._leave_nothing()

    def _all_ended(self) -> bool:
        self._look()
        self._list()
        return not self._place.verbs and all(run["state"] in runs.ENDED for run in self._runs.values())

    def _patiently(self, what: Callable[[], bool], sentence: str) -> bool:
        began, said = time.monotonic(), ""
        while time.monotonic() - began < BOUND_SECONDS:
            try:
                if what():
                    return True
                said = ""
            except REFUSALS as error:
                said = f": {error}"
            time.sleep(1.0)
        live = ", ".join(name for name, run in self._runs.items() if run["state"] not in runs.ENDED)
        verbs = ", ".join(" ".join(verb.words) for verb in self._place.verbs)
        self._problem("ends", f"{sentence} within {BOUND_SECONDS:.0f} s: {live or verbs or 'nothing is open'}{said}")
        return False

    def _judge(self) -> list[Mapping[str, Any]]:
        """Judge all jobs; those that are to be resumed."""
        again = []
        for name, run in self._runs.items():
            snapshot = self._snapshot(run)
            self._watch(snapshot)
            found, conf = self._found(snapshot), run.get("conf") or {}
            # A job that things which went wrong have ended is resumed once, and must be whole then.
            final = self._resumed[name] > 0 or control.resumption(snapshot) == "nothing"
            for problem in problems(name, snapshot.state, found, conf, final=final):
                self._problem(problem.about, problem.sentence)
            if not final and problems(name, snapshot.state, found, conf, final=True):
                again.append(run)
                if not snapshot.cancelled:
                    self._say(f"{name} {snapshot.state}: {'; '.join(snapshot.reasons) or 'no stage says why'}")
        return again

    def _resume(self, run: Mapping[str, Any]) -> None:
        name = str(run["dag_run_id"])
        self._resumed[name] += 1
        self.lived.resumed += 1
        self._say(f"{name} is resumed")
        verb = self._place.wait("resume", name, "--dag", run["dag_id"], "--no-wait", "--json")
        self._ended(verb)
        if verb.code:
            self._problem("ends", f"{name} cannot be resumed: {verb.line}")

    def _leave_nothing(self) -> None:
        began = time.monotonic()
        while left := [*self._place.left()]:
            if time.monotonic() - began > LEFT_SECONDS:
                for sentence in left:
                    self._problem("left", f"{sentence} {LEFT_SECONDS:.0f} s after the last job ended")
                return
            self._progress(f"{self.now:.0f} s, waiting until nothing is left: {left[0]}")
            time.sleep(1.0)

    def _problem(self, about: About, sentence: str) -> None:
        # Jobs are judged each time that all have ended.
        if (problem := Problem(about, sentence)) not in self.lived.problems:
            self.lived.problems.append(problem)
            self._say(f"✗ {sentence}")

    def _say(self, what: str) -> None:
        self._tell(f"{self.now:6.1f} s  {what}")
