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

from dataclasses import dataclass
from zlib import adler32, crc32

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
from zkserver.tree.tree import MASK64, PROC_CHILDREN, DataTree

VERSION = 2
DBID = -1
NODES_PER_WRITE = 1000
# Written back bit by bit, a snapshot does not hold up the log's syncs at its end.
SYNC_EVERY_BYTES = 8 << 20

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
) -> int:
    """Write a snapshot of `tree` and return the digest summed over its nodes (0 if disabled).

    The caller compares it with `tree.digest`. The tree must not change meanwhile.
    """
    out = _Summing(sink)
    pieces = [FILE_HEADER.pack(MAGIC, VERSION, DBID), codec.pack_int(len(sessions))]
    pieces += [SESSION.pack(session_id, timeout) for session_id, timeout in sessions.items()]
    pieces.append(codec.pack_int(len(tree.acls.table)))
    for index, acl in tree.acls.table.items():
        pieces += (codec.pack_long(index), codec.acl(acl))
    out.write(b"".join(pieces))
    digest = _write_nodes(out, tree, digest_enabled)
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
    return digest


def _write_nodes(out: _Summing, tree: DataTree, digest_enabled: bool) -> int:
    pack_int = codec.pack_int
    acl_bytes = {OPEN_INDEX: codec.pack_long(OPEN_INDEX)}
    total = 0
    pieces: list[bytes] = []
    append = pieces.append
    limit = NODES_PER_WRITE
    for path, node in tree.nodes.items():
        append(pack_int(len(path)))
        append(path)
        data = node.data
        stat = node.stat
        if data is None:
            append(codec.NULL)
        else:
            append(stat[52:56])
            append(data)
        acl = node.acl
        packed = acl_bytes.get(acl)
        if packed is None:
            packed = acl_bytes[acl] = codec.pack_long(acl)
        append(packed)
        # A plain leaf's Stat differs from the stored one in two counts only.
        if node.cversion or node.owner or node.children:
            append(node.persisted_stat())
            if digest_enabled and not path.startswith(PROC_CHILDREN):
                total += node.digest(path)
        else:
            head = stat[:52]
            pzxid = stat[60:]
            append(head)
            append(pzxid)
            if digest_enabled and not path.startswith(PROC_CHILDREN):
                crc = crc32(path)
                if data:
                    crc = crc32(data, crc)
                total += crc32(b"".join((head[:16], pzxid, head[16:])), crc)
        limit -= 1
        if not limit:
            out.write(b"".join(pieces))
            pieces.clear()
            limit = NODES_PER_WRITE
    out.write(b"".join(pieces))
    return total & MASK64


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
    """A snapshot that was taken. `digest` is the sum over its nodes, to compare with the tree's."""

    path: str
    zxid: int
    size_bytes: int
    digest: int


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
            digest = write(
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
    return Saved(path, tree.last_zxid, sink.size_bytes, digest)


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
