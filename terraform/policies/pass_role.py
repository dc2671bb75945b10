"""Who may pass a role may pass named roles, and to one service."""

from statements import Statement, register

PASSING = {"*", "iam:*", "iam:pass*", "iam:passrole"}


def passes_anything(statement: Statement) -> bool:
    """Whether a statement passes roles that it does not name, or to whomever."""
    if not statement.allows or not statement.actions & PASSING:
        return False
    anywhere = any("*" in resource for resource in statement.resources)
    return anywhere or "iam:passedtoservice" not in statement.condition_keys


checks = register(
    check_id="CKV_WB_3",
    name="Ensure iam:PassRole names its roles and the service that it passes them to",
    is_bad=passes_anything,
)
