"""Transactions as text: the lines of Apache ZooKeeper's TxnLogToolkit.

    <time> session 0x<id> cxid 0x<cxid> zxid 0x<zxid> <type> <record>

Ids are unsigned hexadecimal of 64 bits, a cxid sign-extended to them. The record is in one of
three forms, as Apache has it:

* creates, setData and reconfig: fields joined by commas, data as text, nothing escaped; each ACL
  ends with a line end, so such a line goes over several lines of the terminal;
* the other single ones: Jute's CSV, strings after an apostrophe, with % 2C, 7D, 25, 0A, 0D and 00
  standing for comma, brace, percent, line ends and NUL;
* multi: `type:record` joined by semicolons, each record its bytes read as UTF-8, NULs and all.

The time is the caller's, because only the machine knows its time zone. Text that is no UTF-8 has
U+FFFD in its place. Where Apache's tool stops (a type it does not know, a record that does not
read) the line says so and the next one follows. Left out: nulls where no server writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zkserver.base import opcodes as op
from zkserver.base.acl import AclList
from zkserver.base.zxid import hex_zxid
from zkserver.jute import txns
from zkserver.jute.codec import Cursor, JuteError, decode_text

NAMES = {
    op.CREATE: "create",
    op.CREATE2: "create2",
    op.CREATE_CONTAINER: "createContainer",
    op.CREATE_TTL: "createTTL",
    op.DELETE: "delete",
    op.DELETE_CONTAINER: "deleteContainer",
    op.SET_DATA: "setData",
    op.RECONFIG: "reconfig",
    op.SET_ACL: "setACL",
    op.CHECK: "check",
    op.MULTI: "multi",
    op.CREATE_SESSION: "createSession",
    op.CLOSE_SESSION: "closeSession",
    op.ERROR: "error",
}
"""The types that a log holds, as Apache's tools call them."""

_ESCAPES = str.maketrans(
    {"\0": "%00", "\n": "%0A", "\r": "%0D", "%": "%25", ",": "%2C", "}": "%7D"}
)


def line(entry: bytes, time_text: str) -> str:
    """The text of a log entry, without a line end; `time_text` is its time_ms as text.

    Never raises for an entry that has a whole header.
    """
    session_id, cxid, zxid, _, kind = txns.HEADER.unpack_from(entry)
    head = (
        f"{time_text} session 0x{hex_zxid(session_id)} cxid 0x{hex_zxid(cxid)} "
        f"zxid 0x{hex_zxid(zxid)} {name_of(kind)} "
    )
    try:
        return head + record_text(entry)
    except JuteError as error:
        return f"{head}<{len(entry)} bytes that do not read: {error}>"


def time_ms_of(entry: bytes) -> int:
    """When a txn was made, in ms since 1970."""
    time_ms: int = txns.HEADER.unpack_from(entry)[3]
    return time_ms


def name_of(kind: int) -> str:
    """What Apache's tools call a type of txn."""
    return NAMES.get(kind) or f"unknown {kind}"


def record_text(entry: bytes) -> str:
    """The record of a log entry as text; JuteError if it does not read."""
    kind = txns.HEADER.unpack_from(entry)[4]
    if kind == op.MULTI:
        return _multi(Cursor(entry, txns.HEADER.size))
    (*_, body), _ = txns.decode(entry)
    return _TEXTS[kind](body)


def _multi(cursor: Cursor) -> str:
    parts = []
    for _ in range(cursor.count()):
        kind = cursor.int()
        parts.append(f"{name_of(kind)}:{decode_text(cursor.buffer() or b'')}")
    return ";".join(parts)


def _join(*fields: object) -> str:
    return ",".join(map(_plain, fields))


def _plain(field: object) -> str:
    if isinstance(field, bytes):
        return decode_text(field)
    if isinstance(field, bool):
        return "true" if field else "false"
    return "" if field is None else str(field)


def _string(value: str | None) -> str:
    return "" if value is None else "'" + value.translate(_ESCAPES)


def _path(path: bytes) -> str:
    return _string(decode_text(path))


def _entry_of_acl(perms: int, scheme: str | None, name: str | None) -> str:
    return f"{perms},s{{{_string(scheme)},{_string(name)}}}"


def _acl_lines(acl: AclList) -> str:
    return "[" + ", ".join(f"{_entry_of_acl(perms, *who)}\n" for perms, who in acl) + "]"


def _create(body: Any) -> str:
    path, data, acl, *rest = body
    return _join(path, data, _acl_lines(acl), *rest)


def _set_data(body: Any) -> str:
    return _join(*body)


def _set_acl(body: Any) -> str:
    path, acl, version = body
    entries = ",".join(f"s{{{_entry_of_acl(perms, *who)}}}" for perms, who in acl)
    return f"{_path(path)},v{{{entries}}},{version}"


def _path_alone(body: Any) -> str:
    return _path(body[0])


def _check(body: Any) -> str:
    return f"{_path(body[0])},{body[1]}"


def _int_alone(body: Any) -> str:
    return str(body[0])


def _close_session(body: Any) -> str:
    return "" if body is None else "v{" + ",".join(map(_path, body[0])) + "}"


_TEXTS: dict[int, Callable[[Any], str]] = {
    op.CREATE: _create,
    op.CREATE2: _create,
    op.CREATE_CONTAINER: _create,
    op.CREATE_TTL: _create,
    op.DELETE: _path_alone,
    op.DELETE_CONTAINER: _path_alone,
    op.SET_DATA: _set_data,
    op.RECONFIG: _set_data,
    op.SET_ACL: _set_acl,
    op.CHECK: _check,
    op.CREATE_SESSION: _int_alone,
    op.CLOSE_SESSION: _close_session,
    op.ERROR: _int_alone,
}
