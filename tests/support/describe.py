"""Requests in words, for the reports of the lock-step comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.support import wire
from tests.support.wire import Reader

Field = tuple[str, Callable[[Reader], Any]]

PATH: Field = ("path", Reader.text)
DATA: Field = ("data", Reader.text)
ACL: Field = ("acl", lambda reader: reader.vector(reader.acl))
FLAGS: Field = ("flags", Reader.int32)
VERSION: Field = ("version", Reader.int32)
WATCH: Field = ("watch", Reader.boolean)


def _texts(name: str) -> Field:
    return name, lambda reader: reader.vector(reader.text)


FIELDS: Mapping[int, tuple[Field, ...]] = {
    wire.CREATE: (PATH, DATA, ACL, FLAGS),
    wire.CREATE2: (PATH, DATA, ACL, FLAGS),
    wire.CREATE_CONTAINER: (PATH, DATA, ACL, FLAGS),
    wire.CREATE_TTL: (PATH, DATA, ACL, FLAGS, ("ttl_ms", Reader.int64)),
    wire.DELETE: (PATH, VERSION),
    wire.DELETE_CONTAINER: (PATH,),
    wire.CHECK: (PATH, VERSION),
    wire.SET_DATA: (PATH, DATA, VERSION),
    wire.SET_ACL: (PATH, ACL, VERSION),
    wire.EXISTS: (PATH, WATCH),
    wire.GET_DATA: (PATH, WATCH),
    wire.GET_CHILDREN: (PATH, WATCH),
    wire.GET_CHILDREN2: (PATH, WATCH),
    wire.GET_ACL: (PATH,),
    wire.SYNC: (PATH,),
    wire.GET_EPHEMERALS: (PATH,),
    wire.GET_ALL_CHILDREN_NUMBER: (PATH,),
    wire.ADD_WATCH: (PATH, ("mode", Reader.int32)),
    wire.REMOVE_WATCHES: (PATH, ("kind", Reader.int32)),
    wire.CHECK_WATCHES: (PATH, ("kind", Reader.int32)),
    wire.SET_WATCHES: (("zxid", Reader.int64), *map(_texts, ("data", "exist", "child"))),
    wire.SET_WATCHES2: (
        ("zxid", Reader.int64),
        *map(_texts, ("data", "exist", "child", "persistent", "recursive")),
    ),
    wire.AUTH: (("type", Reader.int32), ("scheme", Reader.text), ("token", Reader.text)),
}


def _fields(opcode: int, reader: Reader) -> str:
    values = [(name, read(reader)) for name, read in FIELDS[opcode]]
    return ", ".join(f"{name}={_short(value)}" for name, value in values)


def _short(value: Any) -> str:
    if isinstance(value, bytes) and len(value) > 60:
        return f"{value[:20]!r}...({len(value)} bytes)"
    if isinstance(value, list):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    return repr(value)


def _multi(reader: Reader) -> str:
    parts = []
    while True:
        opcode, done, _ = reader.int32(), reader.boolean(), reader.int32()
        if done:
            return "; ".join(parts)
        parts.append(f"{name_of(opcode)} {_fields(opcode, reader)}")


def name_of(opcode: int) -> str:
    """The name of an opcode, and its number where it has none."""
    return wire.OPCODE_NAMES.get(opcode, f"opcode {opcode}")


def describe(opcode: int, record: bytes) -> str:
    """One request in a line; a record that does not read is shown as bytes."""
    reader = Reader(record)
    try:
        if opcode in (wire.MULTI, wire.MULTI_READ):
            words = "{" + _multi(reader) + "}"
        else:
            words = _fields(opcode, reader)
        rest = reader.rest()
    except (wire.Malformed, KeyError):
        return f"{name_of(opcode)} {record[:200]!r}"
    return f"{name_of(opcode)} {words}" + (f" and {rest!r} behind it" if rest else "")
