"""What may be done to objects, ECS tasks and roles is said action by action."""

from statements import Statement, register

SERVICES = ("s3:", "ecs:", "iam:")


def names_a_family(statement: Statement) -> bool:
    """Whether a statement allows S3, ECS or IAM by a pattern."""
    return statement.allows and any(
        action == "*" or ("*" in action and action.startswith(SERVICES)) for action in statement.actions
    )


checks = register(
    check_id="CKV_WB_8",
    name="Ensure no statement allows actions of S3, ECS or IAM by a wildcard",
    is_bad=names_a_family,
)
