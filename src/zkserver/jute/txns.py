"""Transactions: what is logged, proposed and applied.

In memory a transaction is a plain tuple

    (session_id, cxid, zxid, time_ms, type, body)

with `body` a tuple by type:

| type | body |
| --- | --- |
| CREATE, CREATE2 | path, data or None, acl, ephemeral, parent_cversion |
| CREATE_CONTAINER | path, data or None, acl, parent_cversion |
| CREATE_TTL | path, data or None, acl, parent_cversion, ttl_ms |
| DELETE, DELETE_CONTAINER | path, |
| SET_DATA, RECONFIG | path, data or None, version |
| SET_ACL | path, acl, version |
| CHECK | path, version |
| CREATE_SESSION | timeout_ms, |
| CLOSE_SESSION | paths (a tuple), ; or None: an old log that left them out |
| ERROR | error code, |
| MULTI | (type, body), ... one pair per operation |

As bytes it is a log entry: TxnHeader (32 bytes), the body's record, and a
TxnDigest (12 bytes: version 2 and the tree digest) where there is one; error
transactions never have one. A PROPOSAL carries the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Any

from zkserver.base import opcodes as op
from zkserver.base.acl import OPEN_ACL
from zkserver.jute import codec
from zkserver.jute.codec import NULL, OPEN_ACL_RECORD, Cursor, JuteError, pack_int

HEADER = Struct(">qiqqi")
DIGEST = Struct(">iq")
DIGEST_VERSION = 2

Body = tuple[Any, ...] | None
Txn = tuple[int, int, int, int, int, Body]
Pieces = tuple[bytes, ...]

pack_header = HEADER.pack
pack_digest = DIGEST.pack
_FLAG_AND_CVERSION = Struct(">?i").pack
_CVERSION_AND_TTL = Struct(">iq").pack
# The end of a setData entry: the new version, and the digest behind it.
_SET_TAIL = Struct(">iiQ")
# That of a create entry: ephemeral, the parent's cversion, the digest.
_CREATE_TAIL = Struct(">?iiQ")
# A few lists serve nearly all nodes.
_encode_acl = lru_cache(maxsize=1000)(codec.acl)


def _pieces_of_create(body: Any) -> Pieces:
    path, data, acl, ephemeral, parent_cversion = body
    tail = _FLAG_AND_CVERSION(ephemeral, parent_cversion)
    if data is None:
        return pack_int(len(path)), path, NULL, _encode_acl(acl), tail
    return pack_int(len(path)), path, pack_int(len(data)), data, _encode_acl(acl), tail


def _pieces_of_create_container(body: Any) -> Pieces:
    path, data, acl, parent_cversion = body
    return codec.buffer(path), codec.buffer(data), _encode_acl(acl), pack_int(parent_cversion)


def _pieces_of_create_ttl(body: Any) -> Pieces:
    path, data, acl, parent_cversion, ttl_ms = body
    tail = _CVERSION_AND_TTL(parent_cversion, ttl_ms)
    return codec.buffer(path), codec.buffer(data), _encode_acl(acl), tail


def _pieces_of_path(body: Any) -> Pieces:
    return pack_int(len(body[0])), body[0]


def _pieces_of_set_data(body: Any) -> Pieces:
    path, data, version = body
    if data is None:
        return pack_int(len(path)), path, NULL, pack_int(version)
    return pack_int(len(path)), path, pack_int(len(data)), data, pack_int(version)


def _pieces_of_set_acl(body: Any) -> Pieces:
    path, acl, version = body
    return codec.buffer(path), codec.acl(acl), pack_int(version)


def _pieces_of_check(body: Any) -> Pieces:
    return codec.buffer(body[0]), pack_int(body[1])


def _pieces_of_int(body: Any) -> Pieces:
    return (pack_int(body[0]),)


def _pieces_of_close_session(body: Any) -> Pieces:
    return () if body is None else (codec.vector(body[0]),)


def _pieces_of_multi(body: Any) -> Pieces:
    rows = [pack_int(kind) + codec.buffer(encode_body(kind, sub)) for kind, sub in body]
    return pack_int(len(rows)), *rows


def _decode_create(cursor: Cursor) -> Body:
    path, data, acl, ephemeral = _path(cursor), cursor.buffer(), cursor.acl(), cursor.boolean()
    if cursor.position == cursor.end:
        return path, data, acl, ephemeral, -1  # CreateTxnV0, before ZooKeeper 3.4
    return path, data, acl, ephemeral, cursor.int()


def _decode_create_container(cursor: Cursor) -> Body:
    return _path(cursor), cursor.buffer(), cursor.acl(), cursor.int()


def _decode_create_ttl(cursor: Cursor) -> Body:
    return _path(cursor), cursor.buffer(), cursor.acl(), cursor.int(), cursor.long()


def _decode_path(cursor: Cursor) -> Body:
    return (_path(cursor),)


def _decode_set_data(cursor: Cursor) -> Body:
    return _path(cursor), cursor.buffer(), cursor.int()


def _decode_set_acl(cursor: Cursor) -> Body:
    return _path(cursor), cursor.acl(), cursor.int()


def _decode_check(cursor: Cursor) -> Body:
    return _path(cursor), cursor.int()


def _decode_int(cursor: Cursor) -> Body:
    return (cursor.int(),)


def _decode_close_session(cursor: Cursor) -> Body:
    if cursor.position == cursor.end:
        return None
    return (tuple(path or b"" for path in cursor.buffers()),)


def _decode_multi(cursor: Cursor) -> Body:
    operations = []
    for _ in range(cursor.count()):
        kind = cursor.int()
        operations.append((kind, decode_body(kind, Cursor(cursor.buffer() or b""))))
    return tuple(operations)


def _path(cursor: Cursor) -> bytes:
    path = cursor.buffer()
    if path is None:
        raise JuteError("a transaction without a path")
    return path


_CODECS: dict[int, tuple[Callable[[Any], Pieces], Callable[[Cursor], Body]]] = {
    op.CREATE: (_pieces_of_create, _decode_create),
    op.CREATE2: (_pieces_of_create, _decode_create),
    op.CREATE_CONTAINER: (_pieces_of_create_container, _decode_create_container),
    op.CREATE_TTL: (_pieces_of_create_ttl, _decode_create_ttl),
    op.DELETE: (_pieces_of_path, _decode_path),
    op.DELETE_CONTAINER: (_pieces_of_path, _decode_path),
    op.SET_DATA: (_pieces_of_set_data, _decode_set_data),
    op.RECONFIG: (_pieces_of_set_data, _decode_set_data),
    op.SET_ACL: (_pieces_of_set_acl, _decode_set_acl),
    op.CHECK: (_pieces_of_check, _decode_check),
    op.CREATE_SESSION: (_pieces_of_int, _decode_int),
    op.CLOSE_SESSION: (_pieces_of_close_session, _decode_close_session),
    op.ERROR: (_pieces_of_int, _decode_int),
    op.MULTI: (_pieces_of_multi, _decode_multi),
}


def encode_body(kind: int, body: Body) -> bytes:
    """The record of one transaction's body, without header and digest."""
    return b"".join(_CODECS[kind][0](body))


def decode_body(kind: int, cursor: Cursor) -> Body:
    """Read the body of a transaction of type `kind`; JuteError if it is not one."""
    codecs = _CODECS.get(kind)
    if codecs is None:
        raise JuteError(f"unknown transaction type {kind}")
    return codecs[1](cursor)


def encode(txn: Txn, digest: int | None) -> bytes:
    """The log entry of `txn`. `digest` is the tree's after it, as an unsigned 64-bit sum."""
    session_id, cxid, zxid, time_ms, kind, body = txn
    head = pack_header(session_id, cxid, zxid, time_ms, kind)
    if digest is None:
        return b"".join((head, *_CODECS[kind][0](body)))
    if digest >= 1 << 63:
        digest -= 1 << 64
    return b"".join((head, *_CODECS[kind][0](body), pack_digest(DIGEST_VERSION, digest)))


def decode(entry: bytes) -> tuple[Txn, tuple[int, int] | None]:
    """Read a log entry: the transaction and its digest, (version, unsigned sum), if it has one.

    Raises JuteError for bytes that are no transaction.
    """
    if len(entry) < HEADER.size:
        raise JuteError("a transaction shorter than its header")
    session_id, cxid, zxid, time_ms, kind = HEADER.unpack_from(entry)
    plain = _PLAIN.get(kind)
    if plain is not None and (found := plain(entry)) is not None:
        body, digest = found
        return (session_id, cxid, zxid, time_ms, kind, body), digest
    cursor = Cursor(entry, HEADER.size)
    # A legacy record without its last field looks like one that ends before the
    # digest, so the digest is set apart first where the body would leave no room.
    body = _body_before_digest(kind, cursor)
    txn = (session_id, cxid, zxid, time_ms, kind, body)
    if cursor.end - cursor.position < DIGEST.size:
        return txn, None
    version, digest = DIGEST.unpack_from(entry, cursor.position)
    return txn, (version, digest & 0xFFFFFFFFFFFFFFFF)


def _plain_set_data(entry: bytes) -> tuple[Body, tuple[int, int]] | None:
    """Body and digest of a setData with nothing unusual about it, which most transactions are."""
    start = HEADER.size + 4
    last = len(entry) - _SET_TAIL.size
    if last < start + 4:
        return None
    end = start + codec.unpack_int(entry, HEADER.size)[0]
    if not start <= end <= last - 4 or end + 4 + codec.unpack_int(entry, end)[0] != last:
        return None
    version, digest_version, digest = _SET_TAIL.unpack_from(entry, last)
    return (entry[start:end], entry[end + 4 : last], version), (digest_version, digest)


def _plain_create(entry: bytes) -> tuple[Body, tuple[int, int]] | None:
    """The same of a create of an ordinary znode that is open to everybody."""
    start = HEADER.size + 4
    last = len(entry) - _CREATE_TAIL.size
    acl_start = last - len(OPEN_ACL_RECORD)
    if acl_start < start + 4 or not entry.startswith(OPEN_ACL_RECORD, acl_start):
        return None
    end = start + codec.unpack_int(entry, HEADER.size)[0]
    if not start <= end <= acl_start - 4:
        return None
    if end + 4 + codec.unpack_int(entry, end)[0] != acl_start:
        return None
    ephemeral, cversion, digest_version, digest = _CREATE_TAIL.unpack_from(entry, last)
    body = entry[start:end], entry[end + 4 : acl_start], OPEN_ACL, ephemeral, cversion
    return body, (digest_version, digest)


_PLAIN = {op.SET_DATA: _plain_set_data, op.CREATE: _plain_create}


def _body_before_digest(kind: int, cursor: Cursor) -> Body:
    if kind == op.CLOSE_SESSION and cursor.end - cursor.position == DIGEST.size:
        # Only an empty body (closeSessionTxn off) leaves exactly a digest.
        version = codec.unpack_int(cursor.data, cursor.position)[0]
        if version == DIGEST_VERSION and not _is_paths(cursor):
            return None
    return decode_body(kind, cursor)


def _is_paths(cursor: Cursor) -> bool:
    """Whether the rest reads as a vector of paths to its very end."""
    probe = Cursor(cursor.data, cursor.position, cursor.end)
    try:
        paths = probe.buffers()
    except JuteError:
        return False
    return probe.position == probe.end and all(p is not None and p[:1] == b"/" for p in paths)


def claimed_zxid(entry: bytes) -> int | None:
    """The zxid that the header of an entry says; None if the entry is shorter than a header."""
    return peek_zxid(entry) if len(entry) >= HEADER.size else None


def peek_time_ms(entry: bytes) -> int:
    """When the txn of a log entry was made, by its maker's calendar."""
    time_ms: int = codec.unpack_long(entry, 20)[0]
    return time_ms


def peek_zxid(entry: bytes) -> int:
    """The zxid of a log entry, without decoding the rest."""
    zxid: int = codec.unpack_long(entry, 12)[0]
    return zxid

