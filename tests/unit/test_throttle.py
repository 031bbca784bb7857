"""The limits on new connections and on large requests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from zkserver.base.errors import LinkError
from zkserver.server.stats import ServerStats
from zkserver.server.throttle import ConnectionThrottle, LargeRequests

NEVER_DROPPED = 0.999999


def admitted(throttle: ConnectionThrottle, now_ms: int, count: int) -> int:
    return sum(throttle.admit(now_ms, NEVER_DROPPED) for _ in range(count))


def test_no_tokens_means_no_limit() -> None:
    throttle = ConnectionThrottle(0, freeze_time_ms=0, drop_increase=1.0)
    assert admitted(throttle, 0, 1000) == 1000
    assert throttle.deficit == 0


def test_bucket_runs_empty_and_fills_up() -> None:
    throttle = ConnectionThrottle(0, tokens=5, fill_time_ms=10, fill_count=2)
    assert admitted(throttle, 0, 8) == 5
    assert throttle.deficit == 5
    # Only more than one fill time brings tokens; a part of one is lost then.
    assert admitted(throttle, 10, 8) == 0
    assert admitted(throttle, 19, 8) == 3
    assert admitted(throttle, 10_000, 8) == 5


def test_sessions_cost_their_weight() -> None:
    throttle = ConnectionThrottle(0, tokens=4, fill_time_ms=1000, weight_enabled=True)
    assert throttle.admit(0, NEVER_DROPPED)
    assert throttle.deficit == 3
    assert throttle.admit(0, NEVER_DROPPED, renew=True)
    assert throttle.deficit == 5
    assert throttle.admit(0, NEVER_DROPPED, local=True)
    assert throttle.deficit == 6
    assert admitted(throttle, 0, 9) == 2
    assert admitted(throttle, 1001, 9) == 1


@pytest.mark.parametrize(
    ("weights", "costs"),
    [
        ((0, 1, 0), (3, 1, 2)),
        ((2, 5, 4), (5, 5, 5)),
        ((4, 0, -1), (4, 1, 2)),
    ],
)
def test_weights_that_make_no_sense(
    weights: tuple[int, int, int], costs: tuple[int, int, int]
) -> None:
    new, local, renew = weights
    throttle = ConnectionThrottle(
        0,
        tokens=10,
        weight_enabled=True,
        global_session_weight=new,
        local_session_weight=local,
        renew_session_weight=renew,
    )
    spent = []
    for renew, is_local in ((False, False), (False, True), (True, False)):
        before = throttle.deficit
        assert throttle.admit(0, NEVER_DROPPED, renew, is_local)
        spent.append(throttle.deficit - before)
    assert tuple(spent) == costs


def test_drop_probability_rises_while_empty_and_falls_while_full() -> None:
    throttle = ConnectionThrottle(
        0,
        tokens=1,
        fill_time_ms=1000,
        freeze_time_ms=10,
        drop_increase=0.4,
        drop_decrease=0.5,
    )
    assert throttle.admit(0, 0.0)
    for now_ms, expected in ((10, 0.0), (11, 0.4), (20, 0.4), (22, 0.8), (33, 1.0), (44, 1.0)):
        assert not throttle.admit(now_ms, NEVER_DROPPED)
        assert throttle.drop_probability == pytest.approx(expected)
    assert not throttle.admit(2000, 0.49)
    assert throttle.drop_probability == pytest.approx(0.5)
    assert throttle.admit(4000, 0.0)
    assert throttle.drop_probability == 0.0


def test_decrease_ratio_lets_the_probability_fall_early() -> None:
    early, late = (
        ConnectionThrottle(
            0,
            tokens=2,
            fill_time_ms=100,
            freeze_time_ms=1,
            drop_increase=0.5,
            drop_decrease=0.5,
            decrease_ratio=ratio,
        )
        for ratio in (0.5, 0.0)
    )
    for throttle in (early, late):
        assert admitted(throttle, 0, 2) == 2
        assert not throttle.admit(2, NEVER_DROPPED)
        throttle.admit(102, NEVER_DROPPED)
    assert early.drop_probability == 0.0
    assert late.drop_probability == 0.5


def test_settings() -> None:
    config: Any = SimpleNamespace(
        connection_throttle_tokens=2,
        connection_throttle_fill_time_ms=50,
        connection_throttle_fill_count=1,
        connection_throttle_freeze_time_ms=-1,
        connection_throttle_drop_increase=0.02,
        connection_throttle_drop_decrease=0.002,
        connection_throttle_decrease_ratio=0.0,
        connection_throttle_weight_enabled=True,
        connection_throttle_global_session_weight=4,
        connection_throttle_local_session_weight=1,
        connection_throttle_renew_session_weight=3,
    )
    throttle = ConnectionThrottle.from_config(config, 1000)
    assert admitted(throttle, 1000, 5) == 2
    assert throttle.deficit == 8
    assert not throttle.admit(1050, NEVER_DROPPED, renew=True)
    assert throttle.admit(1051, NEVER_DROPPED, renew=True)


def test_large_requests_share_a_budget() -> None:
    stats = ServerStats()
    budget = LargeRequests(500, 100, stats.rejected_large)
    budget.begin(300)
    budget.check(200)
    for refuse in (budget.check, budget.begin):
        with pytest.raises(LinkError, match="201 bytes beside 300 in flight"):
            refuse(201)
    assert stats.large_rejected == 2
    assert budget.in_flight_bytes == 300
    budget.begin(200)
    budget.end(300)
    assert budget.in_flight_bytes == 200


def test_small_requests_are_not_counted() -> None:
    budget = LargeRequests(max_bytes=50, threshold_bytes=100)
    for _ in range(10):
        budget.begin(100)
    assert budget.in_flight_bytes == 0
    budget.end(100)
    assert budget.in_flight_bytes == 0
    with pytest.raises(LinkError):
        budget.check(101)


@pytest.mark.parametrize("threshold", [-1, 0, -7])
def test_large_requests_without_a_threshold(threshold: int) -> None:
    budget = LargeRequests(1, threshold)
    budget.begin(1 << 30)
    assert budget.in_flight_bytes == 0


def test_budget_that_makes_no_sense_is_100_mib() -> None:
    budget = LargeRequests(0, 1)
    budget.check(100 << 20)
    with pytest.raises(LinkError):
        budget.check((100 << 20) + 1)
