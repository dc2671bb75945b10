import pytest

from winbatch import denials

SAID = "An error occurred (AccessDeniedException) when calling the RunTask operation: "
SESSION = "arn:aws:sts::123456789012:assumed-role/winbatch-dev"
NONE = "because no identity-based policy allows the {} action"


@pytest.mark.parametrize(
    ("role", "action", "why", "place"),
    [
        ("airflow", "ecs:RunTask", NONE, "terraform/modules/airflow/role.tf"),
        ("task", "s3:PutObject", NONE, "terraform/modules/cluster/task_roles.tf"),
        ("task-x-airflow", "s3:PutObject", NONE, "terraform/modules/cluster/task_roles.tf"),
        ("execution", "ecr:BatchGetImage", NONE, "terraform/modules/cluster/task_roles.tf"),
        ("instance", "ecs:Poll", NONE, "terraform/modules/cluster/instance_role.tf"),
        ("apply", "ec2:CreateVpc", NONE, "terraform/bootstrap/network.tf"),
        ("apply", "kms:CreateKey", NONE, "terraform/bootstrap/platform.tf"),
        ("plan", "s3:ListBucket", NONE, "terraform/bootstrap/read.tf"),
        (
            "task",
            "s3:PutObject",
            "because no permissions boundary allows the {} action",
            "terraform/bootstrap/boundary.tf",
        ),
        (
            "task",
            "kms:Decrypt",
            "because no resource-based policy allows the {} action",
            "terraform/modules/storage/kms.tf",
        ),
        (
            "task",
            "s3:PutObject",
            "with an explicit deny in a resource-based policy",
            "terraform/modules/storage/policies.tf",
        ),
    ],
)
def test_a_refusal_is_said_with_the_place_of_its_statement(role, action, why, place):
    reason = why.format(action)
    resource = '"arn:aws:s3:::b/k"' if action.startswith("s3:") else "arn:aws:x:::y"
    text = (
        f"{SAID}User: {SESSION}-{role}/session is not authorized to perform: {action} on resource: {resource} {reason}"
    )
    assert denials.explained(text) == (
        f"role winbatch-dev-{role} may not {action} on {resource.strip(chr(34))} ({reason})"
        f"; the statement for it belongs into {place}"
    )


def test_who_is_no_role_of_ours_is_named_without_a_place():
    text = "User: arn:aws:iam::1:user/ann is not authorized to perform: ecs:RunTask on resource: arn:x"
    assert denials.explained(text) == "arn:aws:iam::1:user/ann may not ecs:RunTask on arn:x"


@pytest.mark.parametrize("text", ["", "Access Denied", "Rate exceeded"])
def test_what_is_no_refusal_of_iam_is_not_explained(text):
    assert not denials.explained(text)
