"""Cutting a history back and replacing it: what is left, also after a crash at any point."""

from __future__ import annotations

import random
from zlib import adler32

import pytest

from tests.support.histories import Entries, History, describe, entries
from tests.support.stepwise import crashes
from zkserver.base.zxid import make_zxid
from zkserver.sim.disk import SimDisk
from zkserver.storage import recovery, snapshot, truncation
from zkserver.storage.emptying import Emptying
from zkserver.storage.layout import Layout, StorageError
from zkserver.storage.recovery import Restored, RestoreSettings
from zkserver.storage.truncation import plan_cut, plan_replace
from zkserver.storage.txnlog import TxnLogWriter
from zkserver.tree.tree import DataTree

LAYOUT = Layout.of("/data", "/logs")
TOGETHER = Layout.of("/data")
SNAPSHOTS, LOGS = LAYOUT.snapshot_folder, LAYOUT.log_folder
INTENT = f"{SNAPSHOTS}/{truncation.RECEIVED_NAME}"


def write_log(disk: SimDisk, batch: Entries, layout: Layout = LAYOUT) -> str:
    writer = TxnLogWriter(
        disk,
        layout.log_folder,
        preallocate_bytes=4096,
        size_limit_bytes=None,
        sync=True,
        clock_ms=lambda: 0.0,
    )
    writer.write(batch)
    return writer.path


def directory(seed: int = 1, layout: Layout = LAYOUT) -> SimDisk:
    """Logs 1-10, 11-20, 21-30, 31-40; snapshots 0, 10 and 30."""
    disk, history = SimDisk(), History(random.Random(seed))
    disk.make_folder(layout.snapshot_folder)
    disk.make_folder(layout.log_folder)
    for last in (0, 10, 20, 30, 40):
        history.log.clear()
        while history.tree.last_zxid < last:
            history.step()
        if last:
            write_log(disk, history.log, layout)
        if last in (0, 10, 30):
            snapshot.save(disk, layout, history.tree, history.sessions)
    return disk


def at(zxid: int, seed: int = 1) -> History:
    history = History(random.Random(seed))
    while history.tree.last_zxid < zxid:
        history.step()
    return history


def restore(disk: SimDisk, layout: Layout = LAYOUT) -> tuple[DataTree, Restored, list[str]]:
    tree, lines = DataTree(), []
    return tree, recovery.restore(disk, layout, tree, RestoreSettings(), lines.append), lines


def check_is_history(disk: SimDisk, seed: int = 1, layout: Layout = LAYOUT) -> int:
    """The zxid that recovery ends at; its tree is that of the history of a seed."""
    tree, restored, _ = restore(disk, layout)
    expected = at(restored.last_zxid, seed)
    assert describe(tree) == describe(expected.tree)
    assert restored.sessions == expected.sessions
    assert restored.digest_mismatches == 0
    return restored.last_zxid


def order(path: str) -> tuple[bool, int]:
    return path.startswith(LOGS), int(path.rpartition(".")[2], 16)


def names(disk: SimDisk) -> list[str]:
    return [path.rpartition("/")[2] for path in disk.paths()]


# Cutting


@pytest.mark.parametrize("layout", [LAYOUT, TOGETHER], ids=["apart", "together"])
@pytest.mark.parametrize("zxid", range(41))
def test_a_cut_leaves_the_history_up_to_its_zxid(zxid, layout) -> None:
    disk = directory(layout=layout)
    plan_cut(disk, layout, zxid).carry_out(disk)
    assert disk.crash(random.Random(0)).paths() == disk.paths()
    assert check_is_history(disk, layout=layout) == zxid
    for path in disk.paths():
        assert int(path.rpartition(".")[2], 16) <= zxid
    # The history that follows may be another one.
    write_log(disk, entries(make_zxid(1, 1), 3), layout)
    _, restored, lines = restore(disk, layout)
    assert (restored.last_zxid, lines) == (make_zxid(1, 3), [])


@pytest.mark.parametrize("zxid", [0, 5, 10, 19, 20, 21, 30, 33, 40])
def test_a_crash_within_a_cut_leaves_a_beginning_that_reaches_its_zxid(zxid) -> None:
    cut = plan_cut(directory(), LAYOUT, zxid)
    reached = set()
    for done, count, disk in crashes(directory, cut.carry_out):
        last = check_is_history(disk)
        assert zxid <= last <= (40 if done < count else zxid)
        reached.add(last)
        plan_cut(disk, LAYOUT, zxid).carry_out(disk)
        assert check_is_history(disk) == zxid
    assert {zxid, 40} <= reached


def test_planning_changes_nothing() -> None:
    disk = directory()
    before = {path: disk.get(path) for path in disk.paths()}
    disk.operations.clear()
    plan_cut(disk, LAYOUT, 15)
    plan_replace(disk, LAYOUT, 15)
    assert disk.operations == []
    assert {path: disk.get(path) for path in disk.paths()} == before


def test_what_a_crash_tore_and_what_is_damaged_above_is_cut_away() -> None:
    disk = directory()
    path = f"{LOGS}/log.1f"
    disk.put(path, disk.get(path).rstrip(b"\0")[:-20])
    disk.flip_bit(f"{LOGS}/log.15", 8 * 900)
    plan_cut(disk, LAYOUT, 21).carry_out(disk)
    assert check_is_history(disk) == 21


def test_an_empty_log_in_front_is_no_end_of_the_history() -> None:
    disk = directory()
    disk.put(f"{LOGS}/log.10", b"")
    plan_cut(disk, LAYOUT, 0x10).carry_out(disk)
    assert check_is_history(disk) == 0x10


@pytest.mark.parametrize(
    ("zxid", "without", "reason"),
    [
        (9, ["snapshot.0"], "no snapshot is as old"),
        (15, ["log.b"], "in no log"),
        (41, [], "in no log"),
        (make_zxid(1, 0), [], "in no log"),
        (-1, [], "no snapshot is as old"),
    ],
)
def test_a_cut_that_leaves_nothing_to_start_from_gives_all_up(zxid, without, reason) -> None:
    disk = directory()
    for path in disk.paths():
        if path.rpartition("/")[2] in without:
            disk.remove(path)
    plan = plan_cut(disk, LAYOUT, zxid)
    assert isinstance(plan, Emptying)
    assert reason in plan.reason
    assert [*plan.snapshots[::-1], *plan.logs] == sorted(disk.paths(), key=order)


def test_a_snapshot_that_is_not_whole_is_no_start() -> None:
    disk = directory()
    disk.put(f"{SNAPSHOTS}/snapshot.0", disk.get(f"{SNAPSHOTS}/snapshot.0")[:-3])
    assert plan_cut(disk, LAYOUT, 10)
    assert "no snapshot is as old" in plan_cut(disk, LAYOUT, 9).reason


def test_damage_below_the_zxid_gives_all_up() -> None:
    disk = directory()
    disk.flip_bit(f"{LOGS}/log.15", 8 * 100)
    assert f"{LOGS}/log.15: damaged" in plan_cut(disk, LAYOUT, 25).reason


def test_a_snapshot_is_enough_where_its_log_is_gone() -> None:
    disk = directory()
    for name in ("log.1", "log.b"):
        disk.remove(f"{LOGS}/{name}")
    plan_cut(disk, LAYOUT, 10).carry_out(disk)
    assert check_is_history(disk) == 10
    assert names(disk) == ["snapshot.0", "snapshot.a"]


# Replacing: the tree of another seed comes in


def replace(disk, old: SimDisk, zxid: int, compression: str = "", zxid_seed: int = 2) -> None:
    """What a server does, on a disk that may only be written."""
    received = at(zxid, zxid_seed)
    replacement = plan_replace(old, LAYOUT, zxid, compression)
    replacement.begin(disk)
    snapshot.save(disk, LAYOUT, received.tree, received.sessions, compression=compression)
    replacement.finish(disk)


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
@pytest.mark.parametrize("zxid", [0, 10, 15, 40, 50])
def test_a_received_tree_is_the_only_history(zxid, compression) -> None:
    disk = directory()
    replace(disk, disk, zxid, compression)
    suffix = f".{compression}" if compression else ""
    assert disk.paths() == [f"{SNAPSHOTS}/snapshot.{zxid:x}{suffix}"]
    assert disk.crash(random.Random(0)).paths() == disk.paths()
    assert check_is_history(disk, seed=2) == zxid


@pytest.mark.parametrize("zxid", [5, 15, 40, 50])
def test_a_crash_leaves_the_old_history_or_the_received_one(zxid) -> None:
    received = at(zxid, 2)
    old = directory()
    ends = set()
    for done, count, disk in crashes(directory, lambda disk: replace(disk, old, zxid)):
        tree, restored, _ = restore(disk)
        is_new = describe(tree) == describe(received.tree)
        assert is_new or done < count
        assert is_new or check_is_history(disk) == 40
        assert not disk.exists(INTENT)
        if is_new:
            assert disk.paths() == [f"{SNAPSHOTS}/snapshot.{zxid:x}"]
            assert (restored.last_zxid, restored.sessions) == (zxid, received.sessions)
        ends.add(is_new)
    assert ends == {False, True}


def test_a_crash_where_a_snapshot_had_the_name_leaves_that_history_up_to_it() -> None:
    # The same zxid is the same history; here the trees differ, to tell them apart.
    old = directory()
    ends = set()
    for _, _, disk in crashes(directory, lambda disk: replace(disk, old, 30)):
        tree, restored, _ = restore(disk)
        last = restored.last_zxid
        seed = next(s for s in (1, 2) if describe(tree) == describe(at(last, s).tree))
        ends.add((last, seed))
    assert ends == {(40, 1), (30, 1), (30, 2)}


def test_a_crash_while_a_crash_is_mended() -> None:
    def mended() -> SimDisk:
        disk = directory()
        replacement = plan_replace(disk, LAYOUT, 15)
        replacement.begin(disk)
        snapshot.save(disk, LAYOUT, at(15, 2).tree, at(15, 2).sessions)
        return disk

    rest = plan_replace(mended(), LAYOUT, 15)
    for _, _, disk in crashes(mended, rest.finish):
        tree, restored, lines = restore(disk)
        assert describe(tree) == describe(at(15, 2).tree)
        assert restored.last_zxid == 15
        assert len(lines) <= 1
    _, _, lines = restore(mended())
    assert lines == [
        f"{SNAPSHOTS}/snapshot.f: kept alone; it is the tree of a leader and replaces what was "
        "before"
    ]


def test_an_intent_without_its_tree_is_dropped() -> None:
    disk = directory()
    plan_replace(disk, LAYOUT, 15).begin(disk)
    _, restored, lines = restore(disk)
    assert restored.last_zxid == 40
    assert "all is as before" in lines[0]
    assert not disk.exists(INTENT)


def test_damage_of_the_intent_or_of_the_tree_is_refused() -> None:
    disk = directory()
    disk.put(INTENT, b"snapshot.zzz")
    with pytest.raises(StorageError, match="no name of a snapshot"):
        restore(disk)
    disk.put(INTENT, b"snapshot.1e")
    path = f"{SNAPSHOTS}/snapshot.1e"
    disk.put(path, disk.get(path)[:-2])
    with pytest.raises(StorageError, match="not complete"):
        restore(disk)
    assert "log.1" in names(disk)


def test_a_received_tree_that_rots_later_is_not_covered_up_by_an_older_one() -> None:
    # An epoch's start: the next zxid would look like its successor.
    disk = directory()
    received = at(15, 2)
    received.tree.last_zxid = make_zxid(1, 0)
    replacement = plan_replace(disk, LAYOUT, make_zxid(1, 0))
    replacement.begin(disk)
    path = snapshot.save(disk, LAYOUT, received.tree, received.sessions).path
    replacement.finish(disk)
    write_log(disk, entries(make_zxid(1, 1), 3))
    disk.flip_bit(path, 800)
    with pytest.raises(StorageError, match="none of the snapshots reads"):
        restore(disk)


# A restore: any snapshot comes in, of whatever history.

INCOMING = f"{SNAPSHOTS}/{truncation.INCOMING_NAME}"


def sent(zxid: int) -> bytes:
    disk = SimDisk()
    disk.make_folder(SNAPSHOTS)
    other = at(zxid, 2)
    return disk.get(snapshot.save(disk, LAYOUT, other.tree, other.sessions).path)


@pytest.mark.parametrize("zxid", [15, 30])
def test_a_crash_of_a_restore_leaves_one_history_or_the_other(zxid: int) -> None:
    """Also where this server has a snapshot of that name, which is of another history."""
    body = sent(zxid)
    replacement = plan_replace(directory(), LAYOUT, zxid)._replace(checksum=adler32(body))

    def install(disk: SimDisk) -> None:
        file = disk.create(INCOMING)
        file.write(0, body)
        file.sync()
        file.close()
        disk.sync_folder(SNAPSHOTS)
        replacement.begin(disk)
        replacement.install(disk)
        replacement.finish(disk)

    ends = set()
    for _, _, disk in crashes(directory, install):
        tree, restored, _ = restore(disk)
        last = restored.last_zxid
        seed = next(s for s in (1, 2) if describe(tree) == describe(at(last, s).tree))
        ends.add((last, seed))
        assert not disk.exists(INCOMING)
        assert not disk.exists(INTENT)
    assert ends == {(40, 1), (zxid, 2)}


def test_a_crash_while_what_is_left_of_a_restore_is_removed() -> None:
    def left() -> SimDisk:
        disk = directory()
        disk.put(INCOMING, sent(30))
        plan_replace(disk, LAYOUT, 30)._replace(checksum=7).begin(disk)
        return disk

    def mend(disk: SimDisk) -> None:
        """What `resume` changes here."""
        for path in (INTENT, INCOMING):
            disk.remove(path)
            disk.sync_folder(SNAPSHOTS)

    for _, _, disk in crashes(left, mend):
        tree, restored, _ = restore(disk)
        assert (restored.last_zxid, describe(tree)) == (40, describe(at(40, 1).tree))
