"""Planted bugs of the ensemble, part one: election, discovery, synchronisation, broadcast.

Each is a subclass of a production class with one thing wrong in it; `ensemble_bugs` says which
belongs where, what it breaks, and within how many seeds it is found. Read a class together with
the production method that it overrides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zkserver.election.election import Election
from zkserver.election.votes import Vote
from zkserver.jute.quorum_packets import Packet, PacketType
from zkserver.sim.ensemble import ObservedLeader, SimPeer
from zkserver.zab.effects import (
    LEADER_LINK,
    CutLog,
    Effects,
    EpochFile,
    Phase,
    StoreEpoch,
)
from zkserver.zab.learner import Learner, _Step
from zkserver.zab.learner_handler import LearnerHandler

# Epochs that are greater than all others.
NEVER_AHEAD = (1 << 62, 0)


# Votes


class ZxidFirst(Election):
    """Of two votes the one with the greater zxid is better, whatever their epochs."""

    def _better(self, left: Vote, right: Vote) -> Vote:
        return max(left, right, key=lambda vote: (vote.zxid, vote.peer_epoch, vote.leader))


class IdFirst(Election):
    """Of two votes the one for the greater server is better, whatever it has."""

    def _better(self, left: Vote, right: Vote) -> Vote:
        return max(left, right, key=lambda vote: vote.leader)


# Quorums


class CommitsAlone(ObservedLeader):
    """A proposal is committed once it is on the leader's own disk."""

    def _advance(self) -> None:
        if self._outstanding and self._own_acked >= self._outstanding[0][0]:
            self._commit(self._own_acked)


class HalfIsEnough(ObservedLeader):
    """Half of the voters are a quorum: of four servers, two."""

    def _is_enough(self, ids: list[int]) -> bool:
        return 2 * sum(voter in ids for voter in _voters(self)) >= len(_voters(self))


class HalfElects(Election):
    """The election's half of `HalfIsEnough`: one rule for all."""

    def use(self, verifier: Any, config: bytes) -> None:
        """Halves the verifier's demands."""
        super().use(_Half(verifier), config)


class _Half:
    def __init__(self, verifier: Any) -> None:
        self._verifier = verifier

    def __getattr__(self, name: str) -> Any:
        return getattr(self._verifier, name)

    def is_quorum(self, ids: Iterable[int]) -> bool:
        voters = self._verifier.voters
        return 2 * sum(voter in ids for voter in voters) >= len(voters)


class CountsObservers(ObservedLeader):
    """Observers get proposals and their acknowledgements count as a voter's do."""

    def _on_info(self, handler: LearnerHandler) -> None:
        is_voter = handler.is_participant
        super()._on_info(handler)
        handler.is_participant = True
        if not is_voter and not self.epoch:
            self._informed[handler.server_id] = None
            self._fix_epoch()

    def _is_enough(self, ids: list[int]) -> bool:
        return 2 * len(ids) > len(_voters(self))


class AcknowledgingObserver(Learner):
    """The observer's half of `CountsObservers`."""

    def _acknowledge(self, zxid: int) -> None:
        self._send_synced(Packet(PacketType.ACK, zxid))


def _voters(leader: ObservedLeader) -> tuple[int, ...]:
    voters: tuple[int, ...] = leader.verifier.voters  # type: ignore[attr-defined]
    return voters


class StaleLeader(ObservedLeader):
    """Who is not there is not asked: a leader that has lost its quorum goes on with the rest."""

    def _count_living(self) -> None:
        """Not done."""

    def _is_enough(self, ids: list[int]) -> bool:
        if self.phase is not Phase.BROADCAST:
            return super()._is_enough(ids)
        here = 1 + sum(handler.is_participant for handler in self._handlers.values())
        return 2 * len(ids) > here


class CountsItselfEarly(ObservedLeader):
    """The leader's acknowledgement of its own proposal counts before its disk has it."""

    def propose(self, entries: Any) -> Effects:
        """Acknowledged at once."""
        out = super().propose(entries)
        self._own_acked = self.last_proposed
        return out

    def synced(self, batches: int = 1) -> Effects:
        """Adds nothing for what has counted before."""
        before = self._own_acked
        out = super().synced(batches)
        self._own_acked = max(before, self._own_acked)
        return out


# Discovery


class BelievesTheElection(ObservedLeader):
    """Nobody's history is compared with the leader's at ACKEPOCH."""

    def start(self) -> Effects:
        """With a history that nobody can be ahead of."""
        self._best = NEVER_AHEAD
        return super().start()


class ForgetfulOfEpochs(SimPeer):
    """After a restart the epochs are that of the last zxid; their files are not read."""

    def _start_storage(self) -> None:
        last_zxid = max(self.database.last_zxid, 0)
        for file in (EpochFile.ACCEPTED, EpochFile.CURRENT):
            self.epochs[file] = last_zxid >> 32
        super()._start_storage()


# Synchronisation


class SkipsARecord(ObservedLeader):
    """The first txn of every DIFF is left out."""

    def _synchronise(self, handler: LearnerHandler) -> None:
        super()._synchronise(handler)
        queue = self._out.send[handler.link]
        first = next((each.zxid for each in queue if each.type == PacketType.COMMIT), None)
        self._out.send[handler.link] = [
            each
            for each in queue
            if each.zxid != first or each.type not in (PacketType.PROPOSAL, PacketType.COMMIT)
        ]


class ForgetsTheOutstanding(ObservedLeader):
    """A learner that joins is not sent what is proposed and not committed."""

    def _synchronise(self, handler: LearnerHandler) -> None:
        outstanding, self._outstanding = self._outstanding, type(self._outstanding)()
        super()._synchronise(handler)
        self._outstanding = outstanding


class CutsOneShort(Learner):
    """TRUNC leaves one record too many."""

    def _on_choice(self, packet: Packet) -> None:
        super()._on_choice(packet)
        self._out.writes = [
            CutLog(write.zxid + 1) if isinstance(write, CutLog) else write
            for write in self._out.writes
        ]


class EpochBeforeHistory(Learner):
    """currentEpoch is written when the first txn of the history comes, not behind the last."""

    def _announce(self) -> None:
        if not self._is_announced:
            self._is_announced = True
            self._out.writes.append(StoreEpoch(EpochFile.CURRENT, self.leader_epoch))


class AcknowledgesUnsynced(Learner):
    """NEWLEADER is acknowledged while the history is on its way to the disk."""

    def _on_history(self, packet: Packet) -> None:
        if packet.type == PacketType.NEWLEADER:
            batches, self._unsynced_batches = self._unsynced_batches, 0
            writes, self._out.writes = self._out.writes, []
            super()._on_history(packet)
            self._unsynced_batches = batches
            self._out.writes = writes + self._out.writes
            early = self._out.send_synced.pop(LEADER_LINK, [])
            self._send(early[0])
            if early[1:]:
                self._out.send_synced[LEADER_LINK] = early[1:]
        else:
            super()._on_history(packet)


class DropsEarlyCommits(Learner):
    """COMMITs between NEWLEADER and UPTODATE are passed over."""

    def _commit(self, zxid: int) -> None:
        if self._step is not _Step.UPTODATE:
            super()._commit(zxid)


class ServesEarly(Learner):
    """Clients are served from NEWLEADER on."""

    def _acknowledge_new_leader(self) -> None:
        super()._acknowledge_new_leader()
        self._step = _Step.SERVING
        self._out.phase = Phase.BROADCAST

    def _on_talk(self, packet: Packet) -> None:
        if packet.type != PacketType.UPTODATE:
            super()._on_talk(packet)


# Broadcast


class AppliesOutOfOrder(Learner):
    """Of two txns that are committed at once the later one is applied first."""

    def _finish(self) -> Effects:
        out = super()._finish()
        if len(out.apply) > 1:
            out.apply[-2:] = reversed(out.apply[-2:])
        return out


class AppliesUncommitted(Learner):
    """A follower applies a proposal when it comes."""

    def _on_proposal(self, zxid: int, data: bytes) -> None:
        super()._on_proposal(zxid, data)
        if self._step is _Step.SERVING:
            while self._pending:
                self._apply(self._pending.popleft())


class TouchesForgotten(Learner):
    """The leader is not told which sessions a learner has heard of."""

    def touch(self, session_id: int, timeout_ms: int) -> None:
        """Not done."""
