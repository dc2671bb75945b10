"""Clock, account and region, as AWS tells them."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from botocore.exceptions import NoCredentialsError

from scripts.core.settings import Settings
from scripts.environments.doctor import account
from scripts.environments.doctor.check import Context, State, look

CALLER = {"Account": "111111111111", "Arn": "arn:aws:iam::111111111111:user/a", "UserId": "A"}


@pytest.fixture
def odd(tmp_path, aws):
    """Environment `odd` with these values."""

    def make(values):
        folder = tmp_path / "terraform" / "environments"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "odd.tfvars").write_text(values)
        (folder / "odd.s3.tfbackend").write_text('region = "eu-central-1"\n')
        return Context(Settings.load("odd", environ={}, root=tmp_path), aws)

    return make


@pytest.mark.parametrize(("minutes", "state"), [(0, State.FINE), (4, State.FINE), (6, State.WRONG), (-6, State.WRONG)])
def test_a_clock_may_be_five_minutes_off(dev, aws, minutes, state):
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    answer = {**CALLER, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}
    aws.answers("sts", "get_caller_identity", answer)
    found = look(account.Clock(), dev)
    assert found.state is state
    assert state is State.FINE or ("behind" if minutes > 0 else "before") in found.said


def test_a_refusal_tells_the_time_too_and_without_credentials_nobody_does(dev, aws):
    late = {"HTTPHeaders": {"date": format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)}}
    client = aws.client("sts")
    aws._stubs["sts"].add_client_error("get_caller_identity", "SignatureDoesNotMatch", response_meta=late)
    assert look(account.Clock(), dev).state is State.WRONG
    aws.answers("sts", "get_caller_identity", CALLER)
    assert look(account.Clock(), dev).state is State.DOUBTFUL

    def nobody():
        raise NoCredentialsError

    client.get_caller_identity = nobody
    assert look(account.Clock(), dev).state is State.DOUBTFUL
    assert "no AWS credentials" in look(account.Account(), dev).said


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ('allowed_account_ids = ["111111111111"]', State.FINE),
        ("", State.DOUBTFUL),
        ('allowed_account_ids = ["222222222222"]', State.WRONG),
    ],
)
def test_the_account_is_the_right_one_any_or_anothers(odd, aws, values, state):
    aws.answers("sts", "get_caller_identity", CALLER)
    found = look(account.Account(), odd(values))
    assert (found.state, "111111111111" in found.said) == (state, True)


def test_a_region_is_one_and_the_account_may_use_it(odd, aws):
    asked = {"RegionNames": ["eu-central-1"], "AllRegions": True}
    same = odd('region = "eu-central-1"\n')
    for status, state in (("opt-in-not-required", State.FINE), ("not-opted-in", State.WRONG)):
        aws.answers("ec2", "describe_regions", {"Regions": [{"OptInStatus": status}]}, asked)
        assert look(account.Region(), same).state is state
    aws.refuses("ec2", "describe_regions", "UnauthorizedOperation")
    assert look(account.Region(), same).state is State.DOUBTFUL
    other = look(account.Region(), odd('region = "eu-west-1"\n'))
    assert (other.state, "odd.tfvars says eu-west-1" in other.said) == (State.WRONG, True)


def test_a_checkout_without_a_commit_or_with_changes_is_told():
    assert account.checkout_doubts("a" * 40, []) == []
    assert "has no commit" in account.checkout_doubts(None, [])[0]
    assert "x.tf and 1 more differ" in account.checkout_doubts("a" * 40, ["x.tf", "y"])[0]
