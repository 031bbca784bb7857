"""Recovery: what it finds again, what it repairs, and where it refuses to go on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.histories import Entries, History, describe, entries
from zkserver.base import opcodes as op
from zkserver.base.acl import OPEN_ACL
from zkserver.base.errors import ExitCode, FatalError
from zkserver.jute import txns
from zkserver.sim.disk import SimDisk
from zkserver.storage import recovery, snapshot
from zkserver.storage.layout import Layout, StorageError
from zkserver.storage.recovery import Restored, RestoreSettings
from zkserver.storage.txnlog import TxnLogWriter
from zkserver.tree.tree import DataTree

GOLDEN = Path(__file__).parents[1] / "golden" / "storage"
LAYOUT = Layout.of("/data")
APART = Layout.of("/data", "/logs")
FOLDER = LAYOUT.log_folder


class Outcome:
    """A restore: the tree, what was found, and the lines that were said."""

    def __init__(
        self,
        disk: SimDisk,
        settings: RestoreSettings | None = None,
        layout: Layout = LAYOUT,
        digest_enabled: bool = True,
    ) -> None:
        self.tree = DataTree(digest_enabled, extended_types=True)
        self.lines: list[str] = []
        self.restored: Restored = recovery.restore(
            disk, layout, self.tree, settings or RestoreSettings(), self.lines.append
        )


def write_log(disk: SimDisk, batch: Entries, preallocate: int = 4096) -> str:
    writer = TxnLogWriter(
        disk,
        FOLDER,
        preallocate_bytes=preallocate,
        size_limit_bytes=None,
        sync=True,
        clock_ms=lambda: 0.0,
    )
    writer.write(batch)
    return writer.path


def save(disk: SimDisk, history: History) -> str:
    return snapshot.save(disk, LAYOUT, history.tree, history.sessions).path


def run_steps(history: History, count: int) -> list[tuple[int, bytes]]:
    before = len(history.log)
    for _ in range(count):
        history.step()
    return history.log[before:]


def new_directory(steps: int = 30, snapshot_at: int = 0) -> tuple[SimDisk, History]:
    """A directory with one snapshot and one log."""
    disk, history = SimDisk(), History(random.Random(steps))
    disk.make_folder(FOLDER)
    run_steps(history, snapshot_at)
    save(disk, history)
    batch = run_steps(history, steps - snapshot_at)
    if batch:
        write_log(disk, batch)
    return disk, history


# What is there is found


def test_a_directory_of_apache_zookeeper() -> None:
    disk = SimDisk()
    for name in ("log.1", "snapshot.0"):
        disk.put(f"{FOLDER}/{name}", (GOLDEN / name).read_bytes())
    found = Outcome(disk)
    assert found.restored.last_zxid == found.tree.last_zxid == 20
    assert (found.restored.snapshot_zxid, found.restored.txns_replayed) == (0, 20)
    assert found.restored.digest_mismatches == 0
    assert list(found.restored.sessions.values()) == [10000, 10000]
    assert found.lines == []
    snapshotted = DataTree(extended_types=True)
    snapshot.read([(GOLDEN / "snapshot.14").read_bytes()], snapshotted)
    assert {path: (row[0], row[2], row[3]) for path, row in describe(found.tree).items()} == {
        path: (row[0], row[2], row[3]) for path, row in describe(snapshotted).items()
    }
    assert found.tree.digest == snapshotted.digest


def test_snapshot_and_log_together() -> None:
    disk, history = new_directory(steps=50, snapshot_at=20)
    found = Outcome(disk)
    assert describe(found.tree) == describe(history.tree)
    assert found.restored.sessions == history.sessions
    assert found.restored.snapshot_path == f"{FOLDER}/snapshot.14"
    assert found.restored.txns_replayed == 30
    assert found.restored.log_bytes == sum(len(entry) + 13 for entry in history.log[20:])


def test_old_logs_without_their_neighbours_do_not_matter() -> None:
    disk, history = new_directory(steps=50, snapshot_at=20)
    write_log(disk, entries(3, 2))
    assert describe(Outcome(disk).tree) == describe(history.tree)


def test_a_log_named_by_a_repeated_zxid_does_not_hide_the_first() -> None:
    # Apache ZooKeeper: snapshot.14 was begun when 0x15 was logged already, and the
    # first record of the next log was an unreadable request, under 0x15 again.
    disk, history = SimDisk(), History(random.Random(4))
    batch = run_steps(history, 20)
    save(disk, history)
    batch += run_steps(history, 1)
    write_log(disk, batch)
    repeated = txns.encode((1, 1, 21, 5, op.ERROR, (-5,)), None)
    write_log(disk, [repeated, *run_steps(history, 5)])
    found = Outcome(disk)
    assert found.restored.digest_mismatches == 0
    assert describe(found.tree) == describe(history.tree)


def test_progress_is_told() -> None:
    disk, _ = new_directory(0)
    write_log(disk, entries(1, 20_000))
    told: list[tuple[str, int]] = []
    recovery.restore(
        disk,
        LAYOUT,
        DataTree(digest_enabled=False),
        RestoreSettings(),
        lambda _: None,
        lambda what, count: told.append((what, count)),
    )
    assert told == [("transactions", 10_000), ("transactions", 20_000)]


def test_a_fuzzy_snapshot_that_is_ahead_of_its_name() -> None:
    disk, history = SimDisk(), History(random.Random(3))
    batch = run_steps(history, 60)
    write_log(disk, batch)
    path = save(disk, history)
    # Java names a snapshot by where it began; its digest is of where it ended.
    disk.rename(path, f"{FOLDER}/snapshot.14")
    found = Outcome(disk)
    assert found.restored.txns_replayed == 40
    assert found.restored.digest_mismatches == 0
    assert found.restored.uncovered_digest_zxid is None
    assert {path: row[0] for path, row in describe(found.tree).items()} == {
        path: row[0] for path, row in describe(history.tree).items()
    }


def test_digests_that_the_log_does_not_reach_are_told() -> None:
    disk, history = SimDisk(), History(random.Random(3))
    batch = run_steps(history, 60)
    write_log(disk, batch[:40])
    disk.rename(save(disk, history), f"{FOLDER}/snapshot.14")
    assert Outcome(disk).restored.uncovered_digest_zxid == 60


def test_a_digest_that_differs_is_counted() -> None:
    disk, _ = new_directory(0)
    body = (b"/a", b"", OPEN_ACL, False, 1)
    first = txns.encode((1, 0, 1, 5, op.CREATE2, body), 12345)
    write_log(disk, [first, *entries(2, 3)])
    found = Outcome(disk)
    assert (found.restored.digest_mismatches, found.restored.first_mismatch_zxid) == (1, 1)
    assert Outcome(disk, digest_enabled=False).restored.digest_mismatches == 0


def test_a_snapshot_s_own_digest_is_compared() -> None:
    disk, history = SimDisk(), History(random.Random(3))
    run_steps(history, 10)
    history.tree.digest ^= 1
    save(disk, history)
    assert Outcome(disk).restored.first_mismatch_zxid == 10


def test_without_digests_that_of_a_snapshot_is_not_compared() -> None:
    disk, history = SimDisk(), History(random.Random(3))
    run_steps(history, 10)
    save(disk, history)
    assert Outcome(disk, digest_enabled=False).restored.digest_mismatches == 0


# New directories


def test_a_new_directory_gets_snapshot_0() -> None:
    disk = SimDisk()
    found = Outcome(disk)
    assert found.restored.created
    assert found.restored.last_zxid == 0
    assert disk.paths() == [f"{FOLDER}/snapshot.0"]
    again = Outcome(disk)
    assert not again.restored.created
    assert describe(again.tree) == describe(DataTree())


def test_without_db_autocreate_an_empty_directory_is_not_trusted() -> None:
    disk = SimDisk()
    settings = RestoreSettings(autocreate_database=False)
    found = Outcome(disk, settings)
    assert found.restored.last_zxid == found.tree.last_zxid == -1
    assert disk.paths() == []
    assert "db.autocreate" in found.lines[0]
    assert "/data/initialize" in found.lines[0]


def test_the_initialize_file_is_trusted_once() -> None:
    disk = SimDisk()
    disk.put(APART.initialize_path, b"")
    found = Outcome(disk, RestoreSettings(autocreate_database=False), APART)
    assert found.restored.last_zxid == 0
    assert disk.paths() == ["/data/version-2/snapshot.0"]


def test_missing_folders_without_datadir_autocreate() -> None:
    settings = RestoreSettings(autocreate_folders=False)
    missing = r"^dataDir: .*/data/version-2 is missing.*datadir"
    with pytest.raises(StorageError, match=missing) as caught:
        Outcome(SimDisk(), settings)
    assert caught.value.exit_code == ExitCode.UNABLE_TO_ACCESS_DATADIR
    with pytest.raises(StorageError, match=r"^dataLogDir: .*/logs/version-2 is missing"):
        Outcome(SimDisk(), settings, APART)


def test_a_folder_without_permission() -> None:
    disk = SimDisk()
    disk.read_only.append(FOLDER)
    with pytest.raises(StorageError, match="no permission to write") as caught:
        Outcome(disk)
    assert caught.value.exit_code == ExitCode.UNABLE_TO_ACCESS_DATADIR


def test_swapped_directories_are_refused() -> None:
    for path in ("/data/version-2/log.1", "/logs/version-2/snapshot.1"):
        disk = SimDisk()
        disk.put(path, b"")
        with pytest.raises(StorageError, match="check dataDir and dataLogDir") as caught:
            Outcome(disk, layout=APART)
        assert path.rpartition("/")[2] in str(caught.value)
        assert caught.value.exit_code == ExitCode.UNABLE_TO_ACCESS_DATADIR


# Snapshots that are missing or bad


def test_logs_without_a_snapshot_are_refused_unless_trusted() -> None:
    disk, history = SimDisk(), History(random.Random(1))
    write_log(disk, run_steps(history, 20))
    with pytest.raises(StorageError, match=r"no snapshot.*snapshot\.trust\.empty"):
        Outcome(disk)
    found = Outcome(disk, RestoreSettings(trust_empty_snapshot=True))
    assert describe(found.tree) == describe(history.tree)
    assert found.restored.snapshot_zxid is None
    assert "for an upgrade only" in found.lines[0]


def test_a_log_without_any_transaction_is_no_reason_to_refuse() -> None:
    for data in (b"", bytes(5000), b"ZKLG\0\0\0\2" + bytes(5000)):
        disk = SimDisk()
        disk.put(f"{FOLDER}/log.1", data)
        assert Outcome(disk).restored.created
        disk = SimDisk()
        disk.put(f"{FOLDER}/log.5", data)
        with pytest.raises(StorageError, match="no snapshot"):
            Outcome(disk)


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_bad_snapshot_is_passed_over_for_an_older_one(damage: str) -> None:
    disk, history = new_directory(steps=30)
    path = save(disk, history)
    data = bytearray(disk.get(path))
    if damage == "cut":
        del data[-7:]
    else:
        data[len(data) // 2] ^= 1
    disk.put(path, bytes(data))
    found = Outcome(disk)
    assert describe(found.tree) == describe(history.tree)
    assert found.restored.snapshot_zxid == 0
    assert found.lines[0].startswith(f"{path}: not used")


def test_a_bad_snapshot_whose_transactions_are_gone_is_refused() -> None:
    disk, history = new_directory(steps=30)
    run_steps(history, 10)
    path = save(disk, history)
    disk.put(path, disk.get(path)[:-1])
    with pytest.raises(StorageError, match=r"snapshot of 0x28 .* the logs .* end with 0x1e"):
        Outcome(disk)


def test_no_good_snapshot_is_refused() -> None:
    disk, history = SimDisk(), History(random.Random(1))
    run_steps(history, 10)
    path = save(disk, history)
    disk.put(path, disk.get(path)[:-1])
    with pytest.raises(StorageError, match=r"none of the snapshots reads.*snapshot\.a"):
        Outcome(disk)


def test_an_unfinished_snapshot_0_is_a_first_start_that_crashed() -> None:
    disk = SimDisk()
    disk.put(f"{FOLDER}/snapshot.0", b"")
    assert Outcome(disk).restored.created


def test_the_snapshot_of_a_new_epoch_names_no_transaction() -> None:
    # A leader's snapshot may be named epoch:0, which no log has.
    disk, history = new_directory(steps=30)
    disk.put(f"{FOLDER}/snapshot.{5 << 32:x}", b"cut short")
    assert Outcome(disk).restored.last_zxid == 30
    history.tree.last_zxid = 5 << 32
    save(disk, history)
    write_log(disk, entries((5 << 32) + 1, 2))
    found = Outcome(disk)
    assert found.restored.last_zxid == (5 << 32) + 2
    assert found.restored.digest_mismatches == 0


def test_temporary_files_are_removed() -> None:
    disk, _ = new_directory()
    disk.put(f"{FOLDER}/.snapshot.5.tmp", b"half")
    found = Outcome(disk)
    assert f"{FOLDER}/.snapshot.5.tmp" not in disk.paths()
    assert "not finished" in found.lines[0]


# Torn and damaged logs


def test_a_torn_tail_is_cut_once() -> None:
    disk, _ = new_directory(steps=30)
    path = f"{FOLDER}/log.1"
    end = len(disk.get(path).rstrip(b"\0"))
    disk.put(path, disk.get(path)[: end - 10] + bytes(100))
    found = Outcome(disk)
    torn = found.restored.torn
    assert torn is not None
    assert found.restored.last_zxid == 29
    assert disk.size(path) == torn.offset
    assert found.lines == [str(torn)]
    assert f"{path}: cut an unfinished write of {torn.dropped_bytes} bytes" in found.lines[0]
    again = Outcome(disk)
    assert (again.restored.torn, again.lines) == (None, [])
    assert again.restored.last_zxid == 29


def test_a_log_whose_first_record_is_torn_is_removed() -> None:
    disk, history = new_directory(steps=30)
    path = write_log(disk, run_steps(history, 1))
    disk.put(path, disk.get(path)[:40])
    found = Outcome(disk)
    assert found.restored.last_zxid == 30
    assert path not in disk.paths()
    write_log(disk, history.log[30:])
    assert describe(Outcome(disk).tree) == describe(history.tree)


def test_an_empty_last_log_is_removed() -> None:
    disk, _ = new_directory(steps=30)
    disk.put(f"{FOLDER}/log.1f", b"")
    found = Outcome(disk)
    assert found.restored.last_zxid == 30
    assert f"{FOLDER}/log.1f" not in disk.paths()
    assert found.lines == [
        f"{FOLDER}/log.1f: removed, a log that a crash left without any transaction"
    ]


def test_damage_and_gaps_change_nothing_on_disk() -> None:
    disk, _ = new_directory(steps=30)
    path = f"{FOLDER}/log.1"
    data = bytearray(disk.get(path))
    data[200] ^= 1
    disk.put(path, bytes(data))
    with pytest.raises(StorageError, match=rf"{path}: damaged at offset \d+"):
        Outcome(disk)
    assert disk.get(path) == bytes(data)
    disk.remove(path)
    write_log(disk, entries(40, 2))
    with pytest.raises(StorageError, match="from 0x1 to 0x27 are missing"):
        Outcome(disk)


def test_a_transaction_of_an_unknown_type_is_refused() -> None:
    disk, _ = new_directory(0)
    write_log(disk, [txns.HEADER.pack(1, 1, 1, 5, 99) + bytes(20)])
    with pytest.raises(StorageError, match=r"log\.1: the transaction 0x1 at offset 16 .* 99"):
        Outcome(disk)


def test_an_error_of_the_disk_is_one_clear_line() -> None:
    class BrokenDisk(SimDisk):
        def read(self, path: str, offset: int, size_bytes: int) -> bytes:
            if path.endswith("log.1"):
                raise OSError(5, "Input/output error", path)
            return super().read(path, offset, size_bytes)

    disk, _ = new_directory()
    broken = BrokenDisk()
    for path in disk.paths():
        broken.put(path, disk.get(path))
    with pytest.raises(FatalError, match=r"cannot read the data directory.*log\.1"):
        Outcome(broken)
