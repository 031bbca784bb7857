"""Writes on their way: prepared, logged in batches, applied, answered.

`submit` prepares a request and adds it to the open batch. When the runtime finds
the disk free it takes the batch with `take_batch`, writes and syncs it, and calls
`durable` with it; only then are its transactions applied, in zxid order, and
answered. While one batch is on its way to the disk the next one gathers: that is
the group commit.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

from zkserver.base import opcodes as op
from zkserver.base.acl import Id
from zkserver.jute import codec, txns
from zkserver.jute.codec import pack_int
from zkserver.jute.txns import Txn
from zkserver.prep.prep import Prep
from zkserver.server import watching
from zkserver.server.connection import CLOSED, OPEN, Connection
from zkserver.server.reads import HEADER_SIZE, STAT_SIZE, pack_reply

if TYPE_CHECKING:
    from zkserver.server.server import Server

SET_DATA = op.SET_DATA
Entry = tuple[int, bytes]
"""A zxid and the bytes to log for it."""
Write = tuple[Txn, int | None, Connection | None, int, int, int]
"""A transaction, the digest after it, who waits for it, the type asked for, when (ms) and
how large the request was (bytes)."""

_pack_multi_header = Struct(">i?i").pack
_SET_REPLY_SIZE = HEADER_SIZE + STAT_SIZE
_WITH_STAT = frozenset((op.CREATE2, op.CREATE_TTL, op.CREATE_CONTAINER))
_encode = txns.encode


class Internal:
    """The server itself as the caller of a request, on behalf of a session (0: nobody's)."""

    ids: tuple[Id, ...] = ()

    def __init__(self, session_id: int) -> None:
        self.session_id = session_id


class Batch:
    """Transactions that go to the disk together, and what is to be done after."""

    __slots__ = ("entries", "writes")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.writes: list[Write] = []


class Pipeline:
    """See the module's docstring. One per server; used from the event loop only."""

    def __init__(self, server: Server, prep: Prep) -> None:
        self.server = server
        self.prep = prep
        self._open = Batch()
        # Set while a batch is open and nobody has been told to come for it.
        self.idle = True

    def submit(self, connection: Connection, kind: int, cxid: int, body: bytes) -> bool:
        """Take a client's write; False if its record cannot be read (nothing has happened)."""
        server = self.server
        prepared = self.prep.prepare(kind, connection, cxid, body, server.chunk_wall_ms)
        if prepared is None:
            return False
        txn, digest = prepared
        batch = self._open
        batch.entries.append((txn[2], _encode(txn, digest)))
        batch.writes.append((txn, digest, connection, kind, server.chunk_ms, len(body)))
        server.in_flight += 1
        if server.in_flight > server.outstanding_limit:
            server.throttle(connection)
        if self.idle:
            self.idle = False
            server.host.batch_is_open()
        return True

    def submit_internal(self, kind: int, session_id: int, body: bytes = b"") -> None:
        """A write of the server's own: an expired session, an empty container."""
        server = self.server
        prepared = self.prep.prepare(kind, Internal(session_id), 0, body, server.wall_ms())
        if prepared is not None:
            self._add(prepared, None, kind)

    def open_session(self, connection: Connection) -> None:
        """Log the opening of the connection's session; the connection waits for it."""
        prepared = self.prep.prepare_create_session(
            connection.session_id, connection.session_timeout_ms, self.server.wall_ms()
        )
        self._add(prepared, connection, op.CREATE_SESSION)

    def _add(
        self, prepared: tuple[Txn, int | None], connection: Connection | None, kind: int
    ) -> None:
        txn, digest = prepared
        self._open.entries.append((txn[2], _encode(txn, digest)))
        self._open.writes.append((txn, digest, connection, kind, self.server.now_ms(), 0))
        self.server.in_flight += 1
        if self.idle:
            self.idle = False
            self.server.host.batch_is_open()

    def open_size(self) -> int:
        """The number of transactions that wait for the disk."""
        return len(self._open.writes)

    def take_batch(self, max_size: int) -> Batch:
        """The next transactions to write, at most `max_size`; empty if there are none.

        An empty one makes the pipeline call `batch_is_open` at the next write.
        """
        batch = self._open
        self._open = Batch()
        if len(batch.writes) > max_size > 0:
            self._open.entries = batch.entries[max_size:]
            self._open.writes = batch.writes[max_size:]
            del batch.entries[max_size:], batch.writes[max_size:]
        if not batch.writes:
            self.idle = True
        return batch

    def durable(self, batch: Batch) -> None:
        """The batch is on disk: apply it, answer it, let the reads behind it go."""
        server = self.server
        tree = server.tree
        fired = tree.fired
        unflushed = server.unflushed
        large = server.large_requests
        zxid = tree.last_zxid
        done = len(batch.writes)
        for txn, digest, connection, kind, since_ms, size in batch.writes:
            _, cxid, zxid, _, txn_kind, _ = txn
            result = tree.apply(txn, digest)
            if large.in_flight_bytes:
                large.end(size)
            if fired:
                watching.deliver(fired)
            if txn_kind == SET_DATA and connection is not None and connection.phase == OPEN:
                connection.out += (pack_reply(_SET_REPLY_SIZE, cxid, zxid, 0), result[3])
            elif txn_kind == op.CREATE_SESSION or txn_kind == op.CLOSE_SESSION:
                if not self._session_changed(txn, connection) or connection is None:
                    continue
            elif connection is None or connection.phase == CLOSED:
                continue
            else:
                connection.out += _reply(cxid, zxid, kind, result)
            unflushed[connection] = None
            waiting = connection.waiting
            waiting.popleft()
            connection.answered += 1
            if waiting and waiting[0] is not None:
                done += connection.serve_waiting()
            connection.since_ms = since_ms
            connection.cxid = cxid
            connection.last_kind = kind
        self.prep.applied(zxid)
        server.stats.commits += len(batch.writes)
        server.in_flight -= done
        server.flush_connections()

    def _session_changed(self, txn: Txn, connection: Connection | None) -> bool:
        """A session was opened or closed by a transaction.

        Returns whether that was a request among others of an open connection.
        """
        session_id, cxid, zxid, _, kind, body = txn
        server = self.server
        if kind == op.CREATE_SESSION:
            if body is not None:
                server.sessions.add(session_id, body[0], server.now_ms())
            if connection is None or connection.phase == CLOSED:
                return False
            among_others = connection.phase == OPEN
            connection.settle(valid=True)
            return among_others
        server.sessions.remove(session_id)
        if connection is not None and connection.phase == OPEN:
            connection.out.append(pack_reply(HEADER_SIZE, cxid, zxid, 0))
            connection.answered += 1
        for each in (connection, server.by_session.get(session_id)):
            if each is not None and each.phase != CLOSED:
                each.flush()
                each.close()
        return False


def _reply(cxid: int, zxid: int, kind: int, result: Any) -> tuple[bytes, ...]:
    """The frames of the reply to any write but setData: header and record."""
    _, error, path, outcome = result
    if kind == op.MULTI and result[0] == op.MULTI:
        # A failed multi is told operation by operation; its header says 0.
        record = _multi_record(outcome)
        return pack_reply(HEADER_SIZE + len(record), cxid, zxid, 0), record
    if error:
        return (pack_reply(HEADER_SIZE, cxid, zxid, error),)
    if kind == op.CREATE:
        return pack_reply(HEADER_SIZE + 4 + len(path), cxid, zxid, 0), pack_int(len(path)), path
    if kind in _WITH_STAT:
        record = codec.buffer(path) + outcome
        return pack_reply(HEADER_SIZE + len(record), cxid, zxid, 0), record
    if kind == op.SET_ACL or kind == op.SET_DATA:
        return pack_reply(_SET_REPLY_SIZE, cxid, zxid, 0), outcome
    return (pack_reply(HEADER_SIZE, cxid, zxid, 0),)


def _multi_record(results: list[Any]) -> bytes:
    """MultiResponse: one header and record per operation, and an end mark."""
    parts: list[bytes] = []
    for kind, error, path, stat in results:
        if kind == op.ERROR:
            parts += (_pack_multi_header(kind, False, error), pack_int(error))
        elif kind == op.CREATE:
            parts += (_pack_multi_header(kind, False, 0), codec.buffer(path))
        elif kind in _WITH_STAT:
            parts += (_pack_multi_header(op.CREATE2, False, 0), codec.buffer(path), stat)
        elif kind == op.SET_DATA:
            parts += (_pack_multi_header(kind, False, 0), stat)
        elif kind == op.DELETE_CONTAINER:
            parts.append(_pack_multi_header(op.DELETE, False, 0))
        else:
            parts.append(_pack_multi_header(kind, False, 0))
    parts.append(_pack_multi_header(-1, True, -1))
    return b"".join(parts)
