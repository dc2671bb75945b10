"""What MWAA's own components do by an environment's execution role, whatever its DAGs do.

Source: MWAA User Guide, "Amazon MWAA execution role".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from emulator.identity.gate import Acting
from emulator.mwaa import rules

if TYPE_CHECKING:
    from emulator.mwaa.identity import Identity
    from emulator.mwaa.rules import Settings

_BUCKET = (
    "s3:GetBucketAcl",
    "s3:GetBucketLocation",
    "s3:GetBucketPolicy",
    "s3:GetBucketPolicyStatus",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketVersioning",
    "s3:GetEncryptionConfiguration",
    "s3:ListBucket",
    "s3:ListBucketVersions",
)
_OBJECTS = ("s3:GetObject", "s3:GetObjectVersion")
_LOGS = ("logs:CreateLogStream", "logs:GetLogEvents", "logs:PutLogEvents")
_QUEUE = (
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
    "sqs:SendMessage",
)
# Airflow's queue lies in an account of the service.
_SERVICE_ACCOUNT = "999999999999"


def check(acting: Acting, environment: Identity, settings: Settings, key_arn: str | None) -> None:
    """See that an execution role may do what MWAA's components do.

    Args:
        acting: the role
        environment: whose it is
        settings: the environment's
        key_arn: of the customer's key; None: AWS's own is used

    Raises:
        Refused: it may not
    """
    for action, resource, kind in _duties(environment, settings):
        acting.require(action, resource, kind, environment.region)
    if key_arn is not None:
        for service, action in (("sqs", "Decrypt"), ("sqs", "Encrypt"), ("sqs", "GenerateDataKey"), ("s3", "Decrypt")):
            via = f"{service}.{environment.region}.amazonaws.com"
            acting.require(f"kms:{action}", key_arn, "key", environment.region, kms_ViaService=via)


def _duties(environment: Identity, settings: Settings) -> Iterator[tuple[str, str, str | None]]:
    here = f"{environment.region}:{environment.account}"
    arn = f"arn:{environment.partition}"
    yield "airflow:PublishMetrics", environment.arn, "environment"
    yield "s3:GetAccountPublicAccessBlock", "*", None
    bucket = settings["SourceBucketArn"]
    for action in _BUCKET:
        yield action, bucket, "bucket"
    for action in _OBJECTS:
        yield action, f"{bucket}/{settings['DagS3Path']}/dag.py", "object"
    yield "logs:DescribeLogGroups", "*", None
    for module, value in settings["LoggingConfiguration"].items():
        if value["Enabled"]:
            group = f"{arn}:logs:{here}:log-group:airflow-{environment.name}-{rules.LOG_GROUPS[module]}"
            for action in _LOGS:
                yield action, f"{group}:log-stream:airflow", "log-stream"
    yield "cloudwatch:PutMetricData", "*", None
    for action in _QUEUE:
        yield action, f"{arn}:sqs:{environment.region}:{_SERVICE_ACCOUNT}:airflow-celery-{environment.name}", "queue"
