"""What the cores of a leader and of a learner are told about their server. Limits are in ticks."""

from __future__ import annotations

from typing import NamedTuple

from zkserver.zab import synchronisation


class LeaderSettings(NamedTuple):
    """Who the leader is and how long it waits; limits are in ticks."""

    server_id: int
    tick_ms: int = 2000
    init_limit: int = 10
    sync_limit: int = 5
    config_version: int = 0
    # The last seen configuration as text: NEWLEADER carries it.
    config: bytes = b""
    snapshot_size_factor: float = synchronisation.DEFAULT_SNAPSHOT_SIZE_FACTOR
    force_snapshot: bool = False
    # Learners that are sent a tree, or txns, at a time. Participants are never made to wait.
    max_snap_syncs: int = 10
    max_diff_syncs: int = 100
    # How long a quorum may take to tell its epochs (ms); below 0 it is init_limit.
    epoch_wait_ms: int = -1
    # Servers of Apache's up to 3.8.0 break on a COMMIT between NEWLEADER and UPTODATE
    # (ZOOKEEPER-4394), so it is held back until then. It need not be.
    holds_commits: bool = True
    # Whether it ends its reign for a voter that has promised a later epoch to a leader which came
    # to nothing. Apache's leader does not: that voter is left out until the next election.
    makes_way: bool = True


class LearnerSettings(NamedTuple):
    """Who the learner is and how long it waits; limits are in ticks."""

    server_id: int
    is_observer: bool = False
    tick_ms: int = 2000
    init_limit: int = 10
    sync_limit: int = 5
    config_version: int = 0
    # Whether an observer logs what it is informed of (zookeeper.observer.syncEnabled).
    sync_enabled: bool = True
