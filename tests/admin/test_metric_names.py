"""Every metric of Apache's server is ours too, or docs/metrics.md says why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.admin.apache_names import NO_METRICS, base_name
from tests.support.apache import NOT_INSTALLED, ApacheServer, apache_available
from tests.support.quiet_server import QuietServer
from tests.support.server_process import four_letter_word
from zkserver.admin import metric_meanings
from zkserver.admin.metric_meanings import MEANINGS
from zkserver.server import monitor

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/metrics.md").read_text()
APACHE_395 = (ROOT / "tests/golden/metrics_of_apache_3.9.5.txt").read_text().split()


def left_out() -> set[str]:
    table = PAGE.partition("## Apache's metrics that are left out")[2].partition("\n## ")[0]
    return set(re.findall(r"`(\w+)`", table.partition("| --- |")[2])) - set(MEANINGS)


def unexplained(names) -> list[str]:
    return sorted(set(names) - set(MEANINGS) - left_out() - set(NO_METRICS))


def test_each_of_a_running_395_is_here_or_explained():
    """The names of a standalone server, a leader, a follower and an observer."""
    assert unexplained(APACHE_395) == []
    assert left_out() <= set(APACHE_395)


def test_ours_are_apaches_but_for_those_that_are_named():
    # A set that is empty until a quota refuses something, or a learner acknowledges late.
    more = {"quota_exceeded_error_per_namespace", "ack_latency"}
    assert set(MEANINGS) - set(APACHE_395) - more == set(metric_meanings.OURS)


def test_each_of_the_installed_version_is_here_or_explained(tmp_path):
    if not apache_available():
        pytest.skip(NOT_INSTALLED)
    with ApacheServer(tmp_path, cfg={"4lw.commands.whitelist": "*"}) as server:
        rows = four_letter_word(server.port, "mntr").splitlines()
    names = {base_name(row.partition("\t")[0]) for row in rows}
    assert len(names) > 100
    assert unexplained(names) == []


def test_what_is_collected_has_a_meaning_and_what_has_one_is_collected():
    quiet = QuietServer()
    found = {metric.name: metric.kind for metric in monitor.collect(quiet.server)}
    assert set(found) <= set(MEANINGS)
    assert [name for name, kind in found.items() if MEANINGS[name][0] != kind] == []
    # Gauges of an ensemble's servers, and of a leader.
    ensemble = {"quorum_size", "leader_uptime", "learners", "synced_followers", "pending_syncs",
                "synced_non_voting_followers", "synced_observers", "last_proposal_size",
                "min_proposal_size", "max_proposal_size"}
    assert set(MEANINGS) - set(found) == ensemble
    process = {metric.name for metric in monitor.collect_process(quiet.server.stats)}
    assert process == {name for name, kind in found.items() if kind != monitor.GAUGE}


def test_the_page_has_the_table_as_it_is_made():
    assert "\n".join(metric_meanings.table()) in PAGE
