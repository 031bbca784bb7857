"""Filling a tree from a snapshot: ACL table, nodes parents first, and what is derived.

`begin`, `add_acls`, one `add_node` for each node, `finish`. Between `begin` and
`finish` the tree is not to be read. Watches of live connections stay.
"""

from __future__ import annotations

from zkserver.base.acl import READ_ACL, AclList
from zkserver.tree import owners, usage
from zkserver.tree.tree import CONFIG, EMPTY_STAT, PROC, QUOTA, DataTree
from zkserver.tree.znode import Znode, from_persisted


def begin(tree: DataTree) -> None:
    """Forget every node, ACL and quota."""
    tree.clear()


def add_acls(tree: DataTree, table: dict[int, AclList]) -> None:
    """Take over the ACL table of a snapshot."""
    tree.acls.load(table)


def add_node(tree: DataTree, path: bytes, data: bytes | None, acl: int, persisted: bytes) -> None:
    """Add one node; ValueError if its parent did not come before it."""
    owner = int.from_bytes(persisted[44:52], "big", signed=True)
    owner_kind = tree.owner_types.kind(owner) if owner else owners.VOID
    shown_owner = owner if owner_kind == owners.NORMAL else 0
    node = from_persisted(data, acl, persisted, shown_owner)
    if path:
        parent_path = path.rpartition(b"/")[0]
        parent = tree.nodes.get(parent_path)
        if parent is None:
            raise ValueError(f"no parent {parent_path!r} before {path!r}")
        if parent.children is None:
            parent.children = {}
        parent.children[path] = None
    tree.nodes[path] = node
    if owner_kind:
        tree.own(path, owner, owner_kind)


def finish(tree: DataTree) -> None:
    """Close a load: Stats of parents, ACL users, sizes, quotas and the digest.

    Raises ValueError when the snapshot had no root.
    """
    if b"" not in tree.nodes:
        raise ValueError("a snapshot without a root")
    tree.root = tree.nodes[b""]
    uses: dict[int, int] = {}
    size_bytes = 1
    for path, node in tree.nodes.items():
        uses[node.acl] = uses.get(node.acl, 0) + 1
        size_bytes += len(path) + (len(node.data) if node.data else 0)
        if node.children:
            node.restat(node.cversion, node.pzxid())
    tree.acls.count_uses(uses)
    tree.data_size_bytes = size_bytes
    _ensure_config_node(tree)
    usage.load(tree, QUOTA)
    tree.digest = tree.compute_digest()


def _ensure_config_node(tree: DataTree) -> None:
    """A data directory of ZooKeeper 3.4 has no /zookeeper/config yet."""
    proc = tree.nodes.get(PROC)
    if proc is None or CONFIG in tree.nodes:
        return
    acl_index = tree.acls.use(READ_ACL)
    tree.nodes[CONFIG] = node = Znode(b"", EMPTY_STAT, acl_index, 0, 0, None)
    node.stat = node.stat[:40] + b"\xff\xff\xff\xff" + node.stat[44:]
    proc.children = proc.children or {}
    proc.children[CONFIG] = None
    proc.restat(proc.cversion, proc.pzxid())
