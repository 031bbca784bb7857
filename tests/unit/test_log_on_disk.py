"""The log as the leader reads it back for a learner, beside its own writer."""

from __future__ import annotations

import pytest

from tests.support.histories import Entries, entries, set_data_entry
from zkserver.base.zxid import make_zxid
from zkserver.jute.txns import peek_zxid
from zkserver.sim.disk import SimDisk
from zkserver.storage.layout import Layout
from zkserver.storage.log_on_disk import PROBE_BYTES, LogFiles
from zkserver.storage.txnlog import TxnLogWriter
from zkserver.zab.committed_log import CommittedLog
from zkserver.zab.synchronisation import History, SyncKind, choose

LAYOUT = Layout.of("/data")
FOLDER = LAYOUT.log_folder


def open_log(disk: SimDisk, preallocate: int = 1 << 20) -> TxnLogWriter:
    return TxnLogWriter(
        disk,
        FOLDER,
        preallocate_bytes=preallocate,
        size_limit_bytes=None,
        sync=True,
        clock_ms=lambda: 0.0,
    )


def directory(*batches: Entries) -> tuple[SimDisk, TxnLogWriter, LogFiles]:
    """One file for each batch; the last one is open still."""
    disk = SimDisk()
    writer = open_log(disk)
    for batch in batches:
        writer.roll()
        writer.write(batch)
    return disk, writer, LogFiles(disk, LAYOUT)


def zxids(log: LogFiles, zxid: int) -> list[int]:
    found = list(log.entries(zxid))
    assert all(peek_zxid(entry) == zxid for zxid, entry in found)
    return [zxid for zxid, _ in found]


THREE = (entries(5, 5), entries(10, 5), entries(15, 5))


@pytest.mark.parametrize("zxid", range(5, 20))
def test_from_a_logged_zxid_on(zxid) -> None:
    _, _, log = directory(*THREE)
    assert zxids(log, zxid) == list(range(zxid, 20))


def test_nothing_where_the_log_does_not_reach_back() -> None:
    _, _, log = directory(*THREE)
    assert zxids(log, 4) == zxids(log, 0) == zxids(log, -1) == []
    assert zxids(LogFiles(SimDisk(), LAYOUT), 5) == []


def test_a_zxid_that_is_in_no_log_gives_the_one_before_first() -> None:
    later = entries(make_zxid(1, 1), 3)
    _, _, log = directory(entries(5, 5), later)
    assert zxids(log, make_zxid(1, 0)) == [9, *(peek_zxid(entry) for entry in later)]
    assert zxids(log, 12) == [9, *(peek_zxid(entry) for entry in later)]
    assert zxids(log, make_zxid(7, 0)) == [make_zxid(1, 3)]


def test_the_writer_goes_on_meanwhile() -> None:
    disk, writer, log = directory(*THREE)
    run = log.entries(17)
    assert next(run)[0] == 17
    writer.write(entries(20, 3))
    assert zxids(log, 18) == list(range(18, 23))
    writer.roll()
    writer.write(entries(23, 1))
    assert zxids(log, 22) == [22, 23]
    # The run that had begun has what was there then, or more.
    assert [zxid for zxid, _ in run][:2] == [18, 19]
    assert disk.names(FOLDER)


@pytest.mark.parametrize("size_bytes", range(0, 400, 7))
def test_a_half_written_tail_ends_it(size_bytes) -> None:
    disk, _, log = directory(*THREE)
    path = f"{FOLDER}/log.f"
    whole = disk.get(path)
    disk.put(path, whole[:size_bytes] + bytes(500))
    found = zxids(log, 12)
    assert found == list(range(12, 12 + len(found)))
    assert len(found) >= 3
    # Also where the zxid asked for is in the tail.
    assert zxids(log, 16)[0] in (14, 15, 16)


def test_a_file_that_was_only_just_made() -> None:
    disk, _, log = directory(*THREE)
    disk.put(f"{FOLDER}/log.14", b"")
    assert zxids(log, 20) == [19]
    assert zxids(log, 18) == [18, 19]


@pytest.mark.parametrize("byte", [3, 40, 200])
def test_damage_in_the_middle_ends_it(byte) -> None:
    disk, _, log = directory(*THREE)
    disk.flip_bit(f"{FOLDER}/log.a", 8 * byte)
    found = zxids(log, 7)
    assert found[:3] == [7, 8, 9]
    assert found == list(range(7, 7 + len(found)))
    assert found[-1] < 14


def test_damage_at_an_epochs_end_does_not_make_the_next_epoch_its_successor() -> None:
    disk, _, log = directory(entries(5, 5), entries(make_zxid(1, 1), 3))
    path = f"{FOLDER}/log.5"
    disk.flip_bit(path, 8 * (len(disk.get(path).rstrip(b"\0")) - 10))
    assert zxids(log, 6) == [6, 7, 8]


def test_a_missing_file_ends_it() -> None:
    disk, _, log = directory(*THREE)
    disk.remove(f"{FOLDER}/log.a")
    assert zxids(log, 6) == [6, 7, 8, 9]
    run = log.entries(16)
    disk.remove(f"{FOLDER}/log.f")
    assert list(run) == [(9, set_data_entry(9))]


def test_the_sizes_tell_without_the_preallocated_zeros() -> None:
    disk, _, log = directory(*(entries(z, 5, b"d" * 3000) for z in (5, 10, 15)))
    written = {path: len(disk.get(path).rstrip(b"\0")) for path in disk.paths()}
    assert all(disk.size(path) >= 1 << 20 for path in written)
    for zxid, files in ((3, 3), (5, 3), (9, 3), (10, 2), (19, 1), (99, 1)):
        exact = sum(list(written.values())[-files:])
        assert exact <= log.bytes_from(zxid) < exact + files * PROBE_BYTES
    assert LogFiles(SimDisk(), LAYOUT).bytes_from(5) == 0
    disk.put(f"{FOLDER}/log.14", b"")
    assert log.bytes_from(20) == 0


def test_the_newest_whole_snapshot_counts() -> None:
    disk, _, log = directory()
    assert log.snapshot_bytes() == 0
    disk.put(f"{FOLDER}/snapshot.5", b"x" * 95 + b"\0\0\0\x01/")
    disk.put(f"{FOLDER}/snapshot.9", b"x" * 50)
    assert log.snapshot_bytes() == 100


def test_a_leader_serves_from_it() -> None:
    disk, _, log = directory(*THREE)
    disk.put(f"{FOLDER}/snapshot.5", b"x" * 100_000 + b"\0\0\0\x01/")
    committed = CommittedLog()
    for entry in entries(17, 3):
        committed.append((peek_zxid(entry), entry))
    history = History(committed, 19, log)
    plan = choose(8, history)
    assert (plan.kind, [zxid for zxid, _ in plan.entries]) == (SyncKind.DIFF, list(range(9, 20)))
    disk.flip_bit(f"{FOLDER}/log.a", 8 * 200)
    assert choose(8, history).kind == SyncKind.SNAP
