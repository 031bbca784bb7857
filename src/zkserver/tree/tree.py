"""The data tree: znodes by path, and `apply`.

Paths are bytes. The root's key is b"", as Java's child updates have it; `find`
also knows it as b"/". Order of the work inside one transaction, the results on
missing and existing nodes, and what a replay must repeat: gotchas of DataTree
(ZOOKEEPER-1046, ZOOKEEPER-3145, ZOOKEEPER-3306).

A result is a tuple `(type, error code, path, packed Stat or None)`; that of a
multi is `(MULTI, error code, None, [results])`. A fired watch event is a tuple
`(watcher, event type, path, zxid, ACL list of the node)`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from struct import Struct
from typing import Any

from zkserver.base import opcodes as op
from zkserver.base.acl import READ_ACL, AclList
from zkserver.base.errors import ErrorCode
from zkserver.base.stat import CONTAINER_OWNER
from zkserver.jute.txns import Body, Txn
from zkserver.tree import owners, quota, usage
from zkserver.tree.acls import OPEN_INDEX, AclTable
from zkserver.tree.owners import OwnerTypes
from zkserver.tree.watches import WatchTable
from zkserver.tree.znode import Znode, pack_stat

NODE_CREATED = 1
NODE_DELETED = 2
NODE_DATA_CHANGED = 3
NODE_CHILDREN_CHANGED = 4

PROC = b"/zookeeper"
PROC_CHILDREN = b"/zookeeper/"
QUOTA = b"/zookeeper/quota"
CONFIG = b"/zookeeper/config"

MASK64 = 0xFFFFFFFFFFFFFFFF
DIGEST_LOG_INTERVAL = 128
DIGEST_LOG_LIMIT = 1024

OK = 0
CREATE = op.CREATE
SET_DATA = op.SET_DATA
_PLAIN = (SET_DATA, CREATE)
NONODE = int(ErrorCode.NONODE)
NODEEXISTS = int(ErrorCode.NODEEXISTS)
EMPTY_STAT = pack_stat(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
# The fields that setData replaces, with the runs of bytes between them kept.
_pack_after_set = Struct(">8sq8sqi16si12s").pack

_NAMES_ITS_PATH = frozenset(
    (
        *(op.CREATE, op.CREATE2, op.CREATE_CONTAINER, op.CREATE_TTL, op.DELETE),
        *(op.DELETE_CONTAINER, op.SET_DATA, op.SET_ACL),
    )
)

Result = tuple[int, int, bytes | None, Any]
Event = tuple[Hashable, int, bytes, int, AclList]


class DataTree:
    """All znodes of a server. See the module's docstring for results and events."""

    def __init__(
        self,
        digest_enabled: bool = True,
        extended_types: bool = False,
        emulate_353: bool = False,
    ) -> None:
        self.digest_enabled = digest_enabled
        self.owner_types = OwnerTypes(extended_types, emulate_353)
        self.acls = AclTable()
        self.data_watches = WatchTable()
        self.child_watches = WatchTable()
        self.fired: list[Event] = []
        self.last_zxid = 0
        # The zxid whose digest is known: 0 until a transaction was applied.
        self.digest_zxid = 0
        # A parent, its Stat and its share after the last create: see `_sum_plain`.
        self._last_parent: tuple[Znode | None, bytes, int] = None, b"", 0
        self.digest_log: deque[tuple[int, int]] = deque(maxlen=DIGEST_LOG_LIMIT)
        self.clear()
        self._make_system_nodes()

    def _make_system_nodes(self) -> None:
        for path in (b"", PROC, QUOTA, CONFIG):
            self.nodes[path] = Znode(b"", EMPTY_STAT, OPEN_INDEX, 0, 0, None)
        self.root = self.nodes[b""]
        for parent, path in ((b"", PROC), (PROC, QUOTA), (PROC, CONFIG)):
            node = self.nodes[parent]
            node.children = node.children or {}
            node.children[path] = None
        self.nodes[CONFIG].acl = self.acls.use(READ_ACL)
        for path in (b"", PROC):
            self.nodes[path].restat(0, 0)
        config = self.nodes[CONFIG]
        # Java makes this node with setACL at version -1.
        config.stat = config.stat[:40] + b"\xff\xff\xff\xff" + config.stat[44:]
        self.digest = self.compute_digest()
        self.data_size_bytes = sum(map(len, self.nodes)) + 1

    # Reading

    def find(self, path: bytes) -> Znode | None:
        """The znode at `path`; both b"" and b"/" are the root."""
        node = self.nodes.get(path)
        if node is None and path == b"/":
            return self.root
        return node

    def znode_count(self) -> int:
        """The number of znodes as Java counts them: the root twice, as "" and "/"."""
        return len(self.nodes) + 1

    def ephemeral_count(self) -> int:
        """The number of ephemeral znodes of all sessions."""
        return sum(map(len, self.ephemerals.values()))

    def descendant_count(self, path: bytes) -> int:
        """The number of znodes below `path`.

        For the root as Java has it: of both its keys neither counts when it is
        asked for as "/", and "/" is below "".
        """
        if path == b"/":
            return self.znode_count() - 2
        if not path:
            return self.znode_count() - 1
        prefix = path + b"/"
        return sum(map(bytes.startswith, self.nodes, (prefix for _ in self.nodes)))

    def compute_digest(self) -> int:
        """The digest summed anew over all nodes, an unsigned 64-bit number; 0 if disabled."""
        if not self.digest_enabled:
            return 0
        total = sum(
            node.digest(path)
            for path, node in self.nodes.items()
            if not path.startswith(PROC_CHILDREN)
        )
        return total & MASK64

    # Applying

    def apply(self, txn: Txn, digest: int | None = None) -> Result:
        """Apply a transaction, the only way the tree changes, and return its result.

        `digest`, when given, is the tree digest after it, worked out beforehand
        by `prep`, and is adopted; otherwise it is computed.
        """
        body: Any
        session_id, _, zxid, time_ms, kind, body = txn
        if digest is None and self.digest_enabled:
            return self._apply_and_sum(txn)
        if kind == SET_DATA:
            result = self._set_data(kind, zxid, time_ms, body)
        elif kind == CREATE:
            path, data, acl, ephemeral, cversion = body
            owner = session_id if ephemeral else 0
            result = self._create(kind, zxid, time_ms, path, data, acl, owner, cversion)
        elif kind == op.MULTI:
            result = self._apply_multi(session_id, zxid, time_ms, body)
        else:
            result = self._apply_one(session_id, zxid, time_ms, kind, body)
        # Last, so that a snapshot never names a half-applied transaction.
        if zxid > self.last_zxid:
            self.last_zxid = zxid
        if digest is not None:
            self.digest = digest
            self.digest_zxid = zxid
            if not zxid % DIGEST_LOG_INTERVAL:
                self.digest_log.append((zxid, digest))
        return result

    def _apply_and_sum(self, txn: Txn) -> Result:
        """Apply a transaction; the tree digest moves by what its znodes' shares do."""
        body: Any
        session_id, _, zxid, time_ms, kind, body = txn
        if kind in _PLAIN and body[0] != b"/":
            result, change = self._sum_plain(txn, body[0])
        else:
            touched = self._touched(session_id, kind, body)
            before = self._shares(touched)
            if kind == op.MULTI:
                result = self._apply_multi(session_id, zxid, time_ms, body)
            else:
                result = self._apply_one(session_id, zxid, time_ms, kind, body)
            change = self._shares(touched) - before
        if zxid > self.last_zxid:
            self.last_zxid = zxid
        self.digest = self.digest + change & MASK64
        self.digest_zxid = zxid
        if not zxid % DIGEST_LOG_INTERVAL:
            self.digest_log.append((zxid, self.digest))
        return result

    def _sum_plain(self, txn: Txn, path: bytes) -> tuple[Result, int]:
        """Apply a setData or a create, and tell by how much the shares of znodes change.

        A setData changes its znode alone, a create its znode and the parent.
        """
        body: Any
        session_id, _, zxid, time_ms, kind, body = txn
        if kind == SET_DATA:
            before = self._share(path)
            result = self._set_data(kind, zxid, time_ms, body)
            return result, self._share(path) - before
        _, data, acl, ephemeral, cversion = body
        nodes = self.nodes
        parent_path = path.rpartition(b"/")[0]
        parent = nodes.get(parent_path)
        if parent is None or path.startswith(PROC_CHILDREN):
            parent_share = self._share(parent_path)
            result = self._apply_one(session_id, zxid, time_ms, kind, body)
            return result, self._share(parent_path) - parent_share
        # Children are made one after another, so the last parent's share is often known.
        known, stat, before = self._last_parent
        if parent is not known or parent.stat is not stat:
            before = parent.digest(parent_path)
        owner = session_id if ephemeral else 0
        result = self._create(kind, zxid, time_ms, path, data, acl, owner, cversion)
        after = parent.digest(parent_path)
        self._last_parent = parent, parent.stat, after
        added = nodes[path].digest(path) if result[1] == OK else 0
        return result, after + added - before

    def _share(self, path: bytes) -> int:
        node = self.nodes.get(path)
        return 0 if node is None or path.startswith(PROC_CHILDREN) else node.digest(path)

    def _touched(self, session_id: int, kind: int, body: Any) -> set[bytes]:
        """The keys of all znodes that a transaction may change, its own and their parents'."""
        if kind in _NAMES_ITS_PATH:
            path: bytes = body[0]
            return {b"" if path == b"/" else path, path.rpartition(b"/")[0]}
        if kind == op.MULTI:
            return set().union(*(self._touched(session_id, *part) for part in body))
        if kind == op.CLOSE_SESSION:
            paths = {*self.ephemerals.get(session_id, ()), *(body[0] if body else ())}
            return paths | {path.rpartition(b"/")[0] for path in paths}
        return set()

    def _shares(self, paths: Iterable[bytes]) -> int:
        return sum(map(self._share, paths))

    def _apply_one(
        self, session_id: int, zxid: int, time_ms: int, kind: int, body: Any
    ) -> Result:
        if kind == op.CREATE or kind == op.CREATE2:
            path, data, acl, ephemeral, cversion = body
            owner = session_id if ephemeral else 0
            return self._create(kind, zxid, time_ms, path, data, acl, owner, cversion)
        if kind == op.SET_DATA or kind == op.RECONFIG:
            return self._set_data(kind, zxid, time_ms, body)
        if kind == op.DELETE or kind == op.DELETE_CONTAINER:
            path = body[0]
            return kind, self._delete(path, zxid), path, None
        if kind == op.CREATE_CONTAINER:
            path, data, acl, cversion = body
            return self._create(kind, zxid, time_ms, path, data, acl, CONTAINER_OWNER, cversion)
        if kind == op.CREATE_TTL:
            path, data, acl, cversion, ttl_ms = body
            owner = self.owner_types.ttl_owner(ttl_ms)
            return self._create(kind, zxid, time_ms, path, data, acl, owner, cversion)
        if kind == op.SET_ACL:
            return self._set_acl(kind, body)
        if kind == op.CLOSE_SESSION:
            self._close_session(session_id, zxid, body)
            return kind, OK, None, None
        if kind == op.ERROR:
            return kind, body[0], None, None
        return kind, OK, body[0] if kind == op.CHECK else None, None

    def _apply_multi(self, session_id: int, zxid: int, time_ms: int, body: Any) -> Result:
        results: list[Result] = []
        error = OK
        if any(kind == op.ERROR for kind, _ in body):
            # Nothing of a failed multi is applied, though its first parts look valid.
            failed = False
            for kind, sub in body:
                failed = failed or kind == op.ERROR
                code = sub[0] if kind == op.ERROR else ErrorCode.RUNTIMEINCONSISTENCY
                code = int(code) if failed else OK
                error = error or code
                results.append((op.ERROR, code, None, None))
        else:
            for kind, sub in body:
                result = self._apply_one(session_id, zxid, time_ms, kind, sub)
                error = error or result[1]
                results.append(result)
        return op.MULTI, error, None, results

    def _set_data(self, kind: int, zxid: int, time_ms: int, body: Any) -> Result:
        path, data, version = body
        node = self.nodes.get(path) or self.find(path)
        if node is None:
            return kind, NONODE, path, None
        old = node.data
        length = len(data) if data else 0
        growth = length - (len(old) if old else 0)
        stat = node.stat
        node.data = data
        node.stat = stat = _pack_after_set(
            stat[:8], zxid, stat[16:24], time_ms, version, stat[36:52], length, stat[56:]
        )
        if growth:
            self.data_size_bytes += growth
        if self.quotas.active:
            usage.charge(self, path, growth, 0)
        if self.data_watches.by_path:
            self._fire(self.data_watches, path, NODE_DATA_CHANGED, zxid, node.acl)
        return kind, OK, path, stat

    def _create(
        self,
        kind: int,
        zxid: int,
        time_ms: int,
        path: bytes,
        data: bytes | None,
        acl: AclList,
        owner: int,
        parent_cversion: int,
    ) -> Result:
        nodes = self.nodes
        parent_path, _, name = path.rpartition(b"/")
        parent = nodes.get(parent_path)
        if parent is None:
            return kind, NONODE, path, None
        # Registered before the test for existence: a fuzzy snapshot may hold the
        # node but not its list (ZOOKEEPER-3306).
        acl_index = self.acls.use(acl)
        if path in nodes:
            existing = nodes[path]
            self.acls.release(existing.acl)
            existing.acl = acl_index
            cversion = parent.cversion + 1 if parent_cversion == -1 else parent_cversion
            if cversion > parent.cversion:
                parent.restat(cversion, zxid)
            return kind, NODEEXISTS, path, None
        owner_kind = self.owner_types.kind(owner) if owner else owners.VOID
        shown_owner = owner if owner_kind == owners.NORMAL else 0
        length = len(data) if data else 0
        stat = pack_stat(zxid, zxid, time_ms, time_ms, 0, 0, 0, shown_owner, length, 0, zxid)
        nodes[path] = Znode(data, stat, acl_index, owner, 0, None)
        if parent.children is None:
            parent.children = {}
        parent.children[path] = None
        cversion = parent.cversion + 1 if parent_cversion == -1 else parent_cversion
        if cversion > parent.cversion:
            parent.restat(cversion, zxid)
        else:
            parent.restat(parent.cversion, parent.pzxid())
        self.data_size_bytes += len(path) + length
        if owner_kind:
            self.own(path, owner, owner_kind)
        if parent_path.startswith(QUOTA):
            usage.quota_node_created(self, parent_path, name)
        if self.quotas.active:
            usage.charge(self, path, length, 1)
        if self.data_watches.by_path:
            self._fire(self.data_watches, path, NODE_CREATED, zxid, acl_index)
        if self.child_watches.by_path:
            shown_parent = parent_path or b"/"
            self._fire(
                self.child_watches, shown_parent, NODE_CHILDREN_CHANGED, zxid, parent.acl
            )
        return kind, OK, path, stat

    def own(self, path: bytes, owner: int, owner_kind: int) -> None:
        """Note that `path` belongs to a session, or is a container or a TTL node."""
        if owner_kind == owners.NORMAL:
            self.ephemerals.setdefault(owner, {})[path] = None
        elif owner_kind == owners.CONTAINER:
            self.containers[path] = None
        else:
            self.ttls[path] = None

    def _disown(self, path: bytes, owner: int) -> None:
        self.containers.pop(path, None)
        self.ttls.pop(path, None)
        paths = self.ephemerals.get(owner)
        if paths is not None:
            paths.pop(path, None)
            if not paths:
                del self.ephemerals[owner]

    def _delete(self, path: bytes, zxid: int) -> int:
        nodes = self.nodes
        parent_path, _, name = path.rpartition(b"/")
        parent = nodes.get(parent_path)
        if parent is None:
            return NONODE
        # The parent is told even if the node is gone already, which a replay over
        # a fuzzy snapshot can meet (ZOOKEEPER-3145).
        if parent.children:
            parent.children.pop(path, None)
        parent.restat(parent.cversion, max(zxid, parent.pzxid()))
        node = nodes.pop(path, None)
        if node is None:
            return NONODE
        acl = self.acls.get(node.acl)
        self.acls.release(node.acl)
        length = len(node.data) if node.data else 0
        self.data_size_bytes -= len(path) + length
        if node.owner:
            self._disown(path, node.owner)
        if name == quota.LIMITS_NAME and path.startswith(PROC):
            self.quotas.remove(quota.trim_quota_path(parent_path))
        if self.quotas.active:
            usage.charge(self, path, -length, -1)
        told: Iterable[Hashable] = ()
        if self.data_watches.by_path:
            told = self.data_watches.trigger(path, NODE_DELETED)
            self.fired += [(watcher, NODE_DELETED, path, zxid, acl) for watcher in told]
        if self.child_watches.by_path:
            for watcher in self.child_watches.trigger(path, NODE_DELETED, told):
                self.fired.append((watcher, NODE_DELETED, path, zxid, acl))
            shown_parent = parent_path or b"/"
            self._fire(
                self.child_watches, shown_parent, NODE_CHILDREN_CHANGED, zxid, parent.acl
            )
        return OK

    def _set_acl(self, kind: int, body: Any) -> Result:
        path, acl, version = body
        node = self.find(path)
        if node is None:
            return kind, NONODE, path, None
        self.acls.release(node.acl)
        node.acl = self.acls.use(acl)
        node.stat = node.stat[:40] + version.to_bytes(4, "big", signed=True) + node.stat[44:]
        return kind, OK, path, node.stat

    def _close_session(self, session_id: int, zxid: int, body: Body) -> None:
        """Delete the session's ephemerals: those the transaction names, then any left over."""
        mine = list(self.ephemerals.get(session_id, ()))
        for path in body[0] if body else ():
            self._delete(path, zxid)
        for path in mine:
            node = self.nodes.get(path)
            if node is not None and node.owner == session_id:
                self._delete(path, zxid)

    def _fire(
        self, table: WatchTable, path: bytes, event_type: int, zxid: int, acl_index: int
    ) -> None:
        watchers = table.trigger(path, event_type)
        if watchers:
            acl = self.acls.get(acl_index)
            self.fired += [(watcher, event_type, path, zxid, acl) for watcher in watchers]

    # Quotas

    def quota_prefix(self, path: bytes) -> bytes | None:
        """The nearest ancestor-or-self of `path` that has a quota; never the root."""
        return self.quotas.longest_prefix(path)

    # Beginning anew

    def clear(self) -> None:
        """Forget every node, ACL and quota; watches of live connections stay."""
        self.nodes: dict[bytes, Znode] = {}
        self.root = Znode(b"", EMPTY_STAT, OPEN_INDEX, 0, 0, None)
        self.ephemerals: dict[int, dict[bytes, None]] = {}
        self.containers: dict[bytes, None] = {}
        self.ttls: dict[bytes, None] = {}
        self.quotas = quota.QuotaTrie()
        self.digest = 0
        self.digest_zxid = 0
        self.last_zxid = 0
        self.data_size_bytes = 0
        self.digest_log.clear()
        self.acls.load({})
