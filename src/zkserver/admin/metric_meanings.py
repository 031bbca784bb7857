"""What each metric means: the help texts of the Prometheus page, and the table of docs/metrics.md.

`MEANINGS` has the kind (of `server.monitor`) and the meaning by name. Names are Apache
ZooKeeper's, but for those that `OURS` lists. `python -m zkserver.admin.metric_meanings` prints the
table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from zkserver.server.monitor import COUNTER, GAUGE, SUMMARY

OURS = ("event_loop_lag_ms", "fsync_threshold_exceed_count")

MEANINGS: dict[str, tuple[str, str]] = {
    "avg_latency": (GAUGE, "Mean time (ms) from a request's arrival to its reply"),
    "min_latency": (GAUGE, "Shortest such time (ms)"),
    "max_latency": (GAUGE, "Longest such time (ms)"),
    "packets_received": (GAUGE, "Requests and other packets of clients"),
    "packets_sent": (GAUGE, "Replies and events for clients"),
    "num_alive_connections": (GAUGE, "Connections of clients"),
    "outstanding_requests": (GAUGE, "Writes under way, and requests behind them"),
    "uptime": (GAUGE, "Time (ms) since this server, or its role, began"),
    "znode_count": (GAUGE, "Znodes, as Java counts"),
    "watch_count": (GAUGE, "Watches"),
    "ephemerals_count": (GAUGE, "Ephemeral znodes"),
    "approximate_data_size": (GAUGE, "Bytes of paths and data"),
    "global_sessions": (GAUGE, "Sessions that the ensemble knows"),
    "local_sessions": (GAUGE, "Sessions that this server alone knows"),
    "open_file_descriptor_count": (GAUGE, "Open file descriptors"),
    "max_file_descriptor_count": (GAUGE, "How many there may be"),
    "connection_drop_probability": (GAUGE, "Chance that a new connection is turned away"),
    "last_client_response_size": (GAUGE, "Bytes of the last write to a client"),
    "max_client_response_size": (GAUGE, "Bytes of the largest"),
    "min_client_response_size": (GAUGE, "Bytes of the smallest"),
    "auth_failed_count": (GAUGE, "Authentications that failed"),
    "non_mtls_local_conn_count": (GAUGE, "Connections without mutual TLS from this machine"),
    "non_mtls_remote_conn_count": (GAUGE, "Connections without mutual TLS from others"),
    "quorum_size": (GAUGE, "Voting members"),
    "leader_uptime": (GAUGE, "Time (ms) since this leader began to serve"),
    "learners": (GAUGE, "Servers connected to this leader"),
    "synced_followers": (GAUGE, "Followers that get what is proposed"),
    "synced_non_voting_followers": (GAUGE, "Those of them that do not vote"),
    "synced_observers": (GAUGE, "Observers that get what is committed"),
    "pending_syncs": (GAUGE, "Proposals with a sync behind them"),
    "last_proposal_size": (GAUGE, "Bytes of the last proposal; -1 before the first"),
    "min_proposal_size": (GAUGE, "Bytes of the smallest"),
    "max_proposal_size": (GAUGE, "Bytes of the largest"),
    "quota_count_limit_per_namespace": (GAUGE, "Znodes that a quota allows"),
    "quota_bytes_limit_per_namespace": (GAUGE, "Bytes that a quota allows"),
    "quota_count_usage_per_namespace": (GAUGE, "Znodes below a quota"),
    "quota_bytes_usage_per_namespace": (GAUGE, "Bytes below a quota"),
    "snapshot_error_count": (COUNTER, "Snapshots that could not be written"),
    "snapshot_rate_limited_count": (COUNTER, "Snapshots asked of the admin server too soon"),
    "restore_error_count": (COUNTER, "Restores through the admin server that failed"),
    "restore_rate_limited_count": (COUNTER, "Restores asked for too soon"),
    "looking_count": (COUNTER, "Elections that this server took part in"),
    "diff_count": (COUNTER, "Learners that were sent what they lacked"),
    "snap_count": (COUNTER, "Learners that were sent the whole tree"),
    "commit_count": (COUNTER, "Transactions applied, as leader or alone"),
    "connection_request_count": (COUNTER, "Requests for a session"),
    "connection_rejected": (COUNTER, "Connections turned away"),
    "bytes_received_count": (COUNTER, "Bytes of requests"),
    "revalidate_count": (COUNTER, "Sessions that learners asked this leader about"),
    "connection_drop_count": (COUNTER, "Connections that clients broke"),
    "connection_revalidate_count": (COUNTER, "Clients that came back with a session"),
    "sessionless_connections_expired": (COUNTER, "Connections that asked for no session in time"),
    "stale_sessions_expired": (COUNTER, "Sessions that expired"),
    "learner_proposal_received_count": (COUNTER, "Proposals from the leader"),
    "learner_commit_received_count": (COUNTER, "Transactions applied, as a learner"),
    "sync_processor_request_queued": (COUNTER, "Transactions given to the log"),
    "proposal_count": (COUNTER, "Proposals of this leader"),
    "large_requests_rejected": (COUNTER, "Requests refused for their size"),
    "digest_mismatches_count": (COUNTER, "Tree digests that differ from what they should be"),
    "cnxn_closed_without_zk_server_running": (COUNTER, "Clients that came while nobody served"),
    "response_bytes": (COUNTER, "Bytes of replies and events"),
    "watch_bytes": (COUNTER, "Bytes of events"),
    "fsync_threshold_exceed_count": (COUNTER, "Syncs of the log slower than the threshold"),
    "quota_exceeded_error_per_namespace": (COUNTER, "Writes that a quota refused"),
    "fsynctime": (SUMMARY, "Syncs of the log, ms"),
    "snapshottime": (SUMMARY, "Writing of snapshots, ms"),
    "restore_time": (SUMMARY, "Restores through the admin server, ms"),
    "dbinittime": (SUMMARY, "Restoring the database from disk, ms"),
    "startup_txns_loaded": (SUMMARY, "Transactions replayed in that"),
    "follower_sync_time": (SUMMARY, "From the election's end to serving, of a follower, ms"),
    "observer_sync_time": (SUMMARY, "From the election's end to serving, of an observer, ms"),
    "election_time": (SUMMARY, "Elections, ms"),
    "unavailable_time": (SUMMARY, "Times without serving, ms"),
    "leader_unavailable_time": (SUMMARY, "Those that ended in leading, ms"),
    "connection_token_deficit": (SUMMARY, "Tokens lacking when a session was asked for"),
    "node_created_watch_count": (SUMMARY, "Watchers told of one creation"),
    "node_deleted_watch_count": (SUMMARY, "Watchers told of one deletion"),
    "node_changed_watch_count": (SUMMARY, "Watchers told of one change of data"),
    "node_children_watch_count": (SUMMARY, "Watchers told of one change of children"),
    "sync_processor_batch_size": (SUMMARY, "Transactions written with one sync"),
    "readlatency": (SUMMARY, "From the arrival of reads to their replies, ms"),
    "updatelatency": (SUMMARY, "From the arrival of writes to their replies, ms"),
    "propagation_latency": (SUMMARY, "From a transaction's making to its application, ms"),
    "proposal_latency": (SUMMARY, "From a transaction's making to a follower's receipt, ms"),
    "proposal_ack_creation_latency": (SUMMARY, "Logging of proposals, waiting included, ms"),
    "commit_propagation_latency": (SUMMARY, "From a transaction's making to its COMMIT here, ms"),
    "quorum_ack_latency": (SUMMARY, "From a proposal to the quorum's word, ms"),
    "sync_processor_queue_and_flush_time_ms": (SUMMARY, "From a write's arrival to the disk, ms"),
    "sync_processor_queue_flush_time_ms": (SUMMARY, "Syncs of the log with transactions, ms"),
    "jvm_pause_time_ms": (SUMMARY, "The event loop's lag while jvm.pause.monitor is on, ms"),
    "event_loop_lag_ms": (SUMMARY, "How late the event loop is, looked at ten times a second, ms"),
    "write_per_namespace": (SUMMARY, "Bytes of writes by the first name of the path"),
    "read_per_namespace": (SUMMARY, "Bytes of reads by the first name of the path"),
    "ack_latency": (SUMMARY, "From a proposal to a follower's acknowledgement, ms, by server"),
}


def table() -> Iterator[str]:
    """The table of docs/metrics.md, line by line."""
    yield "| Name | Kind | Meaning |"
    yield "| --- | --- | --- |"
    for name, (kind, meaning) in MEANINGS.items():
        by = " by namespace" if name.endswith("_per_namespace") else ""
        yield f"| `{name}` | {kind}{by} | {meaning}. |"


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")
