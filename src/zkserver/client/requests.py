"""Requests as bytes: the body of each, behind xid and opcode.

Paths come as the bytes the server shall see. Field order: zookeeper.jute; the other side
is `zkserver.jute.requests`. Null and empty are different on the wire: data may be None,
and the member lists of a reconfig that are not given must be null.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct

from zkserver.base import opcodes as op
from zkserver.client.records import OPEN_ACL_UNSAFE, Acl
from zkserver.jute.codec import (
    NULL,
    OPEN_ACL_RECORD,
    buffer,
    pack_int,
    pack_long,
    text,
    vector,
)

_CONNECT = Struct(">iqiq")
_MULTI_HEADER = Struct(">i?i")
MULTI_END = _MULTI_HEADER.pack(-1, True, -1)
SET_WATCHES_LIMIT_BYTES = 128 * 1024
"""Java's client fills a setWatches up to here, far below jute.maxbuffer."""


def connect(
    last_zxid: int, timeout_ms: int, session_id: int, password: bytes, read_only: bool
) -> bytes:
    """ConnectRequest, a whole frame."""
    head = _CONNECT.pack(0, last_zxid, timeout_ms, session_id)
    return buffer(head + buffer(password) + (b"\1" if read_only else b"\0"))


def path_watch(path: bytes, watch: bool) -> bytes:
    """GetData, Exists, GetChildren and GetChildren2 requests."""
    return pack_int(len(path)) + path + (b"\1" if watch else b"\0")


def path_int(path: bytes, number: int) -> bytes:
    """Delete, CheckVersion, AddWatch, CheckWatches and RemoveWatches requests."""
    return pack_int(len(path)) + path + pack_int(number)


def set_data(path: bytes, data: bytes | None, version: int) -> bytes:
    """SetDataRequest."""
    if data is None:
        return pack_int(len(path)) + path + NULL + pack_int(version)
    return b"".join((pack_int(len(path)), path, pack_int(len(data)), data, pack_int(version)))


def acl(entries: Sequence[Acl]) -> bytes:
    """A vector of ACLs."""
    if entries is OPEN_ACL_UNSAFE:
        return OPEN_ACL_RECORD
    return pack_int(len(entries)) + b"".join(
        pack_int(perms) + text(scheme) + text(name) for perms, scheme, name in entries
    )


def create(
    path: bytes, data: bytes | None, entries: Sequence[Acl], flags: int, ttl_ms: int | None
) -> bytes:
    """CreateRequest, or CreateTTLRequest with a `ttl_ms`."""
    end = b"" if ttl_ms is None else pack_long(ttl_ms)
    return b"".join((buffer(path), buffer(data), acl(entries), pack_int(flags), end))


def set_acl(path: bytes, entries: Sequence[Acl], version: int) -> bytes:
    """SetACLRequest."""
    return buffer(path) + acl(entries) + pack_int(version)


def reconfig(joining: str, leaving: str, new_members: str, from_config: int) -> bytes:
    """ReconfigRequest; what is empty goes out as null."""
    texts = b"".join(text(value or None) for value in (joining, leaving, new_members))
    return texts + pack_long(from_config)


def auth(scheme: str, credential: bytes) -> bytes:
    """AuthPacket, a whole frame."""
    head = pack_int(op.XID_AUTH) + pack_int(op.AUTH)
    return buffer(head + pack_int(0) + text(scheme) + buffer(credential))


def multi(operations: Iterable[tuple[int, bytes]]) -> bytes:
    """MultiHeader and record of each (opcode, body), and the end."""
    pieces: list[bytes] = []
    for kind, body in operations:
        pieces += (_MULTI_HEADER.pack(kind, False, -1), body)
    return b"".join((*pieces, MULTI_END))


WatchTable = Sequence[bytes]


def set_watches(last_zxid: int, tables: Sequence[WatchTable]) -> list[bytes]:
    """The frames that bring back all watches: data, exist, child, persistent, recursive.

    Each is a SetWatches, or a SetWatches2 where there are persistent ones; none is much
    longer than `SET_WATCHES_LIMIT_BYTES`.
    """
    frames: list[bytes] = []
    part: list[list[bytes]] = [[] for _ in tables]
    size = 0
    for number, table in enumerate(tables):
        for path in table:
            if size and size + len(path) + 4 > SET_WATCHES_LIMIT_BYTES:
                frames.append(_set_watches(last_zxid, part))
                part, size = [[] for _ in tables], 0
            part[number].append(path)
            size += len(path) + 4
    if size:
        frames.append(_set_watches(last_zxid, part))
    return frames


def _set_watches(last_zxid: int, part: Sequence[WatchTable]) -> bytes:
    has_persistent = any(part[3:])
    kind = op.SET_WATCHES2 if has_persistent else op.SET_WATCHES
    tables = part if has_persistent else part[:3]
    head = pack_int(op.XID_SET_WATCHES) + pack_int(kind) + pack_long(last_zxid)
    return buffer(head + b"".join(map(vector, tables)))
