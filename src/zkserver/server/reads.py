"""Reads: one function per operation, straight from the tree into the replies.

A handler gets `(connection, xid, data, start, stop)`: the body of the request is
`data[start:stop]`. It appends whole frames to `connection.out`: length, ReplyHeader
(xid, zxid of the tree, error) and the record, without a record on an error. It
raises `ClientError` for the ordinary refusals and `JuteError` for a record that it
cannot read; the connection answers those.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from zkserver.base import acl as perms
from zkserver.base import auth
from zkserver.base import opcodes as op
from zkserver.base.acl import AclList
from zkserver.base.errors import ClientError, ErrorCode
from zkserver.jute import codec, requests
from zkserver.jute.codec import JuteError, pack_int, unpack_int
from zkserver.server import watching
from zkserver.tree import watches
from zkserver.tree.znode import Znode

if TYPE_CHECKING:
    from zkserver.server.connection import Connection

Handler = Callable[["Connection", int, bytes, int, int], None]

# Frame length, xid, zxid, error; the second form adds the length of the data.
pack_reply = Struct(">iiqi").pack
pack_data_reply = Struct(">iiqii").pack
HEADER_SIZE = 16
STAT_SIZE = 68
DATA_REPLY_SIZE = HEADER_SIZE + 4 + STAT_SIZE
# A reply this large makes the connection look at what its client still owes it.
HEAVY_BYTES = 4096

_READ = perms.READ
# What String.trim takes off.
_JAVA_BLANKS = bytes(range(33))
_pack_multi_header = Struct(">i?i").pack


def get_data(connection: Connection, xid: int, data: bytes, start: int, stop: int) -> None:
    """getData: data and Stat; sets a data watch."""
    end = start + 4 + unpack_int(data, start)[0]
    if not start + 4 <= end < stop:
        raise JuteError("a path that is null or not all there")
    tree = connection.tree
    path = data[start + 4 : end]
    node = tree.nodes.get(path) or tree.find(path)
    if node is None:
        raise ClientError(ErrorCode.NONODE)
    if not tree.acls.everybody[node.acl] & _READ:
        connection.check_acl(node, _READ)
    if data[end]:
        tree.data_watches.add(path, connection, watches.STANDARD)
    content = node.data
    if content is None:
        connection.out += (pack_data_reply(DATA_REPLY_SIZE, xid, tree.last_zxid, 0, -1), node.stat)
        return
    size = len(content)
    connection.out += (
        pack_data_reply(DATA_REPLY_SIZE + size, xid, tree.last_zxid, 0, size),
        content,
        node.stat,
    )
    if size > HEAVY_BYTES:
        connection.heavy_bytes += size


def exists(connection: Connection, xid: int, data: bytes, start: int, stop: int) -> None:
    """exists: the Stat; sets a watch, also on a path where nothing is."""
    end = start + 4 + unpack_int(data, start)[0]
    if not start + 4 <= end < stop:
        raise JuteError("a path that is null or not all there")
    tree = connection.tree
    path = data[start + 4 : end]
    node = tree.nodes.get(path)
    if node is None:
        node = tree.find(path)
        if node is None:
            if b"\0" in path:
                raise ClientError(ErrorCode.BADARGUMENTS)
            if data[end]:
                path = codec.as_java_has_it(path)
                tree.data_watches.add(path, connection, watches.STANDARD)
            raise ClientError(ErrorCode.NONODE)
    if not tree.acls.everybody[node.acl] & _READ:
        connection.check_acl(node, _READ)
    if data[end]:
        tree.data_watches.add(path, connection, watches.STANDARD)
    connection.out += (pack_reply(HEADER_SIZE + STAT_SIZE, xid, tree.last_zxid, 0), node.stat)


def _node_to_read(connection: Connection, path: bytes | None) -> Znode:
    if path is None:
        raise JuteError("a null path")
    node = connection.tree.find(path)
    if node is None:
        raise ClientError(ErrorCode.NONODE)
    if not connection.tree.acls.everybody[node.acl] & _READ:
        connection.check_acl(node, _READ)
    return node


def _names(node: Znode, path: object) -> bytes:
    """The vector of the names of the children of `path`."""
    start = len(path) + 1 if isinstance(path, bytes) and path != b"/" else 1
    return codec.vector([child[start:] for child in node.children or ()])


def get_children(connection: Connection, xid: int, data: bytes, start: int, stop: int) -> None:
    """getChildren: the names, in no particular order; sets a child watch."""
    path, watch = requests.path_watch(data[start:stop])
    node = _node_to_read(connection, path)
    if watch and path is not None:
        connection.tree.child_watches.add(path, connection, watches.STANDARD)
    _reply(connection, xid, _names(node, path))


def get_children2(connection: Connection, xid: int, data: bytes, start: int, stop: int) -> None:
    """getChildren2: the names and the Stat; sets a child watch."""
    path, watch = requests.path_watch(data[start:stop])
    node = _node_to_read(connection, path)
    if watch and path is not None:
        connection.tree.child_watches.add(path, connection, watches.STANDARD)
    _reply(connection, xid, _names(node, path) + node.stat)


def get_acl(connection: Connection, xid: int, data: bytes, start: int, stop: int) -> None:
    """getACL: needs READ or ADMIN; without ADMIN the passwords of digest ids are hidden."""
    path = requests.path(data[start:stop])
    if path is None:
        raise JuteError("a null path")
    node = connection.tree.find(path)
    if node is None:
        raise ClientError(ErrorCode.NONODE)
    connection.check_acl(node, perms.READ | perms.ADMIN)
    acl: AclList = connection.tree.acls.get(node.acl)
    if not connection.may(acl, perms.ADMIN):
        acl = auth.masked(acl)
    _reply(connection, xid, codec.acl(acl) + node.stat)


def get_all_children_number(
    connection: Connection, xid: int, data: bytes, start: int, stop: int
) -> None:
    """getAllChildrenNumber: how many znodes are below a path."""
    path = requests.path(data[start:stop])
    _node_to_read(connection, path)
    _reply(connection, xid, pack_int(connection.tree.descendant_count(path or b"")))


def get_ephemerals(connection: Connection, xid: int, data: bytes, start: int, stop: int) -> None:
    """getEphemerals: the session's own, those whose path begins with the prefix."""
    prefix = requests.path(data[start:stop])
    paths = list(connection.tree.ephemerals.get(connection.session_id, ()))
    if prefix is not None and prefix.strip(_JAVA_BLANKS) not in (b"", b"/"):
        paths = [path for path in paths if path.startswith(prefix)]
    _reply(connection, xid, codec.vector(paths))


def sync(connection: Connection, xid: int, data: bytes, start: int, stop: int) -> None:
    """sync: on a standalone server the path comes back once earlier writes are applied."""
    path = codec.Cursor(data, start, stop).text()
    _reply(connection, xid, codec.text(path))


def ping(connection: Connection, _xid: int, _data: bytes, _start: int, _stop: int) -> None:
    """ping: a header with the reserved xid."""
    connection.out.append(pack_reply(HEADER_SIZE, op.XID_PING, connection.tree.last_zxid, 0))


def who_am_i(connection: Connection, xid: int, _data: bytes, _start: int, _stop: int) -> None:
    """whoAmI: the schemes and user names that the connection has shown."""
    infos = auth.client_infos(connection.ids, connection.server.providers)
    rows = [codec.text(scheme) + codec.text(user) for scheme, user in infos]
    _reply(connection, xid, pack_int(len(rows)) + b"".join(rows))


def multi_read(connection: Connection, xid: int, data: bytes, start: int, stop: int) -> None:
    """multiRead: getData and getChildren together, without watches; each may fail alone."""
    parts: list[bytes] = []
    error = int(ErrorCode.OK)
    for kind, fields in requests.multi(data[start:stop]):
        path = fields[0]
        if path is None or kind not in (op.GET_DATA, op.GET_CHILDREN):
            # Java fails here with the answer half made, and sends what it has.
            error = int(ErrorCode.MARSHALLINGERROR)
            break
        try:
            node = _node_to_read(connection, path if isinstance(path, bytes) else None)
        except ClientError as refusal:
            code = int(refusal.code)
            parts += (_pack_multi_header(op.ERROR, False, code), pack_int(code))
            continue
        parts.append(_pack_multi_header(kind, False, 0))
        if kind == op.GET_DATA:
            parts += (codec.buffer(node.data), node.stat)
        else:
            parts.append(_names(node, path))
    parts.append(_pack_multi_header(-1, True, -1))
    _reply(connection, xid, b"".join(parts), error)


def malformed(_connection: Connection, _xid: int, _data: bytes, _start: int, _stop: int) -> None:
    """A write whose record could not be read; its answer keeps its place in the order."""
    raise JuteError("unreadable record")


def _reply(connection: Connection, xid: int, record: bytes, error: int = 0) -> None:
    size = len(record)
    connection.out += (
        pack_reply(HEADER_SIZE + size, xid, connection.tree.last_zxid, error),
        record,
    )
    if size > HEAVY_BYTES:
        connection.heavy_bytes += size


MALFORMED = -100
"""The handler number of a write that could not be read; no opcode of the wire."""

HANDLERS: dict[int, Handler] = {
    op.GET_DATA: get_data,
    op.EXISTS: exists,
    op.PING: ping,
    op.GET_CHILDREN: get_children,
    op.GET_CHILDREN2: get_children2,
    op.SYNC: sync,
    op.GET_ACL: get_acl,
    op.GET_ALL_CHILDREN_NUMBER: get_all_children_number,
    op.GET_EPHEMERALS: get_ephemerals,
    op.MULTI_READ: multi_read,
    op.WHO_AM_I: who_am_i,
    op.SET_WATCHES: watching.set_watches,
    op.SET_WATCHES2: watching.set_watches2,
    op.ADD_WATCH: watching.add_watch,
    op.REMOVE_WATCHES: watching.remove_watches,
    op.CHECK_WATCHES: watching.check_watches,
}
"""Handlers by opcode: all that is answered from the tree without a transaction."""

NAMES = {
    op.PING: "PING",
    op.CREATE_SESSION: "SESS",
    op.MULTI: "MULT",
    op.MULTI_READ: "MLTR",
    op.CREATE: "CREA",
    op.CREATE2: "CREA",
    op.CREATE_TTL: "CREA",
    op.CREATE_CONTAINER: "CREA",
    op.DELETE: "DELE",
    op.DELETE_CONTAINER: "DELE",
    op.SET_DATA: "SETD",
    op.RECONFIG: "RECO",
    op.SET_ACL: "SETA",
    op.CLOSE_SESSION: "CLOS",
    op.SYNC: "SYNC",
    op.EXISTS: "EXIS",
    op.GET_DATA: "GETD",
    op.SET_WATCHES: "SETW",
    op.SET_WATCHES2: "STW2",
    op.ADD_WATCH: "ADDW",
    op.GET_ACL: "GETA",
    op.GET_CHILDREN: "GETC",
    op.GET_ALL_CHILDREN_NUMBER: "GETACN",
    op.GET_CHILDREN2: "GETC",
    op.CHECK_WATCHES: "CHKW",
    op.REMOVE_WATCHES: "REMW",
    op.WHO_AM_I: "HOMI",
    op.GET_EPHEMERALS: "GETE",
}
"""What the four-letter word cons calls an operation."""
