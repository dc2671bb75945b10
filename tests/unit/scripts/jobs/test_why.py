"""The sentence of each cause, which of two is told first, and the sentences of simulated worlds with such a fault."""

import dataclasses
import datetime as dt
import io
import json

import pytest
from rich.console import Console

from scripts.cli import render
from scripts.jobs import refusals, situation, why
from scripts.jobs.reason import Reason, Shard, Situation
from scripts.jobs.runs import Snapshot
from simulation.cloud import Hardware
from simulation.containers import Work
from simulation.stages import StageWorld, make_limits, make_stage, make_workload
from winbatch import driver
from winbatch.errors import JobError
from winbatch.ledger import Fault, Known, Ledger
from winbatch.ports import Throttled
from winbatch.results import ItemFailure
from winbatch.shares import Board, Demand

NOW = dt.datetime(2026, 11, 22, 19, 30, tzinfo=dt.UTC)
BEGAN = "2026-11-22T19:00:00+00:00"
STAGE = make_stage()
RUN = {"dag_run_id": "d-1", "state": "running", "queued_at": BEGAN, "start_date": BEGAN}
OVER = {**RUN, "end_date": "2026-11-22T19:20:00+00:00"}


def ago(**span):
    return NOW - dt.timedelta(**span)


def ledger(**fields):
    """Of a stage that began a minute ago, and whose engine looked ten seconds ago."""
    begun = dataclasses.replace(Ledger.begin(STAGE, ago(minutes=1)), due_at=ago(seconds=10), updated_at=ago(seconds=10))
    return dataclasses.replace(begun, **fields)


def at_work(**fields):
    """Of a stage that has all that it needs."""
    return ledger(**{"tasks_running": 2, "instances_desired": 1, "instances_registered": 1, **fields})


def judged(found=None, run=RUN, **fields):
    """A situation of one stage with this ledger; without one, not planned."""
    stages = [] if found is None else [(STAGE, found)]
    own = {name: fields.pop(name) for name in ("other", "marked") if name in fields}
    return Situation(snapshot=Snapshot("d-1", run, fields.pop("stages", stages), **own), now=NOW, **fields)


def told(*arguments, **fields):
    return why.tell(judged(*arguments, **fields))


def fault(kind, reason, advice="", **span):
    return Fault(kind, reason, ago(**(span or {"seconds": 5})), advice)


def failure(item, reason="exit code 1"):
    return ItemFailure(item, item // 2, "program", reason, ("last words",))


def starved(said, **fields):
    """Without an instance since five minutes, of two that it wants."""
    return ledger(instances_desired=2, short_at=ago(minutes=5), said=said, said_at=ago(seconds=30), **fields)


OPEN = Shard(number=3, attempt=0, state="open", since=ago(minutes=12), task="arn:aws:ecs:x:1:task/c/abc")
WAITS = Shard(
    number=4, attempt=1, state="waits", since=ago(seconds=2), cause="program", due=NOW + dt.timedelta(seconds=8)
)
BOARD = Board({"d/j/s": Demand(4, ago(seconds=5)), "e/other/s": Demand(4, ago(seconds=5))})
CROWD = {"instances_desired": 1, "instances_registered": 1, "crowded_at": ago(seconds=4)}
ENDED_TASKS = {"state": "failed", "reason": "no ECS task can start: x"}


@pytest.mark.parametrize(
    ("found", "code", "sentence"),
    [
        (judged(other="what lies in s3://b/k is of run 'x'"), "another-job", "what lies in s3://b/k is of run 'x'"),
        # Ended.
        (judged(ledger(state="succeeded"), {**OVER, "state": "success"}), "succeeded", "succeeded: 40 items"),
        (
            judged(ledger(state="succeeded", items_failed=1, failures=(failure(7),)), {**OVER, "state": "success"}),
            "succeeded-with-failures",
            "succeeded, but 1 item failed: stage s, item 7: exit code 1",
        ),
        (
            judged(ledger(state="cancelled", items_done=9), {**OVER, "state": "failed"}),
            "cancelled",
            "was cancelled: 9 of 40 items are done and kept",
        ),
        (judged(at_work(), marked=True), "cancelling", "is being cancelled: its ECS tasks are stopped, the cluster"),
        (
            judged(
                ledger(state="failed", reason="1 items failed for good", failures=(failure(7),)),
                {**OVER, "state": "failed"},
            ),
            "items-failed",
            "failed: stage s: 1 items failed for good",
        ),
        (
            judged(starved("VcpuLimitExceeded (c5.xlarge): x", state="failed", reason="no instance registered"), OVER),
            "on-demand-quota",
            "is failing: stage s: no instance registered",
        ),
        (
            judged(ledger(**ENDED_TASKS, faults=(fault("image", "CannotPullContainerError: x"),)), OVER),
            "image-pull",
            "is failing: stage s: no ECS task can start: x",
        ),
        (judged(ledger(state="failed"), OVER), "failed", "is failing: stage s: no reason was noted"),
        (
            judged(None, {**OVER, "state": "failed"}, tasks=[("scale_out", "success"), ("plan", "failed")]),
            "airflow-task",
            "failed in Airflow task plan, before it was planned",
        ),
        (
            judged(at_work(), {**OVER, "state": "failed"}),
            "teardown",
            "its DAG run has ended, but stage s says it is running: the teardown did not get through",
        ),
        # Nobody looks after it.
        (judged(None, {**RUN, "state": "queued"}), "queued", "waits for Airflow, which has not taken it up"),
        (
            judged(None, {**RUN, "state": "queued"}, paused=True),
            "paused",
            "waits for its DAG, which is paused in Airflow",
        ),
        (
            judged(None, {**RUN, "state": "queued"}, running=["a", "b"]),
            "turn",
            "waits for its turn in Airflow: 2 other runs of its DAG are at work",
        ),
        (
            judged(at_work(due_at=ago(minutes=9)), away="502"),
            "airflow-away",
            "waits for Airflow, which does not answer",
        ),
        (
            judged(None, tasks=[("scale_out", "up_for_retry")]),
            "planning",
            "is being planned: Airflow task scale_out is up for retry",
        ),
        (judged(stages=[(STAGE, None)]), "not-begun", "stage s waits for Airflow, which has not begun with it"),
        (
            judged(ledger(state="succeeded")),
            "scaling-in",
            "all stages are done; its Airflow task scale_in is still to end",
        ),
        (
            judged(at_work(due_at=ago(minutes=9))),
            "overdue",
            "nobody looks after it: Airflow has not called the engine in time",
        ),
        # It has no instance, in AWS's words.
        (judged(starved("")), "booting", "waits for its instances to boot and register; AWS has refused none so far"),
        (judged(ledger()), "booting", "waits for its instances to be asked for; AWS has refused none so far"),
        (
            judged(
                starved(
                    "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested more vCPU capacity"
                )
            ),
            "on-demand-quota",
            "waits for instances: the account's quota of On-Demand vCPUs is used up",
        ),
        (
            judged(
                starved("MaxSpotInstanceCountExceeded (c5.xlarge in eu-central-1a): Max spot instance count exceeded")
            ),
            "spot-quota",
            "waits for instances: the account's quota of Spot Instances is used up",
        ),
        (
            judged(starved("Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity")),
            "spot-capacity",
            "waits for instances: EC2 has no Spot capacity of these types",
        ),
        (
            judged(
                starved("We currently do not have sufficient c5.xlarge capacity in the Availability Zone you requested")
            ),
            "zone-capacity",
            "waits for instances: EC2 has no capacity of this type in the zone",
        ),
        (
            judged(
                starved("InsufficientFreeAddressesInSubnet (in eu-central-1a): not enough free addresses in subnet")
            ),
            "subnet-addresses",
            "waits for instances: a subnet has no free address left",
        ),
        (
            judged(starved("Invalid IamInstanceProfile: winbatch-dev-instance. Launching EC2 instance failed.")),
            "launch-refused",
            "waits for instances: EC2 refuses the launch template or its role",
        ),
        (
            judged(starved("RequestLimitExceeded (c5.xlarge): Request limit exceeded.")),
            "launch-throttled",
            "waits for instances: AWS asks to try again more slowly",
        ),
        (judged(starved("Something new.")), "no-instances", "waits for instances: AWS has not given them"),
        # Its ECS tasks come to nothing.
        (
            judged(at_work(tasks_running=0, faults=(fault("image", "CannotPullContainerError: i/o timeout"),))),
            "image-pull",
            "1 ECS task came to nothing in a row: their image cannot be pulled; the next try is due in 15 s",
        ),
        (
            judged(
                at_work(tasks_running=0, faults=(fault("unstarted", "hcs: (0xc0370101)", "build it on their base"),))
            ),
            "windows-build",
            "1 ECS task came to nothing in a row: their image is of another Windows than the hosts; the next",
        ),
        (
            judged(
                at_work(tasks_running=0, faults=(fault("unstarted", "ECS was unable to assume the role 'r'", "trust"),))
            ),
            "rights",
            "1 ECS task came to nothing in a row: a right is missing; the next try is due in 5 s",
        ),
        (
            judged(at_work(tasks_running=0, faults=(fault("unstarted", "ECS cannot start td: ATTRIBUTE", "apply"),))),
            "misfit",
            "1 ECS task came to nothing in a row: no host fits them; the next try is due in 5 s",
        ),
        (
            judged(at_work(tasks_running=0, faults=(fault("start", "winbatch: not running in time"),))),
            "start-timeout",
            "1 ECS task came to nothing in a row: they did not start in time; the next try is due in 15 s",
        ),
        (
            judged(at_work(tasks_running=0, faults=(fault("throttled", "Rate exceeded"),))),
            "throttled",
            "1 ECS task came to nothing in a row: ECS asks for a pause; the next try is due now",
        ),
        (
            judged(at_work(tasks_running=0, faults=(fault("worker", "exit code 3: no such stage"),) * 2)),
            "worker",
            "2 ECS tasks came to nothing in a row: their worker ended by a fault of its surroundings; the next",
        ),
        (
            judged(at_work(tasks_running=0, faults=(fault("host", "Host EC2 (instance) terminated."),))),
            "hosts-lost",
            "1 ECS task came to nothing in a row: they ended with their host; the next try is due now",
        ),
        # Places.
        (
            judged(at_work(tasks_running=0), board=BOARD, instances=4),
            "share",
            "its share of the cluster is 2 of 4 instances, and it could use 4",
        ),
        (
            judged(at_work(tasks_running=0), shards=[WAITS]),
            "retry",
            "1 shard waits for a retry; the next try is due in 8 s",
        ),
        (
            judged(at_work(tasks_running=0, tasks_pending=2)),
            "starting",
            "waits for 2 ECS tasks to start: images are pulled, containers begin",
        ),
        (judged(ledger(**CROWD)), "no-room", "waits for room: ECS has no place on the instances that are there"),
        (
            judged(at_work(tasks_running=0)),
            "no-task",
            "1 of 1 instances are there, and no ECS task of it yet",
        ),
        # Work.
        (
            judged(at_work(progress_at=ago(minutes=12)), shards=[OPEN]),
            "slow-item",
            "2 ECS tasks at work, but no shard has got done for long; the longest is shard 3 (items 6 to 7)",
        ),
        (judged(at_work()), "goes-on", "goes on: 0 of 40 items done, 2 ECS tasks at work, no rate yet"),
        (
            judged(at_work(items_done=10, rate=0.5, remaining_seconds=60.0)),
            "goes-on",
            "goes on: 10 of 40 items done, 30.0 a minute, about 0:01:00 left",
        ),
    ],
)
def test_a_cause_has_a_sentence(found, code, sentence):
    reason = why.tell(found)
    assert (reason.code, reason.sentence[: len(sentence)]) == (code, sentence)
    assert reason.sentence.isprintable()
    assert json.loads(json.dumps(reason.as_json()))["code"] == code


def test_every_cause_is_tested():
    """Each cause that is in the list is the reason of some situation above, or stands beside one below."""
    (mark,) = test_a_cause_has_a_sentence.pytestmark
    situations = [row[0] for row in mark.args[1]] + [judged(**each) for each in BESIDE]
    never = [cause.__name__ for cause in why.CAUSES if not any(cause(found) for found in situations)]
    assert never == []


GONE = "Airflow answered GET with 502"
BESIDE = [
    {"found": at_work(said="MaxSpotInstanceCountExceeded: x", instances_desired=2)},
    {"found": at_work(faults=(fault("image", "CannotPullContainerError: x"),))},
    {"found": at_work(), "board": BOARD, "instances": 4},
    {"found": at_work(), "shards": [OPEN, WAITS]},
    {"found": at_work(), "away": GONE},
]


@pytest.mark.parametrize(
    ("found", "beside"),
    [
        *zip(
            BESIDE,
            [
                "also: works with 1 of 2 instances: the account's quota of Spot Instances is used up",
                "also: 1 ECS task came to nothing in a row: their image cannot be pulled",
                "also: its share of the cluster is 2 of 4 instances",
                "also: 1 shard waits for a retry",
                f"also: Airflow does not answer: {GONE}",
            ],
            strict=True,
        )
    ],
)
def test_what_only_slows_a_job_is_evidence_of_one_that_goes_on(found, beside):
    reason = told(**found)
    assert reason.code == "goes-on"
    assert any(line.startswith(beside) for line in reason.evidence), reason.evidence


@pytest.mark.parametrize(
    ("found", "codes"),
    [
        # What nobody has looked at for long may say anything by now.
        (judged(starved("VcpuLimitExceeded: x", due_at=ago(minutes=9))), ["overdue", "on-demand-quota"]),
        # Without an instance no image can be pulled.
        (
            judged(starved("VcpuLimitExceeded: x", faults=(fault("image", "CannotPullContainerError"),))),
            ["on-demand-quota", "image-pull"],
        ),
        (judged(at_work(tasks_running=0), board=BOARD, instances=4, shards=[WAITS]), ["share", "retry", "no-task"]),
        (judged(at_work(progress_at=ago(minutes=12)), shards=[OPEN, WAITS]), ["slow-item", "goes-on", "retry"]),
        (judged(at_work(due_at=ago(minutes=9)), away="502"), ["airflow-away", "goes-on"]),
    ],
)
def test_of_two_causes_the_first_is_told_and_the_other_is_evidence(found, codes):
    reasons = why.reasons(found)
    assert [reason.code for reason in reasons] == codes
    evidence = why.tell(found).evidence
    for reason in reasons[1:]:
        assert (f"also: {reason.sentence}" in evidence) == (reason.code != "goes-on")


def test_the_evidence_has_awss_own_words_arns_and_times():
    said = "VcpuLimitExceeded (c5.xlarge): You have requested more"
    assert f"AWS says at 2026-11-22 19:29:30 UTC: {said}" in told(starved(said)).evidence
    arn = "arn:aws:ecs:eu-central-1:1:task/c/abc"
    pending = at_work(tasks_running=0, tasks_pending=1, known={arn: Known("live", ago(seconds=40))})
    assert told(pending).evidence == ("since 2026-11-22 19:29:20 UTC: ECS task abc", arn)
    slow = told(at_work(progress_at=ago(minutes=12)), shards=[OPEN])
    assert "shard 3 (items 6 to 7): attempt 0 since 2026-11-22 19:18:00 UTC, by ECS task abc" in slow.evidence
    assert "invoke logs d-1 --item 6 --stage s --follow" in slow.advice


def test_the_advice_names_the_environment_and_the_dag():
    found = judged(ledger(state="cancelled"), {**OVER, "state": "failed"}, options=" --dag d --env dev")
    assert why.tell(found).advice == "go on with the rest: invoke resume d-1 --dag d --env dev"


def test_awss_words_cannot_break_a_line_or_fill_the_screen():
    words = told(starved("a\n\x1b[31m" + "word " * 1000)).evidence[-1]
    assert words.isprintable()
    assert len(words) < 700


@pytest.mark.parametrize("word", sorted({"InvalidLaunchTemplateId.NotFound", "You are not authorized", "AccessDenied"}))
def test_a_refused_launch_is_told_by_its_code(word):
    assert refusals.of_launch(f"{word}: x").code == "launch-refused"


# -- where people see it


def test_the_same_sentence_stands_in_status_and_in_progress():
    found = judged(starved("VcpuLimitExceeded: x"))
    reason = why.tell(found)
    output = Console(width=200, record=True, file=io.StringIO())
    output.print(*render.job(found.snapshot, "", reason), sep="\n")
    assert reason.sentence in output.export_text()
    assert f", {reason.sentence}, AWS says: VcpuLimitExceeded: x" in render.job_line(found.snapshot, reason)


def test_whoever_follows_a_job_is_told_only_when_nothing_moves_and_s3_is_asked_now_and_then():
    asked = []

    def read(snapshot):
        asked.append(snapshot)
        return judged(asked_of[0])

    asked_of = [at_work()]
    teller = situation.Teller(read, dt.timedelta(hours=1))
    assert [teller(None), teller(None)] == [None, None]
    assert len(asked) == 1
    asked_of = [starved("")]
    teller = situation.Teller(read, dt.timedelta(0))
    assert isinstance(teller(None), Reason)


def test_what_cannot_be_read_ends_neither_the_following_nor_the_sentence():
    def broken(_):
        raise JobError("the board is none")

    assert situation.Teller(broken)(None) is None
    world = World()
    world.tick_for(8)
    world.bucket.put("jobs/shares.json", b"{")
    assert world.told().code == "goes-on"


# -- simulated worlds

HARDWARE = Hardware(cpu=2048, windows="WINDOWS_SERVER_2022_CORE", boot=(3.0, 3.0), start=(2.0, 2.0), stop=(0.0, 0.0))


class World(StageWorld):
    """A stage whose engine is ticked, and what `invoke why` says of it."""

    def __init__(self, *, work=None, hardware=HARDWARE, stage=STAGE, **limits):
        self.stage, self.limits = stage, make_limits(**limits)
        super().__init__(1, [stage], most=self.limits.cluster_instances, slots=1, hardware=hardware, work=work)

    def tick_for(self, ticks, seconds=2.0):
        for _ in range(ticks):
            self.ledger, wait = driver.tick(self, self.stage, make_workload(), self.limits)
            if self.ledger.finished:
                break
            self.pass_time(min(wait, seconds))

    def told(self, run=RUN, **fields):
        """By its ledger, board and claims, as they lie in S3 now."""
        body = self.bucket.get(f"jobs/d/j/{self.stage.stage}/ledger.json").body
        snapshot = Snapshot("d-1", run, [(self.stage, Ledger.from_json(body, where="ledger"))])
        most = self.limits.cluster_instances
        return why.tell(situation.around(self, snapshot, self.clock.now(), instances=most, **fields))


def test_a_world_that_goes_on():
    world = World()
    world.tick_for(8)
    assert world.told().code == "goes-on"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("InsufficientInstanceCapacity (c5.xlarge in eu-central-1a): there is no Spot capacity", "spot-capacity"),
        ("InsufficientInstanceCapacity (c5.xlarge in eu-central-1a): not enough", "zone-capacity"),
        ("MaxSpotInstanceCountExceeded: Max spot instance count exceeded", "spot-quota"),
        ("VcpuLimitExceeded: You have requested more vCPU capacity than your limit of 32", "on-demand-quota"),
    ],
)
def test_a_world_without_instances_says_why_ec2_gives_none(said, code):
    world = World()
    world.cloud.refuse(said)
    world.tick_for(6)
    reason = world.told()
    assert (reason.code, reason.sentence) == (code, f"waits for instances: {refusals.of_launch(said).words}")
    assert any(line.endswith(f": {said}") for line in reason.evidence)
    world.tick_for(400, seconds=30)
    assert world.ledger.state == "failed"
    assert world.told(OVER).code == code, "and it is what ended it"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("CannotPullContainerError: i/o timeout", "image-pull"),
        (
            "CannotStartContainerError: The container operating system does not match the host (0xc0370101)",
            "windows-build",
        ),
        ("ECS was unable to assume the role 'r' that was provided for this task", "rights"),
    ],
)
def test_a_world_whose_ecs_tasks_cannot_start_says_why(reason, code):
    world = World()
    world.cloud.start_fails = reason
    world.tick_for(60)
    said = world.told({**OVER, "state": "failed"})
    assert said.code == code
    assert any(reason in line for line in said.evidence)
    assert "invoke resume d-1" in said.advice


def test_a_world_that_boots():
    world = World(hardware=dataclasses.replace(HARDWARE, boot=(600.0, 600.0)))
    world.tick_for(4)
    assert world.told().code == "booting"


def test_a_world_whose_images_take_long_to_pull():
    world = World(hardware=dataclasses.replace(HARDWARE, pull=(90.0, 90.0)))
    world.tick_for(8)
    reason = world.told()
    assert reason.code == "starting"
    assert any("cluster/task-" in line for line in reason.evidence)


def test_a_world_in_which_ecs_throttles():
    world = World()

    def throttle(*_):
        raise Throttled("Rate exceeded")

    world.run = throttle
    world.tick_for(6)
    assert world.told().code == "throttled"


def test_a_world_without_room():
    world = World()
    world.cloud._places = lambda *_: 0
    world.tick_for(6)
    assert world.told().code == "no-room"


def test_a_world_whose_item_fails_and_waits_for_its_retry():
    stage = make_stage(items=1, shard_items=1)
    world = World(work=Work(poisoned=frozenset({0})), stage=stage)
    for _ in range(40):
        world.tick_for(1, seconds=1)
        if (reason := world.told()).code == "retry":
            break
    assert reason.sentence.startswith("1 shard waits for a retry; the next try is due ")
    assert reason.evidence[0].startswith("item 0: attempt ")
    assert "its program failed" in reason.evidence[0]


def test_a_world_with_a_slow_item_names_it_and_its_ecs_task():
    world = World(
        work=Work(seconds=(4000.0, 4000.0)),
        stage=make_stage(items=2, shard_items=1),
        start_timeout=dt.timedelta(hours=1),
    )
    world.tick_for(40, seconds=30)
    reason = world.told()
    assert reason.code == "slow-item"
    assert any("ECS task task-" in line for line in reason.evidence)


def test_a_world_that_nobody_ticks():
    world = World()
    world.tick_for(8)
    world.pass_time(600)
    assert world.told().code == "overdue"
    assert world.told(options=" --env dev").advice.endswith("Workers go on with what they find")
