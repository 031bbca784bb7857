"""The leader: from the election's word to the end of its reign.

    DISCOVERY        a quorum says which epochs it accepted; the new one is above all of them,
                     on disk here before LEADERINFO; a quorum promises it (ACKEPOCH)
    SYNCHRONISATION  each learner is sent the history and NEWLEADER; currentEpoch is written here;
                     a quorum, this server in it, acknowledges
    BROADCAST        UPTODATE; propose, log, count ACKs, commit in order

What it keeps true:

* Until a quorum has promised, a learner that has more than this leader is refused; with the
  quorum's promises the leader is known to have all that was ever committed.
* A learner that answers ACKEPOCH with -1, or has no txn at all, is not counted in that quorum.
* This server's own acknowledgements count from `synced` on, like those of any other disk.
* zxid n is committed when n - 1 is and a quorum has acknowledged it.
* An acknowledgement counts as long as the learner stands by it: one that comes again may be told
  to cut what is not committed yet, so what it acknowledged on its former link counts no more.
* Observers are in no quorum.

The reign ends (`Effects.ended`) when a phase finds no quorum within initLimit, when no quorum was
heard of within syncLimit, and when the zxid's counter is used up (ZOOKEEPER-1277): early, in a
quiet moment, so that no client sees it, and at the last number in any case; and when a voter comes
that has promised a later epoch, to a leader that came to nothing. The driver then closes
all links; what was logged and not committed is in `unapplied`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from zkserver.base.errors import ExitCode, FatalError, LinkError
from zkserver.base.zxid import counter_of, epoch_of, hex_zxid, make_zxid
from zkserver.jute import quorum_packets as packets
from zkserver.jute.quorum_packets import Packet, PacketType
from zkserver.zab import synchronisation
from zkserver.zab.committed_log import CommittedLog
from zkserver.zab.effects import (
    Append,
    Effects,
    Entry,
    EpochFile,
    Phase,
    StoreEpoch,
    Write,
    put,
)
from zkserver.zab.learner_handler import (
    HandlerStep,
    LearnerHandler,
    Verifier,
    history_of,
    is_busy,
    take_request,
)
from zkserver.zab.settings import LeaderSettings

_ACK, _ACKED = int(PacketType.ACK), HandlerStep.ACKED
LAST_COUNTER = 0xFFFFFFFF
# From here on the leader looks for a quiet moment to make way for a new epoch.
LATE_COUNTER = 0xFFF00000


class Leader:
    """See the module's docstring. Every event gives one `Effects`; links are the driver's numbers.

    `last_zxid` is the last one restored; all of it is durable and applied. `verifier` may be that
    of two configurations at once, while a reconfiguration is in flight. `committed` is the peer's
    log of committed txns, `disk` its log on disk.
    """

    def __init__(
        self,
        settings: LeaderSettings,
        verifier: Verifier,
        accepted_epoch: int,
        current_epoch: int,
        last_zxid: int,
        committed: CommittedLog,
        disk: synchronisation.LogOnDisk,
        now_ms: int,
    ) -> None:
        self.settings = settings
        self.verifier = verifier
        self.phase = Phase.DISCOVERY
        self.epoch = 0
        self.last_proposed = last_zxid
        self.last_processed = last_zxid
        self._best = (current_epoch, last_zxid)
        self._highest_accepted = accepted_epoch
        self._committed = committed
        self._disk = disk
        self._handlers: dict[int, LearnerHandler] = {}
        # Servers that told their epoch, promised the new one, have the history. As keys of dicts.
        self._informed: dict[int, None] = {settings.server_id: None}
        self._promised: dict[int, None] = {}
        self._established: dict[int, None] = {}
        self._own_acked = -1
        self._outstanding: deque[Entry] = deque()
        # Links that wait for a SYNC behind the commit of a zxid.
        self._syncs: dict[int, list[int]] = {}
        # The last write of each batch that is not durable yet.
        self._unsynced: deque[Write] = deque()
        self._now_ms = self._phase_ms = self._pinged_ms = self._counted_ms = now_ms
        self._has_ended = False
        # From which step on a follower is sent COMMITs.
        self._commits_from = HandlerStep.SERVING if settings.holds_commits else HandlerStep.HISTORY
        self._out = Effects()

    # --- events of the links, the disk and the clock

    def start(self) -> Effects:
        """The reign begins."""
        self._out.phase = self.phase
        self._fix_epoch()
        return self._finish()

    def link_up(self, link: int) -> Effects:
        """A learner has connected."""
        limits = self.settings
        grace_ms = (limits.init_limit + limits.sync_limit) * limits.tick_ms
        self._handlers[link] = LearnerHandler(link, self._now_ms, self._now_ms + grace_ms)
        return self._finish()

    def link_down(self, link: int) -> Effects:
        """A learner's link broke; nothing goes to it any more."""
        self._handlers.pop(link, None)
        return self._finish()

    def received(self, link: int, arrived: Iterable[Packet]) -> Effects:
        """Packets of one learner, in order. A breach of the protocol closes its link."""
        handler = self._handlers.get(link)
        if handler is None or self._has_ended:
            return self._finish()
        limits = self.settings
        handler.heard_ms = self._now_ms
        acked = handler.acked
        # ACKs come in runs, and each vouches for all before it.
        newest = -1
        last_proposed = self.last_proposed
        try:
            for packet in arrived:
                if handler.step >= _ACKED:
                    if packet.type != _ACK:
                        self._on_talk(handler, packet)
                    elif newest < packet.zxid <= last_proposed:
                        newest = packet.zxid
                else:
                    self._on_handshake(handler, packet)
        except LinkError as error:
            self._close(handler, str(error))
        # The answer to UPTODATE is no proposal's, and what was not proposed cannot be on disk.
        if counter_of(newest) and epoch_of(newest) == self.epoch:
            handler.take_ack(newest)
        if handler.step >= HandlerStep.ACKED:
            handler.deadline_ms = self._now_ms + limits.sync_limit * limits.tick_ms
        if handler.acked != acked:
            self._advance()
        return self._finish()

    def synced(self, batches: int = 1) -> Effects:
        """The writes of the oldest `batches` batches are durable."""
        me = self.settings.server_id
        for _ in range(batches):
            write = self._unsynced.popleft()
            if isinstance(write, Append):
                self._own_acked = write.zxid
            elif isinstance(write, StoreEpoch) and write.file is EpochFile.ACCEPTED:
                self._promised[me] = None
                self._count_promises()
            else:
                self._established[me] = None
                self._count_established()
        self._advance()
        return self._finish()

    def tick(self, now_ms: int) -> Effects:
        """Time has come to `now_ms`; call it at least every half tick."""
        self._now_ms = now_ms
        limits = self.settings
        if self.phase is not Phase.BROADCAST:
            waited_ms = now_ms - self._phase_ms
            if waited_ms > limits.init_limit * limits.tick_ms:
                self._end(f"no quorum in {self.phase.value} within {limits.init_limit} ticks")
            elif not self.epoch and 0 <= limits.epoch_wait_ms < waited_ms:
                self._end(f"no quorum has told its epochs within {limits.epoch_wait_ms} ms")
            return self._finish()
        for handler in list(self._handlers.values()):
            self._check(handler)
        if 2 * (now_ms - self._pinged_ms) >= limits.tick_ms:
            self._pinged_ms = now_ms
            ping = Packet(PacketType.PING, self.last_proposed)
            for handler in self._handlers.values():
                if handler.step is HandlerStep.SERVING:
                    put(self._out.send, handler.link, ping)
        if now_ms - self._counted_ms >= limits.tick_ms:
            self._counted_ms = now_ms
            self._count_living()
        if counter_of(self.last_proposed) >= LATE_COUNTER and not self._outstanding:
            self._end("the zxid's counter is nearly used up: a new epoch is due")
        return self._finish()

    # --- events of the request pipeline; the leader is in BROADCAST

    def propose(self, entries: Iterable[Entry]) -> Effects:
        """Prepared txns, whose zxids follow `last_proposed` one by one.

        Raises `FatalError` for another zxid. Those that no counter is left for end the reign.
        """
        new: list[Entry] = []
        for entry in entries:
            zxid = entry[0]
            if self._has_ended or self.phase is not Phase.BROADCAST:
                break
            if zxid != self.last_proposed + 1:
                raise FatalError(
                    ExitCode.UNEXPECTED_ERROR,
                    f"proposal {hex_zxid(zxid)} after {hex_zxid(self.last_proposed)}",
                )
            if counter_of(zxid) == LAST_COUNTER:
                self._end("the zxid's counter is used up: a new epoch is due")
                break
            self.last_proposed = zxid
            new.append(entry)
        if new:
            self._outstanding.extend(new)
            self._out.writes.extend([Append(zxid, data) for zxid, data in new])
            proposals = [Packet(PacketType.PROPOSAL, zxid, data) for zxid, data in new]
            for handler in self._handlers.values():
                if handler.is_participant and handler.is_forwarded:
                    put(self._out.send, handler.link, *proposals)
                    handler.sent(self.last_proposed, self._now_ms)
        return self._finish()

    def sync(self, link: int) -> Effects:
        """A learner's sync has come through the pipeline: answered behind what is proposed now."""
        if not self._outstanding:
            self._send_sync(link)
        else:
            self._syncs.setdefault(self.last_proposed, []).append(link)
        return self._finish()

    def revalidated(self, link: int, session_id: int, is_valid: bool) -> Effects:
        """The answer to a `Revalidation`."""
        if link in self._handlers:
            data = packets.build_validity(session_id, is_valid)
            put(self._out.send, link, Packet(PacketType.REVALIDATE, -1, data))
        return self._finish()

    @property
    def learners(self) -> tuple[LearnerHandler, ...]:
        """Who is connected; for others to look at."""
        return tuple(self._handlers.values())

    def server_id_of(self, link: int) -> int:
        """Who is at the other end of a link; -1 before it has said so."""
        return self._handlers[link].server_id if link in self._handlers else -1

    @property
    def pending_syncs(self) -> int:
        """How many proposals have a sync waiting behind them, as Java counts."""
        return len(self._syncs)

    @property
    def unapplied(self) -> tuple[Entry, ...]:
        """What is logged and not committed, oldest first."""
        return tuple(self._outstanding)

    # --- discovery and synchronisation

    def _on_handshake(self, handler: LearnerHandler, packet: Packet) -> None:
        if handler.step is HandlerStep.INFO:
            handler.take_info(packet, self.settings.server_id, self.settings.config_version)
            self._on_info(handler)
        elif handler.step is HandlerStep.ACK_EPOCH:
            handler.take_epoch(packet)
            self._on_epoch_ack(handler)
        elif handler.step is HandlerStep.HISTORY:
            if packet.type != PacketType.ACK or packet.zxid != make_zxid(self.epoch, 0):
                raise LinkError(f"a packet of type {packet.type} where ACK of NEWLEADER was due")
            handler.step = HandlerStep.ACKED
            if handler.is_participant:
                self._established[handler.server_id] = None
            self._count_established()
            self._send_up_to_date(handler)
        else:
            raise LinkError(f"a packet of type {packet.type} before it was asked for")

    def _on_info(self, handler: LearnerHandler) -> None:
        for other in list(self._handlers.values()):
            if other is not handler and other.server_id == handler.server_id:
                self._close(other, f"learner {handler.server_id} has come again")
        if not self.epoch:
            self._highest_accepted = max(self._highest_accepted, handler.accepted_epoch)
            if handler.is_participant:
                self._informed[handler.server_id] = None
            self._fix_epoch()
        elif self._makes_way_for(handler):
            # It may follow no older reign, and would be left out for as long as this one lasts.
            promised = f"{handler.accepted_epoch:x}, which is later than {self.epoch:x}"
            self._end(f"server {handler.server_id} has promised epoch {promised}")
        else:
            self._send_epoch(handler)

    def _makes_way_for(self, handler: LearnerHandler) -> bool:
        is_later = handler.accepted_epoch > self.epoch
        return is_later and handler.is_participant and self.settings.makes_way

    def _fix_epoch(self) -> None:
        if self._is_quorum(self._informed):
            self.epoch = self._highest_accepted + 1
            self._phase_ms = self._now_ms
            self._out.writes.append(StoreEpoch(EpochFile.ACCEPTED, self.epoch))
            for handler in self._handlers.values():
                if handler.step is HandlerStep.EPOCH:
                    self._send_epoch(handler)

    def _send_epoch(self, handler: LearnerHandler) -> None:
        handler.step = HandlerStep.ACK_EPOCH
        version = packets.build_int(packets.PROTOCOL_VERSION)
        info = Packet(PacketType.LEADERINFO, make_zxid(self.epoch, 0), version)
        # Once this server's own promise is on disk nothing has to wait for the disk any more.
        is_durable = self.settings.server_id in self._promised
        put(self._out.send if is_durable else self._out.send_synced, handler.link, info)

    def _on_epoch_ack(self, handler: LearnerHandler) -> None:
        if self.phase is not Phase.DISCOVERY:
            self._synchronise(handler)
            return
        if handler.current_epoch != -1:
            if (handler.current_epoch, handler.last_zxid) > self._best:
                raise LinkError(f"learner {handler.server_id} is ahead of the leader")
            if handler.is_participant and handler.last_zxid != -1:
                self._promised[handler.server_id] = None
        self._count_promises()

    def _count_promises(self) -> None:
        if self.phase is not Phase.DISCOVERY or not self._is_quorum(self._promised):
            return
        self._begin(Phase.SYNCHRONISATION)
        self._out.writes.append(StoreEpoch(EpochFile.CURRENT, self.epoch))
        for handler in self._handlers.values():
            if handler.step is HandlerStep.READY:
                self._synchronise(handler)

    def _synchronise(self, handler: LearnerHandler) -> None:
        """Queue the plan, what is proposed since, and NEWLEADER; from here on it is forwarded."""
        history = synchronisation.History(
            self._committed, self.last_processed, self._disk, self.settings.snapshot_size_factor
        )
        plan = synchronisation.choose(
            handler.last_zxid, history, force_snapshot=self.settings.force_snapshot
        )
        handler.is_sent_tree = plan.kind is synchronisation.SyncKind.SNAP
        if not handler.is_participant and self._is_busy(handler.is_sent_tree):
            self._close(handler, "too many learners are synchronised now; it will come again")
            return
        self._out.synchronised += (plan.kind.value,)
        self._out.notes.append(f"synchronises learner {handler.server_id} by {plan.summary}")
        queue = history_of(plan)
        if handler.is_participant and self._outstanding:
            queue += [Packet(PacketType.PROPOSAL, zxid, data) for zxid, data in self._outstanding]
            handler.sent(self.last_proposed, self._now_ms)
        queue.append(
            Packet(PacketType.NEWLEADER, make_zxid(self.epoch, 0), self.settings.config)
        )
        put(self._out.send, handler.link, *queue)
        handler.step = HandlerStep.HISTORY
        handler.heard_ms = self._now_ms

    def _is_busy(self, with_trees: bool) -> bool:
        limit = self.settings.max_snap_syncs if with_trees else self.settings.max_diff_syncs
        return is_busy(self._handlers.values(), limit, with_trees=with_trees)

    def _count_established(self) -> None:
        if self.phase is not Phase.SYNCHRONISATION or not self._is_quorum(self._established):
            return
        self._begin(Phase.BROADCAST)
        self.last_proposed = self.last_processed = make_zxid(self.epoch, 0)
        self._counted_ms = self._now_ms
        for handler in self._handlers.values():
            self._send_up_to_date(handler)

    def _send_up_to_date(self, handler: LearnerHandler) -> None:
        if self.phase is Phase.BROADCAST and handler.step is HandlerStep.ACKED:
            handler.step = HandlerStep.SERVING
            up_to_date = Packet(PacketType.UPTODATE, -1)
            put(self._out.send, handler.link, up_to_date, *handler.held_commits)
            handler.held_commits.clear()

    # --- broadcast

    def _on_talk(self, handler: LearnerHandler, packet: Packet) -> None:
        if not take_request(handler.link, packet, self._out):
            self._out.notes.append(
                f"a packet of type {packet.type}, which means nothing to a leader"
            )

    def _advance(self) -> None:
        """Commit as far as a quorum has acknowledged."""
        if not self._outstanding:
            return
        acked = {self.settings.server_id: self._own_acked}
        for handler in self._handlers.values():
            if handler.is_participant:
                acked[handler.server_id] = handler.acked
        oldest = self._outstanding[0][0]
        for zxid in sorted({zxid for zxid in acked.values() if zxid >= oldest}, reverse=True):
            if self._is_enough([who for who, upto in acked.items() if upto >= zxid]):
                self._commit(zxid)
                return

    def _commit(self, upto: int) -> None:
        # A SYNC stands between the commits before it and those behind it.
        stops = sorted(zxid for zxid in self._syncs if zxid < upto)
        for stop in (*stops, upto):
            self._commit_run(stop)
            for link in self._syncs.pop(stop, ()):
                self._send_sync(link)

    def _commit_run(self, upto: int) -> None:
        committed: list[Entry] = []
        outstanding = self._outstanding
        while outstanding and outstanding[0][0] <= upto:
            committed.append(outstanding.popleft())
            self._committed.append(committed[-1])
        self._out.apply += committed
        self.last_processed = upto
        commits = [Packet(PacketType.COMMIT, zxid) for zxid, _ in committed]
        informs: list[Packet] = []
        for handler in self._handlers.values():
            if not handler.is_forwarded:
                continue
            if handler.is_participant and handler.step < self._commits_from:
                handler.held_commits += commits
            elif handler.is_participant:
                put(self._out.send, handler.link, *commits)
            else:
                informs = informs or [Packet(PacketType.INFORM, *entry) for entry in committed]
                put(self._out.send, handler.link, *informs)

    def _send_sync(self, link: int) -> None:
        if link in self._handlers:
            put(self._out.send, link, Packet(PacketType.SYNC, 0))

    def _check(self, handler: LearnerHandler) -> None:
        limits = self.settings
        is_serving = handler.step is HandlerStep.SERVING
        ticks = limits.sync_limit if is_serving else limits.init_limit
        if self._now_ms - handler.heard_ms > ticks * limits.tick_ms:
            self._close(handler, f"silent for more than {ticks} ticks")
        elif is_serving and handler.is_overdue(self._now_ms, limits.sync_limit * limits.tick_ms):
            self._close(handler, f"owes an ACK for more than {ticks} ticks")

    def _count_living(self) -> None:
        living = [self.settings.server_id]
        for handler in self._handlers.values():
            is_living = handler.step >= HandlerStep.ACKED and self._now_ms <= handler.deadline_ms
            if handler.is_participant and is_living:
                living.append(handler.server_id)
        if not self._is_enough(living):
            self._end(f"no quorum of learners was heard of within {self.settings.sync_limit} ticks")

    # --- small things

    def _is_enough(self, ids: list[int]) -> bool:
        return self.verifier.is_quorum(ids)

    def _is_quorum(self, ids: dict[int, None]) -> bool:
        """Whether this server and a quorum are in."""
        return self.settings.server_id in ids and self._is_enough(list(ids))

    def _begin(self, phase: Phase) -> None:
        self.phase = self._out.phase = phase
        self._phase_ms = self._now_ms

    def _close(self, handler: LearnerHandler, reason: str) -> None:
        if self._handlers.pop(handler.link, None) is not None:
            self._out.closed.append((handler.link, reason))

    def _end(self, reason: str) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._out.ended = reason

    def _finish(self) -> Effects:
        out, self._out = self._out, Effects()
        if out.writes:
            self._unsynced.append(out.writes[-1])
        return out
