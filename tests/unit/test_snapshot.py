"""Snapshots: the same bytes as Apache ZooKeeper's, damage is seen, and all or nothing on disk."""

from __future__ import annotations

import random
from pathlib import Path
from struct import pack
from zlib import adler32

import pytest

from tests.support.histories import History, describe
from zkserver.base import opcodes as op
from zkserver.base.acl import OPEN_ACL
from zkserver.sim.disk import SimDisk
from zkserver.storage import snapshot
from zkserver.storage.layout import Layout
from zkserver.storage.snapshot import SnapshotError, SnapshotInfo, TreeDigest
from zkserver.tree.tree import DataTree

GOLDEN = Path(__file__).parents[1] / "golden" / "storage"
LAYOUT = Layout.of("/data")
END = b"\0\0\0\x01/"


class Sink:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)


def to_bytes(
    tree: DataTree, sessions: dict[int, int] | None = None, digest: bool = True, last: bool = True
) -> bytes:
    sink = Sink()
    snapshot.write(sink, tree, sessions or {}, digest_enabled=digest, serialize_last_zxid=last)
    return b"".join(sink.pieces)


def load(data: bytes, piece_bytes: int | None = None) -> tuple[DataTree, SnapshotInfo]:
    tree = DataTree(extended_types=True)
    size_bytes = piece_bytes or max(len(data), 1)
    pieces = [data[at : at + size_bytes] for at in range(0, len(data), size_bytes)]
    return tree, snapshot.read(pieces, tree)


def sample(seed: int = 1, steps: int = 120) -> History:
    history = History(random.Random(seed), DataTree(extended_types=True))
    while history.tree.last_zxid < steps:
        history.step()
    return history


@pytest.mark.parametrize("name", ["snapshot.0", "snapshot.14"])
def test_what_apache_wrote_is_written_back_byte_by_byte(name: str) -> None:
    golden = (GOLDEN / name).read_bytes()
    tree, info = load(golden)
    assert info.digest is not None
    assert info.last_zxid is not None
    tree.last_zxid, tree.digest_zxid = info.last_zxid, info.digest.zxid
    assert to_bytes(tree, info.sessions) == golden


def test_a_fresh_tree_takes_as_many_bytes_as_apache_s() -> None:
    fresh = to_bytes(DataTree())
    assert len(fresh) == 478
    assert describe(load(fresh)[0]) == describe(load((GOLDEN / "snapshot.0").read_bytes())[0])


def test_what_apache_wrote_is_read() -> None:
    tree, info = load((GOLDEN / "snapshot.14").read_bytes())
    assert info.digest == TreeDigest(0x14, 2, tree.digest)
    assert info.last_zxid == 0x14
    assert list(info.sessions.values()) == [10000, 10000]
    assert tree.nodes[b"/a"].data == b"world"
    assert tree.nodes[b"/open-ish"].data == "ü".encode()
    assert sorted(tree.nodes[b"/a"].children or ()) == [b"/a/c", b"/a/seq-0000000002"]
    assert {path for paths in tree.ephemerals.values() for path in paths} == {b"/eph", b"/eph3"}
    assert tree.acls.get(tree.nodes[b"/sec"].acl)[0].id.scheme == "digest"


def test_what_was_written_reads_back_however_it_is_cut() -> None:
    history = sample()
    data = to_bytes(history.tree, history.sessions)
    for piece_bytes in (1, 7, 100, 4096, len(data)):
        tree, info = load(data, piece_bytes)
        assert describe(tree) == describe(history.tree)
        assert list(tree.nodes) == list(history.tree.nodes)
        assert info == SnapshotInfo(
            history.sessions, TreeDigest(120, 2, history.tree.digest), last_zxid=120
        )
        assert tree.digest == history.tree.digest
        assert tree.ephemerals == history.tree.ephemerals
        assert tree.data_size_bytes == history.tree.data_size_bytes


def test_containers_ttls_null_data_and_large_data_read_back() -> None:
    history = History(random.Random(1), DataTree(extended_types=True))
    tree = history.tree
    bodies = [
        (op.CREATE_CONTAINER, (b"/box", None, OPEN_ACL, 1)),
        (op.CREATE_TTL, (b"/brief", b"", OPEN_ACL, 2, 5000)),
        (op.CREATE2, (b"/null", None, OPEN_ACL, False, 3)),
        (op.CREATE2, (b"/large", bytes(range(256)) * 8000, OPEN_ACL, False, 4)),
        (op.CREATE2, (b"/box/in", b"x", OPEN_ACL, False, 1)),
    ]
    for zxid, (kind, body) in enumerate(bodies, 1):
        tree.apply((9, zxid, zxid, 77, kind, body))
    loaded, _ = load(to_bytes(tree), 10_000)
    assert describe(loaded) == describe(tree)
    assert (loaded.containers, loaded.ttls) == (tree.containers, tree.ttls)
    assert loaded.nodes[b"/null"].data is None


def test_many_nodes_go_out_in_large_pieces() -> None:
    tree = DataTree()
    for zxid in range(1, 3001):
        tree.apply((1, 0, zxid, 5, op.CREATE2, (b"/%d" % zxid, b"data", OPEN_ACL, False, zxid)))
    sink = Sink()
    snapshot.write(sink, tree, {}, digest_enabled=True, serialize_last_zxid=True)
    assert len(sink.pieces) < 15
    assert describe(load(b"".join(sink.pieces), 1000)[0]) == describe(tree)


def test_any_changed_byte_is_noticed() -> None:
    history = sample(steps=12)
    data = to_bytes(history.tree, history.sessions)
    for position in range(len(data) - len(END)):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        with pytest.raises(SnapshotError):
            load(bytes(damaged))


def test_a_snapshot_cut_anywhere_but_after_a_seal_is_refused() -> None:
    history = sample(steps=12)
    with_all = to_bytes(history.tree, history.sessions)
    ends = {
        len(to_bytes(history.tree, history.sessions, digest=False, last=False)),
        len(to_bytes(history.tree, history.sessions, last=False)),
    }
    for cut in range(len(with_all)):
        if cut in ends:
            assert describe(load(with_all[:cut])[0]) == describe(history.tree)
        else:
            with pytest.raises(SnapshotError):
                load(with_all[:cut])


@pytest.mark.parametrize("digest", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_the_optional_sections_are_told_apart(digest: bool, last: bool) -> None:
    tree = sample().tree
    _, info = load(to_bytes(tree, digest=digest, last=last))
    assert info.digest == (TreeDigest(120, 2, tree.digest) if digest else None)
    assert info.last_zxid == (120 if last else None)


def test_a_digest_of_version_1_is_a_string() -> None:
    data = to_bytes(sample().tree, digest=False, last=False)
    data += pack(">qii8s", 120, 1, 8, b"00abcdef")
    data += pack(">q", adler32(data)) + END
    data += pack(">q", 120)
    data += pack(">q", adler32(data)) + END
    _, info = load(data)
    assert info == SnapshotInfo({}, TreeDigest(120, 1, 0), 120)


def test_no_snapshot_at_all() -> None:
    for data in (b"", b"ZKSN", b"ZKLG" + bytes(100)):
        with pytest.raises(SnapshotError):
            load(data)


def test_a_node_before_its_parent_is_refused() -> None:
    tree = DataTree()
    tree.apply((1, 0, 1, 5, op.CREATE2, (b"/a", b"", OPEN_ACL, False, 1)))
    tree.apply((1, 0, 2, 5, op.CREATE2, (b"/a/b", b"", OPEN_ACL, False, 1)))
    tree.nodes = {path: tree.nodes[path] for path in (b"", b"/a/b", b"/a")}
    with pytest.raises(SnapshotError, match="no parent before b'/a/b'"):
        load(to_bytes(tree, digest=False))


# On disk


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
def test_a_saved_snapshot_reads_back(compression: str) -> None:
    history, disk = sample(), SimDisk()
    saved = snapshot.save(
        disk, LAYOUT, history.tree, history.sessions, compression=compression
    )
    suffix = f".{compression}" if compression else ""
    assert saved.path == f"/data/version-2/snapshot.78{suffix}"
    assert saved.zxid == 0x78
    assert saved.size_bytes == disk.size(saved.path)
    assert snapshot.is_valid(disk, saved.path)
    tree = DataTree(extended_types=True)
    snapshot.read_file(disk, saved.path, tree)
    assert describe(tree) == describe(history.tree)


@pytest.mark.parametrize("name", ["snapshot.14", "snapshot.14.gz", "snapshot.14.snappy"])
def test_apache_s_compressed_snapshots_read(name: str) -> None:
    disk = SimDisk()
    disk.put(f"/{name}", (GOLDEN / name).read_bytes())
    assert snapshot.is_valid(disk, f"/{name}")
    tree = DataTree(extended_types=True)
    snapshot.read_file(disk, f"/{name}", tree)
    plain, _ = load((GOLDEN / "snapshot.14").read_bytes())
    assert describe(tree) == describe(plain)


def test_a_snapshot_is_durable_under_its_name_or_not_there() -> None:
    history = sample()
    for seed in range(30):
        disk = SimDisk()
        snapshot.save(disk, LAYOUT, history.tree, {})
        after = disk.crash(random.Random(seed))
        assert after.names(LAYOUT.snapshot_folder) == ["snapshot.78"]
        snapshot.read_file(after, "/data/version-2/snapshot.78", DataTree())


def test_a_full_disk_leaves_the_older_snapshot_and_its_space() -> None:
    history, disk = sample(), SimDisk()
    old = snapshot.save(disk, LAYOUT, history.tree, {}).path
    kept = disk.get(old)
    disk.free_bytes = 3000
    with pytest.raises(OSError, match="No space left"):
        snapshot.save(disk, LAYOUT, history.tree, {})
    assert disk.paths() == [old]
    assert disk.get(old) == kept


def test_the_child_of_a_killed_server_does_not_get_in_the_way() -> None:
    history = sample()

    class Interrupted(SimDisk):
        """The new server starts, and saves the same snapshot, in the middle of the old save."""

        def rename(self, path: str, new_path: str) -> None:
            if path.endswith(".1.tmp"):
                assert snapshot.remove_unfinished(self, LAYOUT) == [path]
                snapshot.save(self, LAYOUT, history.tree, {}, mark="2")
            super().rename(path, new_path)

    disk = Interrupted()
    with pytest.raises(FileNotFoundError):
        snapshot.save(disk, LAYOUT, history.tree, {}, mark="1")
    assert disk.paths() == ["/data/version-2/snapshot.78"]
    snapshot.read_file(disk, "/data/version-2/snapshot.78", DataTree())


def test_unfinished_snapshots_are_removed_and_nothing_else() -> None:
    disk = SimDisk()
    for name in ("snapshot.1", ".snapshot.2.tmp", ".snapshot.3.gz.tmp", "log.1", "snapshot.x.tmp"):
        disk.put(f"/data/version-2/{name}", b"")
    removed = snapshot.remove_unfinished(disk, LAYOUT)
    assert removed == ["/data/version-2/.snapshot.2.tmp", "/data/version-2/.snapshot.3.gz.tmp"]
    assert disk.names(LAYOUT.snapshot_folder) == ["snapshot.1", "log.1", "snapshot.x.tmp"]


def test_the_quick_test_of_files() -> None:
    disk = SimDisk()
    whole = to_bytes(DataTree())
    cases = {
        "/snapshot.1": (whole, True),
        "/snapshot.2": (whole[:-1], False),
        "/snapshot.3": (END, False),
        "/snapshot.4": (b"", False),
        "/snapshot.5.gz": (b"\x1f\x8b", True),
        "/snapshot.6.gz": (whole, False),
        "/snapshot.7.snappy": (b"\x82SNAPPY\0", True),
        "/snapshot.8.snappy": (b"\x82SNAPPY", False),
    }
    for path, (data, _) in cases.items():
        disk.put(path, data)
    assert {path: snapshot.is_valid(disk, path) for path in cases} == {
        path: valid for path, (_, valid) in cases.items()
    }
