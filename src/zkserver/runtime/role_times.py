"""How long a peer's elections take, and how long its clients have nobody.

Times go into the process's `ServerStats`, under Java's names: election_time, unavailable_time,
leader_unavailable_time, follower_sync_time, observer_sync_time. An election counts from the moment
the peer looks; unavailability from the first look after it last served, through as many elections
and roles as it takes; a learner's synchronisation from the vote's end to its serving.
"""

from __future__ import annotations

from collections.abc import Callable

from zkserver.jute.notifications import PeerState
from zkserver.server.stats import ServerStats


class RoleTimes:
    """`now_ms` is the monotonic clock."""

    def __init__(self, stats: ServerStats, now_ms: Callable[[], int]) -> None:
        self._stats = stats
        self._now_ms = now_ms
        self._looking_ms = 0
        self._elected_ms = 0
        self._unserved_ms: int | None = None

    def looks(self) -> None:
        """The peer looks for a leader."""
        self._looking_ms = self._now_ms()
        self._stats.lookings += 1
        if self._unserved_ms is None:
            self._unserved_ms = self._looking_ms

    def has_elected(self) -> None:
        """A vote has won."""
        self._elected_ms = self._now_ms()
        self._stats.elections.record(1, self._elected_ms - self._looking_ms)

    def serves(self, state: PeerState) -> None:
        """The role is in broadcast."""
        stats, now_ms = self._stats, self._now_ms()
        if self._unserved_ms is not None:
            stats.unavailable.record(1, now_ms - self._unserved_ms)
            if state is PeerState.LEADING:
                stats.leader_unavailable.record(1, now_ms - self._unserved_ms)
            self._unserved_ms = None
        if state is PeerState.FOLLOWING:
            stats.follower_sync.record(1, now_ms - self._elected_ms)
        elif state is PeerState.OBSERVING:
            stats.observer_sync.record(1, now_ms - self._elected_ms)
