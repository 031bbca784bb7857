"""A vote, the order of votes, and what counts as support for one.

The order is total: epoch, then zxid, then server id, all higher first; a server of weight 0 comes
behind every other one, so it never wins. Ask `rank` and nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

from zkserver.base.quorum import QuorumVerifier
from zkserver.jute.notifications import Notification, PeerState

# What an observer has for id, zxid and epoch: worse than every vote.
NONE = -(2**63)
# The zxid of a server that has no database yet. Nobody counts its vote, and it counts none.
UNINITIALISED_ZXID = -1


class Vote(NamedTuple):
    """Who should lead, with the last zxid and the epoch of its history."""

    leader: int
    zxid: int
    peer_epoch: int


NO_VOTE = Vote(NONE, NONE, NONE)


class Ballot(NamedTuple):
    """What one peer said last: its vote, in which round, and what it was doing."""

    vote: Vote
    round: int
    state: PeerState
    version: int


def rank(vote: Vote, verifier: QuorumVerifier) -> tuple[bool, int, int, int]:
    """The key that orders votes; the greater one is better."""
    return verifier.weight(vote.leader) != 0, vote.peer_epoch, vote.zxid, vote.leader


def ballot_of(notification: Notification) -> Ballot:
    """What a notification says."""
    state, leader, zxid, election_round, peer_epoch, version, _ = notification
    return Ballot(Vote(leader, zxid, peer_epoch), election_round, state, version)


def supports(ballot: Ballot, wanted: Ballot) -> bool:
    """Whether a peer that said `ballot` is for `wanted`.

    While either looks, the whole vote and the round must be equal. Peers that have a leader may
    differ in zxid and round, for some of them joined it later (ZOOKEEPER-1732, 1805): there the
    leader and its epoch count, and the leader alone if one side is too old to update the epoch.
    """
    if PeerState.LOOKING in (ballot.state, wanted.state):
        return ballot.vote == wanted.vote and ballot.round == wanted.round
    if ballot.vote.leader != wanted.vote.leader:
        return False
    if (ballot.version > 0) != (wanted.version > 0):
        return True
    return ballot.vote.peer_epoch == wanted.vote.peer_epoch
