"""A service may assume a role, or use what a policy opens to it, only on behalf of our own account."""

from statements import Statement, register

# EC2 sets neither key when it assumes an instance's role; who may hand one over is decided by iam:PassRole.
WITHOUT_SOURCE = "ec2."
SOURCES = {"aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid"}


def trusts_anyone(statement: Statement) -> bool:
    """Whether a service may assume a role for whoever asks it to."""
    exposed = [service for service in statement.services if not service.startswith(WITHOUT_SOURCE)]
    assumes = "sts:assumerole" in statement.actions
    return statement.allows and assumes and bool(exposed) and not SOURCES & statement.condition_keys


checks = register(
    check_id="CKV_WB_2",
    name="Ensure a service's trust names the account or resource that it acts for",
    is_bad=trusts_anyone,
)
