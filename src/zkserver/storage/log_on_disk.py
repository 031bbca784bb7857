"""The log read back for learners, while the server goes on writing it.

`LogFiles` is `zab.synchronisation.LogOnDisk` over the live directory: what the leader reads to
bring a learner up by a DIFF that begins before the log in memory. Whatever does not read ends the
reading, with no error: the leader then finds the end missing and sends the tree. Invariants:

* what is yielded is one run without holes: the rule is `storage.logreader`'s, where a file that
  ends early must be followed by the very next zxid, so damage at an epoch's end is no successor;
* the last file's tail may be half written at that moment, and ends the run;
* entries may be newer than what is committed, even than what is durable: the caller stops at what
  it has in memory;
* a tree that came from a leader leaves no older log (`storage.truncation`), so there is no hole
  that zxids do not show.

Files that a purge takes away meanwhile end the run like damage does.
"""

from __future__ import annotations

from collections.abc import Iterator

from zkserver.storage.disk import Disk
from zkserver.storage.layout import (
    Layout,
    StorageError,
    logs_from,
    sorted_logs,
    sorted_snapshots,
)
from zkserver.storage.logreader import LogReader
from zkserver.storage.snapshot_reader import is_valid
from zkserver.zab.effects import Entry

PROBE_BYTES = 4096


class LogFiles:
    """The logs and snapshots of a running server. Reads only; one reader at a time or many."""

    def __init__(self, disk: Disk, layout: Layout) -> None:
        self._disk = disk
        self._layout = layout

    def entries(self, zxid: int) -> Iterator[Entry]:
        """Logged txns in order, from the last one at or before `zxid`; none if there is no such.

        Ends at the first thing that does not read, and at the end of what is there now.
        """
        before: list[Entry] = []
        records = self._records(zxid)
        for entry in records:
            if entry[0] > zxid:
                yield from (*before, entry)
                break
            before = [entry]
        else:
            yield from before
        yield from records

    def bytes_from(self, zxid: int) -> int:
        """About how many bytes `entries(zxid)` has to read, for a few small reads of each file.

        Counts from the file that holds `zxid`, without the zeros of the preallocation. Where they
        begin is found by halving, so data of 4096 zeros or more may pass for them: then the
        figure is too low, and a log is read where sending the tree would have been less.
        """
        total_bytes = 0
        for _, name in logs_from(self._logs(), zxid):
            try:
                total_bytes += self._written_bytes(self._layout.log_path(name))
            except FileNotFoundError:
                # Purged meanwhile; `entries` will not get past it either.
                continue
        return total_bytes

    def snapshot_bytes(self) -> int:
        """The size of the newest snapshot that looks whole, as it is on disk; 0 for none."""
        disk, layout = self._disk, self._layout
        for _, name in sorted_snapshots(disk.names(layout.snapshot_folder)):
            path = layout.snapshot_path(name)
            try:
                if is_valid(disk, path):
                    return disk.size(path)
            except FileNotFoundError:
                continue
        return 0

    def _logs(self) -> list[tuple[int, str]]:
        return sorted_logs(self._disk.names(self._layout.log_folder))

    def _records(self, zxid: int) -> Iterator[Entry]:
        """From the first record of the newest file that begins at or before `zxid`."""
        logs = self._logs()
        for index in range(len(logs) - 1, -1, -1):
            first = logs[index][0]
            if first > zxid:
                continue
            is_begun = False
            reader = LogReader(self._disk, self._layout.log_folder, logs[index:], first - 1)
            try:
                for found, entry, _, _ in reader:
                    if not is_begun and found > zxid:
                        break
                    is_begun = True
                    yield found, entry
            except (StorageError, OSError):
                # Damage, a half-written tail, a file that is gone: what came before it is good.
                pass
            if is_begun:
                return
            # A file that has just been made has no record yet; the one before it may.

    def _written_bytes(self, path: str) -> int:
        """Up to where a file is written, to a probe's size."""
        low, high = 0, -(-self._disk.size(path) // PROBE_BYTES)
        while low < high:
            middle = (low + high) // 2
            if self._disk.read(path, middle * PROBE_BYTES, PROBE_BYTES).strip(b"\0"):
                low = middle + 1
            else:
                high = middle
        return low * PROBE_BYTES
