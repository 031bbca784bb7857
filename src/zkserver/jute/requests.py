"""What clients ask: request records, bytes in and tuples out.

Every decoder takes the body of a request (the bytes behind RequestHeader) and a
position in it, and raises `JuteError` when the record is truncated or carries an
impossible length. Bytes behind a record are ignored, as in Java. The records that
multi carries one behind another return the position behind them as well.

Paths are bytes, or None where the client sent null.
"""

from __future__ import annotations

from struct import Struct, error
from typing import NamedTuple

from zkserver.base import opcodes as op
from zkserver.base.acl import OPEN_ACL, AclList
from zkserver.jute.codec import NULL, Cursor, JuteError, unpack_int

_MULTI_HEADER = Struct(">i?i")

# createMode flags (org.apache.zookeeper.CreateMode): name of each bit of meaning.
EPHEMERAL_FLAGS = frozenset((1, 3))
SEQUENTIAL_FLAGS = frozenset((2, 3, 6))
TTL_FLAGS = frozenset((5, 6))
CONTAINER_FLAG = 4
CREATE_FLAGS = frozenset(range(7))

CreateFields = tuple[bytes | None, bytes | None, AclList, int, int]
SetDataFields = tuple[bytes | None, bytes | None, int]
PathVersion = tuple[bytes | None, int]


class NullAclError(JuteError):
    """A create inside a multi without an ACL list, which Java trips over before it counts."""


_ACL_CACHE_LIMIT = 1000
_acl_cache: dict[bytes, AclList] = {}


def _path_and_data(body: bytes, position: int) -> tuple[bytes | None, bytes | None, int]:
    """The two fields that create and setData begin with, and where they end."""
    try:
        size = unpack_int(body, position)[0]
        position += 4
        path = None
        if size >= 0:
            path = body[position : position + size]
            position += size
        elif size != -1:
            raise JuteError(f"Unreasonable length = {size}")
        size = unpack_int(body, position)[0]
    except error:
        raise JuteError("record ends early") from None
    position += 4
    if size >= 0:
        end = position + size
        if end > len(body):
            raise JuteError("record ends early")
        return path, body[position:end], end
    if size == -1:
        return path, None, position
    raise JuteError(f"Unreasonable length = {size}")


def create(body: bytes, position: int = 0, with_ttl: bool = False) -> tuple[CreateFields, int]:
    """CreateRequest or CreateTTLRequest: path, data, acl, flags, ttl_ms (-1 without one)."""
    path, data, position = _path_and_data(body, position)
    if not with_ttl:
        # Most creates carry one of a few ACLs; the bytes up to the flags name it.
        acl = _acl_cache.get(body[position:-4])
        if acl is not None:
            return (path, data, acl, unpack_int(body, len(body) - 4)[0], -1), len(body)
    cursor = Cursor(body, position)
    acl = cursor.acl()
    end = cursor.position
    flags = cursor.int()
    if not with_ttl and cursor.position == len(body) and len(_acl_cache) < _ACL_CACHE_LIMIT:
        # The open ACL is one object everywhere, so that it is known at sight.
        acl = OPEN_ACL if acl == OPEN_ACL else acl
        _acl_cache[body[position:end]] = acl
    ttl_ms = cursor.long() if with_ttl else -1
    return (path, data, acl, flags, ttl_ms), cursor.position


def set_data(body: bytes, position: int = 0) -> tuple[SetDataFields, int]:
    """SetDataRequest: path, data, expected version."""
    path, data, position = _path_and_data(body, position)
    if position + 4 > len(body):
        raise JuteError("record ends early")
    return (path, data, unpack_int(body, position)[0]), position + 4


def path_version(body: bytes, position: int = 0) -> tuple[PathVersion, int]:
    """DeleteRequest and CheckVersionRequest: path, expected version."""
    cursor = Cursor(body, position)
    return (cursor.buffer(), cursor.int()), cursor.position


def set_acl(body: bytes) -> tuple[bytes | None, AclList, int]:
    """SetACLRequest: path, acl, expected aversion."""
    cursor = Cursor(body)
    return cursor.buffer(), cursor.acl(), cursor.int()


def path(body: bytes) -> bytes | None:
    """A record of one string: a path, or a prefix of one."""
    return Cursor(body).buffer()


def container_path(body: bytes) -> bytes:
    """DeleteContainerRequest: path; a null one does not read."""
    path = Cursor(body).buffer()
    if path is None:
        raise JuteError("a null path")
    return path


def path_watch(body: bytes) -> tuple[bytes | None, bool]:
    """GetData, Exists, GetChildren and GetChildren2 requests: path, watch."""
    cursor = Cursor(body)
    return cursor.buffer(), cursor.boolean()


def path_int(body: bytes) -> tuple[bytes | None, int]:
    """AddWatch, CheckWatches and RemoveWatches requests: path, mode or watcher type."""
    cursor = Cursor(body)
    return cursor.buffer(), cursor.int()


Paths = list[bytes | None] | None


class SetWatches(NamedTuple):
    """SetWatches (the last two empty) and SetWatches2. The wire may have null vectors."""

    relative_zxid: int
    data: Paths
    exist: Paths
    child: Paths
    persistent: Paths
    persistent_recursive: Paths


def set_watches(body: bytes, two: bool) -> SetWatches:
    """SetWatches, or SetWatches2 when `two`."""
    cursor = Cursor(body)
    zxid = cursor.long()
    data, exist, child = (cursor.buffers_or_null() for _ in range(3))
    if two:
        both = cursor.buffers_or_null(), cursor.buffers_or_null()
        return SetWatches(zxid, data, exist, child, *both)
    return SetWatches(zxid, data, exist, child, [], [])


def auth(body: bytes) -> tuple[str | None, bytes | None]:
    """AuthPacket: scheme, token. Its first field has no use."""
    cursor = Cursor(body)
    cursor.int()
    return cursor.text(), cursor.buffer()


def sasl(body: bytes) -> bytes | None:
    """GetSASLRequest: token."""
    return Cursor(body).buffer()


def reconfig(body: bytes) -> tuple[str | None, str | None, str | None, int]:
    """ReconfigRequest: joining servers, leaving servers, new members, config version."""
    cursor = Cursor(body)
    return cursor.text(), cursor.text(), cursor.text(), cursor.long()


def create_session(body: bytes) -> int:
    """CreateSessionTxn, which a client may send in vain: timeout in ms."""
    if len(body) < 4:
        raise JuteError("record ends early")
    timeout_ms: int = unpack_int(body)[0]
    return timeout_ms


# Multi

Operation = tuple[int, tuple[object, ...]]
_READS = frozenset((op.GET_DATA, op.GET_CHILDREN))


def multi(body: bytes) -> list[tuple[int, tuple[object, ...]]]:
    """The operations of a multi or multiRead: (type, fields) each.

    Types are those that Java's MultiOperationRecord makes of the records: a create
    with the container flag is a createContainer, a createTTL without a TTL flag is
    a create. Raises JuteError also where it throws: unknown types, unknown flags of
    a create, TTL flags without a TTL, reads and writes in one request.
    """
    operations: list[Operation] = []
    position = 0
    size = len(body)
    while True:
        if position + _MULTI_HEADER.size > size:
            raise JuteError("record ends early")
        kind, done, _ = _MULTI_HEADER.unpack_from(body, position)
        position += _MULTI_HEADER.size
        if done:
            break
        operation, position = _operation(kind, body, position)
        operations.append(operation)
    if len({kind in _READS for kind, _ in operations}) > 1:
        raise JuteError("reads and writes in one multi")
    return operations


def _operation(kind: int, body: bytes, position: int) -> tuple[Operation, int]:
    fields: tuple[object, ...]
    if kind in (op.CREATE, op.CREATE2, op.CREATE_CONTAINER):
        create_fields, position = _inner_create(body, position, False)
        flags = create_fields[3]
        if flags not in CREATE_FLAGS or flags in TTL_FLAGS:
            raise JuteError(f"invalid flag {flags} for a create")
        return (op.CREATE_CONTAINER if flags == CONTAINER_FLAG else kind, create_fields), position
    if kind == op.CREATE_TTL:
        create_fields, position = _inner_create(body, position, True)
        flags = create_fields[3]
        if flags not in TTL_FLAGS:
            kind = op.CREATE_CONTAINER if flags == CONTAINER_FLAG else op.CREATE
            create_fields = (*create_fields[:4], -1)
        return (kind, create_fields), position
    if kind == op.SET_DATA:
        fields, position = set_data(body, position)
    elif kind in (op.DELETE, op.CHECK):
        fields, position = path_version(body, position)
    elif kind in _READS:
        cursor = Cursor(body, position)
        fields = (cursor.buffer(), cursor.boolean())
        position = cursor.position
    else:
        raise JuteError(f"Invalid type of op {kind}")
    return (kind, fields), position


def _inner_create(body: bytes, position: int, with_ttl: bool) -> tuple[CreateFields, int]:
    """A create with other records behind it, so that no part of it is known by its end."""
    path, data, position = _path_and_data(body, position)
    cursor = Cursor(body, position)
    has_acl = body[position : position + 4] != NULL
    acl, flags = cursor.acl(), cursor.int()
    ttl_ms = cursor.long() if with_ttl else -1
    if not has_acl and not with_ttl and flags in CREATE_FLAGS:
        raise NullAclError("a create without an ACL list")
    return (path, data, acl, flags, ttl_ms), cursor.position

