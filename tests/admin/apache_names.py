"""Names of Apache's `mntr` without what is added to them: avg_ and the like, and the keys of sets."""

from __future__ import annotations

import re

SETS = (
    *("write_per_namespace", "read_per_namespace", "quota_exceeded_error_per_namespace"),
    *("quota_count_limit_per_namespace", "quota_bytes_limit_per_namespace"),
    *("quota_count_usage_per_namespace", "quota_bytes_usage_per_namespace"),
    *("learner_handler_qp_size", "learner_handler_qp_time_ms", r"(?<=\d_)ack_latency"),
)
GAUGES = ("avg_latency", "min_latency", "max_latency", "max_file_descriptor_count",
          "max_client_response_size", "min_client_response_size", "min_proposal_size",
          "max_proposal_size")
NO_METRICS = ("version", "server_state", "peer_state", "observer_master_id")
_of_set = re.compile(f".*_({'|'.join(SETS)})").fullmatch
_of_summary = re.compile("(?:avg|min|max|cnt|sum|p50|p95|p99|p999)_(.*)").fullmatch


def base_name(row: str) -> str:
    """The metric that a row of `mntr` (its name, with or without zk_) belongs to."""
    row = row.removeprefix("zk_")
    if match := _of_set(row):
        return match[1]
    if row in GAUGES:
        return row
    match = _of_summary(row)
    return match[1] if match else row
