"""Syncs between pipelined writes, on the leader and on learners, without any fault."""

from __future__ import annotations

import pytest

from zkserver.sim import history as words
from zkserver.sim.ensemble_run import EnsembleOptions, simulate_ensemble


@pytest.mark.parametrize("seed", range(3))
def test_replies_come_in_the_order_of_requests(seed: int) -> None:
    options = EnsembleOptions(
        servers=3,
        observers=1,
        is_grouped=False,
        clients=5,
        duration_s=10.0,
        think_s=0.1,
        session_timeout_ms=8000,
        snap_count=1000,
        memory=500,
        sync_ms=20.0,
        fault_every_s=5.0,
        faults=(),
    )
    report = simulate_ensemble(seed, options)
    assert report.broken == []
    # The first client dies without a word in act two, maybe with requests under way.
    requests = report.evidence.history.requests
    assert {each.client for each in requests if each.outcome != words.DONE} <= {"c0"}
