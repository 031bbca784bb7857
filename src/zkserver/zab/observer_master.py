"""What a follower with `observerMasterPort` says to the observers that it serves.

To an observer it is a leader: OBSERVERINFO, LEADERINFO, ACKEPOCH; DIFF, TRUNC or SNAP with the
history, NEWLEADER, UPTODATE; then INFORM for each committed txn, and PING. It exists while its
follower is in broadcast, so the epoch is known and promised by a quorum, and nothing is voted on.

    an observer  --- REQUEST, REVALIDATE, touched sessions --->  the follower  ->  the leader
                <--  INFORM of what the follower has applied ---

What it keeps true:

* An observer is sent what is committed, and nothing else.
* Between the end of its history and the first INFORM no txn is missing and none is twice.
* An observer that is ahead of this follower waits until the follower has caught up: all that it
  has of this epoch is committed, and to cut it would take it back.
* An observer whose link holds more than `size_limit_bytes` of INFORMs that it has not taken is
  dropped, and comes again.

Source: section 16 of the protocol, and what Apache ZooKeeper's servers do. Its observer master
keeps a cache of committed packets of that size, from which an observer goes on where its history
ended, and drops one that is behind the cache; here the history ends at the moment it is queued,
so no cache is needed, and what it bounds is the queue. It lets an observer that is ahead be cut.

Left out: INFORMANDACTIVATE, with reconfiguration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zkserver.base.errors import LinkError
from zkserver.base.zxid import epoch_of, make_zxid
from zkserver.jute import quorum_packets as packets
from zkserver.jute.quorum_packets import Packet, PacketType
from zkserver.zab import synchronisation
from zkserver.zab.committed_log import CommittedLog
from zkserver.zab.effects import Effects, Entry, put
from zkserver.zab.learner_handler import (
    HandlerStep,
    LearnerHandler,
    history_of,
    is_busy,
    take_request,
)
from zkserver.zab.settings import LeaderSettings

# What a packet takes beside its data, and a COMMIT with it.
_OVERHEAD_BYTES = 40


class ObserverMaster:
    """See the module's docstring. Every event gives one `Effects` with `send`, `closed`, `touched`,
    `requests`, `revalidations` and `notes`; links are the driver's numbers.

    `epoch` is the leader's, `last_applied` the follower's last zxid, or the start of the epoch.
    `committed` is the peer's log of committed txns, `disk` its log on disk.
    """

    def __init__(
        self,
        settings: LeaderSettings,
        size_limit_bytes: int,
        epoch: int,
        last_applied: int,
        committed: CommittedLog,
        disk: synchronisation.LogOnDisk,
        now_ms: int,
    ) -> None:
        self.settings = settings
        self.epoch = epoch
        self.last_applied = last_applied
        self._size_limit_bytes = size_limit_bytes
        self._committed = committed
        self._disk = disk
        self._handlers: dict[int, LearnerHandler] = {}
        # How many bytes each observer may have waiting: the limit and its history.
        self._limits_bytes: dict[int, int] = {}
        self._now_ms = self._pinged_ms = now_ms
        self._out = Effects()

    # --- events of the links and the clock

    def link_up(self, link: int) -> Effects:
        """An observer has connected."""
        self._handlers[link] = LearnerHandler(link, self._now_ms, self._now_ms)
        self._limits_bytes[link] = self._size_limit_bytes
        return self._finish()

    def link_down(self, link: int) -> Effects:
        """Its link broke; nothing goes to it any more."""
        self._forget(link)
        return self._finish()

    def received(self, link: int, arrived: Iterable[Packet]) -> Effects:
        """Packets of one observer, in order. A breach of the protocol closes its link."""
        handler = self._handlers.get(link)
        if handler is None:
            return self._finish()
        handler.heard_ms = self._now_ms
        try:
            for packet in arrived:
                if handler.step is HandlerStep.SERVING:
                    self._on_talk(handler, packet)
                else:
                    self._on_handshake(handler, packet)
        except LinkError as error:
            self._close(handler, str(error))
        return self._finish()

    def tick(self, now_ms: int) -> Effects:
        """Time has come to `now_ms`: who is silent is dropped, who serves is pinged."""
        self._now_ms = now_ms
        limits = self.settings
        for handler in list(self._handlers.values()):
            is_serving = handler.step is HandlerStep.SERVING
            ticks = limits.sync_limit if is_serving else limits.init_limit
            if now_ms - handler.heard_ms > ticks * limits.tick_ms:
                self._close(handler, f"silent for more than {ticks} ticks")
        if 2 * (now_ms - self._pinged_ms) >= limits.tick_ms:
            self._pinged_ms = now_ms
            ping = Packet(PacketType.PING, self.last_applied)
            for handler in self._handlers.values():
                if handler.step is HandlerStep.SERVING:
                    put(self._out.send, handler.link, ping)
        return self._finish()

    # --- events of the follower

    def applied(self, entries: list[Entry], waiting_bytes: Mapping[int, int]) -> Effects:
        """The follower has applied these. `waiting_bytes`: what each link has not sent yet."""
        self.last_applied = entries[-1][0]
        informs = [Packet(PacketType.INFORM, *entry) for entry in entries]
        for handler in list(self._handlers.values()):
            link = handler.link
            if handler.is_forwarded:
                if waiting_bytes.get(link, 0) > self._limits_bytes[link]:
                    self._close(handler, "it is too far behind: more than observerMaster.sizeLimit")
                else:
                    put(self._out.send, link, *informs)
            elif handler.step is HandlerStep.READY:
                self._synchronise(handler)
        return self._finish()

    def synced(self, link: int) -> Effects:
        """The leader has answered the oldest sync of an observer."""
        if link in self._handlers:
            put(self._out.send, link, Packet(PacketType.SYNC, 0))
        return self._finish()

    def revalidated(self, link: int, session_id: int, is_valid: bool) -> Effects:
        """The leader's answer to a `Revalidation`."""
        if link in self._handlers:
            data = packets.build_validity(session_id, is_valid)
            put(self._out.send, link, Packet(PacketType.REVALIDATE, -1, data))
        return self._finish()

    @property
    def observers(self) -> int:
        """How many are sent what is committed."""
        return sum(each.is_forwarded for each in self._handlers.values())

    # --- packets

    def _on_handshake(self, handler: LearnerHandler, packet: Packet) -> None:
        limits = self.settings
        if handler.step is HandlerStep.INFO:
            handler.take_info(packet, limits.server_id, limits.config_version)
            if handler.is_participant:
                raise LinkError(f"server {handler.server_id} is no observer: only the leader may")
            for other in list(self._handlers.values()):
                if other is not handler and other.server_id == handler.server_id:
                    self._close(other, f"observer {handler.server_id} has come again")
            version = packets.build_int(packets.PROTOCOL_VERSION)
            info = Packet(PacketType.LEADERINFO, make_zxid(self.epoch, 0), version)
            put(self._out.send, handler.link, info)
            handler.step = HandlerStep.ACK_EPOCH
        elif handler.step is HandlerStep.ACK_EPOCH:
            handler.take_epoch(packet)
            self._synchronise(handler)
        elif handler.step is HandlerStep.HISTORY:
            if packet.type != PacketType.ACK or packet.zxid != make_zxid(self.epoch, 0):
                raise LinkError(f"a packet of type {packet.type} where ACK of NEWLEADER was due")
            handler.step = HandlerStep.SERVING
            put(self._out.send, handler.link, Packet(PacketType.UPTODATE, -1))
        else:
            raise LinkError(f"a packet of type {packet.type} before it was asked for")

    def _synchronise(self, handler: LearnerHandler) -> None:
        """Queue the history and NEWLEADER, once this follower is as far as the observer."""
        last_zxid = handler.last_zxid
        if epoch_of(last_zxid) == self.epoch and last_zxid > self.last_applied:
            return
        limits = self.settings
        history = synchronisation.History(
            self._committed, self.last_applied, self._disk, limits.snapshot_size_factor
        )
        plan = synchronisation.choose(last_zxid, history, force_snapshot=limits.force_snapshot)
        handler.is_sent_tree = plan.kind is synchronisation.SyncKind.SNAP
        if self._is_busy(handler.is_sent_tree):
            self._close(handler, "too many observers are synchronised now; it will come again")
            return
        self._out.notes.append(f"synchronises observer {handler.server_id} by {plan.summary}")
        queue = history_of(plan)
        sizes = (len(data) + _OVERHEAD_BYTES for _, data in plan.entries)
        self._limits_bytes[handler.link] += sum(sizes)
        queue.append(Packet(PacketType.NEWLEADER, make_zxid(self.epoch, 0), limits.config))
        put(self._out.send, handler.link, *queue)
        handler.step = HandlerStep.HISTORY
        handler.heard_ms = self._now_ms

    def _is_busy(self, with_trees: bool) -> bool:
        limit = self.settings.max_snap_syncs if with_trees else self.settings.max_diff_syncs
        return is_busy(self._handlers.values(), limit, with_trees=with_trees)

    def _on_talk(self, handler: LearnerHandler, packet: Packet) -> None:
        # The answer to UPTODATE is an ACK; it means nothing to anybody.
        if not take_request(handler.link, packet, self._out) and packet.type != PacketType.ACK:
            self._out.notes.append(
                f"a packet of type {packet.type}, which means nothing to a master"
            )

    # --- small things

    def _close(self, handler: LearnerHandler, reason: str) -> None:
        if handler.link in self._handlers:
            self._forget(handler.link)
            self._out.send.pop(handler.link, None)
            self._out.closed.append((handler.link, reason))

    def _forget(self, link: int) -> None:
        self._handlers.pop(link, None)
        self._limits_bytes.pop(link, None)

    def _finish(self) -> Effects:
        out, self._out = self._out, Effects()
        return out
