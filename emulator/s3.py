"""S3 as moto has it, with bucket policies that mean what they say.

Conditional writes (If-Match, If-None-Match) are moto's own; what makes them atomic is the lock under which every S3
request runs (`emulator.locks`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

import xmltodict  # type: ignore[import-untyped]  # it has no types
from flask import g, has_request_context, request
from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import ActionResult, BaseResponse
from moto.iam.access_control import PermissionResult
from moto.s3.exceptions import S3AccessDeniedError
from moto.s3.models import FakeBucket, FakeDeleteMarker, S3Backend
from moto.s3.responses import S3Response

from emulator.context import Context
from emulator.policies import Call, Verdict, evaluate, like

_RESULTS = {
    Verdict.NEUTRAL: PermissionResult.NEUTRAL,
    Verdict.ALLOWED: PermissionResult.PERMITTED,
    Verdict.DENIED: PermissionResult.DENIED,
}
# moto names actions by the HTTP method.
_ACTIONS = {"s3:HeadObject": "s3:GetObject", "s3:PostObject": "s3:PutObject"}
# What is done to a version that the request names is another action.
_OF_VERSIONS = {"s3:DeleteObject": "s3:DeleteObjectVersion", "s3:GetObject": "s3:GetObjectVersion"}
_LOGGING = "logging.s3.amazonaws.com"


def _serialized(response: S3Response, action_result: ActionResult) -> TYPE_RESPONSE:
    """An answer of S3's, a listing written down at once.

    moto's serialiser walks the API's model for every field of every key and parses every time: a fifth of a second of
    the processor for a thousand keys, in which nobody else is answered, and a job lists its claims and results often.
    """
    listing = action_result.result
    if response.data.get("Action") != "ListObjectsV2" or not isinstance(listing, dict):
        return BaseResponse.serialized(response, action_result)
    body = "".join(_elements(listing))
    head = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    headers = {"Content-Type": "application/xml", **response.response_headers}
    return 200, headers, f"{head}{body}</ListBucketResult>"


def _elements(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield f"<{name}>{''.join(_elements(one))}</{name}>"
            elif one is not None:
                text = str(one).lower() if isinstance(one, bool) else escape(str(one))
                yield f"<{name}>{text}</{name}>"


def _get_permission(bucket: FakeBucket, action: str, resource: str) -> PermissionResult:
    # AWS applies a Deny only if its conditions are met; moto denies when they are not, so that a policy that allows TLS
    # only blocks everything.
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    call = Call(bucket.account_id, _action(action, resource), resource, _condition_keys(bucket.account_id))
    verdict = evaluate(bucket.policy.decode(), call)
    if verdict is Verdict.DENIED and has_request_context() and request.method != "POST":
        # moto answers 403 without a body, so without an error code. DeleteObjects (POST) lists denials by itself.
        raise S3AccessDeniedError
    return _RESULTS[verdict]


def _action(named: str, resource: str) -> str:
    action = _ACTIONS.get(named, named)
    if not has_request_context():
        return action
    key = resource.partition(":::")[2].partition("/")[2]
    of_version = key in _versioned_keys() if request.method == "POST" else "versionId" in request.args
    return _OF_VERSIONS.get(action, action) if of_version else action


def _versioned_keys() -> frozenset[str]:
    """The keys that DeleteObjects (POST) names with a version, read once a request."""
    if "versioned_keys" not in g:
        listed = xmltodict.parse(request.get_data(), force_list=("Object",)) if "delete" in request.args else {}
        objects = listed.get("Delete", {}).get("Object", [])
        g.versioned_keys = frozenset(entry["Key"] for entry in objects if entry.get("VersionId"))
    keys: frozenset[str] = g.versioned_keys
    return keys


def _list_objects(backend: S3Backend, bucket: FakeBucket, *args: Any, **kwargs: Any) -> Any:
    # A folder is there as long as an object in it is; moto shows those of deleted objects too.
    there = copy.copy(bucket)
    there.keys = {name: key for name, key in bucket.keys.items() if not isinstance(key, FakeDeleteMarker)}  # type: ignore[assignment]
    return _moto_list_objects(backend, there, *args, **kwargs)


_moto_list_objects = S3Backend.list_objects


def _bucket_response_get(response: S3Response, bucket_name: str, querystring: dict[str, Any]) -> Any:
    # moto answers this with a listing. Nothing here lets a requester pay.
    if "requestPayment" in querystring:
        response.backend.get_bucket(bucket_name)
        response.data["Action"] = "GetBucketRequestPayment"
        return response.serialized(ActionResult({"Payer": "BucketOwner"}))
    return _moto_bucket_response_get(response, bucket_name, querystring)


_moto_bucket_response_get = S3Response._bucket_response_get  # noqa: SLF001 - where moto looks for what a GET means


def _delete_bucket(response: S3Response) -> TYPE_RESPONSE:
    # AWS asks the bucket's policy about its end too.
    bucket = response.backend.get_bucket(response.bucket_name)
    bucket.get_permission("s3:DeleteBucket", bucket.arn)
    return _moto_delete_bucket(response)


_moto_delete_bucket = S3Response.delete_bucket


def _condition_keys(account: str) -> dict[str, str]:
    # Loopback cannot be listened to, which is what TLS is for.
    keys = {
        "aws:securetransport": "true",
        "s3:tlsversion": "1.3",
        "aws:principalaccount": account,
        "aws:principalisawsservice": "false",
    }
    if has_request_context():
        headers = request.headers.items()
        keys |= {f"s3:{name.lower()}": value for name, value in headers if name.lower().startswith("x-amz-")}
    return keys


def _may_log(target_bucket: FakeBucket, target_prefix: str | None) -> bool:
    """Whether S3's log delivery may write to a bucket; moto fails on `Principal: "*"` and compares texts."""
    if not target_bucket.policy:
        return False
    written = f"arn:{target_bucket.partition}:s3:::{target_bucket.name}/{target_prefix or ''}log"
    statements = json.loads(target_bucket.policy.decode())["Statement"]
    return any(
        _allows_logging(statement, written)
        for statement in (statements if isinstance(statements, list) else [statements])
    )


def _allows_logging(statement: dict[str, Any], written: str) -> bool:
    def listed(value: Any) -> list[str]:
        return value if isinstance(value, list) else [value]

    principal = statement.get("Principal")
    return (
        statement["Effect"] == "Allow"
        and isinstance(principal, dict)
        and _LOGGING in listed(principal.get("Service", []))
        and any(like(action, "s3:PutObject", ignore_case=True) for action in listed(statement.get("Action", [])))
        and any(like(resource, written) for resource in listed(statement.get("Resource", [])))
    )


def _deliver_no_log(backend: S3Backend, request: Any, bucket_name: str) -> None:
    """Access logs come within hours on AWS, many requests to an object: no environment here lives so long.

    moto writes an object for each request at once, twenty thousand in a quarter of an hour of jobs.
    """


def install(context: Context) -> None:  # noqa: ARG001 - every service is installed alike
    """Mend moto's buckets."""
    # Patched and not subclassed: moto makes buckets and answers in several places and names the class in each.
    S3Response.serialized = _serialized  # type: ignore[method-assign,assignment]
    S3Response._bucket_response_get = _bucket_response_get  # type: ignore[method-assign,assignment] # noqa: SLF001
    S3Backend.list_objects = _list_objects  # type: ignore[method-assign,assignment]
    S3Response.delete_bucket = _delete_bucket  # type: ignore[method-assign,assignment]
    S3Backend.log_incoming_request = _deliver_no_log  # type: ignore[method-assign,assignment]
    FakeBucket.get_permission = _get_permission  # type: ignore[method-assign,assignment]
    FakeBucket._log_permissions_enabled_policy = staticmethod(_may_log)  # type: ignore[method-assign] # noqa: SLF001


def shutdown() -> None:
    """Nothing runs."""
