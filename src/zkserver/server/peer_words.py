"""What the four-letter words tell of a peer beyond what a standalone server tells of itself.

`PeerFacts` is what the runtime gives to a peer's `Server`; a leader's figures are asked of its
role through `reign`, at the moment of the word. Names and order are Apache ZooKeeper 3.9's. Its
rows about queues between its threads are left out: there are no such queues here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from zkserver.base.config import Config
from zkserver.base.members import Membership, Role
from zkserver.server.stats import Latency

if TYPE_CHECKING:
    from zkserver.server.server import Server

_DOING = {"leader": "leading", "follower": "following", "observer": "observing"}


class ProposalSizes:
    """Bytes of the leader's proposals; -1 before the first."""

    __slots__ = ("count", "largest", "last", "smallest")

    def __init__(self) -> None:
        self.count = 0
        self.reset()

    def reset(self) -> None:
        """Forget the sizes; the count goes on."""
        self.last = self.smallest = self.largest = -1

    def record(self, size_bytes: int) -> None:
        """A proposal was made."""
        self.count += 1
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


@dataclass(slots=True)
class PeerFacts:
    """The peer around a server. `leader_id` is that of its leader; `reign` is a leader's.

    `master_id` is whom an observer is connected to.
    """

    server_id: int
    membership: Membership
    config: bytes
    leader_id: int | None = None
    master_id: int | None = None
    reign: Callable[[], Reign] | None = None
    # How many observers a follower serves.
    observers: Callable[[], int] | None = None
    looking_count: int = 0
    elections: Latency = field(default_factory=Latency)


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


def metrics(server: Server) -> dict[str, object]:
    """Rows of `mntr` that tell of the ensemble; of a standalone server, what it has committed."""
    commits = server.stats.commits
    facts = server.peer
    if facts is None:
        return {"commit_count": commits}
    elections = facts.elections
    rows: dict[str, object] = {
        "looking_count": facts.looking_count,
        "avg_election_time": elections.average_ms(),
        "min_election_time": elections.min_ms,
        "max_election_time": elections.max_ms,
        "cnt_election_time": elections.count,
        "sum_election_time": elections.total_ms,
    }
    if server.is_read_only:
        return rows | {"commit_count": 0}
    rows["quorum_size"] = len(facts.membership.participants)
    if facts.reign is None:
        if facts.observers is not None:
            rows["synced_observers"] = facts.observers()
        return rows | {
            "proposal_count": 0,
            "commit_count": 0,
            "learner_commit_received_count": commits,
        }
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
        "proposal_count": sizes.count,
        "commit_count": commits,
        "learner_commit_received_count": 0,
    }
