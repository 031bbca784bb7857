"""Reading snapshots; `storage.snapshot` describes the format.

The nodes are read in one loop that makes a plain leaf's wire Stat by cutting
the stored one apart, because a start with a million znodes waits for it. The
bytes pass through in pieces: memory holds the tree and one piece.

The parser is fed: it is a generator that yields where it needs the next piece
(`Reading`). So the same one reads files, whose pieces are there for the asking,
and the tree on a learner's link, which comes when it comes (`storage.tree_stream`).
It yields once for a piece, not for a node.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from struct import Struct
from typing import TypeVar
from zlib import adler32

from zkserver.base.acl import AclList
from zkserver.jute.codec import Cursor, JuteError
from zkserver.storage.compression import (
    GZIP_MAGIC,
    SNAPPY_MAGIC,
    CompressionError,
    decompressing,
)
from zkserver.storage.disk import Disk, chunks
from zkserver.storage.layout import compression_of
from zkserver.tree import loading
from zkserver.tree.tree import DataTree
from zkserver.tree.znode import Znode

FILE_HEADER = Struct(">4siq")
MAGIC = b"ZKSN"
DIGEST_VERSION = 2
END_MARK = b"\0\0\0\x01/"
MIN_PLAIN_BYTES = 10
SESSION = Struct(">qi")
SEAL = Struct(">q5s")
DIGEST = Struct(">qiq")

_LAST_ZXID_BYTES = 8 + SEAL.size
# A node's ACL index and Stat, and the length of what comes next.
_TAIL_BYTES = 72
_NO_CHILDREN = bytes(4)
# cversion, aversion and ephemeralOwner of a node without any.
_PLAIN = bytes(16)

# More than any length that 31 bits can say.
_NO_LIMIT_BYTES = 1 << 32

T = TypeVar("T")

# What yields for the next piece, is sent it (b"" at the end, again and again), and returns a T.
Reading = Generator[None, bytes, T]


class SnapshotError(Exception):
    """A snapshot that does not read: an older one may."""


@dataclass(frozen=True)
class TreeDigest:
    """The digest a snapshot carries, of the tree right after `zxid`; zxid 0 says nothing.

    With a version other than 2 it cannot be compared.
    """

    zxid: int
    version: int
    digest: int


@dataclass(frozen=True)
class SnapshotInfo:
    """What a snapshot holds beside the nodes.

    `digest` and `last_zxid` are None in files of older servers, or if switched off.
    """

    sessions: dict[int, int] = field(default_factory=dict)
    digest: TreeDigest | None = None
    last_zxid: int | None = None


class Source:
    """A window over bytes that are fed in, with the Adler32 of what was passed.

    With a limit they are a stream, where nothing says how much is still to come: no more is
    asked for than a record needs, a record over the limit is refused, and no sum is kept.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._is_stream = limit_bytes is not None
        self._limit_bytes = _NO_LIMIT_BYTES if limit_bytes is None else limit_bytes
        self._checksum = 1
        self._counted = 0
        self._passed_bytes = 0
        self.buffer = b""
        self.position = 0

    def left(self, wanted_bytes: int) -> Reading[int]:
        """How many bytes are there from the position on, up to about `wanted_bytes`.

        What lies before the position is let go.
        """
        size_bytes = len(self.buffer) - self.position
        if size_bytes >= wanted_bytes:
            return size_bytes
        if not self._is_stream:
            self.checksum()
        self._passed_bytes += self.position
        parts = [self.buffer[self.position :]]
        while size_bytes < wanted_bytes:
            piece = yield
            if not piece:
                break
            parts.append(piece)
            size_bytes += len(piece)
        self.buffer = b"".join(parts)
        self.position = self._counted = 0
        return size_bytes

    def need(self, wanted_bytes: int) -> Reading[None]:
        """Bring in so many bytes; SnapshotError if there are not that many."""
        if wanted_bytes > self._limit_bytes:
            raise SnapshotError(
                f"a record of at least {wanted_bytes} bytes, over the limit of {self._limit_bytes}"
            )
        if (yield from self.left(wanted_bytes)) < wanted_bytes:
            raise SnapshotError("it ends early")

    def take(self, read: Callable[[Cursor], T]) -> Reading[T]:
        """Read with a Cursor, however the pieces are cut."""
        while True:
            cursor = Cursor(self.buffer, self.position)
            try:
                value = read(cursor)
            except JuteError as error:
                if "early" not in str(error):
                    raise SnapshotError(str(error)) from None
                size_bytes = len(self.buffer) - self.position
                # Of a file twice as much each time: a damaged count may ask for all of it.
                yield from self.need(size_bytes + 1)
                if not self._is_stream:
                    yield from self.left(2 * size_bytes)
            else:
                self.position = cursor.position
                return value

    def checksum(self) -> int:
        """The Adler32 of everything before the position."""
        passed = self.buffer[self._counted : self.position]
        self._checksum = adler32(passed, self._checksum)
        self._counted = self.position
        return self._checksum

    def check_seal(self) -> Reading[None]:
        """Read a seal and compare; SnapshotError if it does not match."""
        expected = self.checksum()
        offset = self._passed_bytes + self.position
        if (yield from self.take(Cursor.long)) != expected:
            raise SnapshotError(f"the checksum at byte {offset} does not match")
        yield from self.take(Cursor.buffer)


def read(
    pieces: Iterable[bytes],
    tree: DataTree,
    progress: Callable[[int], object] | None = None,
) -> SnapshotInfo:
    """Fill `tree` from the uncompressed bytes of a snapshot, given in any pieces.

    `progress` is told the number of nodes now and then. Raises SnapshotError, and
    leaves a tree that must be loaded anew, if the bytes are no snapshot or a
    checksum is wrong. `tree.last_zxid` is left to the caller: the file's name
    has it.
    """
    reading = _snapshot(Source(), tree, progress)
    try:
        next(reading)
        for piece in pieces:
            if piece:
                reading.send(piece)
        while True:
            reading.send(b"")
    except StopIteration as end:
        info: SnapshotInfo = end.value
        return info


def _snapshot(
    source: Source, tree: DataTree, progress: Callable[[int], object] | None
) -> Reading[SnapshotInfo]:
    yield from source.need(FILE_HEADER.size)
    magic, _, _ = FILE_HEADER.unpack_from(source.buffer)
    if magic != MAGIC:
        raise SnapshotError(f'it begins with {magic.hex()} and not with 5a4b534e, "ZKSN"')
    source.position = FILE_HEADER.size
    sessions = yield from read_tree(source, tree, progress)
    yield from source.check_seal()
    digest, last_zxid = yield from _read_sections(source)
    finish(tree)
    return SnapshotInfo(sessions, digest, last_zxid)


def read_tree(
    source: Source, tree: DataTree, progress: Callable[[int], object] | None = None
) -> Reading[dict[int, int]]:
    """Read sessions, ACL table, nodes and their end mark; the sessions' timeouts in ms.

    The tree is good only when `finish` has closed it. Raises SnapshotError.
    """
    loading.begin(tree)
    sessions = {}
    for _ in range((yield from source.take(Cursor.int))):
        session_id = yield from source.take(Cursor.long)
        sessions[session_id] = yield from source.take(Cursor.int)
    acls: dict[int, AclList] = {}
    for _ in range((yield from source.take(Cursor.int))):
        index = yield from source.take(Cursor.long)
        acls[index] = yield from source.take(Cursor.acl)
    loading.add_acls(tree, acls)
    try:
        yield from _read_nodes(source, tree, progress)
    except ValueError as error:
        raise SnapshotError(str(error)) from error
    return sessions


def finish(tree: DataTree) -> None:
    """Close a load whose bytes were good; SnapshotError if they had no root."""
    try:
        loading.finish(tree)
    except ValueError as error:
        raise SnapshotError(str(error)) from error


def _sizes_of(sizes: dict[int, bytes], path: bytes, data_length: int) -> bytes:
    """The wire Stat's two sizes of a leaf, kept for the next one with as much data."""
    if data_length < 0:
        raise SnapshotError(f"{path!r}: data of {data_length} bytes")
    size = sizes[data_length] = data_length.to_bytes(4, "big") + _NO_CHILDREN
    return size


def _read_nodes(
    source: Source, tree: DataTree, progress: Callable[[int], object] | None
) -> Reading[None]:
    """Read all nodes and the end mark.

    A plain leaf (no owner, no count of children or ACL changes) is made on the
    spot: its stored and wire Stat share the first 52 bytes, and the wire form has
    the two sizes before pzxid. `tree.loading.add_node` makes the others.
    """
    nodes = tree.nodes
    add_node = loading.add_node
    unpack_int = Struct(">i").unpack_from
    # ACL index, Stat up to the owner, pzxid, and the length of the next path.
    unpack_tail = Struct(">q52s8si").unpack_from
    new = Znode.__new__
    sizes: dict[int, bytes] = {-1: bytes(8)}
    siblings: dict[bytes, None] = {}
    siblings_path: bytes | None = None
    yield from source.need(4)
    buffer, position = source.buffer, source.position + 4
    (length,) = unpack_int(buffer, source.position)
    while True:
        # `position` is at a path of `length` bytes.
        data_head = position + length
        start = data_head + 4
        if length < 0:
            raise SnapshotError(f"a path of {length} bytes")
        if start > len(buffer):
            source.position = position
            yield from source.need(length + 4)
            buffer, position = source.buffer, source.position
            continue
        path = buffer[position:data_head]
        if length == 1 and path == b"/":
            source.position = data_head
            return
        (data_length,) = unpack_int(buffer, data_head)
        tail = start + data_length if data_length > 0 else start
        if tail + _TAIL_BYTES > len(buffer):
            source.position = position
            yield from source.need(tail + _TAIL_BYTES - position)
            buffer, position = source.buffer, source.position
            if progress is not None:
                progress(len(nodes))
            continue
        data = buffer[start:tail] if data_length >= 0 else None
        acl, head, pzxid, length = unpack_tail(buffer, tail)
        position = tail + _TAIL_BYTES
        size = sizes.get(data_length) or _sizes_of(sizes, path, data_length)
        if not path or not head.endswith(_PLAIN):
            add_node(tree, path, data, acl, head + pzxid)
            siblings_path = None
            continue
        parent_path = path.rpartition(b"/")[0]
        if parent_path != siblings_path:
            parent = nodes.get(parent_path)
            if parent is None:
                raise SnapshotError(f"no parent before {path!r}")
            if parent.children is None:
                parent.children = {}
            siblings = parent.children
            siblings_path = parent_path
        siblings[path] = None
        nodes[path] = node = new(Znode)
        node.data = data
        node.stat = head + size + pzxid
        node.acl = acl
        node.owner = node.cversion = 0
        node.children = None


def _read_sections(source: Source) -> Reading[tuple[TreeDigest | None, int | None]]:
    """The two optional sections, told apart by what is left of the file."""
    digest = None
    left = yield from source.left(2 * _LAST_ZXID_BYTES)
    if left == 0:
        return None, None
    if left != _LAST_ZXID_BYTES:
        zxid = yield from source.take(Cursor.long)
        version = yield from source.take(Cursor.int)
        if version >= DIGEST_VERSION:
            signed = yield from source.take(Cursor.long)
            digest = TreeDigest(zxid, version, signed & 0xFFFFFFFFFFFFFFFF)
        else:
            yield from source.take(Cursor.buffer)
            digest = TreeDigest(zxid, version, 0)
        yield from source.check_seal()
    if (yield from source.left(1)) == 0:
        return digest, None
    last_zxid = yield from source.take(Cursor.long)
    yield from source.check_seal()
    return digest, last_zxid


def read_file(
    disk: Disk, path: str, tree: DataTree, progress: Callable[[int], object] | None = None
) -> SnapshotInfo:
    """Fill `tree` from a snapshot file, compressed as its name says.

    Raises SnapshotError if the file does not read as a snapshot.
    """
    pieces = decompressing(chunks(disk, path), compression_of(path.rpartition("/")[2]))
    try:
        return read(pieces, tree, progress)
    except (CompressionError, OSError) as error:
        raise SnapshotError(str(error)) from error


def is_valid(disk: Disk, path: str) -> bool:
    """Java's quick test whether a file may be a snapshot: its tail, or a codec's magic."""
    compression = compression_of(path.rpartition("/")[2])
    if compression:
        magic = GZIP_MAGIC if compression == "gz" else SNAPPY_MAGIC
        return disk.read(path, 0, len(magic)) == magic
    size_bytes = disk.size(path)
    if size_bytes < MIN_PLAIN_BYTES:
        return False
    return disk.read(path, size_bytes - len(END_MARK), len(END_MARK)) == END_MARK
