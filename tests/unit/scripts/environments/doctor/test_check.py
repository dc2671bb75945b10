"""What a check does not know is doubtful, what it cannot have is wrong, and each says so in a line."""

import json

import pytest

from scripts.cli import render
from scripts.core.errors import ToolError
from scripts.core.settings import Settings
from scripts.environments.doctor import main
from scripts.environments.doctor.check import Check, Context, State, doubtful, fine, look, wrong
from scripts.environments.doctor.platform import EnvironmentKey, Up


class Said(Check):
    name = "said"

    def __init__(self, finding, *stops_at):
        self.finding = finding
        self.stops_at = stops_at

    def run(self, context):
        if isinstance(self.finding, Exception):
            raise self.finding
        return self.finding


DENIED = "User: arn:aws:iam::1:user/a is not authorized to perform: kms:DescribeKey on resource: x"


@pytest.mark.parametrize(
    ("code", "message", "status", "said"),
    [
        ("AccessDeniedException", DENIED, 400, "not allowed to look (kms:DescribeKey)"),
        ("UnauthorizedOperation", "You are not authorized to perform this operation.", 403, "look (DescribeKey)"),
        ("NotImplemented", "", 501, "does not answer DescribeKey"),
    ],
)
def test_what_nobody_may_see_or_the_local_aws_does_not_know_is_doubtful(dev, aws, code, message, status, said):
    aws.refuses("kms", "describe_key", code, message, status)
    found = look(EnvironmentKey(), dev)
    assert (found.state, said in found.said) == (State.DOUBTFUL, True)


def test_what_fails_is_wrong_and_a_defect_stays_one(dev, aws):
    aws.refuses("kms", "describe_key", "ExpiredToken")
    assert look(EnvironmentKey(), dev) == wrong(
        "the AWS credentials are expired or wrong (ExpiredToken): log in again and call again"
    )
    assert look(Said(ToolError("it is missing: fetch it")), dev) == wrong("it is missing: fetch it")
    with pytest.raises(KeyError):
        look(Said(KeyError("ours")), dev)


def test_behind_what_everything_needs_nothing_is_looked_at(dev):
    those = [Said(doubtful("?"), State.WRONG), Said(wrong("no"), State.WRONG), Said(fine("never"))]
    seen = []
    found = main.examine(dev, those, lambda check, finding: seen.append(finding.said))
    assert seen == ["?", "no"]
    assert [finding.said for _, finding in found] == seen


def test_findings_are_a_line_each_for_people_and_an_object_for_programs(dev):
    found = [(Said(None), wrong("a\nb [red]", "do\tthis"))]
    assert render.finding("said", found[0][1]).plain == "wrong     said: a b [red] → do this"
    assert render.finding("said", fine("well")).plain == "fine      said: well"
    assert json.loads(json.dumps(main.as_json(dev.settings, found))) == {
        "environment": "dev",
        "checks": [{"name": "said", "state": "wrong", "said": "a\nb [red]", "advice": "do\tthis"}],
    }


@pytest.mark.parametrize("environment", ["local", "dev", "prod"])
def test_every_check_of_an_environment_has_a_name_of_its_own(environment):
    names = [check.name for check in main.checks(Settings.load(environment, environ={}))]
    assert len(set(names)) == len(names) > 9


def test_an_environment_that_is_not_there_says_what_makes_it(dev, aws):
    assert look(Up(), dev) == fine("it was applied")
    dev.outputs = {}
    assert look(Up(), dev) == doubtful("it is not up", "invoke up --env dev")
    again = Context(dev.settings, aws)
    aws.refuses("s3", "get_object", "NoSuchBucket")
    assert look(Up(), again).advice == "invoke bootstrap --env dev"
    aws.refuses("s3", "get_object", "InternalError")
    assert look(Up(), again).state is State.WRONG
