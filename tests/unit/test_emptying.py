"""A server that has given up its history has no database, wherever in that a crash comes."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.support.histories import describe
from tests.support.stepwise import crashes
from tests.unit.test_truncation import LAYOUT, SNAPSHOTS, TOGETHER, at, directory, write_log
from zkserver.base.zxid import make_zxid
from zkserver.runtime import peer_storage
from zkserver.sim.disk import SimDisk
from zkserver.storage import emptying, epochs, recovery, snapshot, truncation
from zkserver.storage.emptying import MARK_NAME
from zkserver.storage.layout import Layout
from zkserver.storage.recovery import Restored, RestoreSettings
from zkserver.tree.tree import DataTree
from zkserver.zab.effects import EpochFile, StoreEpoch

MARK = f"{SNAPSHOTS}/{MARK_NAME}"
ACCEPTED, CURRENT = (f"{SNAPSHOTS}/{name}" for name in ("acceptedEpoch", "currentEpoch"))
REASON = "a test wants it"
# The tree that comes from a leader: of another history.
RECEIVED = 50


def with_epochs(layout: Layout = LAYOUT) -> SimDisk:
    """A directory whose history ends at 40, and its epochs."""
    disk = directory(layout=layout)
    epochs.write_epoch(disk, layout.snapshot_folder, "acceptedEpoch", 3)
    epochs.write_epoch(disk, layout.snapshot_folder, "currentEpoch", 2)
    return disk


def emptied() -> SimDisk:
    disk = with_epochs()
    emptying.plan_empty(disk, LAYOUT, REASON).carry_out(disk)
    return disk


def restore(
    disk: SimDisk, layout: Layout = LAYOUT, **settings: bool
) -> tuple[DataTree, Restored, list[str]]:
    tree, lines = DataTree(), []
    wanted = RestoreSettings(**settings)
    return tree, recovery.restore(disk, layout, tree, wanted, lines.append), lines


def check_has_no_database(disk: SimDisk) -> None:
    """Whatever else is there, and whatever the settings say; and so it is again after that."""
    for settings in ({}, {"autocreate_database": False}, {"trust_empty_snapshot": True}):
        tree, restored, lines = restore(disk, **settings)
        assert (tree.last_zxid, restored.last_zxid, restored.is_emptied) == (-1, -1, True)
        assert describe(tree) == describe(DataTree())
        assert not restored.created
        assert any(line.startswith(f"{MARK}: ") for line in lines)
        left = [path for path in disk.paths() if not path.endswith(".new")]
        assert left == sorted([ACCEPTED, CURRENT, MARK])


def store_tree(disk, old: SimDisk) -> None:
    """What comes behind SNAP, on a disk that may only be written."""
    received = at(RECEIVED, 2)
    replacement = truncation.plan_replace(old, LAYOUT, RECEIVED)
    replacement.begin(disk)
    snapshot.save(disk, LAYOUT, received.tree, received.sessions)
    replacement.finish(disk)


def with_tree() -> SimDisk:
    disk = emptied()
    store_tree(disk, disk)
    return disk


def acknowledge(old: SimDisk) -> Callable[[SimDisk], None]:
    job = StoreEpoch(EpochFile.CURRENT, 3)
    return lambda disk: peer_storage.store_epoch(LAYOUT, job, old, disk)


@pytest.mark.parametrize("layout", [LAYOUT, TOGETHER], ids=["apart", "together"])
def test_the_history_goes_and_the_epochs_stay(layout) -> None:
    disk = with_epochs(layout)
    emptying.plan_empty(disk, layout, REASON).carry_out(disk)
    disk = disk.crash(random.Random(0))
    folder = layout.snapshot_folder
    kept = [f"{folder}/{name}" for name in ("acceptedEpoch", "currentEpoch", MARK_NAME)]
    assert disk.paths() == kept
    assert epochs.read_epoch(disk, folder, "acceptedEpoch") == 3
    assert epochs.read_epoch(disk, folder, "currentEpoch") == 2
    _, restored, lines = restore(disk, layout)
    assert restored.last_zxid == -1
    assert REASON in lines[0]
    found = peer_storage.recover_epochs(disk, layout, -1)
    assert found == {EpochFile.ACCEPTED: 3, EpochFile.CURRENT: 2}


def test_a_crash_leaves_the_old_history_or_no_database() -> None:
    plan = emptying.plan_empty(with_epochs(), LAYOUT, REASON)
    ends = set()
    for done, count, disk in crashes(with_epochs, plan.carry_out):
        is_marked = emptying.is_marked(disk, LAYOUT)
        ends.add(is_marked)
        if is_marked:
            check_has_no_database(disk)
            continue
        assert done < count
        tree, restored, _ = restore(disk)
        assert restored.last_zxid == 40
        assert describe(tree) == describe(at(40).tree)
    assert ends == {False, True}


def test_a_crash_while_a_crash_is_mended() -> None:
    def half_removed() -> SimDisk:
        disk = emptied()
        whole = directory()
        for path in whole.paths()[1:4]:
            disk.put(path, whole.get(path))
        return disk

    plan = emptying.plan_empty(half_removed(), LAYOUT, REASON)
    for _, _, disk in crashes(half_removed, plan.carry_out):
        check_has_no_database(disk)


def test_a_tree_that_was_stored_and_not_acknowledged_is_no_database() -> None:
    old = emptied()
    for _, _, disk in crashes(emptied, lambda disk: store_tree(disk, old)):
        check_has_no_database(disk)
    disk = with_tree()
    write_log(disk, at(RECEIVED + 5, 2).log[-5:])
    check_has_no_database(disk)


def test_the_mark_goes_when_the_epoch_is_current() -> None:
    old = with_tree()
    ends = set()
    for done, count, disk in crashes(with_tree, acknowledge(old)):
        if emptying.is_marked(disk, LAYOUT):
            assert done < count
            check_has_no_database(disk)
            ends.add(True)
            continue
        # Never without the epoch.
        assert epochs.read_epoch(disk, SNAPSHOTS, "currentEpoch") == 3
        tree, restored, lines = restore(disk)
        assert (restored.last_zxid, restored.is_emptied, lines) == (RECEIVED, False, [])
        assert describe(tree) == describe(at(RECEIVED, 2).tree)
        ends.add(False)
    assert ends == {False, True}


def test_no_other_epoch_ends_it() -> None:
    disk = with_tree()
    for file in (EpochFile.ACCEPTED, EpochFile.CURRENT_TO_COME):
        peer_storage.store_epoch(LAYOUT, StoreEpoch(file, 4), disk, disk)
        assert emptying.is_marked(disk, LAYOUT)
    assert epochs.read_epoch(disk, SNAPSHOTS, "currentEpoch") == 2


def test_a_server_that_is_not_marked_writes_its_epoch_and_no_more() -> None:
    disk = with_epochs()
    disk.operations.clear()
    acknowledge(disk)(disk)
    assert {path for _, path in disk.operations} <= {CURRENT, f"{CURRENT}.new", SNAPSHOTS}


def test_who_empties_the_whole_folder_may_begin_anew() -> None:
    disk = emptied()
    for path in disk.paths():
        disk.remove(path)
    _, restored, _ = restore(disk)
    assert (restored.last_zxid, restored.created, restored.is_emptied) == (0, True, False)


def test_a_cut_that_cannot_be_made_empties_the_directory() -> None:
    disk = with_epochs()
    peer_storage.cut_log(LAYOUT, make_zxid(1, 0), disk, disk)
    check_has_no_database(disk)
    _, _, lines = restore(disk)
    assert "to cut it back to 0x100000000, and that transaction is in no log" in lines[0]
    assert "the newest currentEpoch and zxid" in lines[0]
