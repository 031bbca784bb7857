"""Every figure that a server tells, under the names of Apache ZooKeeper's metrics: one source.

`collect` gives them as `Metric`s: gauges, counters, summaries, each alone or by key. `metrics`
gives the same as the flat names of `mntr` (`avg_NAME`, `KEY_NAME`), for the word, the admin server
and who else asks; `admin.prometheus` writes them for Prometheus. Values are numbers.

A metric that has no meaning in this server (Java's queues between threads, its response cache) is
left out rather than shown as 0: docs/metrics.md lists those with the reason. Ours alone are
`event_loop_lag_ms` and what docs/metrics.md says beside it.

`collect_process` is what can be told while nobody is served: gauges need a server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from zkserver.server import peer_words
from zkserver.server.stats import ServerStats, namespace_of
from zkserver.server.summaries import Summary, SummarySet, key_text, may_join
from zkserver.tree import quota, watches

if TYPE_CHECKING:
    from zkserver.server.server import Server

GAUGE, COUNTER, SUMMARY = "gauge", "counter", "summary"

_LOCAL_ADDRESSES = ("127.", "::1", "0:0:0:0:0:0:0:1")


class Metric(NamedTuple):
    """`values` by key; of a metric without keys there is one, under "".

    The values of gauges and counters are numbers, those of summaries `Summary`.
    """

    name: str
    kind: str
    values: Mapping[str, float | Summary]
    has_keys: bool = False

    def rows(self) -> Iterator[tuple[str, float]]:
        """The rows of `mntr`, without the prefix zk_."""
        for key, value in self.values.items():
            name = f"{key}_{self.name}" if self.has_keys else self.name
            if isinstance(value, Summary):
                yield from value.rows(name)
            else:
                yield name, value


def metrics(server: Server) -> dict[str, float]:
    """The rows of `mntr` by name, without the prefix zk_: gauges, counters, then summaries."""
    return dict(row for metric in collect(server) for row in metric.rows())


def collect(server: Server) -> list[Metric]:
    """All metrics of a server and its process, in the order of `mntr`."""
    gauges = {**_gauges(server), **peer_words.gauges(server)}
    return [
        *(Metric(name, GAUGE, {"": value}) for name, value in gauges.items()),
        *_quota_gauges(server),
        *_counters(server.stats),
        *_summaries(server.stats),
    ]


def collect_process(stats: ServerStats) -> list[Metric]:
    """The counters and summaries of a process that serves nobody now."""
    return [*_counters(stats), *_summaries(stats)]


def _gauges(server: Server) -> dict[str, float]:
    stats, tree = server.stats, server.tree
    latency = stats.latency
    open_files, max_files = server.host.descriptor_counts()
    local = sum(each.address.startswith(_LOCAL_ADDRESSES) for each in server.connections)
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
        "non_mtls_local_conn_count": local,
        "non_mtls_remote_conn_count": len(server.connections) - local,
    }


def _global_sessions(server: Server) -> int:
    """A server that is no authority counts those that a transaction has made."""
    sessions = server.sessions
    if server.pipeline.is_authority:
        return len(sessions) - len(sessions.local)
    return len(sessions.timeouts())


def _quota_gauges(server: Server) -> Iterator[Metric]:
    """Limits and usage of the quotas on top-level znodes, as their znodes say."""
    tree = server.tree
    limits: dict[str, quota.StatsTrack] = {}
    usage: dict[str, quota.StatsTrack] = {}
    for path in tree.quotas.paths():
        name = namespace_of(path)
        if len(name) + 1 != len(path) or not may_join(limits, name):
            continue
        key = key_text(name)
        for tracks, node_path in (
            (limits, quota.limit_path(path)),
            (usage, quota.stat_path(path)),
        ):
            node = tree.nodes.get(node_path)
            if node is not None:
                tracks[key] = quota.parse(node.data)

    def gauge(
        name: str, tracks: dict[str, quota.StatsTrack], of: Callable[[quota.StatsTrack], int]
    ) -> Metric:
        values: dict[str, float | Summary] = {key: of(track) for key, track in tracks.items()}
        return Metric(f"quota_{name}_per_namespace", GAUGE, values, has_keys=True)

    yield gauge("count_limit", limits, _count_limit)
    yield gauge("bytes_limit", limits, _bytes_limit)
    yield gauge("count_usage", usage, lambda track: track.count)
    yield gauge("bytes_usage", usage, lambda track: track.size_bytes)


def _count_limit(track: quota.StatsTrack) -> int:
    hard = track.count_hard_limit
    return hard if hard > -1 else track.count


def _bytes_limit(track: quota.StatsTrack) -> int:
    hard = track.size_bytes_hard_limit
    return hard if hard > -1 else track.size_bytes


def _counters(stats: ServerStats) -> Iterator[Metric]:
    counters = {
        "snapshot_error_count": stats.snapshot_errors,
        "snapshot_rate_limited_count": stats.rate_limited["snapshot"],
        "restore_error_count": stats.restore_errors,
        "restore_rate_limited_count": stats.rate_limited["restore"],
        "looking_count": stats.lookings,
        "diff_count": stats.diffs_sent,
        "snap_count": stats.trees_sent,
        "commit_count": stats.commits,
        "connection_request_count": stats.connection_requests,
        "connection_rejected": stats.connections_rejected,
        "bytes_received_count": stats.bytes_received,
        "revalidate_count": stats.revalidations,
        "connection_drop_count": stats.connections_dropped,
        "connection_revalidate_count": stats.connection_revalidations,
        "sessionless_connections_expired": stats.sessionless_expired,
        "stale_sessions_expired": stats.sessions_expired,
        "learner_proposal_received_count": stats.proposals_received,
        "learner_commit_received_count": stats.learner_commits,
        "sync_processor_request_queued": stats.logged,
        "proposal_count": stats.proposals,
        "large_requests_rejected": stats.large_rejected,
        "digest_mismatches_count": stats.digest_mismatches,
        "cnxn_closed_without_zk_server_running": stats.connections_unserved,
        "response_bytes": stats.response_bytes,
        "watch_bytes": stats.watch_bytes,
        "fsync_threshold_exceed_count": stats.fsync_threshold_exceeded,
    }
    for name, count in counters.items():
        yield Metric(name, COUNTER, {"": count})
    refusals: dict[str, float | Summary] = {
        key_text(name): count for name, count in stats.quota_refusals.items()
    }
    yield Metric("quota_exceeded_error_per_namespace", COUNTER, refusals, has_keys=True)


def _summaries(stats: ServerStats) -> Iterator[Metric]:
    stats.settle()
    fired = stats.watches_fired
    summaries = {
        "fsynctime": stats.fsync,
        "snapshottime": stats.snapshot_time,
        "restore_time": stats.restores,
        "dbinittime": stats.database_load,
        "startup_txns_loaded": stats.startup_txns,
        "follower_sync_time": stats.follower_sync,
        "observer_sync_time": stats.observer_sync,
        "election_time": stats.elections,
        "unavailable_time": stats.unavailable,
        "leader_unavailable_time": stats.leader_unavailable,
        "connection_token_deficit": stats.token_deficit,
        "node_created_watch_count": fired[watches.NODE_CREATED],
        "node_deleted_watch_count": fired[watches.NODE_DELETED],
        "node_changed_watch_count": fired[watches.NODE_DATA_CHANGED],
        "node_children_watch_count": fired[watches.NODE_CHILDREN_CHANGED],
        "sync_processor_batch_size": stats.log_batch_size,
        "readlatency": stats.reads,
        "updatelatency": stats.updates,
        "propagation_latency": stats.propagation,
        "proposal_latency": stats.proposal_latency,
        "proposal_ack_creation_latency": stats.proposal_ack,
        "commit_propagation_latency": stats.commit_propagation,
        "quorum_ack_latency": stats.quorum_ack,
        "sync_processor_queue_and_flush_time_ms": stats.log_queue_and_flush,
        "sync_processor_queue_flush_time_ms": stats.log_flush,
        "jvm_pause_time_ms": stats.pauses,
        "event_loop_lag_ms": stats.loop_lag,
    }
    for name, summary in summaries.items():
        yield Metric(name, SUMMARY, {"": summary})
    yield _set("write_per_namespace", stats.writes_by_namespace)
    yield _set("read_per_namespace", stats.reads_by_namespace)
    yield _set("ack_latency", stats.learner_ack)


def _set(name: str, found: SummarySet) -> Metric:
    return Metric(name, SUMMARY, dict(found.named()), has_keys=True)
