"""The reaper of containers and TTL nodes (Apache's ContainerManager).

Every `container_check_interval_ms` it lists the candidates: containers that are
empty and have had children, or were never used for long enough; TTL nodes without
children that were not written for their time to live. Each candidate becomes a
deleteContainer request of the server's own, spread over time so that no more than
`container_max_per_minute` are made in a minute. Preparation checks each again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zkserver.base import opcodes as op
from zkserver.jute import codec
from zkserver.tree.znode import Znode

if TYPE_CHECKING:
    from zkserver.server.server import Server


class ContainerReaper:
    """Deletes what has had its day. Times are monotonic ms but for a node's own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        config = server.config
        self._interval_ms = config.container_check_interval_ms
        self._pause_ms = 60000 / max(1, config.container_max_per_minute)
        self._never_used_ms = config.container_max_never_used_interval_ms
        self._next_check_ms = server.now_ms() + self._interval_ms
        self._due: list[bytes] = []
        self._next_delete_ms = 0.0

    def tick(self, now_ms: int) -> None:
        """Look for candidates when it is time, and delete those whose turn has come."""
        if not self._due and now_ms >= self._next_check_ms:
            self._next_check_ms = now_ms + self._interval_ms
            self._due = self.candidates(self._server.wall_ms())
            self._due.reverse()
            self._next_delete_ms = now_ms
        while self._due and self._next_delete_ms <= now_ms:
            self._next_delete_ms += self._pause_ms
            path = self._due.pop()
            self._server.pipeline.submit_internal(op.DELETE_CONTAINER, 0, codec.buffer(path))

    def candidates(self, wall_ms: int) -> list[bytes]:
        """Paths that may go at this time of the calendar."""
        tree = self._server.tree
        found = []
        for path in tree.containers:
            node = tree.nodes.get(path)
            if node is not None and not node.children and self._is_spent(node, wall_ms):
                found.append(path)
        for path in tree.ttls:
            node = tree.nodes.get(path)
            if node is not None and not node.children:
                ttl_ms = tree.owner_types.ttl_ms(node.owner)
                if wall_ms - _mtime_ms(node) > ttl_ms:
                    found.append(path)
        return found

    def _is_spent(self, node: Znode, wall_ms: int) -> bool:
        if node.cversion > 0:
            return True
        # mtime stands for the creation: nobody writes to what nobody uses.
        return bool(0 < self._never_used_ms < wall_ms - _mtime_ms(node))


def _mtime_ms(node: Znode) -> int:
    return int.from_bytes(node.stat[24:32], "big", signed=True)
