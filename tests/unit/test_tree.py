"""The tree and prep: what a request becomes, and that applying it gives what was foretold."""

from __future__ import annotations

import random
from struct import Struct

import pytest

from zkserver.base import opcodes as op
from zkserver.base.acl import OPEN_ACL, READ_ACL
from zkserver.base.auth import Providers
from zkserver.base.errors import ErrorCode
from zkserver.base.stat import Stat
from zkserver.jute import codec, txns
from zkserver.prep.common import PREPARERS
from zkserver.prep.prep import Prep, Prepared, Rules
from zkserver.session.tracker import SessionTracker
from zkserver.tree.tree import DataTree

INT = Struct(">i").pack
EPHEMERAL, SEQUENTIAL = 1, 2


class Bench:
    """A tree and its prep, and requests in short."""

    def __init__(self, **rules: bool) -> None:
        self.tree = DataTree(extended_types=True)
        self.sessions = SessionTracker(2000, 1, 0)
        self.prep = Prep(self.tree, self.sessions, Providers(), Rules(**rules))
        self.session_id = self.sessions.create(30000, 0)
        self.ids = ()
        self.time_ms = 1000
        self.flying: list[Prepared] = []

    def ask(self, kind: int, body: bytes) -> int:
        """Prepare a request; the error it would be answered with."""
        self.time_ms += 1
        preparer = PREPARERS.get(kind)
        if preparer is None:
            prepared = self.prep.prepare(kind, self, 1, body, self.time_ms)
        else:
            # Amid other bytes, as in a chunk from the socket.
            prepared = preparer(
                self.prep, self, 1, b"<<" + body + b">>", 2, 2 + len(body), self.time_ms
            )
        assert prepared is not None
        self.flying.append(prepared)
        txn = prepared[0]
        return txn[5][0] if txn[4] == op.ERROR else 0

    def land(self) -> list[object]:
        """Apply all that is in flight."""
        results = [self.tree.apply(txn, digest) for txn, digest, _ in self.flying]
        self.prep.applied(self.flying[-1][0][2])
        self.flying.clear()
        return results

    def create(self, path: bytes, data: bytes | None = b"", flags: int = 0) -> int:
        body = codec.buffer(path) + codec.buffer(data) + codec.acl(OPEN_ACL) + INT(flags)
        return self.ask(op.CREATE, body)

    def set(self, path: bytes, data: bytes | None, version: int = -1) -> int:
        return self.ask(op.SET_DATA, codec.buffer(path) + codec.buffer(data) + INT(version))

    def delete(self, path: bytes, version: int = -1) -> int:
        return self.ask(op.DELETE, codec.buffer(path) + INT(version))

    def stat(self, path: bytes) -> Stat:
        node = self.tree.find(path)
        assert node is not None
        return Stat.unpack(node.stat)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_fresh_tree_is_that_of_apache(bench: Bench) -> None:
    tree = bench.tree
    assert tree.znode_count() == 5
    assert tree.data_size_bytes == 44
    assert bench.stat(b"/").cversion == -1
    assert bench.stat(b"/zookeeper").cversion == -2
    assert bench.stat(b"/zookeeper/config").aversion == -1
    assert tree.acls.get(tree.nodes[b"/zookeeper/config"].acl) == READ_ACL


def test_requests_see_what_is_in_flight(bench: Bench) -> None:
    assert bench.create(b"/a") == 0
    assert bench.create(b"/a/b") == 0
    assert bench.create(b"/a/b") == ErrorCode.NODEEXISTS
    assert bench.delete(b"/a") == ErrorCode.NOTEMPTY
    assert bench.set(b"/a/b", b"x", version=1) == ErrorCode.BADVERSION
    assert bench.set(b"/a/b", b"x", version=0) == 0
    assert bench.delete(b"/a/b", version=0) == ErrorCode.BADVERSION
    assert bench.delete(b"/a/b", version=1) == 0
    assert bench.delete(b"/a") == 0
    assert bench.set(b"/a", b"") == ErrorCode.NONODE
    bench.land()
    assert bench.tree.znode_count() == 5


def test_a_refused_write_takes_a_zxid(bench: Bench) -> None:
    bench.set(b"/none", b"")
    assert bench.flying[-1][0][2] == 1
    bench.land()
    assert bench.tree.last_zxid == 1


def test_an_unreadable_write_takes_none(bench: Bench) -> None:
    assert bench.prep.prepare(op.SET_DATA, bench, 1, b"\0\0", 0) is None
    assert bench.prep.zxid == 0


def test_sequence_numbers_come_from_the_creations_of_the_parent(bench: Bench) -> None:
    bench.create(b"/q")
    for _ in range(3):
        bench.create(b"/q/n", flags=SEQUENTIAL)
    bench.land()
    bench.delete(b"/q/n0000000002")
    bench.create(b"/q/n", flags=SEQUENTIAL)
    bench.land()
    children = bench.tree.nodes[b"/q"].children
    assert list(children) == [b"/q/n0000000000", b"/q/n0000000001", b"/q/n0000000003"]
    # Shown: twice the creations less the children.
    assert bench.stat(b"/q").cversion == 2 * 4 - 3


def test_null_data_is_not_empty_data(bench: Bench) -> None:
    bench.create(b"/null", None)
    bench.create(b"/empty", b"")
    bench.land()
    assert bench.tree.nodes[b"/null"].data is None
    assert bench.tree.nodes[b"/empty"].data == b""
    assert bench.stat(b"/null").data_length == 0


def test_ephemerals_have_no_children_and_go_with_the_session(bench: Bench) -> None:
    bench.create(b"/e", flags=EPHEMERAL)
    bench.land()
    assert bench.stat(b"/e").ephemeral_owner == bench.session_id
    assert bench.create(b"/e/c") == ErrorCode.NOCHILDRENFOREPHEMERALS
    bench.create(b"/late", flags=EPHEMERAL)
    bench.delete(b"/e")
    bench.ask(op.CLOSE_SESSION, b"")
    assert bench.flying[-1][0][5] == ((b"/late",),)
    assert bench.set(b"/", b"") == ErrorCode.SESSIONEXPIRED
    bench.land()
    assert bench.tree.znode_count() == 5
    assert bench.tree.ephemeral_count() == 0


def multi(*operations: tuple[int, bytes]) -> bytes:
    header = Struct(">i?i").pack
    parts = [header(kind, False, -1) + body for kind, body in operations]
    return b"".join(parts) + header(-1, True, -1)


def test_the_counter_of_creations_stays_at_its_end(bench: Bench) -> None:
    bench.create(b"/q")
    bench.land()
    node = bench.tree.nodes[b"/q"]
    node.restat(0x7FFFFFFE, 1)
    bench.prep.changes.by_path.clear()
    bench.prep.changes.digest = bench.tree.digest = bench.tree.compute_digest()
    for _ in range(3):
        bench.create(b"/q/n", flags=SEQUENTIAL)
    assert [txn[5][-1] for txn, _, _ in bench.flying[:2]] == [0x7FFFFFFF, -0x80000000]
    bench.land()
    assert list(node.children or ()) == [b"/q/n2147483646", b"/q/n2147483647"]
    assert node.cversion == 0x7FFFFFFF
    assert bench.tree.digest == bench.tree.compute_digest()


def test_the_root_s_other_name_is_nobody_s_parent(bench: Bench) -> None:
    assert bench.create(b"//x") == ErrorCode.BADARGUMENTS
    assert bench.create(b"//", flags=SEQUENTIAL) == ErrorCode.BADARGUMENTS


def test_a_failed_multi_leaves_no_trace(bench: Bench) -> None:
    bench.create(b"/m")
    digest = bench.prep.changes.digest
    create = codec.buffer(b"/m/s") + codec.buffer(b"") + codec.acl(OPEN_ACL) + INT(SEQUENTIAL)
    gone = codec.buffer(b"/none") + INT(-1)
    bench.ask(op.MULTI, multi((op.CREATE, create), (op.DELETE, gone), (op.CREATE, create)))
    kinds = [(kind, body[0]) for kind, body in bench.flying[-1][0][5]]
    assert kinds[1:] == [(op.ERROR, -101), (op.ERROR, -2)]
    assert bench.prep.changes.digest == digest
    bench.ask(op.CREATE, create)
    results = bench.land()
    errors = [(kind, error) for kind, error, _, _ in results[1][3]]
    assert errors == [(op.ERROR, 0), (op.ERROR, -101), (op.ERROR, -2)]
    # The number that the failed one would have had is still free.
    assert list(bench.tree.nodes[b"/m"].children) == [b"/m/s0000000000"]


def test_hard_quotas_refuse_when_enforced() -> None:
    bench = Bench(enforce_quota=True)
    for path in (b"/a", b"/zookeeper/quota/a"):
        bench.create(path)
    bench.create(b"/zookeeper/quota/a/zookeeper_stats", b"count=0,bytes=0")
    limits = b"count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=3"
    bench.create(b"/zookeeper/quota/a/zookeeper_limits", limits)
    bench.land()
    assert bench.set(b"/a", b"x" * 11) == ErrorCode.QUOTAEXCEEDED
    assert bench.set(b"/a", b"x" * 10) == 0
    bench.land()
    assert bench.create(b"/a/b", b"1") == ErrorCode.QUOTAEXCEEDED
    assert bench.create(b"/a/b") == 0
    assert bench.create(b"/a/c") == 0
    bench.land()
    assert bench.create(b"/a/d") == ErrorCode.QUOTAEXCEEDED
    usage = bench.tree.nodes[b"/zookeeper/quota/a/zookeeper_stats"]
    assert usage.data == b"count=3,bytes=10"
    assert Stat.unpack(usage.stat).data_length == len(usage.data)


def test_ill_formed_quota_text_harms_nobody() -> None:
    bench = Bench(enforce_quota=True)
    bench.create(b"/a")
    bench.create(b"/zookeeper/quota/a")
    bench.create(b"/zookeeper/quota/a/zookeeper_stats", b"\xff garbage ==")
    bench.create(b"/zookeeper/quota/a/zookeeper_limits", b"count=x")
    bench.create(b"/a/b", b"12")
    bench.land()
    bench.set(b"/zookeeper/quota/a/zookeeper_stats", b"?")
    bench.set(b"/a/b", b"123")
    bench.land()
    assert bench.tree.nodes[b"/zookeeper/quota/a/zookeeper_stats"].data == b"count=2,bytes=3"


@pytest.mark.parametrize("seed", range(5))
def test_digests_foretold_are_digests_reached(seed: int) -> None:
    """prep's digest, apply's own and the sum over all nodes agree, whatever is in flight."""
    chance = random.Random(seed)
    bench = Bench()
    replica = DataTree(extended_types=True)
    paths = [b"/" + bytes([letter]) for letter in b"abc"]
    paths += [path + b"/" + bytes([letter]) for path in list(paths) for letter in b"xyz"]
    for _ in range(150):
        for _ in range(chance.randrange(1, 8)):
            path = chance.choice(paths)
            match chance.randrange(5):
                case 0 | 1:
                    bench.create(path, chance.choice([None, b"", b"data"]), chance.randrange(4))
                case 2:
                    bench.set(path, chance.choice([None, b"", b"more data"]))
                case 3:
                    bench.delete(path)
                case 4:
                    bench.set(b"/", b"root")
        for txn, digest, entry in bench.flying:
            assert entry == txns.encode(txn, digest)
            logged, stamp = txns.decode(entry)
            assert logged == txn
            replica.apply(logged)
            assert stamp is None or stamp[1] == replica.digest
        bench.land()
        assert bench.tree.digest == replica.digest == bench.tree.compute_digest()
    assert {path: node.stat for path, node in bench.tree.nodes.items()} == {
        path: node.stat for path, node in replica.nodes.items()
    }
