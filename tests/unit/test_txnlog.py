"""The transaction log: the writer's bytes and promises, the reader's judgement of damage."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.histories import Entries, entries, set_data_entry
from zkserver.base.errors import ExitCode, FatalError
from zkserver.jute.txns import peek_zxid
from zkserver.sim.disk import SimDisk
from zkserver.storage.layout import StorageError, sorted_logs
from zkserver.storage.logreader import LogReader
from zkserver.storage.txnlog import (
    FRAME_BYTES,
    HEADER_BYTES,
    UNSYNCED_LIMIT_BYTES,
    TxnLogWriter,
    padded_size,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "storage"
FOLDER = "/log/version-2"


def make_writer(
    disk: SimDisk,
    preallocate_bytes: int = 65536,
    size_limit_bytes: int | None = None,
    sync: bool = True,
    clock_ms: Callable[[], float] = lambda: 0.0,
) -> TxnLogWriter:
    return TxnLogWriter(
        disk,
        FOLDER,
        preallocate_bytes=preallocate_bytes,
        size_limit_bytes=size_limit_bytes,
        sync=sync,
        clock_ms=clock_ms,
    )


def make_reader(disk: SimDisk, after_zxid: int = 0) -> LogReader:
    return LogReader(disk, FOLDER, sorted_logs(disk.names(FOLDER)), after_zxid)


def zxids(disk: SimDisk, after_zxid: int = 0) -> list[int]:
    return [zxid for zxid, _, _, _ in make_reader(disk, after_zxid)]


def log_bytes(batch: Entries) -> bytes:
    """A log file with these entries, without padding."""
    disk = SimDisk()
    make_writer(disk, preallocate_bytes=0).write(batch)
    return disk.get(disk.paths()[0])


def one_log(data: bytes, name: str = "log.1") -> SimDisk:
    disk = SimDisk()
    disk.put(f"{FOLDER}/{name}", data)
    return disk


# The writer


def test_the_bytes_are_those_of_apache_zookeeper() -> None:
    golden = (GOLDEN / "log.1").read_bytes()
    source = one_log(golden)
    disk = SimDisk()
    writer = make_writer(disk, preallocate_bytes=1024)
    for _, entry, _, _ in make_reader(source):
        writer.write([entry])
    assert disk.get(f"{FOLDER}/log.1") == golden


def test_a_new_file_is_named_by_its_first_zxid_and_preallocated() -> None:
    disk = SimDisk()
    make_writer(disk).write(entries(0x1F, 2))
    assert disk.paths() == [f"{FOLDER}/log.1f"]
    assert disk.size(f"{FOLDER}/log.1f") == 65552
    assert disk.get(f"{FOLDER}/log.1f").startswith(bytes.fromhex("5a4b4c47 00000002") + bytes(8))


@pytest.mark.parametrize(
    ("position", "size_bytes", "expected"),
    [
        (16, 16, 65552),
        (61455, 65552, 65552),
        (61456, 65552, 131088),
        (65552, 65552, 131088),
        (70000, 65552, 131072),
        (131072, 65552, 196608),
    ],
)
def test_padding_grows_as_in_java(position: int, size_bytes: int, expected: int) -> None:
    assert padded_size(position, size_bytes, 65536) == expected


def test_without_preallocation_a_file_ends_with_its_last_record() -> None:
    disk = SimDisk()
    make_writer(disk, preallocate_bytes=0).write([set_data_entry(1)])
    assert disk.size(f"{FOLDER}/log.1") == HEADER_BYTES + FRAME_BYTES + len(set_data_entry(1))
    assert zxids(disk) == [1]


def test_a_batch_is_one_write_and_one_sync() -> None:
    disk = SimDisk()
    writer = make_writer(disk)
    writer.write(entries(1, 3))
    disk.operations.clear()
    writer.write(entries(4, 500))
    path = f"{FOLDER}/log.1"
    assert disk.operations == [("write", path), ("sync", path)]
    assert zxids(disk) == list(range(1, 504))


def test_the_name_of_a_new_file_is_durable_before_the_first_write_returns() -> None:
    disk = SimDisk()
    make_writer(disk).write(entries(1, 1))
    for seed in range(20):
        assert zxids(disk.crash(random.Random(seed))) == [1]


def test_force_sync_no_never_syncs() -> None:
    disk = SimDisk()
    writer = make_writer(disk, sync=False)
    writer.write(entries(1, 3))
    assert {operation for operation, _ in disk.operations} == {"create", "write"}
    assert zxids(disk.kill()) == [1, 2, 3]


def test_roll_begins_a_new_file_and_the_byte_count() -> None:
    disk = SimDisk()
    writer = make_writer(disk)
    writer.write(entries(1, 3))
    assert writer.bytes_since_snapshot == 3 * (FRAME_BYTES + len(set_data_entry(1)))
    writer.roll()
    assert writer.bytes_since_snapshot == 0
    writer.write(entries(4, 1))
    writer.close()
    assert disk.paths() == [f"{FOLDER}/log.1", f"{FOLDER}/log.4"]
    assert zxids(disk) == [1, 2, 3, 4]


def test_roll_before_any_write_makes_no_file() -> None:
    disk = SimDisk()
    writer = make_writer(disk)
    writer.roll()
    writer.close()
    assert disk.paths() == []


def test_the_size_limit_rolls_after_the_batch_that_passed_it() -> None:
    disk = SimDisk()
    size_bytes = FRAME_BYTES + len(set_data_entry(1))
    writer = make_writer(disk, size_limit_bytes=HEADER_BYTES + 4 * size_bytes - 1)
    for zxid in range(1, 10):
        writer.write(entries(zxid, 1))
    assert disk.paths() == [f"{FOLDER}/log.{zxid}" for zxid in (1, 5, 9)]
    assert zxids(disk) == list(range(1, 10))
    assert writer.bytes_since_snapshot == 9 * size_bytes


def test_an_old_file_of_the_same_name_is_replaced() -> None:
    disk = one_log(log_bytes(entries(1, 1))[:20] + bytes(5000))
    make_writer(disk, preallocate_bytes=0).write(entries(1, 1))
    assert disk.get(f"{FOLDER}/log.1") == log_bytes(entries(1, 1))


def test_a_huge_batch_is_synced_in_parts() -> None:
    disk = SimDisk()
    make_writer(disk).write(entries(1, 30, bytes(100_000)))
    path = f"{FOLDER}/log.1"
    total_bytes = 30 * (FRAME_BYTES + len(set_data_entry(1, bytes(100_000))))
    syncs = disk.operations.count(("sync", path))
    assert total_bytes <= UNSYNCED_LIMIT_BYTES * syncs
    assert zxids(disk) == list(range(1, 31))


def test_the_time_of_a_sync_is_reported() -> None:
    times = iter([1000.0, 1250.0])
    writer = make_writer(SimDisk(), clock_ms=lambda: next(times))
    writer.write(entries(1, 1))
    assert writer.last_sync_ms == 250.0


def test_a_full_disk_ends_the_server_and_loses_nothing_acknowledged() -> None:
    disk = SimDisk()
    writer = make_writer(disk, preallocate_bytes=0)
    writer.write(entries(1, 5))
    disk.free_bytes = 100
    with pytest.raises(FatalError, match=r"log\.1: .*No space left.*start again") as caught:
        writer.write(entries(6, 50))
    assert caught.value.exit_code == ExitCode.TXNLOG_ERROR_TAKING_SNAPSHOT
    disk.free_bytes = None
    with pytest.raises(FatalError, match="earlier write failed"):
        writer.write(entries(6, 1))
    reader = make_reader(disk.kill())
    assert [zxid for zxid, _, _, _ in reader][:5] == [1, 2, 3, 4, 5]
    assert reader.torn is not None


def test_a_failed_sync_is_never_tried_again() -> None:
    disk = SimDisk()
    writer = make_writer(disk)
    disk.failing_sync = True
    with pytest.raises(FatalError):
        writer.write(entries(1, 1))
    disk.failing_sync = False
    with pytest.raises(FatalError):
        writer.write(entries(2, 1))


# The reader


def test_java_s_log_reads() -> None:
    disk = one_log((GOLDEN / "log.1").read_bytes())
    reader = make_reader(disk)
    assert [zxid for zxid, _, _, _ in reader] == list(range(1, 21))
    assert (reader.torn, reader.last_zxid, reader.out_of_order) == (None, 20, 0)


def test_records_up_to_the_snapshot_are_passed_over() -> None:
    disk = one_log(log_bytes(entries(1, 9)))
    assert zxids(disk, after_zxid=6) == [7, 8, 9]
    assert zxids(disk, after_zxid=9) == []


def test_records_larger_than_a_read() -> None:
    batch = [set_data_entry(1, b"a" * 3_000_000), set_data_entry(2, b"b" * 1_048_550)]
    batch += entries(3, 3)
    assert [e for _, e, _, _ in make_reader(one_log(log_bytes(batch)))] == batch


@pytest.mark.parametrize("padding", [0, 5000], ids=["end of file", "zeros"])
def test_a_log_cut_anywhere_gives_what_is_whole(padding: int) -> None:
    whole = log_bytes(entries(1, 3))
    size_bytes = FRAME_BYTES + len(set_data_entry(1))
    for cut in range(len(whole) + 1):
        disk = one_log(whole[:cut] + bytes(padding))
        reader = make_reader(disk)
        found = [zxid for zxid, _, _, _ in reader]
        good = max(cut - HEADER_BYTES, 0) // size_bytes
        assert found == [1, 2, 3][:good]
        end = HEADER_BYTES + good * size_bytes
        # The first bytes of a checksum are zeros themselves.
        unfinished = whole[end:cut].strip(b"\0") != b""
        if cut >= HEADER_BYTES:
            assert (reader.torn is not None) == unfinished
        if reader.torn is not None and cut >= HEADER_BYTES:
            assert reader.torn.offset == end
            assert reader.torn.dropped_bytes == len(whole[end:cut].rstrip(b"\0"))


def test_any_changed_byte_of_a_record_is_refused() -> None:
    whole = log_bytes(entries(1, 3))
    size_bytes = FRAME_BYTES + len(set_data_entry(1))
    for position in range(HEADER_BYTES, len(whole)):
        for mask in (0x01, 0x80):
            damaged = bytearray(whole)
            damaged[position] ^= mask
            with pytest.raises(StorageError) as caught:
                zxids(one_log(bytes(damaged) + bytes(600)))
            offset = HEADER_BYTES + (position - HEADER_BYTES) // size_bytes * size_bytes
            assert f"{FOLDER}/log.1: damaged at offset {offset}" in str(caught.value)
            assert "Restore the data directory" in str(caught.value)


def test_a_lost_sector_in_the_last_batch_is_a_torn_tail_whatever_follows_it() -> None:
    synced_bytes = len(log_bytes(entries(1, 4)))
    size_bytes = FRAME_BYTES + len(set_data_entry(1))
    for sector in range(0, 2560, 512):
        whole = bytearray(log_bytes(entries(1, 40)))
        start = max(sector, synced_bytes)
        whole[start : sector + 512] = bytes(sector + 512 - start)
        reader = make_reader(one_log(bytes(whole) + bytes(9000)))
        count = (start - HEADER_BYTES) // size_bytes
        assert [zxid for zxid, _, _, _ in reader] == list(range(1, count + 1))
        assert reader.torn is not None
        assert reader.torn.offset == HEADER_BYTES + count * size_bytes


def test_a_lost_sector_far_before_the_end_is_damage() -> None:
    whole = bytearray(log_bytes(entries(1, 300, bytes(range(1, 256)) * 20)))
    assert len(whole) > UNSYNCED_LIMIT_BYTES + 4096
    whole[1024:1536] = bytes(512)
    with pytest.raises(StorageError, match="damaged at offset 16"):
        zxids(one_log(bytes(whole)))


def test_a_file_that_a_crash_left_empty_or_without_header() -> None:
    for data in (b"", b"ZKLG\0\0", bytes(65552)):
        disk = one_log(log_bytes(entries(1, 2)))
        disk.put(f"{FOLDER}/log.3", data)
        reader = make_reader(disk)
        assert [zxid for zxid, _, _, _ in reader] == [1, 2]
        assert reader.torn is not None
        assert reader.torn.offset == 0


def test_a_file_that_is_no_log_is_refused() -> None:
    for data in (b"hello", b"ZKSN" + bytes(100), b"\0ZKLG" + bytes(100)):
        with pytest.raises(StorageError, match=r"log\.1: not a transaction log"):
            zxids(one_log(data))


def files(*batches: Entries) -> SimDisk:
    disk = SimDisk()
    for batch in batches:
        disk.put(f"{FOLDER}/log.{peek_zxid(batch[0]):x}", log_bytes(batch))
    return disk


def test_a_missing_file_is_refused() -> None:
    disk = files(entries(1, 3), entries(7, 3))
    with pytest.raises(StorageError, match=r"log\.7: .* from 0x4 to 0x6 are missing.*log\.4"):
        zxids(disk)
    with pytest.raises(StorageError, match="from 0x5 to 0x6 are missing"):
        zxids(files(entries(7, 3)), after_zxid=4)


def test_an_epoch_begins_with_counter_one() -> None:
    second = 2 << 32
    assert zxids(files(entries(1, 3), entries(second + 1, 2)))[3:] == [second + 1, second + 2]
    assert zxids(files(entries(second + 1, 2))) == [second + 1, second + 2]
    with pytest.raises(StorageError, match="are missing"):
        zxids(files(entries(1, 3), entries(second + 2, 2)))


def test_a_repeated_zxid_is_no_gap() -> None:
    # Apache ZooKeeper logs an unreadable request under the zxid before it.
    batch = [*entries(1, 3), *entries(3, 3)]
    assert zxids(one_log(log_bytes(batch))) == [1, 2, 3, 3, 4, 5]


def test_a_zxid_below_the_one_before_is_counted() -> None:
    reader = make_reader(one_log(log_bytes([*entries(1, 3), *entries(2, 3)])))
    assert [zxid for zxid, _, _, _ in reader] == [1, 2, 3, 2, 3, 4]
    assert reader.out_of_order == 1


def test_a_torn_tail_of_an_older_file_is_fine_if_the_next_file_goes_on() -> None:
    disk = SimDisk()
    disk.put(f"{FOLDER}/log.1", log_bytes(entries(1, 5))[:-20] + bytes(300))
    disk.put(f"{FOLDER}/log.5", log_bytes(entries(5, 2)))
    reader = make_reader(disk)
    assert [zxid for zxid, _, _, _ in reader] == [1, 2, 3, 4, 5, 6]
    assert reader.torn is None


def test_damage_in_an_older_file_is_refused_by_its_name_and_offset() -> None:
    whole = bytearray(log_bytes(entries(1, 5)))
    offset = HEADER_BYTES + 2 * (FRAME_BYTES + len(set_data_entry(1)))
    whole[offset + 20] ^= 1
    for next_zxid in (6, 2 << 32 | 1):
        disk = SimDisk()
        disk.put(f"{FOLDER}/log.1", bytes(whole))
        disk.put(f"{FOLDER}/log.{next_zxid:x}", log_bytes(entries(next_zxid, 2)))
        with pytest.raises(StorageError, match=rf"log\.1: damaged at offset {offset}: .* 0x3 on"):
            zxids(disk)


def test_offsets_are_those_of_the_records() -> None:
    records = list(make_reader(one_log(log_bytes(entries(1, 4)))))
    offsets = [offset for _, _, _, offset in records]
    assert offsets[0] == HEADER_BYTES
    assert {b - a for a, b in pairwise(offsets)} == {FRAME_BYTES + len(set_data_entry(1))}
