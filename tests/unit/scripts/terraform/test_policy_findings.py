import datetime as dt
import json

import pytest
import yaml

from scripts.checks import policy_skips
from scripts.core.settings import ROOT
from scripts.terraform import policy_findings
from scripts.terraform.policy_findings import RenderedPolicy

TODAY = dt.date(2026, 11, 24)
POLICY = json.dumps({"Statement": []})


def test_every_policy_of_every_module_is_rendered():
    plan = {
        "planned_values": {
            "root_module": {
                "resources": [
                    {"mode": "managed", "type": "aws_sns_topic_policy", "address": "t.p", "values": {"policy": POLICY}},
                    {"mode": "data", "type": "aws_iam_policy_document", "address": "d.p", "values": {"json": POLICY}},
                    {"mode": "managed", "type": "aws_iam_role_policy", "address": "unknown", "values": {"name": "x"}},
                ],
                "child_modules": [
                    {
                        "resources": [
                            {
                                "mode": "managed",
                                "type": "aws_iam_role",
                                "address": "module.a.r",
                                "values": {"assume_role_policy": POLICY, "description": 'no "Statement" of a policy'},
                            }
                        ],
                        "child_modules": [
                            {
                                "resources": [
                                    {
                                        "mode": "managed",
                                        "type": "aws_iam_role_policy",
                                        "address": 'module.a.module.b.p["x"]',
                                        "values": {"policy": POLICY, "role": "r"},
                                    }
                                ]
                            }
                        ],
                    }
                ],
            }
        }
    }
    assert policy_findings.rendered(plan) == [
        RenderedPolicy('module.a.module.b.p["x"].policy', "identity", POLICY),
        RenderedPolicy("module.a.r.assume_role_policy", "trust", POLICY),
        RenderedPolicy("t.p.policy", "resource", POLICY),
    ]


def test_a_plan_of_nothing_has_no_policy():
    assert policy_findings.rendered({}) == []


def skips(*lines):
    return list(policy_skips.parse("\n".join(lines), "a.tf"))


def test_an_exception_is_read_with_its_place_end_and_reason():
    (skip,) = skips("resource {", "  #checkov:skip=CKV_AWS_18: until 2027-05-31: nothing reads it but us")
    assert (skip.where, skip.check, skip.end, skip.reason) == (
        "a.tf:2",
        "CKV_AWS_18",
        dt.date(2027, 5, 31),
        "nothing reads it but us",
    )
    assert policy_skips.problems([skip], TODAY) == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("#checkov:skip=CKV_AWS_18:a reason without an end", "names its check, its end and its reason"),
        ("#checkov:skip=CKV_AWS_18", "names its check, its end and its reason"),
        ("#checkov:skip=CKV_AWS_18: until 2027-02-30: no such day is there", "names its check, its end and its reason"),
        ("#checkov:skip=CKV_AWS_18: until 2027-05-31: because", "names its check, its end and its reason"),
        ("#checkov:skip= until 2027-05-31: which check is it", "names its check, its end and its reason"),
        ("#checkov:skip=CKV_AWS_18: until 2026-11-23: nothing reads it but us", "ended on 2026-11-23"),
        ("#checkov:skip=CKV_AWS_18: until 2099-01-01: nothing reads it but us", "more than a year away"),
    ],
)
def test_an_exception_without_a_right_end_is_a_problem(line, says):
    (problem,) = policy_skips.problems(skips(line), TODAY)
    assert problem.startswith("a.tf:1: ")
    assert says in problem


def test_an_exception_holds_on_its_last_day():
    assert policy_skips.problems(skips("#checkov:skip=A_1: until 2026-11-24: holds until this evening"), TODAY) == []


def test_the_exception_that_ends_first_is_known():
    found = skips(
        "#checkov:skip=A_1: until 2027-05-31: a reason of four words",
        "#checkov:skip=A_2: until 2027-01-31: a reason of four words",
        "#checkov:skip=A_3: no end",
    )
    first = policy_skips.soonest(found)
    assert first is not None
    assert first.check == "A_2"
    assert policy_skips.soonest([]) is None


def test_the_exceptions_of_this_repository_have_the_form():
    found = policy_skips.read(ROOT)
    assert found
    # Whether one has ended is for `invoke check --only policies` to say: a test does not begin to fail by itself.
    assert policy_skips.problems(found, min(skip.end for skip in found if skip.end)) == []


def test_no_check_is_left_out_as_a_whole():
    # An exception there would have neither a place nor an end.
    settings = yaml.safe_load((ROOT / "terraform" / ".checkov.yaml").read_text())
    assert settings["external-checks-dir"]
    assert not {"check", "skip-check", "skip-resources-without-violations"} & set(settings)
