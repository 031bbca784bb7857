"""One learner, follower or observer, from its link to the leader until the role ends.

    DISCOVERY        FOLLOWERINFO ->, <- LEADERINFO, [acceptedEpoch on disk], ACKEPOCH ->
    SYNCHRONISATION  <- DIFF | TRUNC | SNAP, <- PROPOSALs and COMMITs, <- NEWLEADER,
                     [history on disk], [currentEpoch on disk], ACK ->, <- UPTODATE
    BROADCAST        <- PROPOSAL, [on disk], ACK ->, <- COMMIT; PING, REVALIDATE, SYNC, REQUEST

What it keeps true:

* acceptedEpoch is durable before ACKEPOCH leaves.
* Committed txns of a synchronisation are durable before currentEpoch is written, and that before
  NEWLEADER is acknowledged (ZOOKEEPER-3911, 4643, 4646). Before the first of those txns is written
  the epoch is announced on disk, see `epochs`.
* A proposal not committed when NEWLEADER comes is logged after it, with an ACK of its own
  (ZOOKEEPER-4394), and no ACK overtakes that of NEWLEADER (ZOOKEEPER-4685, 4785): while the
  history is on its way to the disk, packets wait.
* A server without a database takes a tree and nothing else, and says its currentEpoch again behind
  it even if it is the same: with that write the driver counts it among the voters again.
* A COMMIT names the oldest pending proposal (or one that is applied already), or the server ends
  with exit code 12: going on would make its history another one.

A breach of the protocol ends the role (`Effects.ended`), not the server. All writes of an earlier
role are durable before this object is made. What was logged and not applied when the role ends is
in `unapplied`: the peer applies it before it votes (ZOOKEEPER-2845). A role that ends while the
tree is being received leaves the tree to be read again from disk (ZOOKEEPER-3642).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum

from zkserver.base.acl import Id
from zkserver.base.errors import ExitCode, FatalError, LinkError
from zkserver.base.zxid import epoch_of, hex_zxid, make_zxid
from zkserver.jute import quorum_packets as packets
from zkserver.jute.quorum_packets import LearnerInfo, Packet, PacketType, Request
from zkserver.zab.committed_log import CommittedLog, follows
from zkserver.zab.effects import (
    LEADER_LINK,
    Append,
    CutLog,
    Effects,
    Entry,
    EpochFile,
    Phase,
    StoreEpoch,
    StoreSnapshot,
    put,
)
from zkserver.zab.settings import LearnerSettings


class _Step(Enum):
    EPOCH = "waits for LEADERINFO"
    CHOICE = "waits for DIFF, TRUNC or SNAP"
    TREE = "receives the tree"
    HISTORY = "receives the history"
    STORING = "waits for its disk before it acknowledges NEWLEADER"
    UPTODATE = "waits for UPTODATE"
    SERVING = "serves"
    ENDED = "has ended"


_PROPOSAL = int(PacketType.PROPOSAL)
_COMMIT = int(PacketType.COMMIT)
# Steps in which packets wait in `_held`.
_HOLDING = (_Step.TREE, _Step.STORING)
_IN_STEP = (_Step.UPTODATE, _Step.SERVING)
_IGNORED_WHILE_SYNCHRONISING = (PacketType.PING, PacketType.REVALIDATE, PacketType.SYNC)


class Learner:
    """See the module's docstring. Every event gives one `Effects`; `LEADER_LINK` is its link.

    `last_zxid` is the last one restored (-1 for none). `committed` is the peer's log of committed
    txns; the learner keeps it in step, for the day this server leads.
    """

    def __init__(
        self,
        settings: LearnerSettings,
        accepted_epoch: int,
        current_epoch: int,
        last_zxid: int,
        committed: CommittedLog,
        now_ms: int,
    ) -> None:
        self.settings = settings
        self.accepted_epoch = accepted_epoch
        self.current_epoch = current_epoch
        self.last_logged = last_zxid
        self.last_applied = last_zxid
        self._is_empty = last_zxid < 0
        self.leader_epoch = 0
        self._committed = committed
        self._pending: deque[Entry] = deque()
        self._held: deque[Packet] = deque()
        self._syncs: deque[object] = deque()
        self._touched: dict[int, int] = {}
        self._step = _Step.EPOCH
        self._is_announced = False
        self._unsynced_batches = 0
        self._now_ms = self._heard_ms = now_ms
        self._out = Effects()

    # --- events of the link, the disk and the clock

    def link_up(self) -> Effects:
        """The link to the leader stands: say who this is and what it has accepted."""
        me = self.settings
        kind = PacketType.OBSERVERINFO if me.is_observer else PacketType.FOLLOWERINFO
        info = packets.build_learner_info(
            LearnerInfo(me.server_id, config_version=me.config_version)
        )
        self._send(Packet(kind, make_zxid(self.accepted_epoch, 0), info))
        self._out.phase = Phase.DISCOVERY
        return self._finish()

    def link_down(self, reason: str) -> Effects:
        """The link broke, or the driver cut it."""
        self._end(reason)
        return self._finish()

    def received(self, arrived: Iterable[Packet]) -> Effects:
        """Packets from the leader, in order. Raises `FatalError` for a COMMIT out of order."""
        self._heard_ms = self._now_ms
        self._held.extend(arrived)
        self._work_off()
        return self._finish()

    def snapshot_received(self) -> Effects:
        """The tree behind SNAP has come whole and its signature was right."""
        if self._step is _Step.TREE:
            self._heard_ms = self._now_ms
            self._announce()
            self._out.writes.append(StoreSnapshot(self.last_logged))
            self._step = _Step.HISTORY
            self._work_off()
        return self._finish()

    def synced(self, batches: int = 1) -> Effects:
        """The writes of the oldest `batches` batches are durable."""
        self._unsynced_batches -= batches
        if self._step is _Step.STORING and not self._unsynced_batches:
            self._acknowledge_new_leader()
            self._work_off()
        return self._finish()

    def tick(self, now_ms: int) -> Effects:
        """Time has come to `now_ms`: a leader that is silent for too long is given up."""
        self._now_ms = now_ms
        limit = self.settings
        ticks = limit.sync_limit if self._step is _Step.SERVING else limit.init_limit
        if now_ms - self._heard_ms > ticks * limit.tick_ms:
            self._end(f"the leader is silent for more than {ticks} ticks")
        return self._finish()

    # --- events of this server's clients; the learner serves

    def submit(self, request: Request, authinfo: tuple[Id, ...] | None = None) -> Effects:
        """Send a client's write to the leader."""
        return self._ask(Packet(PacketType.REQUEST, -1, packets.build_request(request), authinfo))

    def forward(self, requests: list[Packet], tokens: Iterable[object] = ()) -> Effects:
        """Send clients' writes and syncs, ready as REQUEST; `tokens` are those of the syncs."""
        if self._step is _Step.SERVING:
            self._syncs.extend(tokens)
        return self._ask(*requests)

    def sync(
        self, token: object, request: Request, authinfo: tuple[Id, ...] | None = None
    ) -> Effects:
        """Send a client's sync. `token` comes back in `syncs_done`, in the order of these calls."""
        if self._step is _Step.SERVING:
            self._syncs.append(token)
        return self.submit(request, authinfo)

    def revalidate(self, session_id: int, timeout_ms: int) -> Effects:
        """Ask the leader whether a session lives; the answer comes in `validities`."""
        data = packets.build_revalidation(session_id, timeout_ms)
        return self._ask(Packet(PacketType.REVALIDATE, -1, data))

    def touch(self, session_id: int, timeout_ms: int) -> None:
        """A session was heard of: the next answer to a PING says so."""
        self._touched[session_id] = timeout_ms

    @property
    def unapplied(self) -> tuple[Entry, ...]:
        """What is logged and not committed, oldest first."""
        return tuple(entry for entry in self._pending if entry[0] <= self.last_logged)

    # --- packets

    def _work_off(self) -> None:
        """Go through what has come, as far as the step allows."""
        try:
            while self._held and self._step not in _HOLDING and self._step is not _Step.ENDED:
                if self._step in _IN_STEP:
                    self._take_broadcast()
                    continue
                packet = self._held.popleft()
                if self._step is _Step.HISTORY:
                    self._on_history(packet)
                elif self._step is _Step.CHOICE:
                    self._on_choice(packet)
                else:
                    self._on_leader_info(packet)
        except LinkError as error:
            self._end(str(error))

    def _take_broadcast(self) -> None:
        """Proposals and commits, up to the first packet that is something else."""
        held = self._held
        while held:
            packet = held.popleft()
            kind, zxid, data, _ = packet
            if kind == _PROPOSAL:
                self._on_proposal(zxid, data or b"")
            elif kind == _COMMIT:
                self._commit(zxid)
            else:
                self._on_broadcast(packet)
                return

    def _on_leader_info(self, packet: Packet) -> None:
        if packet.type != PacketType.LEADERINFO:
            raise LinkError(f"LEADERINFO has to come first, not a packet of type {packet.type}")
        epoch = epoch_of(packet.zxid)
        answer = self.current_epoch
        # An observer is in no quorum: nobody counts on what it has promised.
        least = self.current_epoch if self.settings.is_observer else self.accepted_epoch
        if epoch < least:
            raise LinkError(f"the leader's epoch {epoch:x} is less than the accepted {least:x}")
        if epoch <= self.accepted_epoch:
            # Promised before: counting it again could fix an epoch twice.
            answer = -1
        else:
            self.accepted_epoch = epoch
            self._out.writes.append(StoreEpoch(EpochFile.ACCEPTED, epoch))
        self.leader_epoch = epoch
        self._send_synced(
            Packet(PacketType.ACKEPOCH, self.last_logged, packets.build_int(answer))
        )
        self._step = _Step.CHOICE

    def _on_choice(self, packet: Packet) -> None:
        kind, zxid = packet.type, packet.zxid
        if kind == PacketType.PING:
            return
        if self._is_empty and kind in (PacketType.DIFF, PacketType.TRUNC):
            raise LinkError("only a tree can be the beginning of a history, and none was sent")
        if kind == PacketType.DIFF:
            self._step = _Step.HISTORY
        elif kind == PacketType.TRUNC:
            if not 0 <= zxid <= self.last_logged:
                raise LinkError(f"TRUNC to {hex_zxid(zxid)}, which this server has not reached")
            self._out.writes.append(CutLog(zxid))
            self._committed.cut(zxid)
            self.last_logged = self.last_applied = zxid
            self._step = _Step.HISTORY
        elif kind == PacketType.SNAP:
            self._committed.clear()
            self.last_logged = self.last_applied = zxid
            self._step = _Step.TREE
        else:
            raise LinkError(f"a packet of type {kind} where DIFF, TRUNC or SNAP was due")
        name = PacketType(kind).name
        self._out.notes.append(f"synchronises by {name} to 0x{hex_zxid(zxid)}")
        self._out.phase = Phase.SYNCHRONISATION

    def _on_history(self, packet: Packet) -> None:
        kind, zxid, data, _ = packet
        if kind == PacketType.PROPOSAL:
            if not self._is_repeated(zxid):
                self._pending.append((zxid, data or b""))
        elif kind in (PacketType.COMMIT, PacketType.COMMITANDACTIVATE):
            if not self._pending or self._pending[0][0] != zxid:
                if zxid <= self.last_applied:
                    return
                raise LinkError(f"COMMIT of {hex_zxid(zxid)}, which is not the next proposal")
            self._adopt(self._pending.popleft())
            self._activate(packet)
        elif kind in (PacketType.INFORM, PacketType.INFORMANDACTIVATE):
            self._adopt(self._informed(packet))
        elif kind == PacketType.NEWLEADER:
            if zxid != make_zxid(self.leader_epoch, 0):
                raise LinkError(f"NEWLEADER {hex_zxid(zxid)} is not of epoch {self.leader_epoch:x}")
            self._out.config = data
            if self._out.writes or self._unsynced_batches:
                self._step = _Step.STORING
            else:
                self._acknowledge_new_leader()
        elif kind not in _IGNORED_WHILE_SYNCHRONISING:
            raise LinkError(f"a packet of type {kind} before NEWLEADER")

    def _adopt(self, entry: Entry) -> None:
        """A committed txn of the synchronisation: into the log and the tree."""
        self._announce()
        self._log(entry)
        self._apply(entry)

    def _announce(self) -> None:
        if not self._is_announced:
            self._is_announced = True
            announced = StoreEpoch(EpochFile.CURRENT_TO_COME, self.leader_epoch)
            self._out.writes.append(announced)

    def _acknowledge_new_leader(self) -> None:
        """The history is durable: now the epoch, then the ACK, then what is not committed yet."""
        if self.current_epoch != self.leader_epoch or self._is_empty:
            self.current_epoch = self.leader_epoch
            self._out.writes.append(StoreEpoch(EpochFile.CURRENT, self.leader_epoch))
        self._send_synced(Packet(PacketType.ACK, make_zxid(self.leader_epoch, 0)))
        self._step = _Step.UPTODATE
        for entry in self._pending:
            self._log_and_acknowledge(entry)

    def _on_proposal(self, zxid: int, data: bytes) -> None:
        """Log it and acknowledge it; one that was there is acknowledged only."""
        last = self.last_logged
        if zxid == last + 1 and (not self._pending or self._pending[-1][0] == last):
            # The very next one, as nearly always.
            self._pending.append((zxid, data))
            self._out.writes.append(Append(zxid, data))
            self.last_logged = zxid
        elif not self._is_repeated(zxid):
            self._pending.append((zxid, data))
            self._log((zxid, data))
        self._acknowledge(zxid)

    def _on_broadcast(self, packet: Packet) -> None:
        kind = packet.type
        if kind == PacketType.COMMITANDACTIVATE:
            self._commit(packet.zxid)
            self._activate(packet)
        elif kind in (PacketType.INFORM, PacketType.INFORMANDACTIVATE):
            entry = self._informed(packet)
            if self.settings.sync_enabled:
                self._log(entry)
            self._apply(entry)
        elif self._step is _Step.UPTODATE:
            if kind == PacketType.UPTODATE:
                self._send_synced(Packet(PacketType.ACK, make_zxid(self.leader_epoch, 0)))
                self._step = _Step.SERVING
                self._out.phase = Phase.BROADCAST
            elif kind not in _IGNORED_WHILE_SYNCHRONISING:
                raise LinkError(f"a packet of type {kind} before UPTODATE")
        else:
            self._on_talk(packet)

    def _on_talk(self, packet: Packet) -> None:
        """What is said in BROADCAST besides proposals and commits."""
        kind, zxid, data, _ = packet
        if kind == PacketType.PING:
            touches = packets.build_touches(self._touched.items())
            self._touched.clear()
            self._send(Packet(PacketType.PING, zxid, touches))
        elif kind == PacketType.REVALIDATE:
            self._out.validities.append(packets.parse_validity(data))
        elif kind == PacketType.SYNC:
            if self._syncs:
                self._out.syncs_done.append(self._syncs.popleft())
            else:
                self._out.notes.append("a SYNC that nobody waits for")
        elif kind == PacketType.UPTODATE:
            raise LinkError("UPTODATE, though this learner serves already")
        else:
            self._out.notes.append(f"a packet of type {kind}, which means nothing to a learner")

    # --- the log

    def _is_repeated(self, zxid: int) -> bool:
        """Whether a proposal has the zxid of one that came before: then it is passed over.

        Apache's leader proposes an error for a malformed request under the zxid before it, and
        commits both at once; its own followers stop with exit code 12 there. The error changes
        nothing, so the txn that came first is the one to keep.
        """
        newest = self._pending[-1][0] if self._pending else self.last_logged
        if zxid > newest:
            return False
        self._out.notes.append(f"a second proposal {hex_zxid(zxid)} is passed over")
        return True

    def _log_and_acknowledge(self, entry: Entry) -> None:
        self._log(entry)
        self._acknowledge(entry[0])

    def _acknowledge(self, zxid: int) -> None:
        if not self.settings.is_observer:
            self._send_synced(Packet(PacketType.ACK, zxid))

    def _log(self, entry: Entry) -> None:
        zxid = entry[0]
        if self.last_logged > 0 and not follows(zxid, self.last_logged):
            self._out.notes.append(
                f"got zxid {hex_zxid(zxid)} after {hex_zxid(self.last_logged)}"
            )
        self._out.writes.append(Append(zxid, entry[1]))
        self.last_logged = max(zxid, self.last_logged)

    def _commit(self, zxid: int) -> None:
        if zxid <= self.last_applied:
            self._out.notes.append(f"COMMIT of {hex_zxid(zxid)}, which is committed already")
            return
        head = self._pending[0][0] if self._pending else -1
        if head != zxid:
            raise FatalError(
                ExitCode.UNMATCHED_TXN_COMMIT,
                f"Committing zxid 0x{hex_zxid(zxid)} but next pending txn 0x{hex_zxid(head)}",
            )
        self._apply(self._pending.popleft())

    def _apply(self, entry: Entry) -> None:
        self._committed.append(entry)
        self.last_applied = entry[0]
        self._out.apply.append(entry)

    def _informed(self, packet: Packet) -> Entry:
        if not self.settings.is_observer:
            raise LinkError("INFORM is for observers")
        if packet.type == PacketType.INFORM:
            return packet.zxid, packet.data or b""
        leader_id, entry = packets.parse_activation(packet.data)
        self._out.activations.append((packet.zxid, leader_id))
        return packet.zxid, entry

    def _activate(self, packet: Packet) -> None:
        if packet.type == PacketType.COMMITANDACTIVATE:
            leader_id, _ = packets.parse_activation(packet.data)
            self._out.activations.append((packet.zxid, leader_id))

    # --- effects

    def _ask(self, *asked: Packet) -> Effects:
        if self._step is _Step.SERVING:
            put(self._out.send, LEADER_LINK, *asked)
        else:
            self._out.notes.append("a request before this learner serves is dropped")
        return self._finish()

    def _send(self, packet: Packet) -> None:
        put(self._out.send, LEADER_LINK, packet)

    def _send_synced(self, packet: Packet) -> None:
        put(self._out.send_synced, LEADER_LINK, packet)

    def _end(self, reason: str) -> None:
        if self._step is not _Step.ENDED:
            self._step = _Step.ENDED
            self._out.ended = reason

    def _finish(self) -> Effects:
        out, self._out = self._out, Effects()
        if out.writes:
            self._unsynced_batches += 1
        return out
