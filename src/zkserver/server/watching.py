"""Watch requests, and the delivery of events.

An event goes only to connections that may read the znode, by its ACL as of the
change (CVE-2024-23944). Its frame: xid -1, the zxid of the transaction that
fired it (-1 for what setWatches catches up on), WatcherEvent.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING

from zkserver.base import acl as perms
from zkserver.base import opcodes as op
from zkserver.base.errors import ClientError, ErrorCode
from zkserver.jute import requests
from zkserver.jute.codec import JuteError, as_java_has_it, unpack_long
from zkserver.tree import tree as trees
from zkserver.tree import watches
from zkserver.tree.watches import WatchTable

if TYPE_CHECKING:
    from zkserver.server.connection import Connection
    from zkserver.tree.tree import DataTree, Event

_pack_event = Struct(">iiqiiii").pack
_pack_reply = Struct(">iiqi").pack
_pack_error_reply = Struct(">iiqii").pack
_EVENT_SIZE = 16 + 12
_SYNC_CONNECTED = 3
_MZXID = 8
_PZXID = 60

# WatcherType of removeWatches and checkWatches.
CHILDREN = 1
DATA = 2
ANY = 3
PERSISTENT = 4
PERSISTENT_RECURSIVE = 5


def event_frame(event_type: int, path: bytes, zxid: int) -> bytes:
    """The frame of a watch event, its length included."""
    size = len(path)
    return (
        _pack_event(
            _EVENT_SIZE + size, op.XID_NOTIFICATION, zxid, 0, event_type, _SYNC_CONNECTED, size
        )
        + path
    )


def deliver(fired: list[Event]) -> None:
    """Put fired events on the connections that watch and may read, and empty the list."""
    told: dict[int, int] = {}
    size_bytes = 0
    stats = None
    for watcher, event_type, path, zxid, acl in fired:
        connection: Connection = watcher  # type: ignore[assignment]
        told[event_type] = told.get(event_type, 0) + 1
        if connection.may(acl, perms.READ):
            frame = event_frame(event_type, path, zxid)
            size_bytes += len(frame)
            connection.push(frame)
        stats = connection.server.stats
    if stats is not None:
        stats.record_watches(told, size_bytes)
    fired.clear()


def _key(path: bytes | None) -> bytes | None:
    """What a watch is kept under. Null is a key as good as any to Java, and never fires."""
    return None if path is None else as_java_has_it(path)


def _present(paths: requests.Paths) -> list[bytes | None]:
    if paths is None:
        raise JuteError("a null vector")
    return paths


def _whole(paths: requests.Paths) -> Iterator[bytes]:
    """Path by path: those before a null one have their effect, as in Java."""
    for path in _present(paths):
        if path is None:
            raise JuteError("a null path")
        yield as_java_has_it(path)


def _catch_up(connection: Connection, wanted: requests.SetWatches) -> None:
    tree = connection.tree
    zxid = wanted.relative_zxid
    out = connection.out

    def late(event_type: int, path: bytes) -> None:
        out.append(event_frame(event_type, path, -1))

    for path in _whole(wanted.data):
        node = tree.find(path)
        if node is None:
            late(trees.NODE_DELETED, path)
        elif unpack_long(node.stat, _MZXID)[0] > zxid:
            late(trees.NODE_DATA_CHANGED, path)
        else:
            tree.data_watches.add(path, connection, watches.STANDARD)
    for path in _whole(wanted.exist):
        if tree.find(path) is not None:
            late(trees.NODE_CREATED, path)
        else:
            tree.data_watches.add(path, connection, watches.STANDARD)
    for path in _whole(wanted.child):
        node = tree.find(path)
        if node is None:
            late(trees.NODE_DELETED, path)
        elif unpack_long(node.stat, _PZXID)[0] > zxid:
            late(trees.NODE_CHILDREN_CHANGED, path)
        else:
            tree.child_watches.add(path, connection, watches.STANDARD)
    for key in map(_key, _present(wanted.persistent)):
        tree.child_watches.add(key, connection, watches.PERSISTENT)
        tree.data_watches.add(key, connection, watches.PERSISTENT)
    for key in map(_key, _present(wanted.persistent_recursive)):
        tree.data_watches.add(key, connection, watches.PERSISTENT_RECURSIVE)


def set_watches(connection: Connection, xid: int, data: bytes, start: int, stop: int) -> None:
    """setWatches: re-register after a reconnect; what was missed comes first, as events."""
    _catch_up(connection, requests.set_watches(data[start:stop], two=False))
    connection.out.append(_pack_reply(16, xid, connection.tree.last_zxid, 0))


def set_watches2(connection: Connection, xid: int, data: bytes, start: int, stop: int) -> None:
    """setWatches2: as setWatches, with both persistent kinds."""
    _catch_up(connection, requests.set_watches(data[start:stop], two=True))
    connection.out.append(_pack_reply(16, xid, connection.tree.last_zxid, 0))


def add_watch(connection: Connection, xid: int, data: bytes, start: int, stop: int) -> None:
    """addWatch: persistent (mode 0) or persistent recursive (1); the znode need not exist."""
    path, mode = requests.path_int(data[start:stop])
    if mode not in (0, 1):
        raise JuteError(f"unknown mode {mode}")
    key = _key(path)
    tree = connection.tree
    if mode == 0:
        tree.data_watches.add(key, connection, watches.PERSISTENT)
        tree.child_watches.add(key, connection, watches.PERSISTENT)
    else:
        tree.data_watches.add(key, connection, watches.PERSISTENT_RECURSIVE)
    # The only reply that carries an ErrorResponse, always 0.
    connection.out.append(_pack_error_reply(20, xid, tree.last_zxid, 0, 0))


def _tables(tree: DataTree, watcher_type: int) -> list[tuple[WatchTable, int | None]]:
    """The tables and the mode (None: any) that a WatcherType names."""
    if watcher_type == CHILDREN:
        return [(tree.child_watches, watches.STANDARD)]
    if watcher_type == DATA:
        return [(tree.data_watches, watches.STANDARD)]
    if watcher_type == ANY:
        return [(tree.child_watches, None), (tree.data_watches, None)]
    if watcher_type == PERSISTENT:
        return [
            (tree.child_watches, watches.PERSISTENT),
            (tree.data_watches, watches.PERSISTENT),
        ]
    if watcher_type == PERSISTENT_RECURSIVE:
        return [(tree.data_watches, watches.PERSISTENT_RECURSIVE)]
    raise JuteError(f"unknown watcher type {watcher_type}")


def remove_watches(connection: Connection, xid: int, data: bytes, start: int, stop: int) -> None:
    """removeWatches: NOWATCHER if there was none of that type."""
    path, watcher_type = requests.path_int(data[start:stop])
    tables = _tables(connection.tree, watcher_type)
    key = _key(path)
    removed = [table.remove(key, connection, mode) for table, mode in tables]
    if not any(removed):
        raise ClientError(ErrorCode.NOWATCHER)
    connection.out.append(_pack_reply(16, xid, connection.tree.last_zxid, 0))


def check_watches(connection: Connection, xid: int, data: bytes, start: int, stop: int) -> None:
    """checkWatches: NOWATCHER if this connection has no watch of that type there."""
    path, watcher_type = requests.path_int(data[start:stop])
    tables = _tables(connection.tree, watcher_type)
    key = _key(path)
    if not any(table.contains(key, connection, mode) for table, mode in tables):
        raise ClientError(ErrorCode.NOWATCHER)
    connection.out.append(_pack_reply(16, xid, connection.tree.last_zxid, 0))


