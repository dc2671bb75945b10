from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.mwaa import versions
from scripts.chaos import faults
from scripts.chaos.schedule import Kind, Schedule
from scripts.core.errors import OperatorError
from scripts.core.settings import ROOT, Settings
from winbatch import spec

OWN = ROOT / "tests" / "e2e" / "jobs"
SEEDS = st.integers(0, 2**31)


@given(SEEDS, st.sampled_from([10.0, 40.0, 150.0]))
def test_a_seed_is_a_schedule(seed, window):
    schedule = Schedule.draw(seed, faults.KINDS, window)
    assert schedule == Schedule.draw(seed, faults.KINDS, window)
    assert len(schedule.jobs) >= 2
    assert len(schedule.acts) >= 2
    times = [each.at for each in schedule.jobs], [each.at for each in schedule.acts]
    assert all(some == sorted(some) and some[-1] <= window for some in times)


@given(SEEDS)
def test_what_ends_a_round_comes_last_and_once(seed):
    acts = Schedule.draw(seed, faults.KINDS).acts
    assert [act.kind for act in acts if faults.KINDS[act.kind].last] in ([], [acts[-1].kind])


def test_seeds_differ_and_reach_every_kind_and_job():
    schedules = [Schedule.draw(seed, faults.KINDS) for seed in range(200)]
    kinds = Counter(act.kind for schedule in schedules for act in schedule.acts)
    assert kinds.keys() == faults.KINDS.keys() == faults.DO.keys()
    assert {job.dag for schedule in schedules for job in schedule.jobs} == {"naps", "ill", "ber"}
    # A kind is absent from about half of the rounds, however often it comes in the others.
    assert sum("kill-tick" in {act.kind for act in schedule.acts} for schedule in schedules) < 0.6 * len(schedules)


def test_forty_jobs_an_hour_are_to_be_had():
    """A round of two and a half minutes may take as long again until all has ended."""
    jobs = [len(Schedule.draw(seed, faults.KINDS).jobs) for seed in range(50)]
    assert min(jobs) * 3600 / 300 >= 40


def test_the_jobs_are_such_that_the_command_line_takes_them():
    folders = {"ber": spec.JOBS, "naps": OWN, "ill": OWN}
    for job in (job for seed in range(10) for job in Schedule.draw(seed, faults.KINDS).jobs):
        spec.load(job.dag, folders[job.dag]).validate(job.parameters)


def test_a_kind_alone_fills_a_round():
    schedule = Schedule.draw(1, {"only": Kind(1)})
    assert {act.kind for act in schedule.acts} == {"only"}


def test_a_checkouts_airflow_is_chosen_by_changing_it(tmp_path):
    folder = tmp_path / "terraform" / "environments"
    folder.mkdir(parents=True)
    for name in ("local.tfvars", "local.s3.tfbackend"):
        (folder / name).write_text((ROOT / "terraform" / "environments" / name).read_text())
    for version in faults.VERSIONS:
        faults.choose_airflow(tmp_path, version)
        assert Settings.load("local", environ={}, root=tmp_path).airflow_version == version
    assert set(faults.VERSIONS) == set(versions.SUPPORTED)
    (folder / "local.tfvars").write_text("")
    with pytest.raises(OperatorError, match="0 lines say the version"):
        faults.choose_airflow(tmp_path, "3.2.1")
