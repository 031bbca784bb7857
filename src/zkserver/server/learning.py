"""A learner's role, and its requests: sent to the leader, answered when their txns are committed.

Reads are served from this server's tree, behind the writes and syncs that their own connection
has under way. A write goes to the leader as it came; what comes back is everybody's txns, each
with the session and cxid of the request that it answers, so the head of the connection's queue
says whether it is waited for here.

Sessions are the leader's: a new one is a request, and a client that brings one over waits for the
leader's word (REVALIDATE). What sessions were heard of is told with the answer to each PING.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from zkserver.base import opcodes as op
from zkserver.base.errors import LinkError
from zkserver.base.zxid import hex_zxid, make_zxid
from zkserver.jute import quorum_packets as packets
from zkserver.jute import txns
from zkserver.jute.codec import JuteError, pack_int
from zkserver.jute.quorum_packets import Packet, PacketType, Request
from zkserver.jute.txns import Txn
from zkserver.prep.prep import decode_record
from zkserver.server import watching
from zkserver.server.connection import CLOSED, OPEN, Connection
from zkserver.server.database import Database, unreadable
from zkserver.server.leading import FORWARDED, LOCAL_READS
from zkserver.server.pipeline import SESSION_KINDS, has_moved, reply, session_changed
from zkserver.server.role import Role, RoleHost
from zkserver.server.run import Asker, Forwards, Run
from zkserver.server.server import Server
from zkserver.session import passwords
from zkserver.storage import tree_stream
from zkserver.storage.snapshot_reader import SnapshotError
from zkserver.zab.effects import Effects, Entry, Phase
from zkserver.zab.learner import Learner

# What brings a txn. INFORMANDACTIVATE does as well, behind a number.
_PROPOSAL, _COMMIT = int(PacketType.PROPOSAL), int(PacketType.COMMIT)
_CARRYING = (_PROPOSAL, int(PacketType.INFORM))


class LearnerPipeline:
    """See the module's docstring; `server.server.Requests` says what each method is for."""

    handlers = LOCAL_READS
    writes = FORWARDED
    is_authority = False

    def __init__(self, server: Server, database: Database, mode: str) -> None:
        self.server = server
        self.mode = mode
        self._database = database
        self._run: Forwards | None = None
        # When the txns that are being applied came.
        self._done_ms = 0
        # What the leader is to be asked when the turn ends, and where its syncs wait.
        self._asks: list[Packet] = []
        self._barriers: list[Run | Asker] = []
        # Who waits for the leader's word on a session, oldest first.
        self._resuming: dict[int, deque[Connection | Asker]] = {}

    # From clients

    def submit(
        self, connection: Connection, kind: int, cxid: int, data: bytes, start: int, stop: int
    ) -> bool:
        """Send a write, or a sync, to the leader. False if its record cannot be read."""
        body = data[start:stop]
        server = self.server
        if kind == op.SYNC:
            self._run = None
            barrier = Run(connection, server.chunk_ms)
            connection.waiting += (barrier, (cxid, op.SYNC, body))
            server.in_flight += 1
            self._barriers.append(barrier)
            self._ask(connection, kind, cxid, body)
            return True
        try:
            decode_record(kind, body)
        except JuteError:
            return False
        run = self._run
        if run is None or run.connection is not connection:
            run = self._run = Forwards(connection, server.chunk_ms)
            connection.waiting.append(run)
        run.kind = kind
        run.cxids.append(cxid)
        server.in_flight += 1
        self._ask(connection, kind, cxid, body)
        return True

    def submit_internal(self, kind: int, session_id: int, body: bytes = b"") -> None:
        """A learner writes nothing by itself."""

    def open_session(self, connection: Connection) -> None:
        """Ask for the connection's new session."""
        self._ask(connection, op.CREATE_SESSION, 0, pack_int(connection.session_timeout_ms))

    def resume_session(
        self, connection: Connection, session_id: int, password: bytes | None
    ) -> None:
        """Ask whether the session lives; `settled` has the answer."""
        if password != passwords.password(session_id):
            self.server.settle(connection, session_id, is_valid=False)
            return
        self._resuming.setdefault(session_id, deque()).append(connection)
        data = packets.build_revalidation(session_id, connection.session_timeout_ms)
        self._put(Packet(PacketType.REVALIDATE, -1, data))

    def pass_on(self, asked: Packet, asker: Asker | None, session_id: int | None = None) -> None:
        """What an observer asks. `asker` waits for a sync, or for word on `session_id`."""
        self._run = None
        if session_id is not None and asker is not None:
            self._resuming.setdefault(session_id, deque()).append(asker)
        elif asker is not None:
            self._barriers.append(asker)
        self._put(asked)

    def end_run(self) -> None:
        """A read waits behind the last write, so the next one must not join its run."""
        self._run = None

    def abandoned(self, connection: Connection) -> int:
        """All of them: what comes back of a write is nobody's then."""
        return sum(1 if isinstance(one, tuple) else len(one) for one in connection.waiting)

    def _ask(self, connection: Connection, kind: int, cxid: int, body: bytes) -> None:
        request = Request(connection.session_id, cxid, kind, body)
        data = packets.build_request(request)
        self._put(Packet(PacketType.REQUEST, -1, data, tuple(connection.ids)))

    def _put(self, packet: Packet) -> None:
        if not self._asks:
            self.server.host.batch_is_open()
        self._asks.append(packet)

    # To and from the leader

    def take_asks(self) -> tuple[list[Packet], list[Run | Asker]]:
        """What the leader is to be asked, in order, and who waits for the syncs among it."""
        asks = self._asks, self._barriers
        self._asks, self._barriers = [], []
        self._run = None
        return asks

    def heard_of(self, since_ms: int) -> list[tuple[int, int]]:
        """(session id, timeout in ms) of this server's sessions that were heard of since then."""
        live = self.server.sessions.live
        return [
            (session_id, connection.session_timeout_ms)
            for session_id, connection in self.server.by_session.items()
            if live.get(session_id, -1) >= since_ms
        ]

    def settled(self, session_id: int, *, is_valid: bool) -> None:
        """The leader's word on a session that a client came with."""
        waiting = self._resuming.get(session_id)
        if not waiting:
            return
        connection = waiting.popleft()
        if not waiting:
            del self._resuming[session_id]
        if isinstance(connection, Asker):
            connection.settled(session_id, is_valid=is_valid)
            return
        if connection.phase == CLOSED:
            return
        server = self.server
        if is_valid:
            server.sessions.resume(session_id, connection.session_timeout_ms, server.now_ms())
        server.settle(connection, session_id, is_valid=is_valid)

    def synced(self, barrier: Run) -> None:
        """The leader has answered a sync: it and the reads behind it are served."""
        server = self.server
        connection = barrier.connection
        if connection is not None and connection.phase != CLOSED:
            connection.waiting.popleft()
            server.in_flight -= connection.serve_waiting()
            server.unflushed[connection] = None
            server.flush_connections()

    def committed(self, entries: Sequence[Entry]) -> None:
        """Apply committed txns in order, and answer those that are waited for here."""
        server = self.server
        tree, stats = server.tree, server.stats
        done = 0
        self._done_ms = server.now_ms()
        for zxid, entry in entries:
            try:
                txn, digest = txns.decode(entry)
            except JuteError as error:
                raise unreadable(zxid, error) from error
            result = tree.apply(txn)
            self._database.compare(zxid, digest)
            if tree.fired:
                watching.deliver(tree.fired)
            connection = server.by_session.get(txn[0])
            if txn[4] in SESSION_KINDS:
                done += self._session(txn, connection)
            elif connection is not None and _is_next(connection, txn[1]):
                if result[1] and has_moved(result):
                    # Its client is elsewhere, and must not believe that this was refused to it.
                    connection.close_after_output()
                    continue
                connection.out += reply(txn[1], zxid, txn[4], result)
                connection.answered += 1
                done += self._answered(connection)
        count = len(entries)
        stats.learner_commits += count
        stats.unsampled_writes += count
        if self._done_ms != stats.writes_sampled_ms:
            stats.writes_sampled_ms = self._done_ms
            stats.sample_write(txn)
        age_ms = max(server.wall_ms() - txn[3], 0)
        stats.propagation.record(count, age_ms)
        stats.commit_propagation.record(count, age_ms)
        server.in_flight -= done
        server.flush_connections()

    def _session(self, txn: Txn, connection: Connection | None) -> int:
        """A session was opened or closed; how many requests that answers.

        What waits behind the end of a session is dropped with its connection. A client that asks
        for a session inside of one is told again of the one that it has.
        """
        is_opened = txn[4] == op.CREATE_SESSION
        is_beginning = is_opened and connection is not None and connection.phase != OPEN
        is_request = connection is not None and _is_next(connection, txn[1])
        session_changed(self.server, txn, connection if is_beginning or is_request else None)
        if connection is None or not is_opened or not is_request:
            return 0
        return self._answered(connection)

    def _answered(self, connection: Connection) -> int:
        """The first request that the connection waits for is answered: go on behind it."""
        run = connection.waiting[0]
        self.server.unflushed[connection] = None
        if not isinstance(run, Forwards):
            return 0
        cxid = run.cxids.popleft()
        if run.cxids:
            run.answered += 1
            return 1
        stats = self.server.stats
        elapsed_ms = self._done_ms - run.since_ms
        stats.updates.record(run.answered + 1, elapsed_ms)
        connection.waiting.popleft()
        if run is self._run:
            self._run = None
        if run.large_bytes:
            self.server.large_requests.end(run.large_bytes)
        connection.note_request(cxid, run.kind, run.since_ms)
        served = connection.serve_waiting()
        if served:
            stats.reads.record(served, elapsed_ms)
        return 1 + served


def _is_next(connection: Connection, cxid: int) -> bool:
    """Whether the connection waits for the answer to this request first of all."""
    if connection.phase != OPEN or not connection.waiting:
        return False
    head = connection.waiting[0]
    return isinstance(head, Forwards) and head.cxids[0] == cxid


class Observers(Protocol):
    """Who is told what a follower applies."""

    def applied(self, entries: list[Entry]) -> None: ...
    def tick(self, now_ms: int) -> None: ...


class LearnerRole(Role):
    """A follower or an observer with its one link. A follower may have `observers`."""

    core: Learner
    pipeline: LearnerPipeline
    pipeline_class = LearnerPipeline

    def __init__(self, core: Learner, database: Database, host: RoleHost) -> None:
        super().__init__(database, host)
        self.core = core
        self._rest = b""
        # While the tree comes behind SNAP.
        self._reader: tree_stream.TreeReader | None = None
        self._tree_zxid = 0
        self._heard_ms = host.now_ms()
        self.observers: Observers | None = None

    def link_up(self, _link: int) -> None:
        """The link to the leader stands."""
        self._perform(self.core.link_up())

    def link_down(self, _link: int, reason: str) -> None:
        """The link broke, or could not be had."""
        if not self.has_ended:
            self._perform(self.core.link_down(reason))

    def receive(self, link: int, data: bytes) -> None:
        """Bytes of the leader."""
        if self.has_ended:
            return
        data = self._rest + data if self._rest else data
        self._rest = b""
        try:
            while data and not self.has_ended:
                if self._reader is not None:
                    data = self._receive_tree(self._reader, data)
                    continue
                found, data = packets.parse(data)
                if not found:
                    break
                self._receive_packets(found)
        except LinkError as error:
            self.link_down(link, str(error))
        except SnapshotError as error:
            self.link_down(link, f"the leader's tree does not read: {error}")
        self._rest = data

    def _receive_packets(self, found: list[Packet]) -> None:
        start = proposals = 0
        for place, packet in enumerate(found, 1):
            kind, zxid, entry, _ = packet
            if kind == _COMMIT:
                continue
            if kind in _CARRYING:
                if entry is None or txns.claimed_zxid(entry) != zxid:
                    # It would be on disk before anybody reads it.
                    raise LinkError(f"a proposal 0x{hex_zxid(zxid)} with another txn, or with none")
                proposals += kind == _PROPOSAL
            elif kind == PacketType.SYNC:
                # What is committed behind it is applied when it has been answered.
                self._perform(self.core.received(found[start:place]))
                start = place
        if start < len(found):
            self._perform(self.core.received(found[start:]))
        last = found[-1]
        if last.type == PacketType.PROPOSAL and last.data is not None:
            # They come in runs; the one that was made last stands for all.
            age_ms = max(self.host.wall_ms() - txns.peek_time_ms(last.data), 0)
            self.host.stats.proposal_latency.record(proposals, age_ms)
        self.host.stats.proposals_received += proposals
        if last.type == PacketType.SNAP and self.phase is Phase.SYNCHRONISATION:
            self._tree_zxid = last.zxid
            tree = self.database.make_tree()
            # The old tree makes room; if the role ends now, it is read again from disk.
            self.database.replace(tree, {}, is_exact=False)
            self._reader = tree_stream.TreeReader(tree)

    def _receive_tree(self, reader: tree_stream.TreeReader, data: bytes) -> bytes:
        rest = reader.feed(data)
        if rest is None:
            return b""
        self._reader = None
        tree = self.database.tree
        tree.last_zxid = self._tree_zxid
        self.database.replace(tree, reader.sessions, is_exact=False)
        self.host.tree_received(self._tree_zxid)
        self._perform(self.core.snapshot_received())
        return rest

    @property
    def is_receiving_tree(self) -> bool:
        """Whether the database is neither the old tree nor the new one."""
        return self._reader is not None

    def tick(self, now_ms: int) -> None:
        """Also keep what sessions were heard of since the last time, for the next PING."""
        if self.server is not None:
            since_ms, self._heard_ms = self._heard_ms, now_ms
            for session_id, timeout_ms in self.pipeline.heard_of(since_ms):
                self.core.touch(session_id, timeout_ms)
        super().tick(now_ms)
        if self.observers is not None and not self.has_ended:
            self.observers.tick(now_ms)

    def flush(self) -> None:
        """Ask the leader what the clients' requests of this turn have come to."""
        if self.server is None or self.has_ended:
            return
        asks, barriers = self.pipeline.take_asks()
        if asks:
            self._perform(self.core.forward(asks, barriers))

    def close(self) -> None:
        """Nobody is told any more."""
        self.observers = None
        super().close()

    def _committed(self, entries: list[Entry]) -> None:
        self.pipeline.committed(entries)
        if self.observers is not None:
            self.observers.applied(entries)

    def _answer(self, out: Effects) -> None:
        if self.server is None:
            return
        for session_id, is_valid in out.validities:
            self.pipeline.settled(session_id, is_valid=is_valid)
        for barrier in out.syncs_done:
            if isinstance(barrier, Run):
                self.pipeline.synced(barrier)
            elif isinstance(barrier, Asker):
                barrier.synced()

    def _serve(self) -> None:
        server = self.server = self.host.open_server()
        mode = "observer" if self.core.settings.is_observer else "follower"
        self.pipeline = self.pipeline_class(server, self.database, mode)
        server.pipeline = self.pipeline
        self.database.serve(server.sessions, make_zxid(self.core.leader_epoch, 0))
        self.host.serving(self.core.leader_epoch)
