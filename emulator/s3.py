"""S3 as moto has it, without its own idea of what bucket policies mean.

Conditional writes (If-Match, If-None-Match) are moto's own; what makes them atomic is the lock under which every S3
request runs (`emulator.locks`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from flask import has_request_context, request
from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import ActionResult, BaseResponse
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket, FakeDeleteMarker, S3Backend
from moto.s3.responses import S3Response

from emulator.context import Context
from emulator.identity.gate import DENIED
from emulator.identity.patterns import like

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


def _get_permission(bucket: FakeBucket, action: str, resource: str) -> PermissionResult:  # noqa: ARG001
    """Who may do what was decided before moto was asked; but DeleteObjects goes on with what may be deleted."""
    denied = has_request_context() and resource in request.environ.get(DENIED, ())
    return PermissionResult.DENIED if denied else PermissionResult.NEUTRAL


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
        and any(like(action.lower(), "s3:putobject") for action in listed(statement.get("Action", [])))
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
    S3Backend.log_incoming_request = _deliver_no_log  # type: ignore[method-assign,assignment]
    FakeBucket.get_permission = _get_permission  # type: ignore[method-assign,assignment]
    FakeBucket._log_permissions_enabled_policy = staticmethod(_may_log)  # type: ignore[method-assign] # noqa: SLF001


def shutdown() -> None:
    """Nothing runs."""
