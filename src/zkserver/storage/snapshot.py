"""Snapshots: the whole tree in one file, so that a start need not replay every log.

A file `snapshot.<hex zxid>` (org.apache.zookeeper.server.persistence.FileSnap) holds

    "ZKSN", int version 2, long dbid -1
    int count · per session: long id, int timeout in ms
    int count · per ACL list: long index, vector<ACL>
    per node, parents first: ustring path ("" is the root), buffer data,
        long ACL index (-1: open), StatPersisted (60 bytes)
    ustring "/"                                 the end of the nodes
    seal: long Adler32 of all bytes before it, ustring "/"
    long zxid, int 2, long tree digest, seal    if digests are on
    long last zxid, seal                        if serializeLastProcessedZxid is on

The checksum runs on through all seals. Readers take files that end after any seal.
Invariants:

* a snapshot is of one moment (ours are written by a forked child); Java's are
  fuzzy: they may hold later transactions than their name says, which replay undoes;
* a file has its name only when it is whole: it is written under another name,
  synced and renamed. Java writes in place, hence the test of its tail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from zlib import adler32

from zkserver.jute import codec
from zkserver.storage.compression import Sink, compressing
from zkserver.storage.disk import Disk, OutputFile
from zkserver.storage.layout import Layout, is_temporary, snapshot_name, temporary_name
from zkserver.storage.snapshot_reader import (
    DIGEST,
    DIGEST_VERSION,
    END_MARK,
    FILE_HEADER,
    MAGIC,
    SEAL,
    SESSION,
    SnapshotError,
    SnapshotInfo,
    TreeDigest,
    is_valid,
    read,
    read_file,
)
from zkserver.tree.acls import OPEN_INDEX
from zkserver.tree.tree import DataTree

VERSION = 2
DBID = -1
NODES_PER_PIECE = 1000
PIECE_BYTES = 1 << 19
# Written back bit by bit, a snapshot does not hold up the log's syncs at its end.
SYNC_EVERY_BYTES = 1 << 20

class _Summing:
    """Passes bytes on to a sink and keeps their Adler32."""

    def __init__(self, sink: Sink) -> None:
        self._write = sink.write
        self.checksum = 1

    def write(self, data: bytes) -> None:
        self.checksum = adler32(data, self.checksum)
        self._write(data)

    def seal(self) -> None:
        self.write(SEAL.pack(self.checksum, END_MARK))


def write(
    sink: Sink,
    tree: DataTree,
    sessions: dict[int, int],
    *,
    digest_enabled: bool,
    serialize_last_zxid: bool,
) -> None:
    """Write a snapshot of `tree`, which must not change meanwhile."""
    out = _Summing(sink)
    out.write(FILE_HEADER.pack(MAGIC, VERSION, DBID) + opening(tree, sessions))
    for piece in node_pieces(tree):
        out.write(piece)
    out.write(END_MARK)
    out.seal()
    if digest_enabled:
        recorded = tree.digest if tree.digest_zxid else 0
        signed = recorded - (1 << 64) if recorded >= 1 << 63 else recorded
        out.write(DIGEST.pack(tree.digest_zxid, DIGEST_VERSION, signed))
        out.seal()
    if serialize_last_zxid:
        out.write(codec.pack_long(tree.last_zxid))
        out.seal()


def opening(tree: DataTree, sessions: dict[int, int]) -> bytes:
    """What stands before the nodes: the sessions' timeouts in ms, and the ACL table."""
    pieces = [codec.pack_int(len(sessions))]
    pieces += [SESSION.pack(session_id, timeout) for session_id, timeout in sessions.items()]
    pieces.append(codec.pack_int(len(tree.acls.table)))
    for index, acl in tree.acls.table.items():
        pieces += (codec.pack_long(index), codec.acl(acl))
    return b"".join(pieces)


def node_pieces(tree: DataTree) -> Iterator[bytes]:
    """All nodes without their end mark, parents first, in pieces of some nodes each.

    So many that a piece has about PIECE_BYTES if all nodes are alike, NODES_PER_PIECE at most:
    to look at each node's size would cost a twentieth of packing it.
    """
    alike = PIECE_BYTES * len(tree.nodes) // max(tree.data_size_bytes, 1)
    nodes_per_piece = max(1, min(NODES_PER_PIECE, alike))
    pack_int = codec.pack_int
    acl_bytes = {OPEN_INDEX: codec.pack_long(OPEN_INDEX)}
    pieces: list[bytes] = []
    limit = nodes_per_piece
    for path, node in tree.nodes.items():
        data = node.data
        stat = node.stat
        packed_acl = acl_bytes.get(node.acl)
        if packed_acl is None:
            packed_acl = acl_bytes[node.acl] = codec.pack_long(node.acl)
        if data is None or node.cversion or node.owner or node.children:
            pieces += (pack_int(len(path)), path, codec.buffer(data), packed_acl)
            pieces.append(node.persisted_stat())
        else:
            # A plain leaf's Stat differs from the stored one in two counts only,
            # and one of them is the length of its data.
            head = pack_int(len(path))
            pieces += (head, path, stat[52:56], data, packed_acl, stat[:52], stat[60:])
        limit -= 1
        if not limit:
            yield b"".join(pieces)
            pieces.clear()
            limit = nodes_per_piece
    yield b"".join(pieces)


class _FileSink:
    """Writes one after another into a file, and has it written back as it grows."""

    def __init__(self, file: OutputFile, sync: bool) -> None:
        self._file = file
        self._sync = sync
        self._unsynced_bytes = 0
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        self._file.write(self.size_bytes, data)
        self.size_bytes += len(data)
        self._unsynced_bytes += len(data)
        if self._sync and self._unsynced_bytes >= SYNC_EVERY_BYTES:
            self._file.sync()
            self._unsynced_bytes = 0


@dataclass(frozen=True)
class Saved:
    """A snapshot that was taken."""

    path: str
    zxid: int
    size_bytes: int


def save(
    disk: Disk,
    layout: Layout,
    tree: DataTree,
    sessions: dict[int, int],
    *,
    compression: str = "",
    digest_enabled: bool = True,
    serialize_last_zxid: bool = True,
    sync: bool = True,
    mark: str = "",
) -> Saved:
    """Write the snapshot of `tree.last_zxid`: whole and durable under its name, or not at all.

    `compression` is snapshot.compression.method: "", "gz" or "snappy". `mark` is
    the writing process's own, such as its id: the child of a killed server may
    still be writing the same snapshot. Raises OSError; what was written of it is
    removed then, so that a full disk gets its space back.
    """
    name = snapshot_name(tree.last_zxid, compression)
    path = layout.snapshot_path(name)
    temporary = layout.snapshot_path(temporary_name(name, mark))
    file = disk.create(temporary)
    try:
        try:
            sink = _FileSink(file, sync)
            packer = compressing(sink, compression)
            write(
                packer,
                tree,
                sessions,
                digest_enabled=digest_enabled,
                serialize_last_zxid=serialize_last_zxid,
            )
            packer.finish()
            if sync:
                file.sync()
        finally:
            file.close()
        disk.rename(temporary, path)
        if sync:
            disk.sync_folder(layout.snapshot_folder)
    except OSError:
        if disk.exists(temporary):
            disk.remove(temporary)
        raise
    return Saved(path, tree.last_zxid, sink.size_bytes)


def remove_unfinished(disk: Disk, layout: Layout) -> list[str]:
    """Remove snapshots that a crash left half written; their paths."""
    names = [name for name in disk.names(layout.snapshot_folder) if is_temporary(name)]
    paths = [layout.snapshot_path(name) for name in sorted(names)]
    for path in paths:
        disk.remove(path)
    return paths


__all__ = [
    "Saved",
    "SnapshotError",
    "SnapshotInfo",
    "TreeDigest",
    "is_valid",
    "read",
    "read_file",
    "remove_unfinished",
    "save",
    "write",
]
