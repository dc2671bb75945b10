"""What holds for every workflow of the pipeline; actionlint and zizmor look at the rest."""

import re

import pytest
import yaml

from scripts.core.settings import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request):
    return yaml.safe_load(request.param.read_text())


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job.get("steps", ())]


def test_what_runs_is_a_single_verb_of_the_makefile(workflow):
    for step in steps(workflow):
        if "run" in step:
            verb = re.fullmatch(r'make ([a-z.-]+)( [A-Z]+="?[$\w./-]+"?)*', step["run"])
            assert verb, step["run"]
            assert verb[1] in TARGETS


def test_nothing_from_outside_is_put_into_a_command(workflow):
    assert not [step["run"] for step in steps(workflow) if "${{" in step.get("run", "")]


def test_actions_are_named_by_commit(workflow):
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    used += [job["uses"] for job in workflow["jobs"].values() if "uses" in job]
    for name in used:
        assert re.fullmatch(r"\./\.github/workflows/[a-z-]+\.yml|[\w-]+/[\w-]+@[0-9a-f]{40}", name), name


def test_rights_are_given_job_by_job_and_jobs_end(workflow):
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert "write-all" not in str(job["permissions"])
        assert "uses" in job or job["timeout-minutes"] <= 120


def test_whatever_builds_images_has_the_history_that_their_digests_follow_from():
    verbs = set()
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            called = {step["run"].split()[1] for step in job.get("steps", ()) if "run" in step}
            building = called & {"plan", "deploy", "drift", "images.push"}
            depths = [
                step["with"].get("fetch-depth") for step in job.get("steps", ()) if "checkout@" in step.get("uses", "")
            ]
            assert depths == [0] or not building, (path.name, called)
            verbs |= building
    assert verbs == {"plan", "deploy", "drift"}


def test_dev_comes_first_and_only_a_plan_that_was_shown_is_applied():
    main, deploy = (
        yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text()) for name in ("main", "deploy")
    )
    jobs = main["jobs"]
    assert {name: (job["with"]["environment"], job.get("needs")) for name, job in jobs.items()} == {
        "dev": ("dev", None),
        "prod": ("prod", "dev"),
    }
    planning, applying = deploy["jobs"]["plan"], deploy["jobs"]["deploy"]
    assert applying["needs"] == "plan"
    # The reviewers of the environment stand between the two.
    assert (planning["environment"], applying["environment"]) == (
        "${{ inputs.environment }}-plan",
        "${{ inputs.environment }}",
    )
    assert "state-${{ inputs.environment }}" in deploy["concurrency"]["group"]
    upload, download = planning["steps"][-1]["with"], applying["steps"][2]["with"]
    assert (upload["name"], upload["retention-days"]) == (download["name"], 1)
    assert "SEAL=yes" in planning["steps"][2]["run"]
    runs = [step for step in applying["steps"] if "run" in step]
    assert [step["run"].split()[1] for step in runs] == ["deploy", "smoke", "dags.rollback"]
    assert "PLAN=build/sealed.plan" in runs[0]["run"]
    assert runs[2]["if"] == f"failure() && steps.{runs[1]['id']}.outcome == 'failure'"


def test_roles_are_taken_only_within_an_environment():
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            if any("configure-aws-credentials" in step.get("uses", "") for step in job.get("steps", ())):
                assert job["environment"], (path.name, name)
                assert job["permissions"]["id-token"] == "write"


def test_nothing_that_a_pull_request_may_have_written_is_cached_where_something_is_deployed():
    for path in WORKFLOWS:
        text = path.read_text()
        assert "pull_request_target" not in text
        assert ("actions/cache@" in text) == (path.stem == "pull-request")
