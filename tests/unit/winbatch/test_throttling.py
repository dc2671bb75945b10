"""What is a request to go slower, in the words of those who make it, and what only looks like one."""

import pytest

from winbatch.throttling import throttled

DIGEST = "142971234567.dkr.ecr.eu-central-1.amazonaws.com/throttled/ber@sha256:429429abcdef"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("ThrottlingException", "Rate exceeded"),
        ("RequestLimitExceeded", "Request limit exceeded."),
        ("ServerException", "Service Unavailable. Please try again later."),
        # dagster-io/dagster#33439
        (
            "InvalidParameterException",
            "Error retrieving subnet information for [subnet-abc123]: Rate exceeded (ErrorCode: Throttling)",
        ),
        # cdklabs/construct-hub#415
        (
            "InvalidParameterException",
            "Error retrieving security group information: Request limit exceeded. (ErrorCode: RequestLimitExceeded)",
        ),
        ("", "toomanyrequests: You have reached your pull rate limit"),
        ("", "unexpected status code https://registry/v2: 429 Too Many Requests"),
        ("", "CannotPullContainerError: failed to copy: httpReadSeeker: unexpected status code 429"),
        ("", "ResourceInitializationError: ThrottlingException: Rate exceeded"),
        ("", "StatusCode: 429, RequestID: 1"),
    ],
)
def test_a_throttle_in_whatever_it_is_wrapped(code, text):
    assert throttled(text, code)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("InvalidParameterException", "TaskDefinition is inactive"),
        ("AccessDeniedException", "User: arn:aws:sts::142971234567:assumed-role/throttled is not authorized"),
        ("", f"CannotPullContainerError: failed to resolve ref {DIGEST}: not found"),
        ("", f"CannotPullContainerError: {DIGEST}: 4291 bytes of 429 read"),
        ("", "CannotPullContainerError: pull access denied for 142971234567.dkr.ecr.eu-central-1.amazonaws.com/a"),
        ("", ""),
    ],
)
def test_a_number_or_a_name_is_none(code, text):
    assert not throttled(text, code)
