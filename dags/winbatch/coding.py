"""Turns frozen dataclasses into what JSON can hold, and back, by their annotations alone.

A field that is not there takes its default, and a name that is no field is passed over, so that what another release
wrote can be read as far as it means the same. What is of another type than its annotation says is refused with an
ArithmeticError, LookupError, TypeError or ValueError.
"""

import dataclasses
import datetime as dt
import functools
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

# Above this JSON's readers may lose digits, and Python refuses to write more than some thousand of them.
_EXACT = 1 << 53


class Codec(NamedTuple):
    """Both ways of one type; `named`: its values can be names in a JSON object."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    named: bool = False


def _same(value: Any) -> Any:
    return value


def _is(value: Any, *kinds: type) -> Any:
    # A bool is an int, but nobody means it so.
    if type(value) not in kinds:
        raise TypeError(f"{' or '.join(kind.__name__ for kind in kinds)} is expected, found {type(value).__name__}")
    return value


_LEAVES: Mapping[Any, Codec] = {
    str: Codec(_same, lambda value: _is(value, str), named=True),
    bool: Codec(_same, lambda value: _is(value, bool)),
    float: Codec(_same, lambda value: _is(value, float, int)),
    int: Codec(
        lambda value: value if -_EXACT < value < _EXACT else hex(value),
        lambda value: int(value, 16) if "x" in str(value) else _is(value, int),
    ),
    dt.datetime: Codec(dt.datetime.isoformat, dt.datetime.fromisoformat),
    dt.timedelta: Codec(dt.timedelta.total_seconds, lambda value: dt.timedelta(seconds=value)),
}


@functools.cache
def codec(kind: Any) -> Codec:
    """Make the codec of a type: a dataclass, or what its fields are made of.

    Raises:
        TypeError: it is made of something else.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind in _LEAVES:
        return _LEAVES[kind]
    if origin is Literal:
        return Codec(_same, {word: word for word in parts}.__getitem__, named=True)
    if dataclasses.is_dataclass(kind):
        return _of_dataclass(kind)
    if hasattr(kind, "_fields"):
        return _of_tuple(kind._make, [codec(part) for part in get_type_hints(kind).values()])
    if origin is tuple and parts[-1] is not Ellipsis:
        return _of_tuple(tuple, [codec(part) for part in parts])
    if origin in {tuple, Sequence}:
        return _of_many(tuple, codec(parts[0]))
    if origin is frozenset:
        return _of_many(frozenset, codec(parts[0]))
    if origin is Mapping:
        return _of_mapping(codec(parts[0]), codec(parts[1]))
    if origin in {Union, types.UnionType}:
        return _of_union(parts)
    raise TypeError(f"{kind} has no form in JSON here")


def _of_dataclass(kind: Any) -> Codec:
    hints = get_type_hints(kind)
    fields = [(field.name, codec(hints[field.name])) for field in dataclasses.fields(kind)]

    def encode(value: Any) -> dict[str, Any]:
        return {name: each.encode(getattr(value, name)) for name, each in fields}

    def decode(data: Any) -> Any:
        return kind(**{name: each.decode(data[name]) for name, each in fields if name in _is(data, dict)})

    return Codec(encode, decode)


def _of_tuple(make: Callable[[Any], Any], parts: Sequence[Codec]) -> Codec:
    return Codec(
        lambda value: [each.encode(part) for each, part in zip(parts, value, strict=True)],
        lambda data: make(each.decode(part) for each, part in zip(parts, _is(data, list), strict=True)),
    )


def _of_many(make: Callable[[Any], Any], part: Codec) -> Codec:
    return Codec(lambda value: [*map(part.encode, value)], lambda data: make(map(part.decode, _is(data, list))))


def _of_mapping(key: Codec, value: Codec) -> Codec:
    if key.named:
        return Codec(
            lambda mapping: {name: value.encode(each) for name, each in mapping.items()},
            lambda data: {key.decode(name): value.decode(each) for name, each in _is(data, dict).items()},
        )
    return Codec(
        lambda mapping: [[key.encode(name), value.encode(each)] for name, each in mapping.items()],
        lambda data: {key.decode(name): value.decode(each) for name, each in _is(data, list)},
    )


def _of_union(parts: Sequence[Any]) -> Codec:
    """Words, or several dataclasses, which are told apart by their names; or one type and None."""
    given = [part for part in parts if part is not types.NoneType]
    each: Codec
    if len(given) == 1:
        each = codec(given[0])
    elif all(get_origin(part) is Literal for part in given):
        each = codec(Literal[tuple(word for part in given for word in get_args(part))])
    else:
        each = _of_dataclasses(given)
    if len(given) == len(parts):
        return each
    return Codec(
        lambda value: None if value is None else each.encode(value),
        lambda data: None if data is None else each.decode(data),
    )


def _of_dataclasses(kinds: Sequence[Any]) -> Codec:
    by_name = {kind.__name__: _of_dataclass(kind) for kind in kinds}

    def decode(data: Any) -> Any:
        name, fields = _is(data, list)
        return by_name[name].decode(fields)

    return Codec(lambda value: [type(value).__name__, by_name[type(value).__name__].encode(value)], decode)
