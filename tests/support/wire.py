"""ZooKeeper's client protocol, written a second time, for the tests alone.

It shares no line with the server's own codec, so that a mistake there cannot hide
here. Requests are built as bytes (so a test can also send what no client would);
replies are read into plain dicts, which compare and print well. Field order:
zookeeper.jute.

Strings are given as `str`, as `bytes` (sent as they are, valid UTF-8 or not) or
None, and are read back as `bytes`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

NOTIFICATION, CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_ACL, SET_ACL = range(8)
GET_CHILDREN, SYNC = 8, 9
PING, GET_CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG, CHECK_WATCHES, REMOVE_WATCHES = range(11, 19)
CREATE_CONTAINER, DELETE_CONTAINER, CREATE_TTL, MULTI_READ = range(19, 23)
AUTH, SET_WATCHES, SASL, GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER = range(100, 105)
SET_WATCHES2, ADD_WATCH, WHO_AM_I = 105, 106, 107
CREATE_SESSION, CLOSE_SESSION, ERROR = -10, -11, -1

OPCODE_NAMES = {
    value: name.lower()
    for name, value in list(globals().items())
    if name.isupper() and isinstance(value, int)
}

XID_EVENT, XID_PING, XID_AUTH, XID_SET_WATCHES = -1, -2, -4, -8

OPEN_ACL = ((31, "world", "anyone"),)
READ_ACL = ((1, "world", "anyone"),)

Text = str | bytes | None
AclEntries = Iterable[tuple[int, Text, Text]] | None
Record = dict[str, Any]


class Malformed(Exception):
    """The server sent bytes that are no reply."""


# -- requests -----------------------------------------------------------------------


def int32(value: int) -> bytes:
    """A signed int, big-endian."""
    return struct.pack(">i", value)


def int64(value: int) -> bytes:
    """A signed long, big-endian."""
    return struct.pack(">q", value)


def boolean(value: bool) -> bytes:
    """One byte, 0 or 1."""
    return b"\x01" if value else b"\x00"


def text(value: Text) -> bytes:
    """A string or buffer: length and bytes, length -1 for None."""
    if value is None:
        return int32(-1)
    raw = value.encode() if isinstance(value, str) else value
    return int32(len(raw)) + raw


def vector(items: Iterable[bytes] | None) -> bytes:
    """Encoded elements behind their count, count -1 for None."""
    if items is None:
        return int32(-1)
    encoded = list(items)
    return int32(len(encoded)) + b"".join(encoded)


def texts(values: Iterable[Text] | None) -> bytes:
    """A vector of strings."""
    return vector(None if values is None else [text(value) for value in values])


def acls(entries: AclEntries) -> bytes:
    """A vector of (perms, scheme, id)."""
    if entries is None:
        return int32(-1)
    return vector(int32(perms) + text(scheme) + text(name) for perms, scheme, name in entries)


def create_request(
    path: Text, data: bytes | None = b"", acl: AclEntries = OPEN_ACL, flags: int = 0
) -> bytes:
    """CreateRequest, of create, create2 and createContainer."""
    return text(path) + text(data) + acls(acl) + int32(flags)


def create_ttl_request(
    path: Text,
    data: bytes | None = b"",
    acl: AclEntries = OPEN_ACL,
    flags: int = 5,
    ttl_ms: int = 1000000,
) -> bytes:
    """CreateTTLRequest."""
    return create_request(path, data, acl, flags) + int64(ttl_ms)


def version_request(path: Text, version: int = -1) -> bytes:
    """DeleteRequest and CheckVersionRequest."""
    return text(path) + int32(version)


def set_data_request(path: Text, data: bytes | None, version: int = -1) -> bytes:
    """SetDataRequest."""
    return text(path) + text(data) + int32(version)


def set_acl_request(path: Text, acl: AclEntries, version: int = -1) -> bytes:
    """SetACLRequest."""
    return text(path) + acls(acl) + int32(version)


def read_request(path: Text, watch: bool = False) -> bytes:
    """ExistsRequest, GetDataRequest, GetChildrenRequest, GetChildren2Request."""
    return text(path) + boolean(watch)


def path_request(path: Text) -> bytes:
    """Records that are one string: sync, getACL, getAllChildrenNumber, getEphemerals, ..."""
    return text(path)


def typed_path_request(path: Text, kind: int) -> bytes:
    """AddWatchRequest (mode), CheckWatchesRequest and RemoveWatchesRequest (watcher type)."""
    return text(path) + int32(kind)


def set_watches_request(relative_zxid: int, *paths: Iterable[Text] | None) -> bytes:
    """SetWatches with three vectors (data, exist, child), SetWatches2 with five."""
    return int64(relative_zxid) + b"".join(texts(part) for part in paths)


def auth_request(scheme: Text, token: bytes | None) -> bytes:
    """AuthPacket."""
    return int32(0) + text(scheme) + text(token)


def reconfig_request(
    joining: Text = None, leaving: Text = None, members: Text = None, config_id: int = -1
) -> bytes:
    """ReconfigRequest."""
    return text(joining) + text(leaving) + text(members) + int64(config_id)


def multi_request(operations: Iterable[tuple[int, bytes]]) -> bytes:
    """A transaction: (opcode, record) each behind its MultiHeader, and the end header."""
    parts = [int32(opcode) + b"\x00" + int32(-1) + record for opcode, record in operations]
    return b"".join(parts) + int32(-1) + b"\x01" + int32(-1)


def request(xid: int, opcode: int, record: bytes = b"") -> bytes:
    """The payload of a request frame: header and record."""
    return int32(xid) + int32(opcode) + record


def connect_request(
    timeout_ms: int = 40000,
    session_id: int = 0,
    password: bytes | None = bytes(16),
    last_zxid: int = 0,
    read_only: bool | None = False,
) -> bytes:
    """ConnectRequest; `read_only=None` is the old form, without that byte."""
    record = int32(0) + int64(last_zxid) + int32(timeout_ms) + int64(session_id) + text(password)
    return record if read_only is None else record + boolean(read_only)


# -- replies ------------------------------------------------------------------------

STAT_FIELDS = ["czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "ephemeralOwner", "dataLength", "numChildren", "pzxid"]


class Reader:
    """Walks over the payload of one frame."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.offset = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        end = self.offset + size
        if size < 0 or end > len(self.payload):
            raise Malformed(f"{size} bytes wanted at {self.offset} of {self.payload.hex()}")
        piece = self.payload[self.offset : end]
        self.offset = end
        return piece

    def rest(self) -> bytes:
        """All that was not read."""
        return self.take(len(self.payload) - self.offset)

    def int32(self) -> int:
        """A signed int."""
        return int.from_bytes(self.take(4), "big", signed=True)

    def int64(self) -> int:
        """A signed long."""
        return int.from_bytes(self.take(8), "big", signed=True)

    def boolean(self) -> bool:
        """One byte."""
        return self.take(1) != b"\x00"

    def text(self) -> bytes | None:
        """A string or buffer, None for length -1."""
        size = self.int32()
        return None if size == -1 else self.take(size)

    def vector(self, element: Callable[[], Any]) -> list[Any] | None:
        """A vector, None for count -1."""
        count = self.int32()
        return None if count == -1 else [element() for _ in range(count)]

    def stat(self) -> Record:
        """A Stat: 68 bytes."""
        return dict(zip(STAT_FIELDS, struct.unpack(">qqqqiiiqiiq", self.take(68)), strict=True))

    def acl(self) -> tuple[int, bytes | None, bytes | None]:
        """An ACL entry: (perms, scheme, id)."""
        return self.int32(), self.text(), self.text()

    def client_info(self) -> tuple[bytes | None, bytes | None]:
        """A ClientInfo: (scheme, user)."""
        return self.text(), self.text()


def _path(reader: Reader) -> Record:
    return {"path": reader.text()}


def _stat(reader: Reader) -> Record:
    return {"stat": reader.stat()}


def _path_stat(reader: Reader) -> Record:
    return {"path": reader.text(), "stat": reader.stat()}


def _data_stat(reader: Reader) -> Record:
    return {"data": reader.text(), "stat": reader.stat()}


def _acl_stat(reader: Reader) -> Record:
    return {"acl": reader.vector(reader.acl), "stat": reader.stat()}


def _children(reader: Reader) -> Record:
    return {"children": reader.vector(reader.text)}


def _children_stat(reader: Reader) -> Record:
    return {"children": reader.vector(reader.text), "stat": reader.stat()}


def _nothing(_: Reader) -> Record:
    return {}


def _error(reader: Reader) -> Record:
    return {"error": reader.int32()}


MULTI_RESULTS: Mapping[int, Callable[[Reader], Record]] = {
    CREATE: _path,
    CREATE2: _path_stat,
    DELETE: _nothing,
    CHECK: _nothing,
    SET_DATA: _stat,
    GET_DATA: _data_stat,
    GET_CHILDREN: _children,
    ERROR: _error,
}


def _multi(reader: Reader) -> Record:
    results: list[Record] = []
    while True:
        header = {"type": reader.int32(), "done": reader.boolean(), "err": reader.int32()}
        if header["done"]:
            return {"results": results, "end": header}
        results.append(header | MULTI_RESULTS[header["type"]](reader))


BODIES: Mapping[int, Callable[[Reader], Record]] = {
    CREATE: _path,
    CREATE2: _path_stat,
    CREATE_CONTAINER: _path_stat,
    CREATE_TTL: _path_stat,
    EXISTS: _stat,
    GET_DATA: _data_stat,
    SET_DATA: _stat,
    GET_ACL: _acl_stat,
    SET_ACL: _stat,
    GET_CHILDREN: _children,
    GET_CHILDREN2: _children_stat,
    SYNC: _path,
    MULTI: _multi,
    MULTI_READ: _multi,
    RECONFIG: _data_stat,
    SASL: lambda reader: {"token": reader.text()},
    GET_EPHEMERALS: lambda reader: {"ephemerals": reader.vector(reader.text)},
    GET_ALL_CHILDREN_NUMBER: lambda reader: {"number": reader.int32()},
    ADD_WATCH: _error,
    WHO_AM_I: lambda reader: {"clients": reader.vector(reader.client_info)},
}


def decode_header(payload: bytes) -> Record:
    """xid, zxid and err of a reply frame."""
    reader = Reader(payload)
    return {"xid": reader.int32(), "zxid": reader.int64(), "err": reader.int32()}


def decode_event(payload: bytes) -> Record:
    """A watch event frame."""
    reader = Reader(payload)
    header = {"xid": reader.int32(), "zxid": reader.int64(), "err": reader.int32()}
    event = {"type": reader.int32(), "state": reader.int32(), "path": reader.text()}
    return header | {"event": event, "trailing": reader.rest()}


def decode_reply(opcode: int, payload: bytes) -> Record:
    """A reply to `opcode`: xid, zxid, err, body (None: no byte of it) and trailing bytes."""
    reader = Reader(payload)
    reply: Record = {"xid": reader.int32(), "zxid": reader.int64(), "err": reader.int32()}
    if reader.offset == len(payload):
        return reply | {"body": None}
    decode = BODIES.get(opcode)
    # A multiRead that breaks off carries what it has so far, beside its error.
    if decode is None or (reply["err"] != 0 and opcode != MULTI_READ):
        return reply | {"body": reader.rest()}
    return reply | {"body": decode(reader), "trailing": reader.rest()}


def decode_connect_response(payload: bytes) -> Record:
    """ConnectResponse; `read_only` is None where the byte is left out."""
    reader = Reader(payload)
    response: Record = {
        "protocol_version": reader.int32(),
        "timeout_ms": reader.int32(),
        "session_id": reader.int64(),
        "password": reader.text(),
    }
    response["read_only"] = reader.boolean() if reader.offset < len(payload) else None
    return response | {"trailing": reader.rest()}


def password_of(session_id: int) -> bytes:
    """The password that goes with a session id: java.util.Random(id ^ 0xB3415C00).nextBytes."""
    mask = (1 << 48) - 1
    state = ((session_id ^ 0xB3415C00) ^ 0x5DEECE66D) & mask
    password = b""
    for _ in range(4):
        state = (state * 0x5DEECE66D + 0xB) & mask
        password += struct.pack("<I", state >> 16)
    return password
