"""Purge: never below three snapshots, never a log that a kept snapshot needs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkserver.sim.disk import SimDisk
from zkserver.storage import purge
from zkserver.storage.layout import Layout

GOOD = b"ZKSN and so on \0\0\0\x01/"


def names(prefix: str, *zxids: int) -> list[str]:
    return [f"{prefix}.{zxid:x}" for zxid in zxids]


def test_what_is_older_than_the_oldest_kept_snapshot_goes() -> None:
    old = purge.plan(names("snapshot", 0, 10, 20, 30, 40), names("log", 1, 11, 21, 31, 41), 3)
    # log.b begins before snapshot.14 (20) and is the last that does.
    assert old == (["snapshot.0", "snapshot.a"], ["log.1"])


def test_a_log_that_begins_at_the_snapshot_makes_older_ones_needless() -> None:
    assert purge.plan(names("snapshot", 5, 6, 7), names("log", 1, 3, 5, 8), 3) == (
        [],
        names("log", 1, 3),
    )


def test_too_few_snapshots_keep_everything() -> None:
    assert purge.plan(names("snapshot", 0, 10), names("log", 1, 11), 3) == ([], [])
    assert purge.plan([], names("log", 1, 11), 3) == ([], [])


@pytest.mark.parametrize("retain", [2, 0, -1])
def test_fewer_than_three_is_refused(retain: int) -> None:
    with pytest.raises(ValueError, match="at least 3"):
        purge.plan([], [], retain)


def test_snapshots_that_are_not_whole_do_not_count() -> None:
    snapshots = names("snapshot", 0, 10, 20, 30, 40)
    whole = names("snapshot", 0, 10, 20)
    old = purge.plan(snapshots, names("log", 1, 11, 21), 3, whole.__contains__)
    assert old == ([], [])
    old = purge.plan(snapshots, names("log", 1, 11, 21), 3, snapshots[1:].__contains__)
    assert old == (["snapshot.0", "snapshot.a"], ["log.1"])


def test_other_files_stay() -> None:
    strangers = ["snapshot.1.bak", "currentEpoch", "log.2.old", "acceptedEpoch", ".snapshot.3.tmp"]
    assert purge.plan([*strangers, *names("snapshot", 7, 8, 9)], strangers, 3) == ([], [])


@given(
    st.lists(st.integers(0, 60), unique=True),
    st.lists(st.integers(1, 60), unique=True),
    st.integers(3, 6),
)
def test_every_kept_snapshot_keeps_its_logs(
    snapshots: list[int], logs: list[int], retain: int
) -> None:
    old_snapshots, old_logs = purge.plan(
        names("snapshot", *snapshots), names("log", *logs), retain
    )
    kept = [zxid for zxid in snapshots if f"snapshot.{zxid:x}" not in old_snapshots]
    assert len(kept) == min(retain, len(snapshots))
    for zxid in kept:
        needed = [first for first in logs if first > zxid]
        needed += sorted(first for first in logs if first <= zxid)[-1:]
        assert not set(names("log", *needed)) & set(old_logs)


def test_run_removes_the_files() -> None:
    layout = Layout.of("/data", "/logs")
    disk = SimDisk()
    for name in names("snapshot", 0, 10, 20, 30, 50):
        disk.put(layout.snapshot_path(name), GOOD)
    disk.put(layout.snapshot_path("snapshot.28"), b"cut short")
    for name in names("log", 1, 11, 21):
        disk.put(layout.log_path(name), b"")
    removed = purge.run(disk, layout, 3)
    assert removed == [
        "/data/version-2/snapshot.0",
        "/data/version-2/snapshot.a",
        "/logs/version-2/log.1",
    ]
    assert len(disk.paths()) == 9 - 3
    assert purge.run(disk, layout, 3) == []
