"""Quota texts, quota paths, and the nearest quota of a path."""

from __future__ import annotations

import pytest

from zkserver.tree import quota
from zkserver.tree.quota import QuotaTrie, StatsTrack


def test_paths_of_quota_znodes() -> None:
    assert quota.limit_path(b"/a/b") == b"/zookeeper/quota/a/b/zookeeper_limits"
    assert quota.stat_path(b"/a/b") == b"/zookeeper/quota/a/b/zookeeper_stats"
    assert quota.trim_quota_path(b"/zookeeper/quota/a/b") == b"/a/b"
    assert quota.trim_quota_path(b"/zookeeper/quota") == b""
    assert quota.trim_quota_path(b"/zookeeper") == b""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, StatsTrack()),
        (b"", StatsTrack()),
        (b";,", StatsTrack()),
        (b"count=5,bytes=10", StatsTrack(5, 10)),
        (b"bytes=10,count=5", StatsTrack(5, 10)),
        (b"count=5", StatsTrack(5, -1)),
        (b"count=-1,bytes=-1", StatsTrack()),
        (b"count=+05,bytes=0", StatsTrack(5, 0)),
        (b"count=,bytes==3", StatsTrack()),
        (b"count=1,,;bytes=2,", StatsTrack(1, 2)),
        (b"count=1,count=2", StatsTrack(2)),
        (
            b"count=1,bytes=2=;byteHardLimit=4;countHardLimit=3",
            StatsTrack(1, 2, {"byteHardLimit": 4, "countHardLimit": 3}),
        ),
        (b"count=1;other=7", StatsTrack(1, -1, {"other": 7})),
        (b"count=9223372036854775807", StatsTrack(9223372036854775807)),
    ],
)
def test_parse(text: bytes | None, expected: StatsTrack) -> None:
    assert quota.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"count",
        b"hello",
        b",count=1",
        b"count=x",
        b"count= 1",
        b"count=1.5",
        b"count=--1",
        b"count=1,bytes=9223372036854775808",
        b"count=" + b"9" * 5000,
        b"\xff\xfe",
        b"\0",
        "count=\u0661".encode(),
    ],
)
def test_ill_formed_text_limits_nothing(text: bytes) -> None:
    track = quota.parse(text)
    assert track == StatsTrack(well_formed=False)
    assert track.count_hard_limit == track.size_bytes_hard_limit == -1


@pytest.mark.parametrize(
    ("track", "text"),
    [
        (StatsTrack(), b"count=-1,bytes=-1"),
        (StatsTrack(5, 10), b"count=5,bytes=10"),
        (
            StatsTrack(1, 2, {"countHardLimit": 3, "byteHardLimit": 4}),
            b"count=1,bytes=2=;byteHardLimit=4;countHardLimit=3",
        ),
    ],
)
def test_format_is_read_back(track: StatsTrack, text: bytes) -> None:
    assert track.to_bytes() == text
    assert quota.parse(text) == track


def test_hard_limits() -> None:
    track = quota.parse(b"count=1,bytes=2=;byteHardLimit=4;countHardLimit=3")
    assert track.count_hard_limit == 3
    assert track.size_bytes_hard_limit == 4


def test_format_usage() -> None:
    assert quota.format_usage(3, 0) == b"count=3,bytes=0"


def test_nearest_quota_counts() -> None:
    trie = QuotaTrie()
    assert not trie.active
    assert trie.longest_prefix(b"/a/b") is None
    trie.add(b"/a")
    trie.add(b"/a/b/c")
    assert trie.active
    assert trie.longest_prefix(b"/a") == b"/a"
    assert trie.longest_prefix(b"/a/b") == b"/a"
    assert trie.longest_prefix(b"/a/b/c") == b"/a/b/c"
    assert trie.longest_prefix(b"/a/b/c/d/e") == b"/a/b/c"
    assert trie.longest_prefix(b"/ab") is None
    assert trie.longest_prefix(b"/") is None
    assert trie.paths() == [b"/a", b"/a/b/c"]
    trie.remove(b"/a")
    trie.remove(b"/unknown")
    assert trie.longest_prefix(b"/a/b") is None
    trie.clear()
    assert not trie.active


@pytest.mark.parametrize("path", [b"", b"/", b"X"])
def test_root_takes_no_quota(path: bytes) -> None:
    trie = QuotaTrie()
    trie.add(path)
    assert not trie.active
    assert trie.longest_prefix(b"/X") is None
