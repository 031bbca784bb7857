"""Cutting a history back to a zxid, and putting a received tree in its place.

Both are planned first, which only reads, and carried out afterwards, which only changes. Before
a plan is made the log's writer is closed (`TxnLogWriter.roll`) and no child writes a snapshot:
either would bring back what was cut. Every removal is durable before the next one begins,
since a crash may keep the later of two and lose the earlier.

**A cut** (TRUNC) drops what is above a zxid, newest first: snapshots, then whole logs, then the
tail of the log that holds the zxid. A crash leaves the history as it was or a beginning of it that
reaches the zxid. A snapshot of Apache's server may hold later txns than its name says; where that
matters recovery reports it (`Restored.uncovered_digest_zxid`). Where no start would be possible
from what is left, the whole history is given up: see `emptying`.

**A replacement** (SNAP) makes a snapshot of another history the only file. With the old logs
beside it recovery would replay their txns above the snapshot into a mixture of both; and those
below it must not stay either, for a learner could be served across the hole, which zxids do not
show. Cutting the old tail first is no answer: the only snapshot may be above the zxid, and after a
crash nobody would remove the rest. So the intent is written down:

1. `begin`: the file `receivedSnapshot` with the name that the snapshot will have;
2. `snapshot.save`, whole and durable under that name, or not there;
3. `finish`: all other snapshots and all logs go, then `receivedSnapshot`.

After a crash `resume`, which recovery calls first, finds the intent. With the snapshot there it
finishes; without it nothing has been removed and the intent is dropped: the old history is whole.
If this server had a snapshot of that very name, that is taken for the received one: equal zxids are
equal histories, so only txns above it are lost, and of those the leader of this SNAP has all that
were ever committed. Older snapshots go too: with a hole behind them none could be built on, and
where the new one is an epoch's start (counter 0) recovery could not see the hole.

**A restore** (the admin command) puts a snapshot that somebody has sent in the place of everything,
also by a replacement. Equal zxids are no equal histories then: an old snapshot of the very same
name must not pass for the sent one, so the intent has the sent one's Adler32 beside the name. The
bytes come in as `incomingSnapshot`, and step 2 of a restore is the rename of that file.

Apache's server does not know `receivedSnapshot`: after a crash, start ours first.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import adler32

from zkserver.base.zxid import hex_zxid
from zkserver.storage.disk import Disk, chunks, replace_file
from zkserver.storage.emptying import Emptying, plan_empty
from zkserver.storage.layout import (
    RECEIVED_NAME,
    Layout,
    StorageError,
    snapshot_name,
    snapshot_zxid,
    sorted_logs,
    sorted_snapshots,
)
from zkserver.storage.logreader import LogReader
from zkserver.storage.snapshot_reader import is_valid
from zkserver.storage.txnlog import FRAME_BYTES, HEADER_BYTES

INCOMING_NAME = "incomingSnapshot"
_READ_BYTES = 256


class Cut(NamedTuple):
    """What goes, as paths in their order, and the log (path, size in bytes) that is shortened."""

    layout: Layout
    snapshots: tuple[str, ...]
    logs: tuple[str, ...]
    shortened: tuple[str, int] | None

    def carry_out(self, disk: Disk) -> None:
        """Do it; durable on return. Only changes. Raises OSError if the disk fails."""
        for path in self.snapshots:
            disk.remove(path)
            disk.sync_folder(self.layout.snapshot_folder)
        for path in self.logs:
            disk.remove(path)
            disk.sync_folder(self.layout.log_folder)
        if self.shortened is not None:
            disk.truncate(*self.shortened)


def plan_cut(disk: Disk, layout: Layout, zxid: int) -> Cut | Emptying:
    """How to drop every logged txn and every snapshot above `zxid`.

    An `Emptying` where no start would be possible from what is left: no snapshot at or below
    `zxid` passes the quick test, or `zxid` is neither in a log nor the zxid of such a snapshot, or
    a log up to there is damaged. Raises OSError if the disk fails.
    """
    try:
        return _plan_cut(disk, layout, zxid)
    except _ImpossibleError as error:
        told = f"the leader said to cut it back to 0x{hex_zxid(zxid)}, and {error}"
        return plan_empty(disk, layout, told)


def _plan_cut(disk: Disk, layout: Layout, zxid: int) -> Cut:
    snapshots = sorted_snapshots(disk.names(layout.snapshot_folder))
    logs = sorted_logs(disk.names(layout.log_folder))
    below = [
        found
        for found, name in snapshots
        if found <= zxid and is_valid(disk, layout.snapshot_path(name))
    ]
    if not below:
        raise _ImpossibleError("no snapshot is as old as that")
    last, shortened = _end_of(disk, layout, [pair for pair in logs if pair[0] <= zxid], zxid)
    if last != zxid and zxid not in below:
        raise _ImpossibleError("that transaction is in no log")
    return Cut(
        layout,
        tuple(layout.snapshot_path(name) for found, name in snapshots if found > zxid),
        tuple(layout.log_path(name) for first, name in reversed(logs) if first > zxid),
        shortened,
    )


def _end_of(
    disk: Disk, layout: Layout, logs: list[tuple[int, str]], zxid: int
) -> tuple[int | None, tuple[str, int] | None]:
    """The last txn up to `zxid` in `logs`, and how to shorten the file that holds it."""
    for pair in reversed(logs):
        path = layout.log_path(pair[1])
        last, end = None, HEADER_BYTES
        try:
            for found, entry, _, offset in LogReader(disk, layout.log_folder, [pair], pair[0] - 1):
                if found > zxid:
                    break
                last, end = found, offset + len(entry) + FRAME_BYTES
        except StorageError as error:
            if last != zxid:
                raise _ImpossibleError(str(error)) from error
        # A file without any txn says nothing: the one before may hold it.
        if last is not None:
            return last, (path, end) if end < disk.size(path) else None
    return None, None


class _ImpossibleError(Exception):
    """The history cannot be cut; says why."""


class Replacement(NamedTuple):
    """`begin`, then `snapshot.save` under `name` or `install`, then `finish`; see the module.

    `snapshots` and `logs` are the paths of what goes; `checksum` is that of a restore's file.
    """

    layout: Layout
    name: str
    snapshots: tuple[str, ...]
    logs: tuple[str, ...]
    checksum: int | None = None

    def begin(self, disk: Disk) -> None:
        """Say durably that the snapshot to come replaces everything. Raises OSError."""
        text = self.name if self.checksum is None else f"{self.name} {self.checksum:08x}"
        replace_file(disk, self.layout.snapshot_folder, RECEIVED_NAME, text.encode())

    def install(self, disk: Disk) -> None:
        """Step 2 of a restore: what has come in, whole and synced, gets its name; durable."""
        folder = self.layout.snapshot_folder
        disk.rename(f"{folder}/{INCOMING_NAME}", self.layout.snapshot_path(self.name))
        disk.sync_folder(folder)

    def finish(self, disk: Disk) -> None:
        """The snapshot is durable: the rest goes. Only changes. Raises OSError."""
        for path in (*self.snapshots, *self.logs):
            disk.remove(path)
        disk.sync_folder(self.layout.snapshot_folder)
        disk.sync_folder(self.layout.log_folder)
        _drop_intent(disk, self.layout)


def plan_replace(disk: Disk, layout: Layout, zxid: int, compression: str = "") -> Replacement:
    """How to make a received tree at `zxid` the only history; `compression` as for `save`.

    The directory may not change between this and `finish` except by the steps of a replacement.
    """
    return _replacement(disk, layout, snapshot_name(zxid, compression))


def _replacement(disk: Disk, layout: Layout, kept: str) -> Replacement:
    snapshots = sorted_snapshots(disk.names(layout.snapshot_folder))
    logs = sorted_logs(disk.names(layout.log_folder))
    return Replacement(
        layout,
        kept,
        tuple(layout.snapshot_path(name) for _, name in snapshots if name != kept),
        tuple(layout.log_path(name) for _, name in reversed(logs)),
    )


def resume(disk: Disk, layout: Layout) -> str | None:
    """End a replacement that a crash interrupted; a line that says how, None if there was none.

    Raises StorageError if the intent or the received snapshot is damaged, OSError if the disk
    fails.
    """
    path = f"{layout.snapshot_folder}/{RECEIVED_NAME}"
    incoming = f"{layout.snapshot_folder}/{INCOMING_NAME}"
    line = _resume(disk, layout, path) if disk.exists(path) else None
    if disk.exists(incoming):
        disk.remove(incoming)
        disk.sync_folder(layout.snapshot_folder)
        line = line or f"{incoming}: removed; the restore had not come about, all is as before"
    return line


def _resume(disk: Disk, layout: Layout, path: str) -> str:
    """End the replacement of which the intent at `path` tells."""
    name, _, checksum = disk.read(path, 0, _READ_BYTES).decode("latin-1").partition(" ")
    if snapshot_zxid(name) is None:
        raise _damaged(layout, f"{path}: {name!r} is no name of a snapshot")
    received = layout.snapshot_path(name)
    if not disk.exists(received):
        _drop_intent(disk, layout)
        return f"{path}: removed; the tree of a leader had not come in whole, all is as before"
    if checksum and checksum != f"{_checksum(disk, received):08x}":
        _drop_intent(disk, layout)
        return f"{path}: removed; the restore had not come about, all is as before"
    if not is_valid(disk, received):
        raise _damaged(layout, f"{received}: a received snapshot that is not complete")
    _replacement(disk, layout, name).finish(disk)
    return f"{received}: kept alone; it is the tree of a leader and replaces what was before"


def _checksum(disk: Disk, path: str) -> int:
    checksum = 1
    for chunk in chunks(disk, path):
        checksum = adler32(chunk, checksum)
    return checksum


def _drop_intent(disk: Disk, layout: Layout) -> None:
    disk.remove(f"{layout.snapshot_folder}/{RECEIVED_NAME}")
    disk.sync_folder(layout.snapshot_folder)


def _damaged(layout: Layout, what: str) -> StorageError:
    return StorageError(
        f"{what}. While the other servers serve without this one, empty {layout.snapshot_folder} "
        f"and {layout.log_folder} and start it anew: it will be sent the tree"
    )
