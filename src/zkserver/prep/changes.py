"""Znodes as they will be: the changes in flight over the tree.

A change is a tuple, the znode after some transaction:

    (zxid, stat60, data, child_count, acl, digest)

`stat60` holds the nine numbers the digest covers, in its order: czxid, mzxid,
pzxid, ctime, mtime (8 bytes each), version, cversion, aversion (4 each),
ephemeralOwner (8); cversion is the persisted one. `digest` is the node's share of
the tree digest, 0 where nodes do not count (below /zookeeper, or digests off). A
change without stat60 is a deletion.

A change that was applied still says what the tree holds, so it stays for a while:
znodes that are written again and again need not be taken apart each time.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import Any
from zlib import crc32

from zkserver.base.acl import AclList
from zkserver.base.errors import ClientError, ErrorCode
from zkserver.tree.tree import MASK64, PROC_CHILDREN, QUOTA, DataTree

# stat60 and acl are None in a deletion; whoever reads a change has seen to that.
Change = tuple[int, Any, bytes | None, int, Any, int]
Journal = list[tuple[bytes, Change | None]]

pack_int = Struct(">i").pack
pack_long = Struct(">q").pack
unpack_int = Struct(">i").unpack_from
unpack_long = Struct(">q").unpack_from

VERSION = 40
CVERSION = 44
AVERSION = 48
OWNER = 52
# Changes kept after they were applied. They share their data with the tree.
SETTLED_LIMIT = 4096


class Changes:
    """The changes in flight, newest per path, and the tree digest after them."""

    def __init__(self, tree: DataTree) -> None:
        self.tree = tree
        self.digest = tree.digest
        self._digest_enabled = tree.digest_enabled
        # What replaced which change since a multi began; None outside one.
        self.journal: Journal | None = None
        self.by_path: dict[bytes, Change] = {}
        self._settled: deque[tuple[bytes, Change]] = deque()
        self._in_order: deque[tuple[int, bytes, Change]] = deque()
        # Ephemerals created in flight, by session, for closeSession.
        self._ephemerals: dict[int, dict[bytes, None]] = {}

    def __len__(self) -> int:
        return len(self._in_order)

    def node(self, path: bytes) -> Any:
        """The znode at `path` as it will be; raises NONODE if there will be none."""
        if path == b"/":
            path = b""
        change = self.by_path.get(path)
        if change is None:
            node = self.tree.nodes.get(path)
            if node is None:
                raise ClientError(ErrorCode.NONODE)
            stat = node.stat
            stat60 = b"".join(
                (
                    stat[:16],
                    stat[60:],
                    stat[16:36],
                    pack_int(node.cversion),
                    stat[40:44],
                    pack_long(node.owner),
                )
            )
            children = node.children
            count = len(children) if children else 0
            acl = self.tree.acls.get(node.acl)
            return 0, stat60, node.data, count, acl, self._node_digest(path, node.data, stat60)
        if change[1] is None:
            raise ClientError(ErrorCode.NONODE)
        return change

    def exists(self, path: bytes) -> bool:
        """Whether there will be a znode at `path`."""
        change = self.by_path.get(path)
        if change is None:
            return path in self.tree.nodes
        return change[1] is not None

    def put(
        self,
        zxid: int,
        path: bytes,
        stat60: bytes,
        data: bytes | None,
        child_count: int,
        acl: AclList | None,
        old_digest: int,
    ) -> None:
        """The znode at `path` will be this; `old_digest` is its share so far (0: it is new)."""
        digest = 0
        if self._digest_enabled and not path.startswith(PROC_CHILDREN):
            digest = crc32(stat60, crc32(data, crc32(path)) if data else crc32(path))
            self.digest = self.digest - old_digest + digest & MASK64
        change = (zxid, stat60, data, child_count, acl, digest)
        if self.journal is not None:
            self.journal.append((path, self.by_path.get(path)))
        self.by_path[path] = change
        self._in_order.append((zxid, path, change))

    def put_ephemeral(self, session_id: int, path: bytes) -> None:
        """Remember an ephemeral in flight for its session's closing."""
        self._ephemerals.setdefault(session_id, {})[path] = None

    def delete(self, zxid: int, path: bytes, old_digest: int) -> None:
        """There will be no znode at `path`."""
        self.digest = self.digest - old_digest & MASK64
        change = (zxid, None, None, 0, None, 0)
        if self.journal is not None:
            self.journal.append((path, self.by_path.get(path)))
        self.by_path[path] = change
        self._in_order.append((zxid, path, change))

    def ephemerals_of(self, session_id: int) -> list[bytes]:
        """The ephemerals that a session will own, in the order they were made."""
        paths = dict.fromkeys(self.tree.ephemerals.get(session_id, ()))
        paths.update(self._ephemerals.get(session_id, {}))
        owner = pack_long(session_id)
        by_path = self.by_path
        mine = []
        for path in paths:
            change = by_path.get(path)
            if change is None:
                node = self.tree.nodes.get(path)
                if node is not None and node.owner == session_id:
                    mine.append(path)
            elif change[1] is not None and change[1][OWNER:] == owner:
                mine.append(path)
        return mine

    def rollback(self, journal: Journal, digest: int) -> None:
        """Undo what a failed multi did, newest first."""
        for path, previous in reversed(journal):
            self._in_order.pop()
            if previous is None:
                del self.by_path[path]
            else:
                self.by_path[path] = previous
        self.digest = digest

    def applied(self, zxid: int) -> None:
        """The tree now holds all changes up to `zxid`; they are in flight no more."""
        in_order = self._in_order
        by_path = self.by_path
        settled = self._settled
        while in_order and in_order[0][0] <= zxid:
            _, path, change = in_order.popleft()
            if change[1] is None or path.startswith(QUOTA):
                # Usage below the quotas changes without transactions.
                if by_path.get(path) is change:
                    del by_path[path]
                continue
            settled.append((path, change))
            if self._ephemerals:
                self._forget_ephemeral(unpack_long(change[1], OWNER)[0], path)
        while len(settled) > SETTLED_LIMIT:
            path, change = settled.popleft()
            if by_path.get(path) is change:
                del by_path[path]

    def _forget_ephemeral(self, session_id: int, path: bytes) -> None:
        paths = self._ephemerals.get(session_id)
        if paths is not None:
            paths.pop(path, None)
            if not paths:
                del self._ephemerals[session_id]

    def _node_digest(self, path: bytes, data: bytes | None, stat60: bytes) -> int:
        if not self.tree.digest_enabled or path.startswith(PROC_CHILDREN):
            return 0
        crc = crc32(path)
        if data:
            crc = crc32(data, crc)
        return crc32(stat60, crc)
