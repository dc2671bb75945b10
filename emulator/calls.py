"""A request as the call that it is: service, operation, parameters and who signed it.

Which bytes mean what is read from botocore's service models, which AWS's own clients are made of, by the parsers that
moto has for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from moto.core.parse import PROTOCOL_PARSERS, RequestParser, RequestParserError, RestXMLParser
from moto.s3.responses import S3Response
from moto.s3.utils import bucket_name_from_url
from werkzeug.wrappers import Request

from emulator import operations
from emulator.http import Environ

_FORM = "application/x-www-form-urlencoded"
_CBOR = re.compile(r".*/service/[^/]+/operation/([^/]+)/?")
# Hosts that are no bucket's: where the emulator listens, with the prefixes that some operations put before it.
_PLAIN_HOST = re.compile(r"(?:[a-z-]+\.)?(?:localhost|127\.0\.0\.1)(?::\d+)?")
# Of addresses that are presigned by the second version of signatures.
_SIGNED_BY = frozenset({"AWSAccessKeyId", "Expires", "Signature"})
# What nobody signs (AWS STS's API reference), by the version of the API that only STS has.
_UNSIGNED = frozenset({"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"})


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an API.

    Attributes:
        service: botocore's name of the service, such as `cloudwatch`
        operation: its name in the service's model, such as `RunTask`
        parameters: by the members of the operation's input, in the types that their wire form has: JSON's blobs and
            times stay what JSON has; what streams (an object's content) is left out
        access_key: of who signed it; None when nobody did
        region: that the signature names; empty when nobody signed it
        protocol: in which it was asked: `json`, `query`, `ec2`, `rest-json` or `rest-xml`
        signing_name: the service as the signature has it, such as `monitoring`
    """

    service: str
    operation: str
    parameters: dict[str, Any]
    access_key: str | None
    region: str
    protocol: str
    signing_name: str


class UnreadableRequestError(Exception):
    """A request is no call; its text says what it is instead."""

    def __init__(self, service: str, protocol: str, message: str) -> None:
        super().__init__(message)
        self.service = service
        self.protocol = protocol


class UnknownCall(UnreadableRequestError):  # noqa: N818 - what it is, is its name
    """No model has what a request asks for."""


class MalformedRequestError(UnreadableRequestError):
    """A request's parameters are not in the form that the model gives them."""


@dataclass(frozen=True, slots=True)
class _Signature:
    access_key: str | None
    region: str
    service: str


def read(environ: Environ) -> Call:
    """Read a request.

    Args:
        environ: WSGI's; its `wsgi.input` is the body in memory and is left as it was.

    Raises:
        UnknownCall: no model has it
        MalformedRequestError: what it gives cannot be read
    """
    text = environ.get("QUERY_STRING", "")
    query = parse_qs(text, keep_blank_values=True) if text else {}
    signature = _signature(environ, query)
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return _json(environ, signature, target)
    if environ.get("CONTENT_TYPE", "").startswith(_FORM) and "Action=" in (body := _body(environ).decode("latin-1")):
        return _query(signature, dict(parse_qsl(body, keep_blank_values=True)))
    if "Action" in query:
        return _query(signature, {name: values[0] for name, values in query.items()})
    return _rest(environ, signature, query)


def signing_name(environ: Environ) -> str:
    """The service that a request's signature names; S3 when it has none."""
    return _signature(environ, {}).service


def _signature(environ: Environ, query: Mapping[str, list[str]]) -> _Signature:
    credential = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",", 1)[0]
    if not credential and "X-Amz-Credential" in query:
        credential = query["X-Amz-Credential"][0]
    scope = credential.strip().split("/")
    if len(scope) < 5:  # noqa: PLR2004 - key/date/region/service/aws4_request
        return _Signature(None, "", "s3")
    return _Signature("/".join(scope[:-4]), scope[-3], scope[-2].lower())


def _body(environ: Environ) -> bytes:
    body: bytes = environ["wsgi.input"].getvalue()
    return body


def _json(environ: Environ, signature: _Signature, target: str) -> Call:
    prefix, _, operation = target.rpartition(".")
    for service in operations.services(signature.service):
        model = operations.service_model(service)
        if model is None or model.metadata.get("targetPrefix") != prefix:
            continue
        if operations.operation_model(service, operation) is None:
            break
        try:
            parameters = json.loads(_body(environ) or b"{}")
        except ValueError as error:
            raise MalformedRequestError(service, "json", str(error)) from error
        if not isinstance(parameters, dict):
            raise MalformedRequestError(service, "json", "the body is no JSON object")
        return _call(signature, service, operation, parameters, "json")
    raise UnknownCall(signature.service, "json", f"no operation {target} of {signature.service}")


def _query(signature: _Signature, form: Mapping[str, str]) -> Call:
    action = form["Action"]
    if signature.access_key is None and action in _UNSIGNED:
        signature = _Signature(None, "us-east-1", "sts")
    names = operations.services(signature.service)
    models = [model for model in map(operations.service_model, names) if model is not None]
    # Classic load balancers and the newer ones are told apart by the version alone.
    models.sort(key=lambda model: model.metadata.get("apiVersion") != form.get("Version"))
    for model in models:
        service = str(model.service_name)
        known = operations.operation_model(service, action)
        if known is None:
            continue
        protocol = "ec2" if model.protocol == "ec2" else "query"
        try:
            parameters = _parser(service, action, protocol).parse({"values": form})  # type: ignore[typeddict-item]
        except ValueError as error:
            raise MalformedRequestError(service, protocol, str(error)) from error
        return _call(signature, service, action, parameters, protocol)
    protocol = "ec2" if signature.service == "ec2" else "query"
    raise UnknownCall(signature.service, protocol, f"no operation {action} of {signature.service}")


def _rest(environ: Environ, signature: _Signature, query: Mapping[str, list[str]]) -> Call:
    path = _path(environ)
    method = environ["REQUEST_METHOD"]
    protocol = "rest-json"
    strange: list[str] = []
    for service in operations.services(signature.service):
        model = operations.service_model(service)
        if model is None:
            continue
        protocol = str(model.protocol)
        if not protocol.startswith("rest-"):
            continue
        found = operations.find(
            service, method, _with_bucket(environ, path) if service == "s3" else path, query, environ
        )
        if found is None:
            continue
        operation, labels = found
        bound = operations.bindings(service, operation)
        if query and service == "s3" and (strange := _strange(query, bound)):
            break
        try:
            parameters = bound.read(labels, query, environ)
            if not bound.streams and (body := _body(environ)):
                parameters |= _in_body(service, operation, protocol, bound.payload, body)
        except (ValueError, TypeError, AttributeError, RequestParserError) as error:
            raise MalformedRequestError(service, protocol, str(error)) from error
        return _call(signature, service, operation, parameters, protocol)
    if strange:
        raise UnknownCall(signature.service, protocol, f"{method} {path} with {', '.join(strange)} in its query")
    if protocol == "smithy-rpc-v2-cbor" or environ.get("HTTP_SMITHY_PROTOCOL"):
        named = _CBOR.fullmatch(path)
        asked = f"{named[1] if named else path} in the protocol rpc-v2-cbor"
    else:
        asked = f"{method} {path}" + (f"?{'&'.join(query)}" if query else "")
    raise UnknownCall(signature.service, protocol, f"no operation of {signature.service} is {asked}")


def _strange(query: Mapping[str, list[str]], bound: operations.Bindings) -> list[str]:
    """Names in a query of S3's that its operation does not know, which may be another operation's.

    `x-…` are anybody's, also those by which an address is signed (S3's guide, "Customizing access log fields").
    """
    return [
        name
        for name in query
        if name not in bound.known and not name.lower().startswith("x-") and name not in _SIGNED_BY
    ]


def _path(environ: Environ) -> str:
    """The path as it came, quoted; of a proxy's absolute address, too."""
    raw: str = environ.get("RAW_URI") or environ["PATH_INFO"]
    path = raw.partition("?")[0]
    if not path.startswith("/"):
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path


def _with_bucket(environ: Environ, path: str) -> str:
    """The path with the bucket that the host names, if it does."""
    if _PLAIN_HOST.fullmatch(environ.get("HTTP_HOST", "localhost")):
        return path
    request = Request(environ)
    if not S3Response.subdomain_based_buckets(request):
        return path
    bucket = bucket_name_from_url(request.url)
    return f"/{bucket}{path}" if bucket else path


def _in_body(service: str, operation: str, protocol: str, payload: str | None, body: bytes) -> dict[str, Any]:
    """The members that lie in the body, which has a form."""
    parser = _parser(service, operation, protocol)
    shape: Any = parser.operation_model.input_shape
    if shape is None:
        return {}
    if isinstance(parser, RestXMLParser):
        node = parser._initial_body_parse(body)  # type: ignore[no-untyped-call] # noqa: SLF001 - moto has no public way to read a body alone
    else:
        node = json.loads(body)
        if not isinstance(node, dict):
            raise ValueError("the body is no JSON object")  # noqa: TRY004 - bad input, not a bug
    parse: Callable[[Any, Any], Any] = parser._parse_shape  # noqa: SLF001
    if payload:
        return {payload: parse(shape.members[payload], node)}
    members: dict[str, Any] = parse(shape, node)
    return members


@cache
def _parser(service: str, operation: str, protocol: str) -> RequestParser:
    model = operations.operation_model(service, operation)
    if model is None:
        raise LookupError(f"{service} has no {operation}")
    return PROTOCOL_PARSERS[protocol](model)


def _call(signature: _Signature, service: str, operation: str, parameters: dict[str, Any], protocol: str) -> Call:
    return Call(service, operation, parameters, signature.access_key, signature.region, protocol, signature.service)
