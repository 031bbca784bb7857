"""What the four-letter words tell of a peer beyond what a standalone server tells of itself.

`PeerFacts` is what the runtime gives to a peer's `Server`; a leader's figures are asked of its
role through `reign`, at the moment of the word. Names and order are Apache ZooKeeper 3.9's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from zkserver.base.config import Config
from zkserver.base.members import Membership, Role

if TYPE_CHECKING:
    from zkserver.server.server import Server

_DOING = {"leader": "leading", "follower": "following", "observer": "observing"}


class ProposalSizes:
    """Bytes of the leader's proposals; -1 before the first."""

    __slots__ = ("largest", "last", "smallest")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the sizes."""
        self.last = self.smallest = self.largest = -1

    def record(self, size_bytes: int) -> None:
        """A proposal was made."""
        self.last = size_bytes
        if size_bytes > self.largest:
            self.largest = size_bytes
        if size_bytes < self.smallest or self.smallest < 0:
            self.smallest = size_bytes


class Reign(NamedTuple):
    """A leader's figures. `followers` and `observers` are those that get what is proposed.

    `learners` counts whoever is connected.
    """

    uptime_ms: int
    learners: int
    followers: tuple[int, ...]
    observers: int
    pending_syncs: int
    proposals: ProposalSizes


class Traffic:
    """Packets on a learner's link, since `since_ms` (monotonic) or since they were reset."""

    __slots__ = ("received", "requests", "sent", "since_ms")

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.reset()

    def reset(self) -> None:
        """Count anew."""
        self.received = self.sent = self.requests = 0


class LearnerFigures(NamedTuple):
    """A learner that gets what is proposed, as its leader knows it, on the link of this number."""

    link: int
    server_id: int
    is_participant: bool
    last_zxid: int
    traffic: Traffic


@dataclass(slots=True)
class PeerFacts:
    """The peer around a server. `leader_id` is that of its leader; `reign` and `learners` are a
    leader's. `master_id` is whom an observer is connected to; `observers` counts a follower's.
    """

    server_id: int
    membership: Membership
    config: bytes
    leader_id: int | None = None
    master_id: int | None = None
    reign: Callable[[], Reign] | None = None
    learners: Callable[[], list[LearnerFigures]] | None = None
    observers: Callable[[], int] | None = None


def conf_rows(config: Config, facts: PeerFacts) -> dict[str, object]:
    """The rows of `conf` that an ensemble adds."""
    member = facts.membership.find(facts.server_id)
    addresses = () if member is None else member.addresses
    is_observer = member is not None and member.role is Role.OBSERVER
    return {
        "serverId": facts.server_id,
        "initLimit": config.init_limit_ticks,
        "syncLimit": config.sync_limit_ticks,
        "electionAlg": config.election_alg,
        "electionPort": "|".join(str(each.election_port) for each in addresses),
        "quorumPort": "|".join(str(each.quorum_port) for each in addresses),
        "peerType": int(is_observer),
    }


def membership(facts: PeerFacts) -> str:
    """The end of `conf`; no line end behind it, as in Java."""
    return "membership: \n" + facts.config.decode()


def proposal_sizes(reign: Reign) -> str:
    """The line that a leader adds to `srvr` and `stat`."""
    sizes = reign.proposals
    return f"Proposal sizes last/min/max: {sizes.last}/{sizes.smallest}/{sizes.largest}\n"


def state_rows(facts: PeerFacts, mode: str) -> dict[str, object]:
    """The rows of `mntr` that say where the peer stands."""
    if mode not in _DOING:
        return {}
    rows: dict[str, object] = {"peer_state": f"{_DOING[mode]} - broadcast"}
    if mode == "observer":
        rows["observer_master_id"] = facts.master_id
    return rows


def gauges(server: Server) -> dict[str, float]:
    """Gauges that only a peer has, those of a leader among them."""
    facts = server.peer
    if facts is None or server.is_read_only:
        return {}
    rows: dict[str, float] = {"quorum_size": len(facts.membership.participants)}
    if facts.reign is None:
        if facts.observers is not None:
            rows["synced_observers"] = facts.observers()
        return rows
    reign = facts.reign()
    sizes = reign.proposals
    voters = {member.server_id for member in facts.membership.participants}
    non_voting = [each for each in reign.followers if each not in voters]
    return rows | {
        "leader_uptime": reign.uptime_ms,
        "learners": reign.learners,
        "synced_followers": len(reign.followers),
        "synced_non_voting_followers": len(non_voting),
        "synced_observers": reign.observers,
        "pending_syncs": reign.pending_syncs,
        "last_proposal_size": sizes.last,
        "min_proposal_size": sizes.smallest,
        "max_proposal_size": sizes.largest,
    }
