"""Writes on their way: prepared, logged in batches, applied, answered.

`submit` prepares a request and adds it to the open batch. When the runtime finds
the disk free it takes the batch with `take_batch`, writes and syncs it, and calls
`durable` with it; only then are its transactions applied, in zxid order, and
answered. While one batch is on its way to the disk the next one gathers: that is
the group commit.

Inside a batch, transactions of one connection with no other's between them are a
`Run`, so that the connection is looked after once for all of them.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, Any

from zkserver.base import opcodes as op
from zkserver.base.acl import Id
from zkserver.base.errors import ErrorCode, ExitCode, FatalError
from zkserver.jute import codec
from zkserver.jute.codec import pack_int
from zkserver.jute.txns import Txn
from zkserver.prep.common import PREPARERS
from zkserver.prep.prep import WRITES, Prep, Prepared, Rules
from zkserver.server import watching
from zkserver.server.connection import CLOSED, OPEN, Connection
from zkserver.server.reads import HANDLERS, HEADER_SIZE, STAT_SIZE, pack_reply
from zkserver.server.run import Batch, Run
from zkserver.session import passwords

if TYPE_CHECKING:
    from zkserver.server.server import Server

SET_DATA = op.SET_DATA
CREATE = op.CREATE
SESSION_KINDS = frozenset((op.CREATE_SESSION, op.CLOSE_SESSION))
_WITH_STAT = frozenset((op.CREATE2, op.CREATE_TTL, op.CREATE_CONTAINER))

_pack_multi_header = Struct(">i?i").pack
_pack_path_reply = Struct(">iiqii").pack
_SET_REPLY_SIZE = HEADER_SIZE + STAT_SIZE
_PATH_REPLY_SIZE = HEADER_SIZE + 4


class Internal:
    """The server itself as the caller of a request, on behalf of a session (0: nobody's)."""

    ids: tuple[Id, ...] = ()

    def __init__(self, session_id: int) -> None:
        self.session_id = session_id


class Pipeline:
    """See the module's docstring. One per server; used from the event loop only."""

    # What `srvr` and others call this server.
    mode = "standalone"
    # What is answered from the tree, and what goes through the pipeline, by opcode.
    handlers = HANDLERS
    writes = WRITES
    # Sessions expire and containers are deleted by this server's word.
    is_authority = True

    def __init__(self, server: Server) -> None:
        config = server.config
        self.server = server
        rules = Rules(
            config.skip_acl,
            config.enforce_quota,
            config.close_session_txn_enabled,
            config.reconfig_enabled,
        )
        prep = self.prep = Prep(server.tree, server.sessions, server.providers, rules)
        prep.quota_refused = server.stats.refused_by_quota
        # 0 or less: no bound.
        size = config.max_batch_size
        self._max_batch_size = size if size > 0 else 1 << 62
        self._open = Batch()
        self._full: deque[Batch] = deque()
        # The run that the next write joins if it is of the same connection.
        self._run: Run | None = None
        self._applied_zxid = prep.zxid
        # Set while a batch is open and nobody has been told to come for it.
        self.idle = True
        # When the batch that is being answered was on disk, or a quorum had it.
        self._done_ms = 0
        # How many of its writes took this long, and are not in the figures yet.
        self._updates = 0
        self._updates_ms = 0

    def submit(
        self, connection: Connection, kind: int, cxid: int, data: bytes, start: int, stop: int
    ) -> bool:
        """Take a client's write, its record being `data[start:stop]`.

        False if that cannot be read; then nothing has happened.
        """
        server = self.server
        wall_ms = server.chunk_wall_ms
        if not wall_ms:
            wall_ms = server.chunk_wall_ms = server.wall_ms()
        preparer = PREPARERS.get(kind)
        if preparer is not None:
            prepared = preparer(self.prep, connection, cxid, data, start, stop, wall_ms)
        else:
            prepared = self.prep.prepare(kind, connection, cxid, data[start:stop], wall_ms)
        if prepared is None:
            return False
        run = self._run
        if run is None or run.connection is not connection:
            run = self._run = Run(connection, server.chunk_ms)
            self._open.runs.append(run)
            connection.waiting.append(run)
        run.kind = kind
        run.writes.append(prepared)
        entries = self._open.entries
        entries.append(prepared[2])
        server.in_flight += 1
        if self.idle:
            self.idle = False
            server.host.batch_is_open()
        if len(entries) >= self._max_batch_size:
            self._close_batch()
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

    def resume_session(
        self, connection: Connection, session_id: int, password: bytes | None
    ) -> None:
        """A client comes back with its session, if it is still one."""
        server = self.server
        is_valid = password == passwords.password(session_id) and server.sessions.set_timeout(
            session_id, connection.session_timeout_ms, server.now_ms()
        )
        server.settle(connection, session_id, is_valid=is_valid)

    def abandoned(self, connection: Connection) -> int:
        """How many requests of a connection that is gone are under way no more.

        Writes are counted when they are applied.
        """
        return sum(isinstance(one, tuple) for one in connection.waiting)

    def _add(self, prepared: Prepared, connection: Connection | None, kind: int) -> None:
        run = Run(connection, self.server.now_ms())
        run.kind = kind
        run.writes.append(prepared)
        self._add_run(run)

    def _add_run(self, run: Run) -> None:
        """A run that nothing joins."""
        self._run = None
        self._open.runs.append(run)
        self._open.entries += [prepared[2] for prepared in run.writes]
        self.server.in_flight += len(run.writes)
        if self.idle:
            self.idle = False
            self.server.host.batch_is_open()

    def _close_batch(self) -> None:
        self._full.append(self._open)
        self._open = Batch()
        self._run = None

    def end_run(self) -> None:
        """A read waits behind the last write, so the next one must not join its run."""
        self._run = None

    def take_batch(self) -> Batch:
        """The next transactions to write; empty if there are none.

        An empty one makes the pipeline call `batch_is_open` at the next write.
        """
        if not self._full:
            self._close_batch()
        batch = self._full.popleft()
        if not batch.entries:
            self.idle = True
        return batch

    def durable(self, batch: Batch) -> None:
        """The batch is on disk: apply it, answer it, let the reads behind it go."""
        done = count = len(batch.entries)
        now_ms = self._done_ms = self.server.now_ms()
        if count:
            self.server.stats.log_queue_and_flush.record(count, now_ms - batch.runs[0].since_ms)
        for run in batch.runs:
            done += self._finish(run)
        self._account(count, done)

    def _finish(self, run: Run, *, is_whole: bool = True) -> int:
        """Apply a run and answer it; how many reads behind it were served.

        One that is not whole stays where it is in its connection's queue.
        """
        server = self.server
        connection = run.connection
        first = run.writes[0][0][2]
        if first != self._applied_zxid + 1:
            raise FatalError(
                ExitCode.UNEXPECTED_ERROR,
                f"transaction 0x{first:x} was to be applied after 0x{self._applied_zxid:x}",
            )
        self._applied_zxid = self._apply_run(run, connection)
        stats = server.stats
        stats.unsampled_writes += len(run.writes)
        if self._done_ms != stats.writes_sampled_ms:
            stats.writes_sampled_ms = self._done_ms
            stats.sample_writes(run.writes)
        if run.large_bytes:
            server.large_requests.end(run.large_bytes)
        if connection is None or connection.phase != OPEN:
            return 0
        server.unflushed[connection] = None
        waiting = connection.waiting
        served = 0
        if waiting and (waiting[0] is run or not is_whole):
            connection.answered += len(run.writes)
            elapsed_ms = self._done_ms - run.since_ms
            if elapsed_ms != self._updates_ms:
                self._record_updates()
                self._updates_ms = elapsed_ms
            self._updates += len(run.writes)
            if is_whole:
                waiting.popleft()
                if waiting:
                    served = connection.serve_waiting()
                    if served:
                        stats.reads.record(served, elapsed_ms)
            connection.note_request(run.writes[-1][0][1], run.kind, run.since_ms)
        return served

    def _account(self, commits: int, done: int) -> None:
        """So many transactions were applied, and so many requests are answered."""
        server = self.server
        self._record_updates()
        self.prep.applied(self._applied_zxid)
        server.stats.commits += commits
        server.in_flight -= done
        server.flush_connections()

    def _record_updates(self) -> None:
        """Put the latencies of writes into the figures: equal ones as one record."""
        if self._updates:
            self.server.stats.updates.record(self._updates, self._updates_ms)
            self._updates = 0

    def _apply_run(self, run: Run, connection: Connection | None) -> int:
        """Apply the transactions of a run and put the replies out; the zxid of the last one."""
        tree = self.server.tree
        apply = tree.apply
        fired = tree.fired
        answer = connection is not None and connection.phase == OPEN
        out = connection.out if connection is not None else []
        result: Any
        zxid = 0
        for txn, digest, _ in run.writes:
            _, cxid, zxid, _, kind, _ = txn
            result = apply(txn, digest)
            if fired:
                watching.deliver(fired)
            if kind == SET_DATA and answer:
                out += (pack_reply(_SET_REPLY_SIZE, cxid, zxid, 0), result[3])
            elif kind in SESSION_KINDS:
                session_changed(self.server, txn, connection)
            elif not answer:
                continue
            elif kind == CREATE:
                path = result[2]
                size = len(path)
                out += (_pack_path_reply(_PATH_REPLY_SIZE + size, cxid, zxid, 0, size), path)
            else:
                out += reply(cxid, zxid, kind, result)
        return zxid


def session_changed(server: Server, txn: Txn, connection: Connection | None) -> None:
    """A session was opened or closed by a transaction that `connection` asked for."""
    session_id, cxid, zxid, _, kind, body = txn
    if kind == op.CREATE_SESSION:
        if body is not None:
            server.sessions.add(session_id, body[0], server.now_ms())
        if connection is not None and connection.phase != CLOSED:
            connection.settle(valid=True)
        return
    server.sessions.remove(session_id)
    if connection is not None and connection.phase == OPEN:
        connection.out.append(pack_reply(HEADER_SIZE, cxid, zxid, 0))
        connection.answered += 1
    for each in (connection, server.by_session.get(session_id)):
        if each is not None and each.phase != CLOSED:
            each.flush()
            each.close()


def has_moved(result: Any) -> bool:
    """Whether a write was refused because its client has moved to another server since."""
    return bool(result[1] == ErrorCode.SESSIONMOVED)


def reply(cxid: int, zxid: int, kind: int, result: Any) -> tuple[bytes, ...]:
    """The frames of the reply to a write of a client: header and record."""
    _, error, path, outcome = result
    if kind == op.MULTI:
        # A failed multi is told operation by operation; its header says 0.
        record = _multi_record(outcome)
        return pack_reply(HEADER_SIZE + len(record), cxid, zxid, 0), record
    if error:
        return (pack_reply(HEADER_SIZE, cxid, zxid, error),)
    if kind in _WITH_STAT:
        record = codec.buffer(path) + outcome
        return pack_reply(HEADER_SIZE + len(record), cxid, zxid, 0), record
    if kind == CREATE:
        return pack_reply(_PATH_REPLY_SIZE + len(path), cxid, zxid, 0), codec.buffer(path)
    if kind in (SET_DATA, op.SET_ACL):
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
