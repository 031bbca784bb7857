"""Znodes as they will be: the changes in flight over the tree.

A change is a tuple, the znode after some transaction:

    (zxid, stat60, version, cversion, owner, path_crc, crc, size, child_count, acl, digest)

`stat60` holds the nine numbers the digest covers, in its order: czxid, mzxid,
pzxid, ctime, mtime (8 bytes each), version, cversion, aversion (4 each),
ephemeralOwner (8); cversion is the persisted one. Three of them stand beside it as
numbers. `crc` is the CRC32 of path and data, `path_crc` that of the path alone, or
None where nodes do not count in the tree digest (below /zookeeper); `digest` is the
node's share of it. `size` is that of the data in bytes. A change without stat60 is
a deletion.

A change that was applied still says what the tree holds, so it stays for a while:
znodes that are written again and again need not be taken apart each time.
"""

from __future__ import annotations

from collections import deque
from typing import Any
from zlib import crc32

from zkserver.base.acl import AclList
from zkserver.base.errors import ClientError, ErrorCode
from zkserver.jute.codec import pack_int, pack_long, unpack_int
from zkserver.tree.tree import MASK64, PROC_CHILDREN, DataTree

# All but zxid and digest are None in a deletion; whoever reads a change has seen to that.
Change = tuple[int, Any, Any, Any, Any, Any, Any, Any, Any, Any, int]
Journal = list[tuple[bytes, Change | None]]

VERSION_OFFSET = 40
AVERSION_OFFSET = 48
OWNER_OFFSET = 52
# Changes kept, applied or not, before those that were applied are swept out.
SWEEP_SIZE = 8192


class Changes:
    """The changes in flight, newest per path, and the tree digest after them."""

    def __init__(self, tree: DataTree) -> None:
        self.tree = tree
        self.digest = tree.digest
        # What replaced which change since a multi began; None outside one.
        self.journal: Journal | None = None
        self.by_path: dict[bytes, Change] = {}
        self._sweep_size = SWEEP_SIZE
        # Below /zookeeper usage changes without transactions: nothing applied is kept.
        self._volatile: deque[tuple[int, bytes]] = deque()
        # Ephemerals created in flight, by session, for closeSession; and in order.
        self._ephemerals: dict[int, dict[bytes, None]] = {}
        self._ephemerals_in_order: deque[tuple[int, int, bytes]] = deque()

    def node(self, path: bytes) -> Any:
        """The change at `path`, or the tree's znode as one; raises NONODE if there is none."""
        if path == b"/":
            path = b""
        change = self.by_path.get(path)
        if change is None:
            return self._from_tree(path)
        if change[1] is None:
            raise ClientError(ErrorCode.NONODE)
        return change

    def _from_tree(self, path: bytes) -> Change:
        node = self.tree.nodes.get(path)
        if node is None:
            raise ClientError(ErrorCode.NONODE)
        stat, data, cversion, owner = node.stat, node.data, node.cversion, node.owner
        middle = pack_int(cversion) + stat[40:44] + pack_long(owner)
        stat60 = stat[:16] + stat[60:] + stat[16:36] + middle
        version = unpack_int(stat60, VERSION_OFFSET)[0]
        size = len(data) if data else 0
        path_crc, crc, digest = None, 0, 0
        if not path.startswith(PROC_CHILDREN):
            path_crc = crc32(path)
            crc = crc32(data, path_crc) if data else path_crc
            digest = crc32(stat60, crc)
        children = node.children
        count = len(children) if children else 0
        acl = self.tree.acls.get(node.acl)
        return 0, stat60, version, cversion, owner, path_crc, crc, size, count, acl, digest

    def put(
        self,
        zxid: int,
        path: bytes,
        old: Change,
        stat60: bytes,
        cversion: int,
        child_count: int,
        acl: AclList,
    ) -> None:
        """The znode `old` at `path` becomes this; its data, version and owner stay."""
        _, _, version, _, owner, path_crc, crc, size, _, _, old_digest = old
        digest = 0 if path_crc is None else crc32(stat60, crc)
        self.record(
            path,
            (zxid, stat60, version, cversion, owner, path_crc, crc, size, child_count, acl, digest),
            old_digest,
        )

    def record(self, path: bytes, change: Change, old_digest: int) -> None:
        """`change` is now the newest at `path`; `old_digest` is the share it replaces."""
        if self.journal is not None:
            self.journal.append((path, self.by_path.get(path)))
        self.by_path[path] = change
        if change[5] is None:
            self._volatile.append((change[0], path))
        else:
            self.digest = self.digest - old_digest + change[10] & MASK64

    def delete(self, zxid: int, path: bytes, old: Change) -> None:
        """There will be no znode at `path`, where `old` was."""
        gone = (zxid, None, None, None, None, old[5], None, None, None, None, 0)
        self.record(path, gone, old[10])

    def put_ephemeral(self, zxid: int, session_id: int, path: bytes) -> None:
        """Remember an ephemeral in flight for its session's closing."""
        self._ephemerals.setdefault(session_id, {})[path] = None
        self._ephemerals_in_order.append((zxid, session_id, path))

    def ephemerals_of(self, session_id: int) -> list[bytes]:
        """The ephemerals that a session will own, in the order they were made."""
        paths = dict.fromkeys(self.tree.ephemerals.get(session_id, ()))
        paths.update(self._ephemerals.get(session_id, {}))
        mine = []
        for path in paths:
            change = self.by_path.get(path)
            if change is None:
                node = self.tree.nodes.get(path)
                if node is not None and node.owner == session_id:
                    mine.append(path)
            elif change[4] == session_id:
                mine.append(path)
        return mine

    def rollback(self, journal: Journal, digest: int) -> None:
        """Undo what a failed multi did, newest first."""
        by_path = self.by_path
        for path, previous in reversed(journal):
            if previous is None:
                del by_path[path]
            else:
                by_path[path] = previous
        self.digest = digest

    def applied(self, zxid: int) -> None:
        """The tree now holds all changes up to `zxid`; they are in flight no more."""
        volatile = self._volatile
        while volatile and volatile[0][0] <= zxid:
            path = volatile.popleft()[1]
            change = self.by_path.get(path)
            if change is not None and change[0] <= zxid:
                del self.by_path[path]
        ephemerals = self._ephemerals_in_order
        while ephemerals and ephemerals[0][0] <= zxid:
            self._forget_ephemeral(*ephemerals.popleft()[1:])
        if len(self.by_path) > self._sweep_size:
            self.by_path = {
                path: change for path, change in self.by_path.items() if change[0] > zxid
            }
            # While very many are in flight, sweeping for each batch would not pay.
            self._sweep_size = max(SWEEP_SIZE, 2 * len(self.by_path))

    def _forget_ephemeral(self, session_id: int, path: bytes) -> None:
        paths = self._ephemerals.get(session_id)
        if paths is not None:
            paths.pop(path, None)
            if not paths:
                del self._ephemerals[session_id]
