"""Keeping the usage figures of quotas, which no transaction carries.

The znode /zookeeper/quota/PATH/zookeeper_stats holds how many znodes are at and
below PATH, and how many bytes of data. Each server changes it in its own tree as
transactions apply; its version stays. Text that a client put there and that makes
no sense is replaced by a fresh count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zkserver.tree import quota
from zkserver.tree.znode import Znode

if TYPE_CHECKING:
    from zkserver.tree.tree import DataTree

_LIMITS_SUFFIX = b"/" + quota.LIMITS_NAME


def charge(tree: DataTree, path: bytes, size_bytes: int, count: int) -> None:
    """A change at `path` added so many bytes and znodes to the nearest quota's usage."""
    prefix = tree.quotas.longest_prefix(path)
    if prefix is None:
        return
    node = tree.nodes.get(quota.stat_path(prefix))
    if node is None:
        return
    usage = quota.parse(node.data)
    if usage.well_formed:
        usage.count += count
        usage.size_bytes += size_bytes
        _set(node, usage.to_bytes())
    else:
        count_anew(tree, prefix)


def quota_node_created(tree: DataTree, parent_path: bytes, name: bytes) -> None:
    """A znode below /zookeeper/quota was created: limits take effect, usage is counted."""
    if name == quota.LIMITS_NAME:
        tree.quotas.add(quota.trim_quota_path(parent_path))
    elif name == quota.STATS_NAME:
        count_anew(tree, quota.trim_quota_path(parent_path))


def count_anew(tree: DataTree, path: bytes) -> None:
    """Write the usage of `path` as it is into its znode, if it has one."""
    node = tree.nodes.get(quota.stat_path(path))
    if node is None:
        return
    count = size_bytes = 0
    key = b"" if path == b"/" else path
    pending = [key] if key in tree.nodes else []
    while pending:
        key = pending.pop()
        member = tree.nodes[key]
        count += 1
        size_bytes += len(member.data) if member.data else 0
        pending.extend(member.children or ())
    _set(node, quota.format_usage(count, size_bytes))


def load(tree: DataTree, quota_root: bytes) -> None:
    """Find the limits in a tree that was loaded, and count the usage of each."""
    pending = [quota_root] if quota_root in tree.nodes else []
    while pending:
        key = pending.pop()
        if key.endswith(_LIMITS_SUFFIX):
            guarded = quota.trim_quota_path(key[: -len(_LIMITS_SUFFIX)])
            count_anew(tree, guarded)
            tree.quotas.add(guarded)
        pending.extend(tree.nodes[key].children or ())


def _set(node: Znode, data: bytes) -> None:
    node.data = data
    node.stat = node.stat[:52] + len(data).to_bytes(4, "big") + node.stat[56:]
