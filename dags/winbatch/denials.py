"""Reads a refusal of IAM's: whose right is missing, to what, and where the statement for it belongs."""

import re

# IAM User Guide, "Troubleshoot access denied error messages".
_REFUSAL = re.compile(
    r"User: (?P<who>\S+) is not authorized to perform: (?P<action>[\w-]+:\w+)"
    r'(?: on resource: "?(?P<resource>[^\s"]+)"?)?(?: (?P<why>(?:because|with an explicit deny)[^.;]*))?'
)
# Where a role of the environment has its statements, by the end of its name (docs/architecture.md, "Names").
_FILES = {
    "airflow": "terraform/modules/airflow/role.tf",
    "apply": "terraform/bootstrap",
    "execution": "terraform/modules/cluster/task_roles.tf",
    "instance": "terraform/modules/cluster/instance_role.tf",
    "plan": "terraform/bootstrap/read.tf",
    "task": "terraform/modules/cluster/task_roles.tf",
}
_APPLY_FILES = {"ec2": "network.tf", "iam": "identity.tf", "s3": "platform.tf"}
_RESOURCES = {
    "kms": "terraform/modules/storage/kms.tf",
    "s3": "terraform/modules/storage/policies.tf",
    "sns": "terraform/modules/observability/topic.tf",
    "sts": "the role's trust policy",
}


def explained(message: str) -> str:
    """Say a refusal in a line: who may not do what to what, why, and where the statement belongs.

    Returns:
        Empty where the message is none of IAM's.
    """
    match = _REFUSAL.search(message)
    if match is None:
        return ""
    who, action, why = match["who"], match["action"], match["why"] or ""
    # arn:aws:sts::<account>:assumed-role/<role>/<session>, arn:aws:iam::<account>:user/<name>, or a service's name
    path = who.rpartition(":")[2].split("/")
    kind, name = ("role", path[1]) if path[0] == "assumed-role" and len(path) > 1 else ("", who)
    where = _place(name, action, why)
    reason = f" ({why})" if why else ""
    belongs = f"; the statement for it belongs into {where}" if where else ""
    return f"{kind} {name} may not {action} on {match['resource'] or '*'}{reason}{belongs}".strip()


def _place(name: str, action: str, why: str) -> str:
    service = action.partition(":")[0]
    if "permissions boundary" in why:
        return "terraform/bootstrap/boundary.tf"
    if "resource-based" in why:
        return _RESOURCES.get(service, "")
    if not name.startswith("winbatch-"):
        return ""
    # winbatch-<environment>-<kind>, and of a workload's role -<workload>
    kind = [*name.split("-"), ""][2]
    folder = _FILES.get(kind, "")
    return f"{folder}/{_APPLY_FILES.get(service, 'platform.tf')}" if kind == "apply" else folder
