"""Summaries and their percentiles, against the values themselves."""

import random

import pytest

from zkserver.server.stats import ServerStats
from zkserver.server.summaries import (
    KEY_LIMIT_BYTES,
    KEYS_LIMIT,
    Percentiles,
    Summary,
    SummarySet,
    key_text,
)


def test_a_summary_begins_at_zero_and_has_javas_rows():
    summary = Summary()
    assert dict(summary.rows("x")) == {"avg_x": 0.0, "min_x": 0, "max_x": 0, "cnt_x": 0, "sum_x": 0}
    summary.record(2, 5)
    summary.record(1, 0)
    assert dict(summary.rows("x")) == {
        "avg_x": 3.3333, "min_x": 0, "max_x": 5, "cnt_x": 3, "sum_x": 10
    }


@pytest.mark.parametrize("limit", [10, 63, 64, 1000, 10_000_000])
def test_percentiles_are_off_by_3_percent_at_most(limit):
    chance = random.Random(limit)
    values = sorted(chance.randrange(limit) for _ in range(5000))
    found = Percentiles()
    for value in values:
        found.record(1, value)
    for share in (0.01, 0.5, 0.95, 0.99, 0.999, 1):
        exact = values[round(share * 5000) - 1]
        assert exact * (1 - 1 / 32) <= found.percentile(share) <= exact
    assert [name for name, _ in found.rows("x")][-4:] == ["p50_x", "p95_x", "p99_x", "p999_x"]
    assert found.count == 5000
    assert found.largest == values[-1]


def test_percentiles_below_64_are_exact_and_counts_weigh():
    found = Percentiles()
    assert found.percentile(0.5) == 0
    found.record(98, 1)
    found.record(2, 63)
    assert [found.percentile(share) for share in (0.5, 0.98, 0.99)] == [1, 1, 63]


def test_a_set_takes_no_more_keys_than_its_limit():
    found = SummarySet(Percentiles)
    for key in range(KEYS_LIMIT + 5):
        found.record(key, 1, 7)
    found.record(0, 2, 8)
    assert len(found.by_key) == KEYS_LIMIT
    assert dict(found.named())["0"].count == 3


def test_a_set_takes_no_long_keys():
    """A client may make names of a megabyte, and remove their znodes again."""
    found = SummarySet()
    found.record(b"a" * KEY_LIMIT_BYTES, 1, 7)
    found.record(b"a" * (KEY_LIMIT_BYTES + 1), 1, 7)
    assert list(found.by_key) == [b"a" * KEY_LIMIT_BYTES]
    stats = ServerStats()
    stats.refused_by_quota(b"/" + b"a" * KEY_LIMIT_BYTES)
    stats.refused_by_quota(b"/" + b"a" * (KEY_LIMIT_BYTES + 1) + b"/b")
    assert list(stats.quota_refusals) == [b"a" * KEY_LIMIT_BYTES]


def test_a_key_is_one_word():
    assert key_text(b"app") == "app"
    assert key_text(b"a b\nc\td") == "a\\x20b\\x0ac\\x09d"
    assert key_text(b"\xff") == "\\xff"
    assert key_text(3) == "3"
