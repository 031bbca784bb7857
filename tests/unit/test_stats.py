"""What a server counts, seen in the figures of `mntr`."""

from __future__ import annotations

import pytest

from tests.support import wire
from tests.support.quiet_server import QuietClient, QuietServer
from zkserver.base import opcodes as op
from zkserver.jute import txns
from zkserver.server import monitor, reports
from zkserver.server.database import Database
from zkserver.server.stats import ServerStats
from zkserver.tree.tree import DataTree
from zkserver.zab.committed_log import CommittedLog

OPEN = [(31, "world", "anyone")]


def figures(quiet):
    return monitor.metrics(quiet.server)


def create(path, data=b"", flags=0):
    return wire.request(1, op.CREATE, wire.create_request(path, data, OPEN, flags))


def set_data(path, data):
    return wire.request(1, op.SET_DATA, wire.set_data_request(path, data))


def get_data(path, watch=False):
    return wire.request(1, op.GET_DATA, wire.read_request(path, watch))


@pytest.fixture(name="quiet")
def _quiet():
    return QuietServer()


def asked(client, quiet, *payloads):
    """Each request in a chunk of its own, and each answered before the next."""
    for payload in payloads:
        quiet.now_ms += 1
        client.receive(payload)
        quiet.sync()


def test_reads_and_writes_are_counted_by_their_namespace(quiet):
    client = QuietClient(quiet)
    asked(client, quiet, create("/app", b"12345"), create("/app/x"), set_data("/app/x", b"123"))
    asked(client, quiet, get_data("/app"), get_data("/app/x"), get_data("/nowhere"))
    asked(client, quiet, set_data("/nowhere", b"123"))
    rows = figures(quiet)
    assert rows["cnt_app_write_per_namespace"] == 3
    assert rows["sum_app_write_per_namespace"] == (4 + 5) + 6 + (6 + 3)
    assert rows["cnt_app_read_per_namespace"] == 2
    assert rows["sum_app_read_per_namespace"] == (4 + 5 + 68) + (6 + 3 + 68)
    assert not [name for name in rows if "nowhere" in name]


def test_a_multi_counts_with_its_parts(quiet):
    client = QuietClient(quiet)
    parts = [
        (op.CREATE, wire.create_request("/a", b"1", OPEN, 0)),
        (op.SET_DATA, wire.set_data_request("/a", b"22")),
        (op.DELETE, wire.version_request("/a")),
    ]
    asked(client, quiet, wire.request(1, op.MULTI, wire.multi_request(parts)))
    failing = [parts[0], (op.DELETE, wire.version_request("/none"))]
    asked(client, quiet, wire.request(2, op.MULTI, wire.multi_request(failing)))
    rows = figures(quiet)
    assert rows["cnt_a_write_per_namespace"] == 3
    assert rows["sum_a_write_per_namespace"] == 3 + 4 + 2


def test_pipelined_requests_share_out_in_the_long_run(quiet):
    client = QuietClient(quiet)
    asked(client, quiet, create("/a"), create("/b"))
    ping = wire.request(-2, op.PING)
    for _ in range(1000):
        quiet.now_ms += 1
        client.receive(get_data("/a"), ping, get_data("/a"), get_data("/b"))
        client.receive(get_data("/a"), ping, get_data("/a"), get_data("/b"))
    for _ in range(1000):
        quiet.now_ms += 1
        client.receive(set_data("/a", b""), set_data("/a", b""), set_data("/b", b""))
        quiet.sync()
    rows = figures(quiet)
    assert rows["cnt_a_read_per_namespace"] == pytest.approx(4000, rel=0.01)
    assert rows["cnt_b_read_per_namespace"] == pytest.approx(2000, rel=0.01)
    assert rows["cnt_a_write_per_namespace"] == pytest.approx(2000, rel=0.01)
    assert rows["cnt_b_write_per_namespace"] == pytest.approx(1000, rel=0.01)


def test_latencies_of_reads_and_updates(quiet):
    client = QuietClient(quiet)
    client.receive(create("/a"), create("/b"))
    client.receive(get_data("/a"))
    quiet.now_ms += 30
    quiet.sync()
    client.receive(get_data("/a"))
    rows = figures(quiet)
    assert (rows["cnt_updatelatency"], rows["max_updatelatency"]) == (2, 30)
    assert rows["p99_updatelatency"] == 30
    # One read waited behind the writes.
    assert (rows["cnt_readlatency"], rows["min_readlatency"], rows["max_readlatency"]) == (2, 0, 30)
    assert rows["sum_sync_processor_queue_and_flush_time_ms"] == 60


def test_watches_that_fire(quiet):
    watchers = [QuietClient(quiet) for _ in range(3)]
    asked(watchers[0], quiet, create("/a"))
    for each in watchers:
        each.receive(get_data("/a", watch=True))
        each.frames()
    asked(watchers[0], quiet, set_data("/a", b""))
    rows = figures(quiet)
    assert rows["sum_node_changed_watch_count"] == rows["max_node_changed_watch_count"] == 3
    assert rows["cnt_node_changed_watch_count"] == 1
    frame = next(each for each in watchers[1].frames() if each[:4] == b"\xff\xff\xff\xff")
    assert rows["watch_bytes"] == 3 * (4 + len(frame))


def test_quotas_on_top_level_znodes():
    quiet = QuietServer(enforce_quota=True)
    client = QuietClient(quiet)
    asked(client, quiet, create("/app"), create("/zookeeper/quota/app"))
    asked(client, quiet, create("/zookeeper/quota/app/zookeeper_limits",
                                b"count=5,bytes=-1=;countHardLimit=2"))
    asked(client, quiet, create("/zookeeper/quota/app/zookeeper_stats", b"count=0,bytes=0"))
    asked(client, quiet, create("/app/x", b"123"), create("/app/y"), create("/app/z"))
    rows = figures(quiet)
    assert rows["app_quota_count_limit_per_namespace"] == 2
    assert rows["app_quota_bytes_limit_per_namespace"] == -1
    assert rows["app_quota_count_usage_per_namespace"] == 2
    assert rows["app_quota_bytes_usage_per_namespace"] == 3
    assert rows["app_quota_exceeded_error_per_namespace"] == 2


def test_srst_begins_everything_anew_and_a_role_only_what_java_keeps_by_server(quiet):
    client = QuietClient(quiet)
    asked(client, quiet, create("/a", b"1"), get_data("/a"))
    stats = quiet.server.stats
    stats.begin_role()
    rows = figures(quiet)
    assert (rows["packets_received"], rows["avg_latency"], rows["commit_count"]) == (0, 0.0, 2)
    assert rows["cnt_updatelatency"] == rows["cnt_readlatency"] == 1
    stats.reset()
    rows = figures(quiet)
    assert rows["commit_count"] == rows["cnt_updatelatency"] == rows["bytes_received_count"] == 0
    assert not [name for name in rows if name.endswith("per_namespace")]


def test_bytes_received_are_those_of_whole_requests(quiet):
    client = QuietClient(quiet)
    before = figures(quiet)["bytes_received_count"]
    payload = get_data("/")
    client.receive(payload, payload)
    client.connection.receive(wire.text(payload)[:7])
    assert figures(quiet)["bytes_received_count"] - before == 2 * (4 + len(payload))


def test_values_are_numbers_and_gauges_come_before_counters_and_summaries(quiet):
    kinds = [metric.kind for metric in monitor.collect(quiet.server)]
    assert kinds == sorted(kinds, key=[monitor.GAUGE, monitor.COUNTER, monitor.SUMMARY].index)
    assert all(isinstance(value, (int, float)) for value in figures(quiet).values())


def test_refused_large_requests_count_through_all_roles_and_until_srst():
    quiet = QuietServer(large_request_max_bytes=50, large_request_threshold=40)
    client = QuietClient(quiet)
    client.receive(create("/a", b"x" * 60))
    assert figures(quiet)["large_requests_rejected"] == 1
    process = {each.name: each.values for each in monitor.collect_process(quiet.server.stats)}
    assert process["large_requests_rejected"] == {"": 1}
    reports.reset_stats(quiet.server)
    assert figures(quiet)["large_requests_rejected"] == 0


def test_a_learner_counts_digests_that_differ():
    stats = ServerStats()
    database = Database(DataTree, CommittedLog(10), stats)
    txn = 7, 1, 9, 0, op.SET_DATA, (b"/", b"x", 1)
    database.apply((9, txns.encode(txn, 12345)))
    assert stats.digest_mismatches == 1


def test_a_quota_on_a_long_name_makes_no_metric(quiet):
    client = QuietClient(quiet)
    for name in (b"a" * 256, b"b" * 257):
        quota = b"/zookeeper/quota/" + name
        asked(client, quiet, create(b"/" + name), create(quota))
        asked(client, quiet, create(quota + b"/zookeeper_limits", b"count=5,bytes=-1"))
    rows = [name for name in figures(quiet) if name.endswith("_quota_count_limit_per_namespace")]
    assert rows == ["a" * 256 + "_quota_count_limit_per_namespace"]
