import shutil

import boto3
import pytest
from botocore.stub import Stubber

from scripts.core.errors import PreflightError, SettingsError
from scripts.core.settings import ROOT, Settings
from scripts.environments import foundation

ACCOUNT = "123456789012"


@pytest.fixture
def dev(tmp_path):
    """The dev environment in a checkout of the test's own."""
    folder = tmp_path / "terraform" / "environments"
    shutil.copytree(ROOT / "terraform" / "environments", folder)
    return Settings.load("dev", environ={}, root=tmp_path)


def client(service):
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return boto3.client(service, region_name="eu-central-1", **keys)


def head_bucket(dev, *, status=200, region="eu-central-1"):
    s3 = client("s3")
    with Stubber(s3) as stub:
        expected = {"Bucket": "winbatch-dev-tfstate", "ExpectedBucketOwner": ACCOUNT}
        if status == 200:
            stub.add_response("head_bucket", {"BucketRegion": region}, expected)
        else:
            stub.add_client_error("head_bucket", str(status), http_status_code=status, expected_params=expected)
        return foundation.find_bucket(s3, dev, ACCOUNT)


def test_a_bucket_is_there_or_not_yet(dev):
    assert head_bucket(dev)
    assert not head_bucket(dev, status=404)


def test_a_bucket_of_somebody_else_is_told_with_the_way_out(dev):
    with pytest.raises(
        PreflightError, match=r"winbatch-dev-tfstate is not account 123456789012's.*--env dev --bucket NAME"
    ):
        head_bucket(dev, status=403)


def test_a_bucket_elsewhere_is_told(dev):
    with pytest.raises(PreflightError, match=r"is in us-east-1, and dev\.s3\.tfbackend says eu-central-1"):
        head_bucket(dev, region="us-east-1")


def test_the_buckets_name_is_written_where_terraform_reads_it(dev):
    before = dev.backend_file.read_text()
    foundation.name_bucket(dev.backend_file, "acme-winbatch-dev-tfstate")
    assert dev.backend("bucket") == "acme-winbatch-dev-tfstate"
    assert dev.backend_file.read_text() == before.replace("winbatch-dev-tfstate", "acme-winbatch-dev-tfstate")


@pytest.mark.parametrize("name", ["UPPER", "a", 'x"\nkey = "y', "a" * 64])
def test_what_cannot_be_a_bucket_is_not_written(dev, name):
    before = dev.backend_file.read_text()
    with pytest.raises(SettingsError, match="lower-case letters, digits, dots and dashes"):
        foundation.name_bucket(dev.backend_file, name)
    assert dev.backend_file.read_text() == before


@pytest.mark.parametrize("repository", ["acme", "acme/*", "acme@1/winbatch", "acme/winbatch/x", "acme/winbatch:ref"])
def test_what_cannot_be_a_repository_is_refused_before_anything_is_asked(dev, repository):
    with pytest.raises(SettingsError, match=r"owner/name is expected, or owner@id/name@id"):
        foundation.lay(dev, repository=repository)


def test_a_pipeline_outlives_a_call_that_does_not_name_it():
    named = {"github": {"repository": "acme/winbatch"}}
    assert foundation.remembered(named, {}) == foundation.remembered({"github": None}, named) == "acme/winbatch"
    assert foundation.remembered({}, {}) == ""


def test_the_next_steps_name_the_boundary_until_the_values_have_it(dev):
    laid = foundation.Foundation(
        account=ACCOUNT,
        backend={"bucket": "b", "key": "winbatch.tfstate", "region": "eu-central-1", "kms_key_arn": "k"},
        github={"repository": "acme/winbatch", "roles": {"plan": "arn:p"}, "permissions_boundary": "deployment/x"},
        changes=1,
    )
    assert any(
        'permissions_boundary = "deployment/x" in terraform/environments/dev.tfvars' in line for line in laid.lines(dev)
    )
    with dev.var_file.open("a") as file:
        file.write('permissions_boundary = "deployment/x"\n')
    assert any(
        "environment dev-plan of GitHub's acme/winbatch: PLAN_ROLE_ARN = arn:p" in line for line in laid.lines(dev)
    )
    assert not any("permissions_boundary" in line for line in laid.lines(dev))
