"""Quorums: which sets of servers may decide for the ensemble.

* `Majority`: more than half of the voters.
* `Hierarchical`: voters stand in groups and have weights. A group agrees when more than half of
  its weight does; the ensemble does when more than half of the groups of non-zero weight do.
* `TwoConfigs`: a quorum of the current configuration and one of the next, while a
  reconfiguration is in flight.

True of each: any two quorums share a voter, and only voters count: ids of observers and of
strangers in a set change nothing. Left out: the oracle for two servers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from zkserver.base.members import Membership, Role


class QuorumVerifier(Protocol):
    """Says whether servers are a quorum of one configuration, or of two at once.

    `voters` and `observers` are sorted ids; `version` is the zxid of the reconfiguration that
    made the configuration, 0 if none did. `weight` is 0 for whoever may not lead.
    """

    @property
    def voters(self) -> tuple[int, ...]: ...

    @property
    def observers(self) -> tuple[int, ...]: ...

    @property
    def version(self) -> int: ...

    def is_quorum(self, ids: Collection[int]) -> bool: ...

    def weight(self, server_id: int) -> int: ...


class Majority:
    """Every voter counts once."""

    def __init__(
        self, voters: Iterable[int], observers: Iterable[int] = (), version: int = 0
    ) -> None:
        self.voters = tuple(sorted(voters))
        self.observers = tuple(sorted(observers))
        self.version = version

    def is_quorum(self, ids: Collection[int]) -> bool:
        """Whether more than half of the voters are in `ids`."""
        return 2 * sum(voter in ids for voter in self.voters) > len(self.voters)

    def weight(self, server_id: int) -> int:
        """1 for a voter, 0 for anybody else."""
        return int(server_id in self.voters)


class Hierarchical:
    """Voters in groups, with weights.

    `groups` maps a group to its servers, `weights` each server in a group to its weight. An
    observer in a group adds to the group's weight but never agrees, as in Apache ZooKeeper.
    """

    def __init__(
        self,
        groups: Mapping[int, Iterable[int]],
        weights: Mapping[int, int],
        observers: Iterable[int] = (),
        version: int = 0,
    ) -> None:
        self.observers = tuple(sorted(observers))
        self.version = version
        self._weights = dict(weights)
        members = [tuple(servers) for _, servers in sorted(groups.items())]
        totals = [sum(self._weights[server] for server in servers) for servers in members]
        self._groups = [
            (total, tuple(server for server in servers if server not in self.observers))
            for servers, total in zip(members, totals, strict=True)
            if total
        ]
        self.voters = tuple(
            sorted(s for servers in members for s in servers if s not in self.observers)
        )

    def is_quorum(self, ids: Collection[int]) -> bool:
        """Whether more than half of the groups have more than half of their weight in `ids`."""
        agreeing = sum(
            2 * sum(self._weights[server] for server in servers if server in ids) > total
            for total, servers in self._groups
        )
        return 2 * agreeing > len(self._groups)

    def weight(self, server_id: int) -> int:
        """The weight of a voter, 0 for anybody else."""
        return self._weights[server_id] if server_id in self.voters else 0


class TwoConfigs:
    """A reconfiguration in flight: what decides must be a quorum of both configurations.

    `version` is that of the current one, which is in force until the next is committed.
    """

    def __init__(self, current: QuorumVerifier, following: QuorumVerifier) -> None:
        self.current = current
        self.next = following
        self.voters = tuple(sorted({*current.voters, *following.voters}))
        self.observers = tuple(sorted({*current.observers, *following.observers} - {*self.voters}))
        self.version = current.version

    def is_quorum(self, ids: Collection[int]) -> bool:
        """Whether `ids` holds a quorum of each configuration."""
        return self.current.is_quorum(ids) and self.next.is_quorum(ids)

    def weight(self, server_id: int) -> int:
        """The greater of the two weights: a server that joins may lead already."""
        return max(self.current.weight(server_id), self.next.weight(server_id))


def verifier_of(membership: Membership) -> Majority | Hierarchical:
    """The verifier of a configuration: hierarchical where it has groups, else of majorities."""
    observers = [m.server_id for m in membership.observers]
    if not membership.groups:
        voters = [m.server_id for m in membership.participants]
        return Majority(voters, observers, membership.version)
    voting = {m.server_id: m.role is Role.PARTICIPANT for m in membership.members}
    grouped = [server for _, servers in membership.groups for server in servers]
    # A group may name a server that no line describes: it has weight, and no voice.
    silent = [server for server in grouped if not voting.get(server)]
    return Hierarchical(
        dict(membership.groups),
        dict(membership.weights),
        sorted({*observers, *silent}),
        membership.version,
    )
