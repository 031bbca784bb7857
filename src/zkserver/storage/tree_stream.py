"""The tree on a learner's link, behind SNAP.

    int count · per session: long id, int timeout in ms
    int count · per ACL list: long index, vector<ACL>
    nodes, then ustring "/"           as in a snapshot, see `storage.snapshot`
    ustring "BenWasHere"

It has neither header nor checksum nor length, so only reading it tells where it ends: `TreeReader`
is fed what comes from the link and gives back what stands behind the signature, which are
packets again. The zxid of the tree is that of the SNAP. Invariants:

* the reader never asks for more than the record at hand needs, so it never waits for bytes that
  the leader has no reason to send;
* it holds the tree and one record, and no record over its limit.

Left out: holding the tree still. It must not change between the first piece and the last, so a
leader lets a forked child make the pieces, or takes them all at once.
"""

from __future__ import annotations

from collections.abc import Iterator

from zkserver.jute import codec
from zkserver.jute.quorum_packets import SNAPSHOT_SIGNATURE
from zkserver.storage.snapshot import node_pieces, opening
from zkserver.storage.snapshot_reader import (
    END_MARK,
    Reading,
    SnapshotError,
    Source,
    finish,
    read_tree,
)
from zkserver.tree.tree import DataTree

MAX_PIECE_BYTES = 1 << 20
DEFAULT_LIMIT_BYTES = 1 << 26
_SIGNATURE = codec.buffer(SNAPSHOT_SIGNATURE)


def pieces(tree: DataTree, session_timeouts_ms: dict[int, int]) -> Iterator[bytes]:
    """The bytes of `tree` and of the sessions, in pieces of at most MAX_PIECE_BYTES."""
    yield from _cut(opening(tree, session_timeouts_ms))
    for piece in node_pieces(tree):
        yield from _cut(piece)
    yield END_MARK + _SIGNATURE


def _cut(data: bytes) -> Iterator[bytes]:
    if len(data) <= MAX_PIECE_BYTES:
        yield data
        return
    for start in range(0, len(data), MAX_PIECE_BYTES):
        yield data[start : start + MAX_PIECE_BYTES]


class TreeReader:
    """Fills a tree from what comes behind a SNAP.

    From the first `feed` until it gives back bytes the tree is not to be read. If it never does,
    because of an error or a lost link, the tree holds nothing of use and is to be loaded anew.
    `tree.last_zxid` is left to the caller, who has the SNAP.
    `sessions` are the timeouts in ms, there at the end. `limit_bytes` is for one record: a node,
    or an ACL list.
    """

    def __init__(self, tree: DataTree, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._tree = tree
        self._source = Source(limit_bytes)
        self._reading: Reading[None] | None = None
        self.sessions: dict[int, int] = {}

    def feed(self, chunk: bytes) -> bytes | None:
        """Read on; None while more is needed, then what is left behind the signature.

        The last call also sums up digest, sizes and quotas of the whole tree, which takes about
        as long as reading it. Raises SnapshotError for what does not read. Not to be called after
        that, nor after the end.
        """
        reading = self._reading
        if reading is None:
            reading = self._reading = self._read()
            next(reading)
        if not chunk:
            return None
        try:
            reading.send(chunk)
        except StopIteration:
            return self._source.buffer[self._source.position :]
        return None

    def _read(self) -> Reading[None]:
        source = self._source
        self.sessions = yield from read_tree(source, self._tree)
        yield from source.need(len(_SIGNATURE))
        stop = source.position + len(_SIGNATURE)
        found = source.buffer[source.position : stop]
        if found != _SIGNATURE:
            raise SnapshotError(f"the tree ends with {found!r} and not with {_SIGNATURE!r}")
        source.position = stop
        finish(self._tree)
