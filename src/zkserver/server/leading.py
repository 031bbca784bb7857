"""The leader's role, and its requests: prepared, proposed to the learners, applied once committed.

As in `pipeline`, writes gather in a batch until the turn of the loop ends; then the batch is
proposed as one (`take_proposals`). What a quorum has is applied with `committed`, in zxid order,
be it a part of a batch. Learners' requests come in beside those of this server's own clients.

A session belongs to the server that its client came to last. A request that arrives from another
one was sent before the client moved, and is refused with SESSIONMOVED: what the client has done
since must not be followed by it. As in Java that goes for what asks for a session: not for
closeSession, not for deleteContainer, and in a multi for each operation.

A sync of this server's client waits for what is proposed before it, and no quorum is asked: as
with Apache's leader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from zkserver.base import opcodes as op
from zkserver.base.acl import Id
from zkserver.base.errors import ErrorCode, ExitCode, FatalError, LinkError
from zkserver.base.zxid import counter_of, hex_zxid, make_zxid
from zkserver.jute import quorum_packets as packets
from zkserver.jute.quorum_packets import Packet, PacketType
from zkserver.jute.txns import peek_time_ms
from zkserver.prep.common import PREPARERS
from zkserver.prep.prep import WRITES, Prepared
from zkserver.server.connection import CLOSED, OPEN, Connection
from zkserver.server.database import Database
from zkserver.server.peer_words import LearnerFigures, ProposalSizes, Reign, Traffic
from zkserver.server.pipeline import Pipeline
from zkserver.server.reads import HANDLERS
from zkserver.server.role import Role, RoleHost
from zkserver.server.run import Run
from zkserver.server.server import Server
from zkserver.zab.effects import LEADER_LINK, Effects, Entry, Forwarded, Revalidation
from zkserver.zab.leader import Leader

# In an ensemble a sync has to be asked for.
LOCAL_READS = {kind: handler for kind, handler in HANDLERS.items() if kind != op.SYNC}
FORWARDED = WRITES | {op.SYNC}
# How many batches of proposals are remembered with their time.
PROPOSALS_TIMED = 64


class Remote(NamedTuple):
    """Who asks through a learner."""

    session_id: int
    ids: Sequence[Id]


class LeaderPipeline(Pipeline):
    """`epoch_zxid` is the zxid that the epoch begins behind."""

    mode = "leader"
    handlers = LOCAL_READS
    writes = FORWARDED

    def __init__(self, server: Server, epoch_zxid: int) -> None:
        super().__init__(server)
        self.prep.zxid = self._applied_zxid = epoch_zxid
        self._proposed: deque[Run] = deque()
        # Syncs of this server's clients: behind which zxid, and where they wait.
        self._barriers: deque[tuple[int, Run]] = deque()

    def submit(
        self, connection: Connection, kind: int, cxid: int, data: bytes, start: int, stop: int
    ) -> bool:
        """Take a write of this server's client, or a sync."""
        if kind == op.SYNC:
            self._sync(connection, cxid, data[start:stop])
            return True
        return super().submit(connection, kind, cxid, data, start, stop)

    def _sync(self, connection: Connection, cxid: int, body: bytes) -> None:
        if self.prep.zxid == self._applied_zxid:
            connection.serve(cxid, op.SYNC, body)
            return
        self.end_run()
        barrier = Run(connection, self.server.chunk_ms)
        connection.waiting += (barrier, (cxid, op.SYNC, body))
        self.server.in_flight += 1
        self._barriers.append((self.prep.zxid, barrier))

    def submit_forwarded(self, asked: Sequence[Forwarded]) -> None:
        """Prepare learners' requests; whatever comes of one, its learner waits for a txn."""
        server = self.server
        prep, sessions = self.prep, server.sessions
        time_ms = server.wall_ms()
        run = Run(None, server.now_ms())
        for each in asked:
            link, session_id, cxid, kind, body, ids = each
            caller = Remote(session_id, ids or ())
            owner = sessions.owner(session_id)
            preparer = PREPARERS.get(kind)
            if owner != link and self._has_moved(each, owner):
                prepared = prep.prepare_moved(kind, caller, cxid, body, time_ms)
            elif preparer is not None:
                prepared = preparer(prep, caller, cxid, body, 0, len(body), time_ms)
            else:
                prepared = prep.prepare(kind, caller, cxid, body, time_ms)
            if prepared is None:
                prep.zxid += 1
                prepared = prep.refused(caller, cxid, time_ms, ErrorCode.MARSHALLINGERROR)
            run.writes.append(prepared)
            if kind == op.CREATE_SESSION:
                self._begin_session(prepared, link)
        self._add_run(run)

    def _has_moved(self, asked: Forwarded, owner: int | None) -> bool:
        """Whether a request's session belongs to another link by now; nobody's becomes this one's.

        A session that is closing is refused for that.
        """
        sessions = self.server.sessions
        if owner is None:
            sessions.set_owner(asked.session_id, asked.link)
            return False
        return asked.session_id in sessions.live

    def _begin_session(self, prepared: Prepared, link: int) -> None:
        """A session is open as soon as it is prepared: requests of it may be right behind."""
        txn, sessions = prepared[0], self.server.sessions
        if txn[4] == op.CREATE_SESSION and txn[5] is not None and txn[0] not in sessions:
            sessions.resume(txn[0], txn[5][0], self.server.now_ms())
            sessions.set_owner(txn[0], link)

    def revalidate(self, asked: Revalidation) -> bool:
        """Whether a session lives that a client has brought to a learner."""
        server = self.server
        session_id = asked.session_id
        if not server.sessions.set_timeout(session_id, asked.timeout_ms, server.now_ms()):
            return False
        server.sessions.set_owner(session_id, asked.link)
        older = server.by_session.get(session_id)
        if older is not None:
            older.close()
        return True

    def resume_session(
        self, connection: Connection, session_id: int, password: bytes | None
    ) -> None:
        """A client comes back with its session, or comes over from a learner with it."""
        super().resume_session(connection, session_id, password)
        if connection.phase == OPEN:
            self.server.sessions.set_owner(session_id, LEADER_LINK)

    def open_session(self, connection: Connection) -> None:
        """A session of this server's client."""
        super().open_session(connection)
        self.server.sessions.set_owner(connection.session_id, LEADER_LINK)

    def take_proposals(self) -> list[Entry]:
        """What has been prepared since the last time; empty: it has been told so."""
        batch = self.take_batch()
        self._proposed += batch.runs
        return [(each[0][2], each[2]) for run in batch.runs for each in run.writes]

    def committed(self, entries: Sequence[Entry]) -> None:
        """A quorum has these: apply and answer them. They are the oldest proposals."""
        left = done = len(entries)
        server = self.server
        self._done_ms = server.now_ms()
        proposed = self._proposed
        while left and proposed:
            run = proposed[0]
            writes = run.writes
            if len(writes) <= left:
                proposed.popleft()
                left -= len(writes)
                # A sync behind this run comes before its connection's next one.
                done += self._finish(run) + self._lift_barriers()
                continue
            part = Run(run.connection, run.since_ms)
            part.kind = run.kind
            part.writes = writes[:left]
            del writes[:left]
            left = 0
            self._finish(part, is_whole=False)
        if left or self._applied_zxid != entries[-1][0]:
            raise FatalError(
                ExitCode.UNEXPECTED_ERROR,
                f"committed 0x{hex_zxid(entries[-1][0])}, applied 0x{hex_zxid(self._applied_zxid)}",
            )
        age_ms = max(server.wall_ms() - peek_time_ms(entries[-1][1]), 0)
        server.stats.propagation.record(len(entries), age_ms)
        self._account(len(entries), done)

    def _lift_barriers(self) -> int:
        """Let syncs go whose turn has come, and the reads behind them; how many those were."""
        barriers = self._barriers
        served = 0
        while barriers and barriers[0][0] <= self._applied_zxid:
            _, barrier = barriers.popleft()
            connection = barrier.connection
            if connection is not None and connection.phase != CLOSED:
                connection.waiting.popleft()
                served += connection.serve_waiting()
                self.server.unflushed[connection] = None
        return served


class LeaderRole(Role):
    """`links` are numbered by the host; a learner's bytes come with its link's number."""

    core: Leader
    pipeline: LeaderPipeline
    pipeline_class = LeaderPipeline

    def __init__(self, core: Leader, database: Database, host: RoleHost) -> None:
        super().__init__(database, host)
        self.core = core
        self._proposals = ProposalSizes()
        self._reign_ms = 0
        self._rests: dict[int, bytes] = {}
        self._traffic: dict[int, Traffic] = {}
        # (last zxid, when it was proposed), oldest first: one for each time, of those that a
        # quorum or a learner may not have yet.
        self._proposed_ms: deque[tuple[int, int]] = deque(maxlen=PROPOSALS_TIMED)

    def begin(self) -> None:
        """The reign begins."""
        self._perform(self.core.start())

    def link_up(self, link: int) -> None:
        """A learner has connected."""
        self._rests[link] = b""
        self._traffic[link] = Traffic(self.host.now_ms())
        self._perform(self.core.link_up(link))

    def link_down(self, link: int, _reason: str) -> None:
        """A learner's link broke."""
        self._traffic.pop(link, None)
        if self._rests.pop(link, None) is not None and not self.has_ended:
            self._perform(self.core.link_down(link))

    def receive(self, link: int, data: bytes) -> None:
        """Bytes of a learner."""
        rest = self._rests.get(link)
        if rest is None or self.has_ended:
            return
        try:
            found, self._rests[link] = packets.parse(rest + data if rest else data)
        except LinkError as error:
            self.link_down(link, str(error))
            self.host.links.hang_up(link, str(error))
            return
        if found:
            self._traffic[link].received += len(found)
            self._time_ack(link, found)
            self._perform(self.core.received(link, found))

    def _time_ack(self, link: int, found: Sequence[Packet]) -> None:
        """Record how long the learner took to acknowledge; its ACKs come in runs, in order."""
        last = found[-1]
        if last.type != PacketType.ACK:
            return
        proposed_ms = self._time_of(last.zxid)
        server_id = self.core.server_id_of(link)
        if proposed_ms is not None and server_id >= 0:
            elapsed_ms = self.host.now_ms() - proposed_ms
            self.host.stats.learner_ack.record(server_id, len(found), elapsed_ms)

    def _time_of(self, zxid: int) -> int | None:
        """When the batch with that proposal was proposed; None if that is not known any more."""
        if not counter_of(zxid):
            return None
        found_ms = None
        for last_zxid, proposed_ms in reversed(self._proposed_ms):
            if last_zxid < zxid:
                return found_ms
            found_ms = proposed_ms
        return None if len(self._proposed_ms) == PROPOSALS_TIMED else found_ms

    def flush(self) -> None:
        """Propose what the clients' and the learners' requests have come to."""
        while self.server is not None and not self.has_ended:
            entries = self.pipeline.take_proposals()
            if not entries:
                return
            for _, data in entries:
                self._proposals.record(len(data))
            self.host.stats.proposals += len(entries)
            self._proposed_ms.append((entries[-1][0], self.host.now_ms()))
            self._perform(self.core.propose(entries))

    def _committed(self, entries: list[Entry]) -> None:
        proposed_ms = self._time_of(entries[-1][0])
        if proposed_ms is not None:
            elapsed_ms = self.host.now_ms() - proposed_ms
            self.host.stats.quorum_ack.record(len(entries), elapsed_ms)
        self.pipeline.committed(entries)

    def _transmit(self, queues: dict[int, list[Packet]]) -> None:
        for link, queue in queues.items():
            traffic = self._traffic.get(link)
            if traffic is not None:
                traffic.sent += len(queue)
        super()._transmit(queues)

    def _answer(self, out: Effects) -> None:
        for kind in out.synchronised:
            if kind is PacketType.SNAP:
                self.host.stats.trees_sent += 1
            else:
                self.host.stats.diffs_sent += 1
        server = self.server
        if server is None:
            return
        now_ms = self.host.now_ms()
        for session_id, _ in out.touched:
            server.sessions.touch(session_id, now_ms)
        server.stats.revalidations += len(out.revalidations)
        for revalidation in out.revalidations:
            link, session_id, _ = revalidation
            is_valid = self.pipeline.revalidate(revalidation)
            self._perform(self.core.revalidated(link, session_id, is_valid))
        if out.requests:
            # All of one call are of one link.
            self._count_requests(out.requests[0].link, len(out.requests))
        writes: list[Forwarded] = []
        for asked in out.requests:
            if asked.type != op.SYNC:
                writes.append(asked)
                continue
            # Behind its client's earlier writes, which are not proposed yet.
            if writes:
                self.pipeline.submit_forwarded(writes)
                writes = []
            self.flush()
            self._perform(self.core.sync(asked.link))
        if writes:
            self.pipeline.submit_forwarded(writes)

    def _count_requests(self, link: int, count: int) -> None:
        traffic = self._traffic.get(link)
        if traffic is not None:
            traffic.requests += count

    def learners(self) -> list[LearnerFigures]:
        """The learners that get what is proposed, for the admin commands."""
        return [
            LearnerFigures(
                each.link, each.server_id, each.is_participant, each.acked, self._traffic[each.link]
            )
            for each in self.core.learners
            if each.is_forwarded and each.link in self._traffic
        ]

    def reign(self) -> Reign:
        """The leader's figures, for the four-letter words."""
        core = self.core
        forwarded = [each for each in core.learners if each.is_forwarded]
        followers = tuple(each.server_id for each in forwarded if each.is_participant)
        return Reign(
            self.host.now_ms() - self._reign_ms,
            len(core.learners),
            followers,
            len(forwarded) - len(followers),
            core.pending_syncs,
            self._proposals,
        )

    def _serve(self) -> None:
        server = self.server = self.host.open_server()
        self._reign_ms = self.host.now_ms()
        self.pipeline = self.pipeline_class(server, make_zxid(self.core.epoch, 0))
        server.pipeline = self.pipeline
        self.database.serve(server.sessions, make_zxid(self.core.epoch, 0))
        self.host.serving(self.core.epoch)
        server.close_orphans()
