"""What a call takes beside its own action: tags on what it makes, roles that it hands over, keys used for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from emulator.identity import reference
from emulator.identity.mapping import ec2, s3
from emulator.identity.mapping.keys import given_tags
from emulator.identity.mapping.names import found
from emulator.identity.mapping.world import Asked, Keys, Need

# Who makes something with tags needs the action that tags. Source: the services' guides to tags and access control.
_TAGGING = {
    "airflow": "TagResource",
    "autoscaling": "CreateOrUpdateTags",
    "budgets": "TagResource",
    "cloudwatch": "TagResource",
    "ecr": "TagResource",
    "ecs": "TagResource",
    "events": "TagResource",
    "kms": "TagResource",
    "logs": "TagResource",
    "secretsmanager": "TagResource",
    "sns": "TagResource",
    "sqs": "TagQueue",
    "ssm": "AddTagsToResource",
}
_TAGGING_IAM = {
    "role": "TagRole",
    "instance-profile": "TagInstanceProfile",
    "policy": "TagPolicy",
    "oidc-provider": "TagOpenIDConnectProvider",
    "user": "TagUser",
}
_TAGGED = frozenset({*_TAGGING, "ec2", "iam"})
# Roles that a call hands to a service: parameter and service principal, by operation. Source: the reference's dependent
# actions and the services' guides.
_PASSED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "airflow:CreateEnvironment": (("ExecutionRoleArn", "airflow.amazonaws.com"),),
    "airflow:UpdateEnvironment": (("ExecutionRoleArn", "airflow.amazonaws.com"),),
    "application-autoscaling:RegisterScalableTarget": (("RoleARN", "application-autoscaling.amazonaws.com"),),
    "autoscaling:PutLifecycleHook": (("RoleARN", "autoscaling.amazonaws.com"),),
    "ec2:CreateFlowLogs": (("DeliverLogsPermissionArn", "vpc-flow-logs.amazonaws.com"),),
    "ecs:RegisterTaskDefinition": (
        ("taskRoleArn", "ecs-tasks.amazonaws.com"),
        ("executionRoleArn", "ecs-tasks.amazonaws.com"),
    ),
    "events:PutRule": (("RoleArn", "events.amazonaws.com"),),
    "logs:PutSubscriptionFilter": (("roleArn", "logs.amazonaws.com"),),
    "scheduler:CreateSchedule": (("Target.RoleArn", "scheduler.amazonaws.com"),),
    "states:CreateStateMachine": (("roleArn", "states.amazonaws.com"),),
    "lambda:CreateFunction": (("Role", "lambda.amazonaws.com"),),
}
# The same where the roles do not stand in a parameter of the call.
_PASSED_OTHERWISE = frozenset({"ecs:RunTask", "iam:AddRoleToInstanceProfile", "ec2:RunInstances", "events:PutTargets"})
# What makes a service's own role when the account has none yet: the service, and the role's name.
_SERVICE_ROLES = {
    "airflow:CreateEnvironment": ("airflow.amazonaws.com", "AWSServiceRoleForAmazonMWAA"),
    "autoscaling:CreateAutoScalingGroup": ("autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling"),
    "ecs:CreateCluster": ("ecs.amazonaws.com", "AWSServiceRoleForECS"),
}
# What MWAA asks of the customer's key in the name of whoever creates the environment. Source: MWAA User Guide, "Using
# customer managed keys for encryption" (fact 3).
_KEY_OF_MWAA = (
    "CreateGrant",
    "DescribeKey",
    "Encrypt",
    "Decrypt",
    "GenerateDataKey",
    "ReEncryptFrom",
    "ReEncryptTo",
    "ListGrants",
    "RevokeGrant",
)
# The same for a repository. Source: ECR User Guide, "Encryption at rest" (fact 2).
_KEY_OF_ECR = ("CreateGrant", "DescribeKey", "RetireGrant")


def of(asked: Asked, own: Sequence[Need]) -> Iterator[Need]:
    """Everything else that an operation takes, whose own needs are known."""
    prefix, operation, parameters = asked.prefix, asked.operation, asked.parameters
    name = f"{prefix}:{operation}"
    if prefix in _TAGGED:
        yield from _tagging(asked, own)
    if name in _PASSED or name in _PASSED_OTHERWISE:
        yield from _passed(asked)
    if name in _SERVICE_ROLES:
        service, role = _SERVICE_ROLES[name]
        if not asked.world.has_service_role(service):
            arn = asked.place.arn_of("iam", "role", f"aws-service-role/{service}/{role}")
            yield Need("iam:CreateServiceLinkedRole", "role", arn, {"iam:awsservicename": service})
    further = _FURTHER.get(name) or _FURTHER.get(prefix)
    if further is not None:
        yield from further(asked)
    if name == "logs:CreateLogGroup" and parameters.get("kmsKeyId"):
        # Source: CloudWatch Logs API reference, CreateLogGroup; the key itself is the service's to use.
        for need in own[:1]:
            yield Need("logs:AssociateKmsKey", need.type, need.resource, {})


def _tagging(asked: Asked, own: Sequence[Need]) -> Iterator[Need]:
    prefix, operation, parameters, place = asked.prefix, asked.operation, asked.parameters, asked.place
    if operation.startswith(("Tag", "Untag", "CreateTags", "CreateOrUpdateTags", "Add", "Delete", "Describe")):
        return
    if prefix == "ec2":
        for made, marks in ec2.created_tags(parameters).items():
            keys: Keys = {f"aws:requesttag/{key.lower()}": value for key, value in marks.items()}
            keys |= {"aws:tagkeys": tuple(marks), "ec2:createaction": operation}
            yield Need("ec2:CreateTags", made, place.all_of("ec2", made), keys)
        return
    tags = given_tags(parameters)
    # That tags which ECS gives by itself need the right, too, no source says: it is the stricter reading.
    given = tags or (prefix == "ecs" and (parameters.get("propagateTags") or parameters.get("enableECSManagedTags")))
    if not given or not own:
        return
    keys = {f"aws:requesttag/{key.lower()}": value for key, value in tags.items()}
    keys |= {"aws:tagkeys": tuple(tags)} if tags else {}
    kind: str | None = own[0].type
    resource = own[0].resource
    if prefix == "ecs":
        keys["ecs:createaction"] = operation
        if operation == "RunTask":
            cluster = str(parameters.get("cluster") or "default").rpartition("/")[2]
            kind, resource = "task", place.all_of("ecs", "task").replace("*/*", f"{cluster}/*")
    elif prefix == "kms":
        kind, resource = "key", place.all_of("kms", "key")
    elif prefix == "logs":
        kind, resource = "log-group", resource.removesuffix(":log-stream:")
    action = _TAGGING_IAM.get(kind or "") if prefix == "iam" else _TAGGING.get(prefix)
    if action is not None:
        yield Need(f"{prefix}:{action}", kind, resource, keys)


def _passed(asked: Asked) -> Iterator[Need]:
    parameters, place, world = asked.parameters, asked.place, asked.world
    name = f"{asked.prefix}:{asked.operation}"
    handed = [(role, service) for path, service in _PASSED.get(name, ()) for role in found(parameters, path)]
    if name == "ecs:RunTask":
        definition = world.task_definition(place.region, parameters.get("taskDefinition", ""))
        overrides = parameters.get("overrides") or {}
        roles = [
            *(definition.roles if definition else ()),
            overrides.get("taskRoleArn"),
            overrides.get("executionRoleArn"),
        ]
        handed = [(role, "ecs-tasks.amazonaws.com") for role in roles if role]
    elif name == "iam:AddRoleToInstanceProfile":
        role = world.role_arn(parameters.get("RoleName", ""))
        handed = [(role, "ec2.amazonaws.com")] if role else []
    elif name == "ec2:RunInstances" and (profile := parameters.get("IamInstanceProfile")):
        named = profile.get("Arn") or profile.get("Name") or ""
        handed = [(role, "ec2.amazonaws.com") for role in world.roles_of_profile(named)]
    elif name == "events:PutTargets":
        roles = [target.get("RoleArn") for target in parameters.get("Targets") or ()]
        handed = [(role, "events.amazonaws.com") for role in roles if role]
    for role, service in dict.fromkeys(handed):
        arn = role if role.startswith("arn:") else world.role_arn(role) or place.arn_of("iam", "role", role)
        yield Need("iam:PassRole", "role", arn, {"iam:passedtoservice": service})


def _of_ec2(asked: Asked) -> Iterator[Need]:
    operation, parameters, place = asked.operation, asked.parameters, asked.place
    if operation == "CreateFlowLogs" and parameters.get("LogDestinationType") in {"s3", "kinesis-data-firehose"}:
        # Source: VPC User Guide, "IAM policy for IAM principals that publish flow logs to Amazon S3".
        yield Need("logs:CreateLogDelivery", None, "*", {})
    # Without a word an endpoint's names are private.
    private = str(parameters.get("PrivateDnsEnabled", True)).lower() == "true"
    if operation == "CreateVpcEndpoint" and parameters.get("VpcEndpointType") == "Interface" and private:
        # Source: the reference's dependent action (fact 4).
        keys: Keys = {"route53:vpcs": (f"VPCId={parameters.get('VpcId')},VPCRegion={place.region}",)}
        zone = f"arn:{place.partition}:route53:::hostedzone/*"
        yield Need("route53:AssociateVPCWithHostedZone", "hostedzone", zone, keys)


def _launching_at_once(asked: Asked) -> Iterator[Need]:
    """LaunchInstances asks in its caller's name.

    Source: Auto Scaling User Guide, "Launching instances with synchronous provisioning".
    """
    for kind in ("fleet", "instance", "launch-template", "subnet"):
        yield Need("ec2:CreateFleet", kind, asked.place.all_of("ec2", kind), {})


def _of_repository(asked: Asked) -> Iterator[Need]:
    encryption = asked.parameters.get("encryptionConfiguration") or {}
    if encryption.get("encryptionType") == "KMS" and (key := encryption.get("kmsKey")):
        yield from _key(key, _KEY_OF_ECR, "ecr", asked, for_aws=True)


def _launching(asked: Asked) -> Iterator[Need]:
    """Auto Scaling asks whether its caller could start the launch template's instances.

    Source: Auto Scaling User Guide, "Control Amazon EC2 launch template usage in Auto Scaling groups".
    """
    parameters, place, world = asked.parameters, asked.place, asked.world
    mixed = (parameters.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    specification = parameters.get("LaunchTemplate") or mixed.get("LaunchTemplateSpecification")
    if not specification:
        return
    named = specification.get("LaunchTemplateId") or specification.get("LaunchTemplateName") or ""
    template = world.launch_template(place.region, named)
    arn = f"{place.all_of('ec2', 'launch-template')[:-1]}{template.id if template else named}"
    keys: Keys = {"ec2:launchtemplate": arn}
    for kind in ("image", "instance", "network-interface", "volume", "security-group", "subnet"):
        yield Need("ec2:RunInstances", kind, place.all_of("ec2", kind), keys)
    yield Need("ec2:RunInstances", "launch-template", arn, keys)
    if template is None:
        return
    if template.tags:
        yield Need("ec2:CreateTags", "instance", place.all_of("ec2", "instance"), {"ec2:createaction": "RunInstances"})
    for role in world.roles_of_profile(template.profile) if template.profile else ():
        yield Need("iam:PassRole", "role", role, {"iam:passedtoservice": "ec2.amazonaws.com"})


def _of_mwaa(asked: Asked) -> Iterator[Need]:
    parameters, place = asked.parameters, asked.place
    network = parameters.get("NetworkConfiguration") or {}
    # Source: MWAA User Guide, "Accessing an Amazon MWAA environment" (fact 3).
    yield Need("ec2:CreateNetworkInterface", "network-interface", place.all_of("ec2", "network-interface"), {})
    for kind, ids in (("subnet", network.get("SubnetIds")), ("security-group", network.get("SecurityGroupIds"))):
        for one in ids or ():
            yield Need("ec2:CreateNetworkInterface", kind, place.all_of("ec2", kind)[:-1] + one, {})
    if key := parameters.get("KmsKey"):
        yield from _key(key, _KEY_OF_MWAA, "airflow", asked, for_aws=True)


def _of_s3(asked: Asked) -> Iterator[Need]:
    """What is encrypted by a customer's key takes the key, too.

    Source: S3 User Guide, "Using server-side encryption with AWS KMS keys", Permissions; "Reducing the cost of SSE-KMS
    with Amazon S3 Bucket Keys" for the encryption context.
    """
    operation, parameters, place, world = asked.operation, asked.parameters, asked.place, asked.world
    bucket, key = parameters.get("Bucket"), parameters.get("Key")
    if bucket is None or key is None:
        return
    if operation in s3.WRITES and not parameters.get("SSECustomerAlgorithm"):
        under = _written_under(asked, bucket)
        if under is not None:
            arn, of_bucket = under
            context = f"arn:{place.partition}:s3:::{bucket}" + ("" if of_bucket else f"/{key}")
            yield _through_s3("GenerateDataKey", arn, context, asked)
            if operation in {"UploadPart", "UploadPartCopy", "CompleteMultipartUpload"}:
                yield _through_s3("Decrypt", arn, context, asked)
    reads = [(bucket, key, parameters.get("VersionId"))] if operation == "GetObject" else []
    if (source := s3.copied(parameters)) is not None:
        reads.append(source)
    for from_bucket, from_key, version in reads:
        encrypted = world.object_key(from_bucket, from_key, version)
        if encrypted is not None:
            context = f"arn:{place.partition}:s3:::{from_bucket}" + ("" if encrypted.of_bucket else f"/{from_key}")
            yield _through_s3("Decrypt", encrypted.arn, context, asked)


def _written_under(asked: Asked, bucket: str) -> tuple[str, bool] | None:
    parameters, place, world = asked.parameters, asked.place, asked.world
    wanted, default = parameters.get("ServerSideEncryption"), world.bucket_key(bucket)
    if wanted is None or (wanted == "aws:kms" and not parameters.get("SSEKMSKeyId")):
        return (default.arn, default.of_bucket) if default else None
    if wanted != "aws:kms":
        return None
    named = str(parameters["SSEKMSKeyId"])
    of_bucket = bool(parameters.get("BucketKeyEnabled")) or bool(default and default.of_bucket)
    return world.key_arn(place.region, named) or named, of_bucket


def _through_s3(action: str, arn: str, context: str, asked: Asked) -> Need:
    (need,) = _key(arn, (action,), "s3", asked)
    need.keys.update({"kms:encryptioncontext:aws:s3:arn": context, "kms:encryptioncontextkeys": ("aws:s3:arn",)})
    return need


def _key(name: str, actions: Sequence[str], service: str, asked: Asked, *, for_aws: bool = False) -> Iterator[Need]:
    place, world = asked.place, asked.world
    arn = world.key_arn(place.region, name) or name
    for short in actions:
        action = reference.action("kms", short)
        assert action is not None, short
        keys: Keys = {
            "kms:viaservice": f"{service}.{place.region}.amazonaws.com",
            "aws:viaawsservice": "true",
        }
        if for_aws and "Grant" in short:
            keys["kms:grantisforawsresource"] = "true"
        yield Need(action.name, "key", arn, keys)


# What some operations take beside tags and roles; of EC2 and S3, all.
_FURTHER: Mapping[str, Callable[[Asked], Iterator[Need]]] = {
    "airflow:CreateEnvironment": _of_mwaa,
    "autoscaling:CreateAutoScalingGroup": _launching,
    "autoscaling:LaunchInstances": _launching_at_once,
    "autoscaling:UpdateAutoScalingGroup": _launching,
    "ec2": _of_ec2,
    "ecr:CreateRepository": _of_repository,
    "s3": _of_s3,
}
