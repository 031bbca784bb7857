"""What of the configuration the cores of a peer are told, and what is worked out for its ports."""

from __future__ import annotations

from zkserver.base.config import Config
from zkserver.election.election import Timing
from zkserver.zab.settings import LeaderSettings, LearnerSettings

WHY_NOT_RESTORE = (
    "a server of an ensemble takes another database only while it is down, or its history would "
    "not be that of the others: see docs/admin.md"
)


def of_leader(config: Config, server_id: int, config_text: bytes) -> LeaderSettings:
    """What a leader is told; `config_text` is what NEWLEADER carries."""
    return LeaderSettings(
        server_id,
        config.tick_time_ms,
        config.init_limit_ticks,
        config.sync_limit_ticks,
        config.membership.version,
        config_text,
        config.snapshot_size_factor,
        config.force_snapshot_sync,
        config.max_concurrent_snap_syncs,
        config.max_concurrent_diff_syncs,
        config.leader_max_time_to_wait_for_epoch_ms,
    )


def of_election(config: Config) -> Timing:
    """How often an election repeats itself."""
    return Timing(
        shortest_interval_ms=config.min_notification_interval_ms,
        longest_interval_ms=config.max_notification_interval_ms,
    )


def of_learner(config: Config, server_id: int, *, is_observer: bool) -> LearnerSettings:
    """What a learner is told."""
    return LearnerSettings(
        server_id,
        is_observer,
        config.tick_time_ms,
        config.init_limit_ticks,
        config.sync_limit_ticks,
        config.membership.version,
        config.sync_enabled
        if config.observer_sync_enabled is None
        else config.observer_sync_enabled,
    )


def introduction_timeout_ms(config: Config) -> int:
    """How long (ms) a caller at the election port may take to say who it is."""
    if config.quorum_cnxn_timeout_ms > 0:
        return config.quorum_cnxn_timeout_ms
    return config.tick_time_ms * config.sync_limit_ticks


def reach_timeout_ms(config: Config) -> int | None:
    """How long (ms) one of a server's several addresses may take to accept; None: any time."""
    if not config.multi_address_reachability_check_enabled:
        return None
    timeout_ms = config.multi_address_reachability_check_timeout_ms
    return timeout_ms if timeout_ms > 0 else config.cnx_timeout_ms
