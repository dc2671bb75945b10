"""Job files as they are written: YAML whose values are text until the specification's schema says what they are.

YAML itself would take `3.10` for a number, `no` for a boolean and `12:30` for 750, and of a key that is there twice it
would keep the last one. So only its structure is read, with the line of each value.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from winbatch import texts, values
from winbatch.errors import SpecError

type Path = Sequence[str | int]
# One of PyYAML's; which fields it has follows from its class.
type Event = Any

# libyaml where it is there: it is ten times as fast, and Airflow parses DAGs all the time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Of no use to anybody, but by aliases within aliases a small file could ask for billions of values.
_DEEPEST = 32
_MOST = 100_000
_LONGEST = 1 << 20

_STRING_TAG = "tag:yaml.org,2002:str"
_MERGE = "<<"
_UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_QUOTED = frozenset("'\"|>")
# YAML's other words for booleans, which only stand for them where one is expected.
_BOOLEANS = {"yes": True, "on": True, "no": False, "off": False}


@dataclasses.dataclass(slots=True)
class Node:
    """A value of the file.

    Attributes:
        line: where it begins, from 1.
        value: text, a list, or a mapping with the line of each key.
        plain: it is text without quotes.
        size: values in it, those behind aliases each time they are named.
    """

    line: int
    value: "str | list[Node] | dict[str, tuple[int, Node]]"
    plain: bool = False
    size: int = 1

    def at(self, path: Path) -> "Node":
        """The value at a path; the nearest one above where the path leads nowhere."""
        node = self
        for step in path:
            if isinstance(node.value, dict) and step in node.value:
                node = node.value[str(step)][1]
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
            else:
                break
        return node

    def line_of_key(self, key: str) -> int:
        """The line of one of its keys."""
        assert isinstance(self.value, dict)
        return self.value[key][0]

    def typed(self, schema: "Mapping[str, Any] | Callable[[Node], Mapping[str, Any]]") -> Any:
        """Give what it stands for.

        Args:
            schema: JSON Schema of which `type`, `properties`, `additionalProperties` and `items` are looked at; or what
                gives that of a node. What has no type is text; so is what cannot be of its type, for the schema to
                refuse.
        """
        if callable(schema):
            schema = schema(self)
        if isinstance(self.value, dict):
            known, others = schema.get("properties", {}), schema.get("additionalProperties") or {}
            return {key: node.typed(known.get(key, others)) for key, (_line, node) in self.value.items()}
        if isinstance(self.value, list):
            return [node.typed(schema.get("items", {})) for node in self.value]
        return _scalar(self.value, schema) if self.plain else self.value


def _scalar(text: str, schema: Mapping[str, Any]) -> Any:
    kinds = schema.get("type", ())
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if kind == "boolean" and text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        try:
            return values.parse(text, kind)
        except ValueError:
            continue
    return text


def read(content: str | bytes, *, where: str) -> Node:
    """Read a job file's structure.

    Args:
        content: the file.
        where: its name, for the error's lines.

    Raises:
        SpecError: with all that is wrong with it, each with file and line.
    """
    node, faults = scan(content, where=where)
    if faults:
        raise _error(faults, where)
    return node


def scan(content: str | bytes, *, where: str) -> tuple[Node, list["Fault"]]:
    """Read the structure of a job file that may be wrong.

    Args:
        content: the file.
        where: its name, for the error's line.

    Returns:
        The structure, and what is wrong with it that does not keep anybody from reading on.

    Raises:
        SpecError: it cannot be read on; with all that is wrong until there.
    """
    reader = None
    try:
        reader = _Reader(_text(content))
        return reader.document(), reader.faults
    except Fault as error:
        raise _error([*(reader.faults if reader else ()), error], where) from error


def _error(faults: Sequence["Fault"], where: str) -> SpecError:
    ordered = sorted(faults, key=lambda fault: fault.line)
    return SpecError(*(f"{where}:{fault.line}: {fault}" for fault in ordered), place=where)


class Fault(Exception):  # noqa: N818 - none that is raised leaves this module
    """Tells what is wrong with a line.

    Attributes:
        line: from 1.
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


def _text(content: str | bytes) -> str:
    if len(content) > _LONGEST:
        raise Fault(1, f"larger than {_LONGEST >> 20} MiB; large inputs belong into a table in S3")
    if isinstance(content, bytes):
        try:
            content = texts.decode(content)
        except texts.TextError as error:
            raise Fault(error.line, f"not YAML in UTF-8: {error}") from error
    if found := _UNPRINTABLE.search(content):
        line = content.count("\n", 0, found.start()) + 1
        raise Fault(line, f"the control character U+{ord(found[0]):04X} is no text; take it out")
    return content


class _Reader:
    """Builds the nodes of a document from the parser's events."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._anchors: dict[str, Node] = {}
        self._quoted: list[tuple[int, int]] = []
        self.faults: list[Fault] = []
        self._events = self._parsed()

    def document(self) -> Node:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise Fault(1, "the file is empty; a job specification is expected (docs/jobs.md)")
        node = self._node(next(self._events), 0)
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise Fault(_line(after), "a second document begins (---); a file holds one job")
        for tab in re.finditer("\t", self._text):
            if not any(start <= tab.start() < end for start, end in self._quoted):
                self._note(self._text.count("\n", 0, tab.start()) + 1, _TAB)
        return node

    def _note(self, line: int, problem: str) -> None:
        """Note what is wrong and go on; of a line, what is wrong first."""
        if line not in {fault.line for fault in self.faults}:
            self.faults.append(Fault(line, problem))

    def _parsed(self) -> Iterator[Event]:
        try:
            yield from yaml.parse(self._text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            lines = self._text.splitlines()
            before = lines[mark.line][: mark.column + 1] if mark and mark.line < len(lines) else ""
            raise Fault(mark.line + 1 if mark else 1, _TAB if "\t" in before else _not_yaml(error)) from error

    def _node(self, event: Event, depth: int) -> Node:
        if depth > _DEEPEST:
            raise Fault(_line(event), f"values lie in more than {_DEEPEST} others")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise Fault(_line(event), f"the alias *{event.anchor} names no anchor that stands before it")
            return self._anchors[event.anchor]
        node = self._made(event, depth)
        if node.size > _MOST:
            raise Fault(node.line, f"more than {_MOST:,} values, with aliases filled in")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _made(self, event: Event, depth: int) -> Node:
        line = _line(event)
        if event.tag not in {None, _STRING_TAG}:
            name = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            self._note(line, f"the tag {name} has no meaning here; write the value itself, a text in quotes")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, line)
        if isinstance(event, yaml.SequenceStartEvent):
            items = [self._node(each, depth + 1) for each in self._until(yaml.SequenceEndEvent)]
            return Node(line, items, size=1 + sum(item.size for item in items))
        return self._mapping(line, depth)

    def _scalar(self, event: Event, line: int) -> Node:
        if event.style in _QUOTED:
            self._quoted.append((event.start_mark.index, event.end_mark.index))
            return Node(line, event.value)
        if event.tag is None and not event.value:
            self._note(line, "a value is missing; an empty text is written ''")
        return Node(line, event.value, plain=event.tag is None)

    def _mapping(self, line: int, depth: int) -> Node:
        own: dict[str, tuple[int, Node]] = {}
        for event in self._until(yaml.MappingEndEvent):
            key = self._key(event)
            if key in own:
                self._note(_line(event), f"{key!r} is given twice, first in line {own[key][0]}; keep one of them")
            own[key] = _line(event), self._node(next(self._events), depth + 1)
        if _MERGE in own:
            own = {**_merged(*own.pop(_MERGE)), **own}
        return Node(line, own, size=1 + sum(node.size for _line, node in own.values()))

    def _key(self, event: Event) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise Fault(_line(event), "a key is a text, not a list, a mapping or an alias")
        node = self._made(event, 0)
        key = str(node.value)
        if node.plain and key != _MERGE and (kind := _other_than_text(key)):
            self._note(
                node.line, f"the key {key} is {kind} to YAML, not text; write it in quotes, or call it otherwise"
            )
        return key

    def _until(self, end: type[yaml.Event]) -> Iterator[Event]:
        while not isinstance(event := next(self._events), end):
            yield event


_TAB = "a tab, which YAML does not take for space; write spaces, and a text with a tab in quotes"


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _not_yaml(error: yaml.MarkedYAMLError) -> str:
    context = f"{error.context}, " if error.context else ""
    return f"not YAML: {context}{error.problem}"


def _merged(line: int, node: Node) -> dict[str, tuple[int, Node]]:
    """What `<<: *base` or `<<: [*one, *other]` brings: the first one that has a key wins."""
    merged: dict[str, tuple[int, Node]] = {}
    for base in node.value if isinstance(node.value, list) else [node]:
        if not isinstance(base.value, dict):
            raise Fault(line, "<< takes the fields of other mappings over; an alias of one, or a list, is expected")
        merged = {**base.value, **merged}
    return merged


@functools.cache
def _other_than_text(plain: str) -> str:
    """What YAML takes an unquoted word for, in words; empty for text."""
    kinds = {"bool": "a boolean", "int": "a number", "float": "a number", "null": "nothing", "timestamp": "a time"}
    for tag, pattern in yaml.SafeLoader.yaml_implicit_resolvers.get(plain[:1], ()):
        if pattern.match(plain):
            return kinds.get(tag.rpartition(":")[2], "")
    return ""
