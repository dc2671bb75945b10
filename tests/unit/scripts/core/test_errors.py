import errno

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from scripts.core.errors import JobFailed, line, lines
from winbatch.errors import SpecError


def client_error(code, message="it says so"):
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeClusters")


@pytest.mark.parametrize(
    ("error", "environment", "expected"),
    [
        (JobFailed("it failed"), "local", "it failed"),
        (SpecError("unknown parameter"), "local", "unknown parameter"),
        (KeyboardInterrupt(), "local", "interrupted"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), "local", "emulator is not running or died"),
        (EndpointConnectionError(endpoint_url="https://ecs"), "dev", "AWS cannot be reached"),
        (NoCredentialsError(), "prod", "no AWS credentials for environment prod"),
        (client_error("ExpiredToken"), "dev", "expired or wrong"),
        (client_error("NoSuchBucket"), "dev", "invoke up --env dev"),
        (client_error("AccessDenied"), "dev", "AWS refused DescribeClusters: AccessDenied: it says so"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "local", "the disk is full (/x/y)"),
        (OSError(errno.EROFS, "Read-only file system", "/x/y"), "local", "/x/y is on a read-only file system"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "local", "/x/y: permission denied"),
    ],
)
def test_an_error_is_one_line_that_says_what_and_what_to_do(error, environment, expected):
    text = line(error, environment=environment)
    assert expected in text
    assert "\n" not in text


def test_a_defect_of_ours_has_no_line():
    assert line(KeyError("x"), environment="local") is None
    assert line(FileNotFoundError(errno.ENOENT, "no", "x"), environment="local") is None


def test_all_that_is_wrong_with_a_job_file_is_a_line_each():
    many = SpecError("jobs/x.yaml:1: one", "jobs/x.yaml:2: two", place="jobs/x.yaml")
    assert lines(many, "said") == ("jobs/x.yaml: 2 mistakes", "jobs/x.yaml:1: one", "jobs/x.yaml:2: two")
    assert lines(SpecError("one"), "said") == lines(KeyError("x"), "said") == ["said"]
