"""Requests as the emulator's server has them, written by botocore's own serialisers."""

import functools
import io
from urllib.parse import urlencode

import botocore.serialize
from botocore.loaders import Loader
from botocore.model import ServiceModel

from emulator import operations

SERVICES = [
    "autoscaling",
    "cloudwatch",
    "ec2",
    "ecr",
    "ecs",
    "efs",
    "events",
    "iam",
    "kms",
    "logs",
    "mwaa",
    "resourcegroupstaggingapi",
    "s3",
    "s3control",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "sts",
]


def sample(shape, depth=0):
    """A value of a shape, with what is required."""
    match shape.type_name:
        case "structure":
            # Forms cannot carry what is empty, so there is always one.
            names = (shape.required_members or [*shape.members][:1]) if depth else shape.members
            return {name: sample(shape.members[name], depth + 1) for name in names if depth < 9}
        case "list":
            return [sample(shape.member, depth + 1)]
        case "map":
            return {sample(shape.key): sample(shape.value, depth + 1)}
        case "integer" | "long":
            return 7
        case "float" | "double":
            return 0.5
        case "boolean":
            return True
        case "timestamp":
            return "2026-11-30T00:00:00Z"
        case "blob":
            return b"bytes"
    return (shape.enum or ["text.is-plain"])[0]


@functools.cache
def model_of(service):
    # A loader of its own: clients of S3 take the bucket out of the paths of the loader that they share.
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def environ_of(service, operation, parameters, protocol=None):
    """A request as the emulator's server has it."""
    model = model_of(service)
    if protocol is None:
        protocol = next(name for name in model.metadata.get("protocols", [model.protocol]) if "cbor" not in name)
    serializer = botocore.serialize.create_serializer(protocol, include_validation=False)
    written = serializer.serialize_to_request(parameters, model.operation_model(operation))
    body = written["body"] or b""
    if isinstance(body, dict):
        body = urlencode(body, doseq=True)
    signing_name = model.signing_name
    headers = {
        **written["headers"],
        "Authorization": f"AWS4-HMAC-SHA256 Credential=AKID/20261130/eu-central-1/{signing_name}/aws4_request, Sig",
    }
    if protocol in {"query", "ec2"}:
        headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
    query = written["query_string"]
    literal = written["url_path"].partition("?")[2]
    text = query if isinstance(query, str) else urlencode(query, doseq=True)
    path = written["url_path"].partition("?")[0]
    return {
        "REQUEST_METHOD": written["method"],
        "PATH_INFO": path,
        "RAW_URI": path,
        "QUERY_STRING": "&".join(part for part in (literal, text) if part),
        "wsgi.input": io.BytesIO(body.encode() if isinstance(body, str) else body),
        "HTTP_HOST": "127.0.0.1:4566",
        **{operations.environ_key(name): str(value) for name, value in headers.items()},
    }
