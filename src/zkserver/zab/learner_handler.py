"""What the leader knows of one learner: where it stands, what it owes, when it was heard of.

The steps go one way, INFO to SERVING; a learner that comes again comes on a new link, to a new
handler.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from enum import IntEnum
from typing import Protocol

from zkserver.base.errors import LinkError
from zkserver.base.zxid import epoch_of
from zkserver.jute import quorum_packets as packets
from zkserver.jute.quorum_packets import Packet, PacketType
from zkserver.zab.effects import Effects, Forwarded, Revalidation
from zkserver.zab.synchronisation import SyncPlan


class Verifier(Protocol):
    """Who votes, and when voters are enough; `base.quorum` has the kinds."""

    def is_quorum(self, ids: Collection[int]) -> bool: ...


class HandlerStep(IntEnum):
    """How far a learner has come."""

    INFO = 0  # its first packet is due
    EPOCH = 1  # it waits for the new epoch
    ACK_EPOCH = 2  # its ACKEPOCH is due
    READY = 3  # it waits for the leader to have a quorum of those
    HISTORY = 4  # its ACK of NEWLEADER is due
    ACKED = 5  # it waits for UPTODATE
    SERVING = 6


class LearnerHandler:
    """One learner on one link. Times are those of the leader's last tick, in ms."""

    __slots__ = (
        "_unacked",
        "accepted_epoch",
        "acked",
        "current_epoch",
        "deadline_ms",
        "heard_ms",
        "held_commits",
        "is_participant",
        "is_sent_tree",
        "last_zxid",
        "link",
        "server_id",
        "step",
    )

    def __init__(self, link: int, now_ms: int, deadline_ms: int) -> None:
        self.link = link
        self.step = HandlerStep.INFO
        self.server_id = -1
        self.is_participant = False
        self.is_sent_tree = False
        self.accepted_epoch = 0
        self.current_epoch = -1
        self.last_zxid = -1
        # The last proposal it has on disk, by its own word on this link.
        self.acked = -1
        self.heard_ms = now_ms
        # COMMITs that wait for UPTODATE.
        self.held_commits: list[Packet] = []
        # Until when it counts for the leader's quorum.
        self.deadline_ms = deadline_ms
        # (when sent, the last zxid sent then), oldest first: one for each time, not for each zxid.
        self._unacked: deque[tuple[int, int]] = deque()

    @property
    def is_forwarded(self) -> bool:
        """Whether it gets proposals and commits as they come."""
        return self.step >= HandlerStep.HISTORY

    def take_info(self, packet: Packet, leader_id: int, config_version: int) -> None:
        """Its first packet. Raises `LinkError` for one that this leader cannot have."""
        if packet.type not in (PacketType.FOLLOWERINFO, PacketType.OBSERVERINFO):
            raise LinkError(f"the first packet has type {packet.type}, not FOLLOWERINFO")
        info = packets.parse_learner_info(packet.data)
        if info.server_id is None or info.protocol_version < packets.PROTOCOL_VERSION:
            raise LinkError("the learner speaks the protocol before LEADERINFO (3.3)")
        if info.server_id == leader_id:
            # Its word would pass for that of the leader's own disk.
            raise LinkError(f"the learner has this leader's own id, {leader_id}")
        if info.config_version > config_version:
            raise LinkError(f"learner {info.server_id} has a newer configuration than the leader")
        self.server_id = info.server_id
        self.is_participant = packet.type == PacketType.FOLLOWERINFO
        self.accepted_epoch = epoch_of(packet.zxid)
        self.step = HandlerStep.EPOCH

    def take_epoch(self, packet: Packet) -> None:
        """Its ACKEPOCH: what it has. `current_epoch` is -1 if it had promised the epoch before."""
        if packet.type != PacketType.ACKEPOCH:
            raise LinkError(f"a packet of type {packet.type} where ACKEPOCH was due")
        self.current_epoch = packets.parse_int(packet.data)
        self.last_zxid = packet.zxid
        self.step = HandlerStep.READY

    def sent(self, zxid: int, now_ms: int) -> None:
        """A proposal left for it."""
        unacked = self._unacked
        if unacked and unacked[-1][0] == now_ms:
            unacked[-1] = (now_ms, zxid)
        else:
            unacked.append((now_ms, zxid))

    def take_ack(self, zxid: int) -> None:
        """It has that proposal, and all before it, on disk: it acknowledges in order."""
        self.acked = max(self.acked, zxid)
        while self._unacked and self._unacked[0][1] <= zxid:
            self._unacked.popleft()

    def is_overdue(self, now_ms: int, limit_ms: int) -> bool:
        """Whether it owes an ACK for longer than `limit_ms`."""
        return bool(self._unacked) and now_ms - self._unacked[0][0] > limit_ms


def history_of(plan: SyncPlan) -> list[Packet]:
    """The plan's packet, then each of its txns with its COMMIT."""
    queue = [Packet(plan.kind.value, plan.zxid)]
    for zxid, data in plan.entries:
        queue.append(Packet(PacketType.PROPOSAL, zxid, data))
        queue.append(Packet(PacketType.COMMIT, zxid))
    return queue


def is_busy(handlers: Iterable[LearnerHandler], limit: int, *, with_trees: bool) -> bool:
    """Whether so many learners are sent their history in this way already."""
    under_way = sum(
        each.step is HandlerStep.HISTORY and each.is_sent_tree == with_trees for each in handlers
    )
    return under_way >= limit


def take_request(link: int, packet: Packet, out: Effects) -> bool:
    """What learners ask and tell while they serve; False for a packet of another type."""
    kind, _, data, authinfo = packet
    if kind == PacketType.PING:
        out.touched += packets.parse_touches(data)
    elif kind == PacketType.REVALIDATE:
        out.revalidations.append(Revalidation(link, *packets.parse_revalidation(data)))
    elif kind == PacketType.REQUEST:
        out.requests.append(Forwarded(link, *packets.parse_request(data), authinfo))
    else:
        return False
    return True
