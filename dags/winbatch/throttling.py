"""When AWS asks for a pause: one judgement, whatever that is wrapped in.

ECS answers RunTask with a refusal that holds EC2's throttle in its text (dagster-io/dagster#33439,
cdklabs/construct-hub#415), and names a registry's one in the reason of an ECS task that stopped.
"""

import re

# Error codes of AWS's services that mean no more than this (botocore, `retries/standard.py`); ECS's own server fault
# ends by itself, too.
_CODES = frozenset(
    {
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ServerException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
_WORDS = re.compile(
    r"too ?many ?requests|(rate|request ?limit) ?exceeded|throttl(ed|ing)|(http|status|code)\W{0,3}(code\W{0,3})?429\b",
    re.IGNORECASE,
)
# Images, ARNs, addresses: what stands in a name says nothing about the call.
_NAMES = re.compile(r"\S*(?:[/@]|arn:|sha256:)\S*", re.IGNORECASE)


def throttled(text: str, code: str = "") -> bool:
    """Say whether AWS, or a registry, asks to try again more slowly.

    Args:
        text: an error's message, or the reason of a failure or of a stop.
        code: the error's code, if it is one.
    """
    return code in _CODES or _WORDS.search(_NAMES.sub(" ", text)) is not None
