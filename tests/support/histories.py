"""Transactions for tests of storage: hand-made ones, and random histories."""

from __future__ import annotations

import random

from zkserver.base import opcodes as op
from zkserver.base.acl import OPEN_ACL, READ_ACL
from zkserver.jute import txns
from zkserver.jute.txns import Txn
from zkserver.tree.tree import DataTree

Entries = list[bytes]

TIME_MS = 1_700_000_000_000


def set_data_entry(zxid: int, data: bytes = b"x") -> bytes:
    """A log entry that changes the root's data."""
    return txns.encode((1, 0, zxid, TIME_MS, op.SET_DATA, (b"/", data, zxid & 0xFFFF)), None)


def entries(first_zxid: int, count: int, data: bytes = b"x") -> Entries:
    """Log entries with one zxid after another."""
    return [set_data_entry(z, data) for z in range(first_zxid, first_zxid + count)]


class History:
    """Makes random transactions that fit a tree, and applies them to it as a server does."""

    def __init__(self, chance: random.Random, tree: DataTree | None = None) -> None:
        self.chance = chance
        self.tree = tree or DataTree()
        self.sessions: dict[int, int] = {}
        self.log: Entries = []

    def step(self) -> Txn:
        """One more transaction, applied to `tree` and `sessions` and added to `log`."""
        zxid = self.tree.last_zxid + 1
        kind, session_id, body = self._choose()
        txn = (session_id, zxid, zxid, TIME_MS + zxid, kind, body)
        self.tree.apply(txn)
        if kind == op.CREATE_SESSION:
            self.sessions[session_id] = body[0]
        elif kind == op.CLOSE_SESSION:
            self.sessions.pop(session_id, None)
        digest = None if kind == op.ERROR else self.tree.digest
        self.log.append(txns.encode(txn, digest))
        return txn

    def _choose(self) -> tuple[int, int, tuple]:  # type: ignore[type-arg]
        chance = self.chance
        session_id = chance.choice([*self.sessions, 0]) or 7
        paths = [path for path in self.tree.nodes if not path.startswith(b"/zookeeper")]
        leaves = [path for path in paths if path and not self.tree.nodes[path].children]
        path = chance.choice(paths)
        roll = chance.randrange(12)
        if roll < 4:
            return op.CREATE2, session_id, self._create(path, session_id in self.sessions)
        if roll < 6:
            data = bytes(chance.choice((0, 1, 100, 600)))
            return op.SET_DATA, session_id, (path or b"/", data, chance.randrange(9))
        if roll == 6:
            return op.SET_ACL, session_id, (path or b"/", READ_ACL, chance.randrange(9))
        if roll == 7 and leaves:
            return op.DELETE, session_id, (chance.choice(leaves),)
        if roll == 8:
            return op.CREATE_SESSION, 100 + self.tree.last_zxid, (chance.randrange(4000, 40000),)
        if roll == 9 and self.sessions:
            mine = tuple(self.tree.ephemerals.get(session_id, ()))
            return op.CLOSE_SESSION, session_id, (mine,)
        if roll == 10:
            first = self._create(path, False)
            return op.MULTI, session_id, ((op.CREATE, first), (op.SET_DATA, (first[0], b"m", 1)))
        return op.ERROR, session_id, (-101,)

    def _create(self, parent: bytes, ephemeral: bool) -> tuple:  # type: ignore[type-arg]
        node = self.tree.nodes[parent]
        if node.owner:
            parent, node = b"", self.tree.root
        path = b"%s/%d" % (parent, self.tree.last_zxid)
        data = self.chance.choice((None, b"", b"d" * self.chance.randrange(300)))
        acl = self.chance.choice((OPEN_ACL, READ_ACL))
        ephemeral = ephemeral and self.chance.random() < 0.5
        return path, data, acl, ephemeral, node.cversion + 1


def describe(tree: DataTree) -> dict[bytes, tuple]:  # type: ignore[type-arg]
    """Everything that a tree holds, for comparing two."""
    return {
        path: (node.data, node.stat, node.owner, tree.acls.get(node.acl), sorted(node.children or ()))
        for path, node in tree.nodes.items()
    }
