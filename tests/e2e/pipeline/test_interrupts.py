"""Ctrl-C at every stage of `invoke up`: one line, nothing left at work, and the next call goes on from there."""

import re

import pytest

from tests.e2e.pipeline import interrupting

pytestmark = pytest.mark.slow

LINE = "error: interrupted; what is done stays done: call again to go on"
TAKEN = re.compile(r"✓ Look for what an interrupted apply has made: \d+ taken over: (.*); ")


@pytest.mark.parametrize("stage", interrupting.STAGES)
def test_ctrl_c_ends_in_a_line_and_leaves_nothing_at_work(pipeline, stage):
    seen = pipeline.interruptions[stage]
    assert seen.code == 130, "\n".join(seen.said)
    # It was at that stage, or at its threshold on a slow machine, and ends in one line that says what to do.
    assert [re.match(r"✗ (.*?)  ", line)[1] for line in seen.said if line.startswith("✗")] in ([stage], []), seen.said
    assert not [line for line in seen.said if line.startswith(f"✓ {stage}")], seen.said
    assert [line for line in seen.said if line.startswith("error: ")] == seen.said[-1:] == [LINE], seen.said
    assert (seen.left, seen.locks) == ([], [])


def test_the_next_call_goes_on_and_what_was_given_up_is_there_once(pipeline):
    # What AWS made of requests that Terraform had given up.
    said = [line for seen in pipeline.interruptions.values() for line in seen.said]
    (taken,) = [match[1] for line in said if (match := TAKEN.match(line))]
    assert "aws_iam_role" in taken
    assert pipeline.finished["changes"] == 0
    named = [{"Name": "tag:Name", "Values": ["winbatch-local"]}]
    assert len(pipeline.world.client("ec2").describe_vpcs(Filters=named)["Vpcs"]) == 1
