"""Answers held to the models: what has a member that the operation's output lacks, or a value of another type.

For tests: an emulator with `--check-answers` writes an error to its log for each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as ET

from botocore.model import Shape
from moto.core.model import ListShape, MapShape, StructureShape

from emulator import operations
from emulator.calls import Call

# What each answer of a protocol may have beside its output.
_BESIDE = frozenset({"requestId", "RequestId", "ResponseMetadata"})
# Enumerations that lag: S3's has STANDARD alone, and S3 lists versions in every class.
_OPEN = frozenset({"ObjectVersionStorageClass"})
_NUMBERS = frozenset({"integer", "long", "float", "double"})
# ECS's task lifecycle (its guide, "Amazon ECS task lifecycle"), and the API reference's words for each.
_TASK = frozenset(
    {
        "PROVISIONING",
        "PENDING",
        "ACTIVATING",
        "RUNNING",
        "DEACTIVATING",
        "STOPPING",
        "DEPROVISIONING",
        "STOPPED",
        "DELETED",
    }
)
# Values of members that are documented and of which the model has no enumeration, by structure and member.
_DOCUMENTED: Mapping[tuple[str, str], frozenset[str]] = {
    ("Task", "lastStatus"): _TASK,
    ("Task", "desiredStatus"): frozenset({"PENDING", "RUNNING", "STOPPED"}),
    ("Container", "lastStatus"): _TASK,
    ("ContainerInstance", "status"): frozenset(
        {"REGISTERING", "REGISTRATION_FAILED", "ACTIVE", "INACTIVE", "DEREGISTERING", "DRAINING"}
    ),
    ("Cluster", "status"): frozenset({"ACTIVE", "PROVISIONING", "DEPROVISIONING", "FAILED", "INACTIVE"}),
    ("Attachment", "status"): frozenset(
        {"PRECREATED", "CREATED", "ATTACHING", "ATTACHED", "DETACHING", "DETACHED", "DELETED", "FAILED"}
    ),
}


def strangers(call: Call, body: bytes) -> list[str]:
    """What an answer has that its model does not, each by its path.

    Args:
        call: that was answered without an error.
        body: of the answer, whole.
    """
    model = operations.operation_model(call.service, call.operation)
    shape = model.output_shape if model else None
    if not isinstance(shape, StructureShape) or not body:
        # Whoever has no output reads nothing.
        return []
    payload = shape.serialization.get("payload")
    if payload:
        shape = shape.members[payload]  # type: ignore[assignment]
        if not isinstance(shape, StructureShape):
            return []
    if call.protocol in {"json", "rest-json"}:
        return list(_in_json(shape, json.loads(body), call.operation))
    root = ET.fromstring(body)  # noqa: S314 - the emulator's own
    if call.protocol == "query":
        wrapper = shape.serialization.get("resultWrapper")
        found = next((child for child in root if _tag(child) == wrapper), None)
        return [] if found is None else list(_in_xml(shape, found, call.operation))
    return list(_in_xml(shape, root, call.operation))


def _in_json(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        if shape.is_document_type:
            return
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no structure"
            return
        yield from _members_in_json(shape, value, path)
    elif isinstance(shape, ListShape):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for item in value:
            yield from _in_json(shape.member, item, f"{path}[]")
    elif isinstance(shape, MapShape):
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no map"
            return
        for item in value.values():
            yield from _in_json(shape.value, item, f"{path}{{}}")
    else:
        yield from _scalar(shape, value, path)


def _members_in_json(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[str]:
    members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
    for name, item in value.items():
        if name not in members:
            yield f"{path}.{name}: no such member"
        elif item is not None:
            yield from _in_json(members[name], item, f"{path}.{name}")
            known = _DOCUMENTED.get((shape.name, name))
            if known is not None and item not in known:
                yield f"{path}.{name}: {item!r} is none of {sorted(known)}"


def _scalar(shape: Shape, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "boolean": isinstance(value, bool),
        "timestamp": number or isinstance(value, str),
        "string": isinstance(value, str),
        "blob": isinstance(value, str),
    }.get(kind, number)
    if not fits:
        yield f"{path}: {value!r} is no {kind}"
    elif (allowed := getattr(shape, "enum", None)) and value not in allowed:
        yield f"{path}: {value!r} is none of {allowed}"


def _in_xml(shape: Shape, element: ET.Element, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        members = {}
        for name, member in shape.members.items():
            flat = isinstance(member, ListShape | MapShape) and member.serialization.get("flattened")
            inner = member.member.serialization.get("name") if flat and isinstance(member, ListShape) else None
            known = inner or member.serialization.get("name", name)
            members[known] = member.member if flat and isinstance(member, ListShape) else member
        for child in element:
            name = _tag(child)
            if name in members:
                yield from _in_xml(members[name], child, f"{path}.{name}")
            elif name not in _BESIDE:
                yield f"{path}.{name}: no such member"
    elif isinstance(shape, ListShape):
        wanted = shape.member.serialization.get("name", "member")
        for child in element:
            if _tag(child) != wanted:
                yield f"{path}.{_tag(child)}: a list has {wanted}"
            else:
                yield from _in_xml(shape.member, child, f"{path}[]")
    elif not isinstance(shape, MapShape):
        yield from _text(shape, element.text or "", path)


def _text(shape: Shape, text: str, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "boolean" and text not in {"true", "false"}:
        yield f"{path}: {text!r} is no {kind}"
    elif kind in _NUMBERS:
        try:
            float(text)
        except ValueError:
            yield f"{path}: {text!r} is no {kind}"
    elif text and shape.name not in _OPEN:
        allowed = getattr(shape, "enum", ())
        # EC2 itself writes `windows` and `available` where its model has capitals.
        if allowed and text.lower() not in {known.lower() for known in allowed}:
            yield f"{path}: {text!r} is none of {allowed}"


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
