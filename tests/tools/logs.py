"""Transaction logs for tests of the tools: every type of transaction, and damage of all kinds."""

from __future__ import annotations

from struct import Struct
from zlib import adler32

from zkserver.base import opcodes as op
from zkserver.base.acl import OPEN_ACL, READ_ACL, Acl, Id
from zkserver.jute import txns

HEADER = Struct(">4siq").pack(b"ZKLG", 2, 0)
FIRST_ZXID = 1 << 32
SESSION = 0x100002B4BD30000
TIME_MS = 1_700_000_000_123
PADDING = bytes(200)

_ODD = (
    Acl(1, Id("ip", "127.0.0.1")),
    Acl(31, Id("a,b", "c}d%e\nf\rg\0h'i")),
    Acl(3, Id(None, None)),
)
_OPERATIONS = (
    (op.CREATE, (b"/m", b"1", OPEN_ACL, False, 1)),
    (op.CREATE2, (b"/m2", None, OPEN_ACL, False, 1)),
    (op.CREATE_TTL, (b"/mt", b"1", OPEN_ACL, 1, 99)),
    (op.CREATE_CONTAINER, (b"/mc", b"1", _ODD, 1)),
    (op.SET_DATA, (b"/m", b"\xff\xfe", 2)),
    (op.SET_DATA, (b"/m", None, 2)),
    (op.DELETE, (b"/m",)),
    (op.DELETE_CONTAINER, (b"/m",)),
    (op.CHECK, (b"/m", 4)),
)
BODIES = (
    (op.CREATE, (b"/a", b"hello", OPEN_ACL, False, 1)),
    (op.CREATE2, (b"/b,c}d%e\nf", None, OPEN_ACL, True, -1)),
    (op.CREATE_CONTAINER, (b"/c", b"x\x00\xff\xc3\xbc\n", _ODD, 7)),
    (op.CREATE_CONTAINER, (b"/c2", None, (), 7)),
    (op.CREATE_TTL, (b"/t", b"ttl", READ_ACL, 8, 123456)),
    (op.CREATE_TTL, (b"/t2", None, READ_ACL, 8, 123456)),
    (op.SET_DATA, (b"/a", b"new\n,}", 3)),
    (op.SET_DATA, (b"/a", b"\xe2\x82\xff\xed\xa0\xbd\xf0\x9f\x98z\xc0\x80", 3)),
    (op.SET_DATA, (b"/a", None, 3)),
    (op.RECONFIG, (b"/zookeeper/config", b"server.1=x\nversion=1", -1)),
    (op.SET_ACL, (b"/a", _ODD, 2)),
    (op.SET_ACL, (b"/a", (), 2)),
    (op.DELETE, (b"/a%,}\n",)),
    (op.DELETE_CONTAINER, (b"/c",)),
    (op.CREATE_SESSION, (30000,)),
    (op.CLOSE_SESSION, ((b"/e1", b"/e2,x"),)),
    (op.CLOSE_SESSION, ((),)),
    (op.CLOSE_SESSION, None),
    (op.ERROR, (-101,)),
    (op.MULTI, _OPERATIONS),
    (op.MULTI, ()),
    (op.MULTI, ((op.ERROR, (-110,)), (op.ERROR, (0,)), (op.ERROR, (-2,)))),
    (op.CREATE, ("/ü€😀".encode(), "ü€😀".encode(), OPEN_ACL, False, 1)),
    (op.DELETE, ("/ü€😀".encode(),)),
)


def every_type() -> list[bytes]:
    """An entry of each type, with values that are hard to print."""
    return [
        txns.encode(
            (
                SESSION if index % 2 else -1 - index,
                index - 1,
                FIRST_ZXID + index,
                TIME_MS + index * 1_000_003,
                kind,
                body,
            ),
            None if kind == op.ERROR else index * 7919,
        )
        for index, (kind, body) in enumerate(BODIES)
    ]


def record(entry: bytes, checksum: int | None = None) -> bytes:
    """An entry in its frame."""
    head = Struct(">qi").pack(adler32(entry) if checksum is None else checksum, len(entry))
    return head + entry + b"B"


def log_of(entries: list[bytes], padding: bytes = PADDING) -> bytes:
    """The content of a log file."""
    return HEADER + b"".join(map(record, entries)) + padding


def offsets(entries: list[bytes]) -> list[int]:
    """Where the records of `log_of(entries)` begin, and after them where they end."""
    found = [len(HEADER)]
    for entry in entries:
        found.append(found[-1] + len(record(entry)))
    return found


def flipped(data: bytes, offset: int, mask: int = 1) -> bytes:
    """The bytes with some bits of one turned over."""
    return data[:offset] + bytes([data[offset] ^ mask]) + data[offset + 1 :]
