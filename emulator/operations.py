"""The operations of AWS's services as botocore's models have them: found by a request, and what a request gives them.

A service's models are read once, when the first request for it comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import UnknownServiceError
from moto.core.model import OperationModel, ServiceModel, StructureShape
from moto.core.utils import get_service_model

# Services by the name in a request's signature, where that is not botocore's name for them; several share one. From
# `metadata.signingName` and `endpointPrefix` of botocore's models.
_SIGNED_AS = {
    "airflow": ("mwaa",),
    "aoss": ("opensearchserverless",),
    "aps": ("amp",),
    "dynamodb": ("dynamodb", "dynamodbstreams"),
    "elasticfilesystem": ("efs",),
    "elasticloadbalancing": ("elbv2", "elb"),
    "elasticmapreduce": ("emr",),
    "es": ("opensearch", "es"),
    "monitoring": ("cloudwatch",),
    "s3": ("s3", "s3control"),
    "servicequotas": ("service-quotas",),
    "ses": ("ses", "sesv2"),
    "sso": ("sso-admin",),
    "states": ("stepfunctions",),
    "tagging": ("resourcegroupstaggingapi",),
}
_S3_CONTROL = "/v20180820/"
_LABEL = re.compile(r"\{([^}]+)\}")
_XML = frozenset({"rest-xml"})


def services(signing_name: str) -> tuple[str, ...]:
    """Botocore's names of the services that a signature may mean."""
    return _SIGNED_AS.get(signing_name, (signing_name,))


@cache
def service_model(service: str) -> ServiceModel | None:
    """The model of a service; None when botocore has none of that name."""
    try:
        return get_service_model(service)
    except UnknownServiceError:
        return None


@cache
def operation_model(service: str, operation: str) -> OperationModel | None:
    """The model of an operation; None when the service has none of that name."""
    model = service_model(service)
    if model is None or operation not in model.operation_names:
        return None
    found: OperationModel = model.operation_model(operation)
    return found


@dataclass(frozen=True, slots=True)
class Candidate:
    """An operation that a path may mean, and what its request must have beside the path."""

    operation: str
    query: Mapping[str, str | None]
    headers: frozenset[str]

    def meets(self, query: Mapping[str, list[str]], environ: Mapping[str, Any]) -> bool:
        """Whether a request has what tells this operation from others at the same path."""
        for name, value in self.query.items():
            if name not in query or (value and value not in query[name]):
                return False
        return all(header in environ for header in self.headers)


@dataclass(frozen=True, slots=True)
class Route:
    """A path of a REST service, and the operations behind it by method, the most particular first."""

    pattern: re.Pattern[str]
    labels: tuple[str, ...]
    candidates: Mapping[str, tuple[Candidate, ...]]


def find(
    service: str, method: str, path: str, query: Mapping[str, list[str]], environ: Mapping[str, Any]
) -> tuple[str, dict[str, str]] | None:
    """The operation of a REST service that a request means, and the labels of its path, unquoted."""
    if service in {"s3", "s3control"} and (service == "s3control") != path.startswith(_S3_CONTROL):
        return None
    for route in routes(service):
        matched = route.pattern.fullmatch(path)
        if matched is None:
            continue
        for candidate in route.candidates.get(method, ()):
            if candidate.meets(query, environ):
                values = (unquote(value) for value in matched.groups())
                return candidate.operation, dict(zip(route.labels, values, strict=True))
    return None


@cache
def routes(service: str) -> tuple[Route, ...]:
    """The paths of a REST service, the longest and most literal first."""
    model = service_model(service)
    if model is None:
        return ()
    # Labels of the same place have several names; the first operation's is as good as another's for finding it.
    paths: dict[str, dict[str, list[OperationModel]]] = {}
    for name in model.operation_names:
        operation = model.operation_model(name)
        methods = paths.setdefault(operation.http_trait.path.rstrip("/") or "/", {})
        methods.setdefault(operation.http_trait.method, []).append(operation)
    greedy = str(model.protocol) not in _XML
    ordered = sorted(paths.items(), key=lambda item: _specific(item[0]))
    return tuple(
        Route(
            _pattern(path, greedy=greedy),
            tuple(label.rstrip("+") for label in _LABEL.findall(path)),
            {method: _candidates(operations) for method, operations in methods.items()},
        )
        for path, methods in ordered
    )


def _specific(path: str) -> tuple[int, int]:
    parts = path.split("/")
    return -len(parts), sum("{" in part for part in parts)


def _pattern(path: str, *, greedy: bool) -> re.Pattern[str]:
    """A path as an expression. With `greedy` its last label takes slashes: ARNs come without their slashes quoted."""
    expression, end = "", 0
    for label in _LABEL.finditer(path):
        expression += re.escape(path[end : label.start()])
        end = label.end()
        last = end == len(path)
        expression += "(.+)" if label[1].endswith("+") else "(.*[^/])" if last and greedy else "([^/]+)"
    expression += re.escape(path[end:])
    # A slash at the end may be part of a key.
    return re.compile(expression if path.endswith("+}") else f"{expression}/?", re.DOTALL)


def _candidates(operations: list[OperationModel]) -> tuple[Candidate, ...]:
    def made(operation: OperationModel) -> Candidate:
        query: dict[str, str | None] = dict.fromkeys(_required(operation, "querystring"))
        query |= {name: value for name, value in operation.http_trait.query_args.items() if name != "x-id"}
        return Candidate(operation.name, query, frozenset(map(environ_key, _required(operation, "header"))))

    def weight(operation: OperationModel) -> int:
        candidate = made(operation)
        return 10 * (len(candidate.query) + len(candidate.headers)) - (5 if operation.deprecated else 0)

    return tuple(made(operation) for operation in sorted(operations, key=weight, reverse=True))


def _required(operation: OperationModel, location: str) -> list[str]:
    shape = operation.input_shape
    if not isinstance(shape, StructureShape):
        return []
    members = ((name, shape.members[name].serialization) for name in shape.required_members)
    return [form.get("name", name) for name, form in members if form.get("location") == location]


def environ_key(header: str) -> str:
    """Where WSGI keeps a header."""
    key = header.upper().replace("-", "_")
    return key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"


Convert = Callable[[str], Any]


def _boolean(text: str) -> bool:
    return text.lower() == "true"


_CONVERSIONS: dict[str, Convert] = {
    "boolean": _boolean,
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
}


@dataclass(frozen=True, slots=True)
class Bindings:
    """Where a REST operation's members are in a request, outside its body.

    Attributes:
        labels, queries, headers: (member, name there, how its text is read)
        lists: members that a query may give several times
        rest: the member that takes every other parameter of the query
        prefixed: members that take all headers with a prefix, by that of their WSGI names
        known: all names in a query that mean something to it
        payload: the member that is the body; None when what is not bound here lies in it
        streams: whether the payload is bytes that have no form
    """

    labels: tuple[tuple[str, str, Convert], ...]
    queries: tuple[tuple[str, str, Convert], ...]
    headers: tuple[tuple[str, str, Convert], ...]
    lists: tuple[tuple[str, str, Convert], ...]
    rest: str | None
    prefixed: tuple[tuple[str, str], ...]
    known: frozenset[str]
    payload: str | None
    streams: bool

    def read(
        self, labels: Mapping[str, str], query: Mapping[str, list[str]], environ: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The members that a request has outside its body.

        Raises:
            ValueError: a number is none
        """
        found = {member: convert(labels[name]) for member, name, convert in self.labels if name in labels}
        for member, name, convert in self.headers:
            if name in environ:
                found[member] = convert(environ[name])
        if query:
            for member, name, convert in self.queries:
                if name in query:
                    found[member] = convert(query[name][0])
            for member, name, convert in self.lists:
                if name in query:
                    found[member] = [convert(text) for text in query[name]]
            if self.rest:
                taken = {name for _, name, _ in (*self.queries, *self.lists)}
                found[self.rest] = {name: values[0] for name, values in query.items() if name not in taken}
        for member, prefix in self.prefixed:
            start = len(prefix)
            found[member] = {
                key[start:].lower().replace("_", "-"): value for key, value in environ.items() if key.startswith(prefix)
            }
        return found


@cache
def bindings(service: str, operation: str) -> Bindings:
    """Where a REST operation's members are.

    Raises:
        LookupError: there is no such operation
    """
    model = operation_model(service, operation)
    if model is None:
        raise LookupError(f"{service} has no {operation}")
    shape = model.input_shape
    found: dict[str, list[tuple[str, str, Convert]]] = {name: [] for name in ("uri", "querystring", "header", "list")}
    rest, prefixed = None, []
    members = shape.members if isinstance(shape, StructureShape) else {}
    for member, part in members.items():
        place, name = part.serialization.get("location"), part.serialization.get("name", member)
        convert = _CONVERSIONS.get(part.type_name, str)
        if place == "headers":
            prefixed.append((member, environ_key(name)))
        elif place == "querystring" and part.type_name == "map":
            rest = member
        elif place == "querystring" and part.type_name == "list":
            found["list"].append((member, name, convert))
        elif place == "header":
            listed = (lambda text: [item.strip() for item in text.split(",")]) if part.type_name == "list" else convert
            found["header"].append((member, environ_key(name), listed))
        elif place in found:
            found[place].append((member, name, convert))
    payload = shape.serialization.get("payload") if shape is not None else None
    return Bindings(
        labels=tuple(found["uri"]),
        queries=tuple(found["querystring"]),
        headers=tuple(found["header"]),
        lists=tuple(found["list"]),
        rest=rest,
        prefixed=tuple(prefixed),
        known=frozenset(
            {name for _, name, _ in found["querystring"] + found["list"]} | set(model.http_trait.query_args)
        ),
        payload=payload,
        streams=bool(payload) and members[str(payload)].type_name in {"blob", "string"},
    )
