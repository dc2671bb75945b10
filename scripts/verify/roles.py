"""Who `verify-aws` is: the person who calls it, and the pipeline's roles for what the pipeline does."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SESSION = "verify-aws"
# AWS lets a role that is assumed by another role be kept so long, s.
SESSION_SECONDS = 3600
# What says whose credentials are meant; the profile would win over the others in the next command.
_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE")


def principal(sts: Any, iam: Any) -> str:
    """The ARN of the role or user whose credentials these are, as `aws:PrincipalArn` has it.

    That of an assumed role has no path in it, and a role of the IAM Identity Center has one, so IAM is asked.
    """
    arn = str(sts.get_caller_identity()["Arn"])
    service, resource = arn.split(":", 5)[2], arn.split(":", 5)[5]
    if service != "sts" or not resource.startswith("assumed-role/"):
        return arn
    return str(iam.get_role(RoleName=resource.split("/")[1])["Role"]["Arn"])


@contextmanager
def acting(sts: Any, role: str) -> Iterator[None]:
    """Let every command inside, Terraform's too, have a role's credentials: for an hour at most.

    Args:
        sts: a client with the caller's own credentials.
        role: its ARN.
    """
    answer = sts.assume_role(RoleArn=role, RoleSessionName=SESSION, DurationSeconds=SESSION_SECONDS)["Credentials"]
    before = {name: os.environ.pop(name, None) for name in _VARIABLES}
    os.environ.update(
        AWS_ACCESS_KEY_ID=answer["AccessKeyId"],
        AWS_SECRET_ACCESS_KEY=answer["SecretAccessKey"],
        AWS_SESSION_TOKEN=answer["SessionToken"],
    )
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
