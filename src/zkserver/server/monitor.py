"""The figures of `mntr`: names of Apache's metrics, values of what is measured here.

A metric that this server does not measure is left out rather than shown as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zkserver.server import peer_words

if TYPE_CHECKING:
    from zkserver.server.server import Server


def metrics(server: Server) -> dict[str, object]:
    """Metrics by name, without the prefix zk_: gauges, counters, then summaries."""
    stats, tree = server.stats, server.tree
    latency = stats.latency
    open_files, max_files = server.host.descriptor_counts()
    fsync_mean_ms = round(stats.fsync_total_ms / stats.fsync_count, 4) if stats.fsync_count else 0.0
    return {
        "avg_latency": latency.average_ms(),
        "min_latency": latency.min_ms,
        "max_latency": latency.max_ms,
        "packets_received": stats.packets_received,
        "packets_sent": stats.packets_sent,
        "num_alive_connections": len(server.connections),
        "outstanding_requests": server.in_flight,
        "uptime": server.now_ms() - server.started_ms,
        "znode_count": tree.znode_count(),
        "watch_count": tree.data_watches.size() + tree.child_watches.size(),
        "ephemerals_count": tree.ephemeral_count(),
        "approximate_data_size": tree.data_size_bytes,
        "global_sessions": _global_sessions(server),
        "local_sessions": len(server.sessions.local),
        "open_file_descriptor_count": open_files,
        "max_file_descriptor_count": max_files,
        "connection_drop_probability": float(server.connection_throttle.drop_probability),
        "last_client_response_size": stats.last_response_bytes,
        "max_client_response_size": stats.max_response_bytes,
        "min_client_response_size": stats.min_response_bytes,
        "auth_failed_count": stats.auth_failures,
        "connection_request_count": stats.connection_requests,
        "connection_revalidate_count": stats.connection_revalidations,
        "connection_rejected": stats.connections_rejected,
        "connection_drop_count": stats.connections_dropped,
        "stale_sessions_expired": stats.sessions_expired,
        **peer_words.metrics(server),
        "response_bytes": stats.response_bytes,
        "large_requests_rejected": server.large_requests.rejected,
        "digest_mismatches_count": stats.digest_mismatches,
        "snapshot_error_count": stats.snapshot_errors,
        "avg_fsynctime": fsync_mean_ms,
        "max_fsynctime": stats.fsync_max_ms,
        "cnt_fsynctime": stats.fsync_count,
        "sum_fsynctime": stats.fsync_total_ms,
    }


def _global_sessions(server: Server) -> int:
    """A server that is no authority counts those that a transaction has made."""
    sessions = server.sessions
    if server.pipeline.is_authority:
        return len(sessions) - len(sessions.local)
    return len(sessions.timeouts())
