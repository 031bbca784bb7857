"""What a peer's storage does besides appending to the log, as jobs for `StorageThread`.

A job reads one disk and changes another; they are the same but in the simulated world.
"""

from __future__ import annotations

from functools import partial

from zkserver.base.config import Config
from zkserver.runtime.storage_thread import Job
from zkserver.server.database import Database
from zkserver.storage import emptying, snapshot, truncation
from zkserver.storage import epochs as files
from zkserver.storage.disk import Disk
from zkserver.storage.layout import Layout
from zkserver.zab import epochs
from zkserver.zab.effects import CutLog, EpochFile, StoreEpoch, StoreSnapshot


def recover_epochs(disk: Disk, layout: Layout, last_zxid: int) -> dict[EpochFile, int]:
    """The epochs to start with; what a crash has left unfinished is finished."""
    folder = layout.snapshot_folder
    accepted, current, announced = (
        files.read_epoch(disk, folder, name.value)
        for name in (EpochFile.ACCEPTED, EpochFile.CURRENT, EpochFile.CURRENT_TO_COME)
    )
    found = epochs.recover(last_zxid, accepted, current, announced)
    for write in found.writes:
        files.write_epoch(disk, folder, write.file.value, write.epoch)
    return {EpochFile.ACCEPTED: found.accepted, EpochFile.CURRENT: found.current}


def store_epoch(layout: Layout, job: StoreEpoch, reading: Disk, writing: Disk) -> None:
    """Write an epoch file. With a current epoch a server that was emptied has a history again."""
    files.write_epoch(writing, layout.snapshot_folder, job.file.value, job.epoch)
    if job.file is EpochFile.CURRENT:
        emptying.end(reading, writing, layout)


def replacement(
    layout: Layout, job: CutLog | StoreSnapshot, database: Database, config: Config
) -> Job:
    """What puts another state in the place of the directory's."""
    if isinstance(job, CutLog):
        return partial(cut_log, layout, job.zxid)
    return partial(store_snapshot, layout, job.zxid, database, config)


def cut_log(layout: Layout, zxid: int, reading: Disk, writing: Disk) -> None:
    """TRUNC; the whole history goes where it cannot be cut."""
    truncation.plan_cut(reading, layout, zxid).carry_out(writing)


def store_snapshot(
    layout: Layout, zxid: int, database: Database, config: Config, reading: Disk, writing: Disk
) -> None:
    """The tree that came behind SNAP becomes the directory's only state."""
    compression = config.snapshot_compression_method
    replacement = truncation.plan_replace(reading, layout, zxid, compression)
    replacement.begin(writing)
    snapshot.save(
        writing,
        layout,
        database.tree,
        database.timeouts_ms(),
        compression=compression,
        digest_enabled=config.digest_enabled,
        serialize_last_zxid=config.serialize_last_processed_zxid_enabled,
    )
    replacement.finish(writing)
