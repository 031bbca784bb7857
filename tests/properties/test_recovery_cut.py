"""Restore equals live, for random histories, wherever the log ends and whatever a crash tore."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.histories import History, describe
from zkserver.base.errors import FatalError
from zkserver.sim.disk import SimDisk
from zkserver.storage import recovery, snapshot
from zkserver.storage.layout import Layout
from zkserver.storage.recovery import Restored, RestoreSettings
from zkserver.storage.txnlog import TxnLogWriter
from zkserver.tree.tree import DataTree

LAYOUT = Layout.of("/data")
seeds = st.integers(0, 1 << 32)


def open_log(disk: SimDisk) -> TxnLogWriter:
    return TxnLogWriter(
        disk,
        LAYOUT.log_folder,
        preallocate_bytes=4096,
        size_limit_bytes=None,
        sync=True,
        clock_ms=lambda: 0.0,
    )


def restore(disk: SimDisk) -> tuple[DataTree, Restored]:
    tree = DataTree()
    return tree, recovery.restore(disk, LAYOUT, tree, RestoreSettings(), lambda _: None)


def replica_at(seed: int, zxid: int) -> History:
    """The history of a seed, as it stood after `zxid`."""
    history = History(random.Random(seed))
    while history.tree.last_zxid < zxid:
        history.step()
    return history


def check_equal(tree: DataTree, restored: Restored, live: History) -> None:
    assert describe(tree) == describe(live.tree)
    assert list(restored.sessions.items()) == list(live.sessions.items())
    assert (tree.last_zxid, tree.digest) == (live.tree.last_zxid, live.tree.digest)
    assert tree.compute_digest() == tree.digest
    assert tree.ephemerals == live.tree.ephemerals
    assert tree.data_size_bytes == live.tree.data_size_bytes
    assert restored.digest_mismatches == 0


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(0, 60), st.integers(0, 60), st.data())
def test_a_log_cut_at_any_byte_restores_to_its_whole_transactions(
    seed: int, before: int, after: int, data: st.DataObject
) -> None:
    disk = SimDisk()
    restore(disk)
    history = History(random.Random(seed))
    writer = open_log(disk)
    for _ in range(before):
        history.step()
    if before:
        writer.write(history.log)
        writer.roll()
    snapshot.save(disk, LAYOUT, history.tree, history.sessions)
    for _ in range(after):
        history.step()
    if after:
        writer.write(history.log[before:])
        path = writer.path
        whole = disk.get(path)
        cut = data.draw(st.integers(0, len(whole.rstrip(b"\0"))), label="cut")
        padding = data.draw(st.sampled_from([0, 700]), label="padding")
        disk.put(path, whole[:cut] + bytes(padding))

    tree, restored = restore(disk)
    assert before <= restored.last_zxid <= before + after
    live = replica_at(seed, restored.last_zxid)
    check_equal(tree, restored, live)

    # What follows goes into a new file, and all of it is found again.
    live.log.clear()
    for _ in range(3):
        live.step()
    open_log(disk).write(live.log)
    tree, restored = restore(disk)
    check_equal(tree, restored, live)
    assert restored.torn is None


@settings(max_examples=30, deadline=None)
@given(seeds, st.booleans())
def test_a_power_cut_keeps_what_was_acknowledged(seed: int, killed: bool) -> None:
    chance = random.Random(seed)
    disk = SimDisk()
    restore(disk)
    history = History(random.Random(seed))
    for _ in range(3):
        writer = open_log(disk)
        acknowledged = history.tree.last_zxid
        for _ in range(chance.randrange(4)):
            history.log.clear()
            for _ in range(chance.randrange(1, 30)):
                history.step()
            writer.write(history.log)
            acknowledged = history.tree.last_zxid
            if chance.random() < 0.3:
                writer.roll()
                if chance.random() < 0.8:
                    snapshot.save(disk, LAYOUT, history.tree, history.sessions)
        # The last batch is written and not synced when the power goes.
        history.log.clear()
        for _ in range(chance.randrange(1, 40)):
            history.step()
        disk.failing_sync = True
        with pytest.raises(FatalError):
            writer.write(history.log)
        disk = disk.kill() if killed else disk.crash(chance)
        tree, restored = restore(disk)
        assert restored.last_zxid >= acknowledged
        live = replica_at(seed, restored.last_zxid)
        check_equal(tree, restored, live)
        history = live
